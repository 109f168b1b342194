//! `witness.toml`: every key with a default or required, unknown keys refused.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use tallystick_log::{KeyKind, VerifierKey};
use tallystick_witness::TrustedLog;

/// The file's name in the data directory.
const FILE: &str = "witness.toml";

/// The configuration of a witness, checked.
#[derive(Clone, Debug)]
pub struct WitnessConfig {
    /// The key that verifies its cosignatures.
    pub vkey: VerifierKey,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The address under which logs reach it.
    pub submission_prefix: Option<String>,
    /// The logs that it cosigns.
    pub logs: Vec<TrustedLog>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    vkey: String,
    #[serde(default = "listen_default")]
    listen: SocketAddr,
    submission_prefix: Option<String>,
    #[serde(default)]
    log: Vec<LogText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogText {
    origin: String,
    vkeys: Vec<String>,
}

fn listen_default() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8090))
}

impl WitnessConfig {
    /// Where the file is.
    pub fn path(data_dir: &Path) -> PathBuf {
        data_dir.join(FILE)
    }

    /// Reads the file in a data directory.
    ///
    /// # Errors
    /// If it cannot be read, has an unknown key, or a value that makes no sense; the message names it.
    pub fn read(data_dir: &Path) -> Result<Self> {
        let path = Self::path(data_dir);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}; `tally witness init` makes one", path.display()))?;
        Self::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    /// Checks the text of a configuration.
    ///
    /// # Errors
    /// If it has an unknown key, or a value that makes no sense; the message names it.
    pub fn parse(text: &str) -> Result<Self> {
        let text: Text = toml::from_str(text)?;
        let vkey = VerifierKey::parse(&text.vkey).with_context(|| format!("vkey: {}", text.vkey))?;
        ensure!(vkey.kind() == KeyKind::Cosignature, "vkey: {} is not a witness's key", text.vkey);
        let logs: Vec<TrustedLog> = text.log.iter().map(LogText::read).collect::<Result<_>>()?;
        let mut origins = BTreeSet::new();
        if let Some(twice) = logs.iter().find(|log| !origins.insert(log.origin())) {
            anyhow::bail!("[[log]] {} is there twice; a log with two keys has them in one list", twice.origin());
        }
        let config = Self { vkey, listen: text.listen, submission_prefix: text.submission_prefix, logs };
        let nowhere = config.listen.ip().is_unspecified() && config.submission_prefix.is_none();
        let listen = config.listen;
        ensure!(!nowhere, "it listens on {listen}: submission_prefix must name the address that logs use");
        config.prefix_path()?;
        Ok(config)
    }

    /// The path of the submission prefix, under which the calls are.
    ///
    /// # Errors
    /// If the prefix is no URL of `http` or `https`.
    pub fn prefix_path(&self) -> Result<&str> {
        let Some(prefix) = &self.submission_prefix else { return Ok("") };
        let rest = prefix.strip_prefix("http://").or_else(|| prefix.strip_prefix("https://"));
        let rest = rest.with_context(|| format!("submission_prefix: {prefix} must begin with https:// or http://"))?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
        ensure!(
            !host.is_empty() && !host.contains('@'),
            "submission_prefix: {prefix} must name a host and nothing else"
        );
        ensure!(
            path.chars().all(plain) && !path.contains("//"),
            "submission_prefix: the path of {prefix} may have letters, digits and -._~ between its slashes"
        );
        Ok(path.trim_end_matches('/'))
    }

    /// The address that logs are told: the prefix, or that of the listener.
    pub fn told_address(&self, bound: SocketAddr) -> String {
        self.submission_prefix.clone().unwrap_or_else(|| format!("http://{bound}"))
    }
}

impl LogText {
    fn read(&self) -> Result<TrustedLog> {
        let key = |vkey: &String| VerifierKey::parse(vkey).with_context(|| format!("[[log]] {}: {vkey}", self.origin));
        let keys = self.vkeys.iter().map(key).collect::<Result<_>>()?;
        Ok(TrustedLog::try_new(&self.origin, keys)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tallystick_log::{KeyName, SigningKey};

    fn vkey(name: &str, kind: KeyKind) -> String {
        SigningKey::try_from_seed(KeyName::try_new(name).unwrap(), kind, &[7; 32]).unwrap().verifier().to_vkey()
    }

    fn parse(more: &str) -> Result<WitnessConfig> {
        WitnessConfig::parse(&format!("vkey = \"{}\"\n{more}", vkey("w.example", KeyKind::Cosignature)))
    }

    #[test]
    fn the_least_configuration_is_enough() {
        let config = parse("").unwrap();
        assert_eq!((config.listen, config.prefix_path().unwrap()), (listen_default(), ""));
        let log = vkey("log.example/a", KeyKind::Note);
        let config = parse(&format!("[[log]]\norigin = \"log.example/a\"\nvkeys = [\"{log}\"]\n")).unwrap();
        assert_eq!(config.logs[0].origin(), "log.example/a");
    }

    #[test]
    fn the_prefix_names_the_path() {
        let path = |prefix: &str| Ok(parse(&format!("submission_prefix = \"{prefix}\""))?.prefix_path()?.to_owned());
        for (prefix, expected) in [
            ("https://w.example", ""),
            ("https://w.example/", ""),
            ("https://w.example/w/1/", "/w/1"),
            ("http://10.0.0.1:80/w1", "/w1"),
        ] {
            let got: Result<String> = path(prefix);
            assert_eq!(got.unwrap(), expected, "{prefix}");
        }
        for bad in [
            "w.example",
            "ftp://w.example",
            "https:///x",
            "https://w.example/{x}",
            "https://w.example//",
            "https://a@b",
        ] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let refused = |more: &str, word: &str| {
            let error = format!("{:#}", parse(more).unwrap_err());
            assert!(error.contains(word), "{error}");
        };
        refused("listen = \"0.0.0.0:80\"", "submission_prefix");
        refused("listen = \"[::]:80\"", "submission_prefix");
        parse("listen = \"0.0.0.0:80\"\nsubmission_prefix = \"https://w.example\"").unwrap();
        refused("lissen = 1", "lissen");
        let (a, b) = (vkey("a", KeyKind::Note), vkey("b", KeyKind::Note));
        refused(&format!("[[log]]\norigin = \"a\"\nvkeys = [\"{b}\"]"), "another name");
        refused("[[log]]\norigin = \"a\"\nvkeys = []", "1 to 8 keys");
        let witness = vkey("a", KeyKind::Cosignature);
        refused(&format!("[[log]]\norigin = \"a\"\nvkeys = [\"{witness}\"]"), "not a log's key");
        let log = format!("[[log]]\norigin = \"a\"\nvkeys = [\"{a}\"]\n");
        refused(&format!("{log}{log}"), "twice");
        let error = WitnessConfig::parse(&format!("vkey = \"{a}\"")).unwrap_err().to_string();
        assert!(error.contains("not a witness's key"), "{error}");
    }
}
