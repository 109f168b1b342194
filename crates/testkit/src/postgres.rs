//! A PostgreSQL server of our own, thrown away afterwards: made with the programs of Debian's package `postgresql`.
//!
//! ```text
//! test ── pipe ──▶ keeper (a shell): when the pipe ends, however the test's process ended, it stops the server and
//!                  removes its folder
//! ```

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The oldest version that the store supports.
const VERSION_MIN: u32 = 15;
/// The database's owner, and the only role.
const ROLE: &str = "tallystick";
/// What the keeper runs: `$1` is `pg_ctl`, `$2` the folder.
const KEEPER: &str = "cat >/dev/null; \"$1\" -D \"$2/data\" -m immediate -w stop >/dev/null 2>&1; rm -rf \"$2\"";

/// The port that names the socket, unless the server listens on the network as well.
const PORT: u16 = 5432;

/// Ports for servers on the network: Linux gives those from 32768 on to whoever asks for any.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A running server. It listens on a socket in its own folder, and nowhere else unless told to.
pub struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
    /// Who runs the server: the server refuses to be run by root.
    user: Option<(u32, u32)>,
    databases: AtomicU32,
    port: u16,
    keeper: Child,
}

impl Cluster {
    /// The one server of this process, started by the first who asks.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&[]))
    }

    /// Makes and starts a server; `settings` are lines of its `postgresql.conf`.
    ///
    /// # Panics
    /// If the server's programs are missing or fail; the text tells how to mend it.
    pub fn start(settings: &[&str]) -> Self {
        // Not within the folder of a user whom the server's user may not visit; and short, as the name of a socket is.
        Self::start_in(Path::new("/tmp"), settings)
    }

    /// The same in a folder of its own within `place`, which the server's user must be able to visit.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub fn start_in(place: &Path, settings: &[&str]) -> Self {
        Self::make(place, settings, PORT, &[], &[])
    }

    /// The same, with segments of 1 MiB in its write-ahead log, so that little is copied when one is.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub fn start_with_small_segments(settings: &[&str]) -> Self {
        Self::make(Path::new("/tmp"), settings, PORT, &[], &["--wal-segsize=1"])
    }

    /// Makes and starts a server that also listens on a port of 127.0.0.1, where it speaks TLS with this certificate and
    /// this key, in PEM.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub fn start_with_tls(certificate: &str, key: &str) -> Self {
        let port = free_port();
        let files = [("server.crt", certificate), ("server.key", key)];
        let settings = ["listen_addresses = '127.0.0.1'", "ssl = on", "ssl_cert_file = '../server.crt'"];
        let settings = [&settings[..], &["ssl_key_file = '../server.key'"]].concat();
        Self::make(Path::new("/tmp"), &settings, port, &files, &[])
    }

    /// The port of 127.0.0.1, of a server that listens there.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn make(place: &Path, settings: &[&str], port: u16, files: &[(&str, &str)], words: &[&str]) -> Self {
        let programs = programs().unwrap_or_else(|| {
            panic!("the programs of PostgreSQL {VERSION_MIN} or later are missing: run `make postgres`")
        });
        let user = unprivileged();
        let folder = folder(place, user);
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "keeper"]).arg(programs.join("pg_ctl")).arg(&folder);
        // A group of its own: an interrupt from the keyboard ends the test, and not its keeper.
        keeper.current_dir(&folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let keeper = as_user(&mut keeper, user).spawn().expect("a shell");
        let cluster = Self { programs, folder, user, databases: AtomicU32::new(0), port, keeper };
        let common = ["-D", "data", "-U", ROLE, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"];
        cluster.run("initdb", &[&common, words].concat());
        let conf = cluster.folder.join("data/postgresql.conf");
        let mut lines = fs::read_to_string(&conf).expect("the server's settings");
        lines += &format!("listen_addresses = ''\nunix_socket_directories = '{}'\n", cluster.folder.display());
        lines += &format!("max_connections = 300\nport = {port}\n");
        lines += &settings.join("\n");
        fs::write(&conf, lines + "\n").expect("the server's settings");
        for (name, text) in files {
            cluster.give(name, text);
        }
        cluster.go();
        cluster
    }

    /// Where the server keeps its data.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Starts the server again, after [`Cluster::halt`].
    ///
    /// # Panics
    /// If it does not start.
    pub fn go(&self) {
        self.go_with(&[]);
    }

    /// The same with more in its environment.
    ///
    /// # Panics
    /// As [`Cluster::go`].
    pub fn go_with(&self, environment: &[(&str, PathBuf)]) {
        let mut command = Command::new(self.programs.join("pg_ctl"));
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        self.run_it(command, "pg_ctl", &["-D", "data", "-l", "log", "-w", "-t", "120", "start"]);
    }

    /// Stops the server in order: all that it holds is in its files, and the next start recovers nothing.
    ///
    /// # Panics
    /// If it does not stop.
    pub fn stop(&self) {
        self.run("pg_ctl", &["-D", "data", "-m", "fast", "-w", "-t", "120", "stop"]);
    }

    /// Stops the server at once, as a crash would: the next start recovers from the log.
    ///
    /// # Panics
    /// If it does not stop.
    pub fn halt(&self) {
        self.run("pg_ctl", &["-D", "data", "-m", "immediate", "-w", "-t", "120", "stop"]);
    }

    /// Copies the running server's files into the folder `base` beside them, for [`Cluster::recover`].
    ///
    /// # Panics
    /// If they cannot be copied.
    pub fn base_backup(&self) {
        let (host, port) = (self.folder.display().to_string(), self.port.to_string());
        self.run("pg_basebackup", &["-h", &host, "-p", &port, "-U", ROLE, "-D", "base", "-c", "fast"]);
    }

    /// Puts the files of [`Cluster::base_backup`] in the place of a halted server's, and starts that with `settings`: it
    /// recovers from what its predecessor archived.
    ///
    /// # Panics
    /// If the files cannot be moved, or the server does not start.
    pub fn recover(&self, settings: &[&str]) {
        let (data, base) = (self.folder.join("data"), self.folder.join("base"));
        fs::rename(&data, self.folder.join("lost")).expect("the server's folder");
        fs::rename(&base, &data).expect("the server's folder");
        let auto = fs::read_to_string(data.join("postgresql.auto.conf")).expect("the server's settings");
        self.give("data/postgresql.auto.conf", &format!("{auto}{}\n", settings.join("\n")));
        self.give("data/recovery.signal", "");
        self.go();
    }

    /// The next start, after [`Cluster::halt`], is that of a standby: it answers, and writes nothing.
    ///
    /// # Panics
    /// If the server's folder cannot be written to.
    pub fn become_standby(&self) {
        self.give("data/standby.signal", "");
    }

    /// Writes a file that only the server's user can read.
    fn give(&self, name: &str, text: &str) {
        let path = self.folder.join(name);
        fs::write(&path, text).expect("the server's folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
        if let Some((uid, gid)) = self.user {
            chown(&path, Some(uid), Some(gid)).expect("root may give its file away");
        }
    }

    /// Makes an empty database, and answers its connection string.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Relaxed));
        self.create(&name, &[]);
        self.address(&name)
    }

    /// Makes a database with more words for `createdb`.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn create(&self, name: &str, words: &[&str]) {
        let (host, port) = (self.folder.display().to_string(), self.port.to_string());
        self.run("createdb", &[&["-h", &host, "-p", &port, "-U", ROLE], words, &[name]].concat());
    }

    /// A database's connection string.
    pub fn address(&self, database: &str) -> String {
        format!("host={} port={} user={ROLE} dbname={database}", self.folder.display(), self.port)
    }

    fn run(&self, program: &str, words: &[&str]) {
        self.run_it(Command::new(self.programs.join(program)), program, words);
    }

    fn run_it(&self, mut command: Command, program: &str, words: &[&str]) {
        // The server inherits what `pg_ctl` has: it must not keep a pipe open that somebody reads to its end.
        let output = fs::File::create(self.folder.join(format!("{program}.out"))).expect("a file");
        let errors = output.try_clone().expect("a file");
        command.args(words).current_dir(&self.folder).stdin(Stdio::null()).stdout(output).stderr(errors);
        let status = as_user(&mut command, self.user).status().expect("the program runs");
        if !status.success() {
            let told = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
            panic!("{program} {words:?}: {status}\n{}\n{}", told(&format!("{program}.out")), told("log"));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // It removes what is left; a failure leaves rubbish behind, and is no reason to fail a test.
        drop(self.keeper.wait());
    }
}

/// A port of 127.0.0.1 that nobody listens on. It is below those that the system gives to whoever asks for any, so that
/// nobody has it by chance before the server does; and others look for theirs in other places.
fn free_port() -> u16 {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let place = || {
        let number = std::process::id().wrapping_mul(131).wrapping_add(ASKED.fetch_add(1, Relaxed));
        PORTS.start + u16::try_from(number % u32::from(PORTS.end - PORTS.start)).expect("within the range")
    };
    std::iter::repeat_with(place).take(PORTS.len()).find(is_free).expect("a free port")
}

/// The folder of the newest server programs of Debian's package, or of those on the path.
fn programs() -> Option<PathBuf> {
    let packaged = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let versions = packaged.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let newest = versions.filter(|version| *version >= VERSION_MIN).max();
    let mut folders: Vec<PathBuf> =
        newest.map(|version| format!("/usr/lib/postgresql/{version}/bin").into()).into_iter().collect();
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let whole = |folder: &PathBuf| ["initdb", "pg_ctl", "createdb"].iter().all(|name| folder.join(name).is_file());
    folders.into_iter().find(whole)
}

/// The user and group that run the server: nobody else than we, unless that is root.
fn unprivileged() -> Option<(u32, u32)> {
    let own = fs::metadata("/proc/self").map(|process| std::os::unix::fs::MetadataExt::uid(&process));
    if own.is_ok_and(|uid| uid != 0) {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("the list of users");
    let find = |name: &str| {
        let fields: Vec<&str> = users
            .lines()
            .map(|line| line.split(':').collect())
            .find(|fields: &Vec<&str>| fields.first() == Some(&name))?;
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    Some(find("postgres").or_else(|| find("nobody")).expect("a user postgres or nobody"))
}

/// A folder for the server alone.
fn folder(place: &Path, user: Option<(u32, u32)>) -> PathBuf {
    let folder = tempfile::Builder::new().prefix("tally-pg-").tempdir_in(place).expect("a folder").keep();
    if let Some((uid, gid)) = user {
        chown(&folder, Some(uid), Some(gid)).expect("root may give its folder away");
    }
    folder
}

fn as_user(command: &mut Command, user: Option<(u32, u32)>) -> &mut Command {
    match user {
        Some((uid, gid)) => command.uid(uid).gid(gid),
        None => command,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_nobodys_by_chance() {
        let ports: std::collections::BTreeSet<u16> = (0..50).map(|_| free_port()).collect();
        assert_eq!(ports.len(), 50, "each is another");
        let first = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").expect("Linux");
        let first: u16 = first.split_whitespace().next().expect("two numbers").parse().expect("a port");
        assert!(ports.iter().all(|port| *port < first), "{ports:?}");
    }
}
