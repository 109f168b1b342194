//! Where the database is, and how to talk to it.

use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tallystick_app::port::journal::StoreError;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::Result;

/// How long a connection may take to be made, if the connection string does not say.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// How long sent bytes may stay unacknowledged before a connection counts as lost, if the string does not say.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A PostgreSQL database, by its connection string. Never shows the password.
#[derive(Clone)]
pub struct PostgresOptions {
    config: Config,
    tls: MakeRustlsConnect,
}

impl PostgresOptions {
    /// Understands a connection string of either form that `libpq` has: `postgres://user:password@host/database` or
    /// `host=/run/postgresql dbname=journal`.
    ///
    /// A connection to another machine is encrypted, and the server's certificate is checked against the system's
    /// authorities (or those in `SSL_CERT_FILE`), unless the string says `sslmode=disable`. On this machine it is
    /// encrypted only if the string says `sslmode=require`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the string cannot be understood or names no host, or if there is no authority
    /// to check a certificate against. It quotes nothing: a part of a string that is wrong may be a password.
    pub fn try_new(connection: &str) -> Result<Self> {
        let refuse = |why: &str| StoreError::Unavailable(format!("the connection string of PostgreSQL {why}"));
        let mut config: Config = connection.parse().map_err(|_| {
            refuse("cannot be understood: write postgres://user:password@host/database, or host=… user=… dbname=…")
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(refuse("names no host: write, for example, host=/run/postgresql"));
        }
        if config.get_ssl_mode() == SslMode::Prefer {
            // Never a silent fall back to plain text, and no surprise at the certificate that a package made by itself.
            config.ssl_mode(if is_local(&config) { SslMode::Disable } else { SslMode::Require });
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIME_MAX);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE_MAX);
        }
        if config.get_application_name().is_none() {
            config.application_name("tallystick");
        }
        let tls = tls(config.get_ssl_mode() != SslMode::Disable)?;
        Ok(Self { config, tls })
    }

    /// The same with this password, from a file perhaps, in the place of any that the string has.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.config.password(password);
        self
    }

    /// Whether it has a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// What the driver connects with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// [`Self::config`] with settings that every session begins with, in the form of the command line: `-c name=value`.
    #[must_use]
    pub fn config_with(&self, settings: &str) -> Config {
        let mut config = self.config.clone();
        let all = config.get_options().map_or(settings.to_owned(), |own| format!("{own} {settings}"));
        config.options(all);
        config
    }

    /// How to encrypt.
    #[must_use]
    pub fn tls(&self) -> MakeRustlsConnect {
        self.tls.clone()
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or_default();
        write!(f, "PostgreSQL {database:?} at {:?}", self.config.get_hosts())
    }
}

/// Whether no byte leaves this machine.
fn is_local(config: &Config) -> bool {
    let hosts = config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
    });
    // Where addresses are given as well, they are what is connected to.
    let addresses = config.get_hostaddrs();
    if addresses.is_empty() { hosts } else { addresses.iter().all(std::net::IpAddr::is_loopback) }
}

fn tls(wanted: bool) -> Result<MakeRustlsConnect> {
    let unavailable = |why: String| StoreError::Unavailable(format!("TLS to PostgreSQL: {why}"));
    let mut roots = RootCertStore::empty();
    if wanted {
        let native = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(native.certs);
        if roots.is_empty() {
            return Err(unavailable("the system has no certificate authorities; name a file in SSL_CERT_FILE".into()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unavailable(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_are_talked_to_in_secret() {
        let cases = [
            ("postgres://a:b@db.example/journal", SslMode::Require),
            ("host=10.0.0.7 user=a", SslMode::Require),
            ("host=localhost hostaddr=10.0.0.7 user=a", SslMode::Require),
            ("host=10.0.0.7 user=a sslmode=disable", SslMode::Disable),
            ("host=localhost user=a", SslMode::Disable),
            ("host=127.0.0.1 user=a", SslMode::Disable),
            ("host=/run/postgresql user=a", SslMode::Disable),
            ("host=localhost user=a sslmode=require", SslMode::Require),
        ];
        for (connection, wanted) in cases {
            let options = PostgresOptions::try_new(connection).unwrap();
            assert_eq!(options.config().get_ssl_mode(), wanted, "{connection}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let options = PostgresOptions::try_new("postgres://a:hunter2@localhost/journal").unwrap();
        assert_eq!(format!("{options:?}"), "PostgreSQL \"journal\" at [Tcp(\"localhost\")]");
        for wrong in ["host=a password=two hunter2 words", "password='hunter2", "postgres://a:hunter2@/x", "hunter2"] {
            let refused = PostgresOptions::try_new(wrong).unwrap_err();
            assert!(!refused.to_string().contains("hunter2"), "{refused}");
        }
    }
}
