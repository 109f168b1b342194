//! The node's configuration: one TOML file, every key with a default, unknown keys refused.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};
use tallystick_bitcoin::{RpcAuth, RpcConfig};
use tallystick_civics::dispute::Plan;
use tallystick_core::{BasisPoints, Blocks, Duration, NostrKey, Sat};
use tallystick_escrow::Policy;

use crate::anchor::{AnchorSection, Anchoring};
use crate::log::LogSection;
use crate::rates::RatesConfig;
use crate::standing::StandingSection;
use crate::vault::EvidenceSection;
use ipnet::IpNet;
use tallystick_store::PostgresOptions;
use zeroize::Zeroizing;

/// The file's name in the data directory.
pub const FILE: &str = "tally.toml";

/// How long a replica may be silent, unless told otherwise.
const LEASE_SECS: u64 = 5;
/// A server that writes to a slow disk for this long must not cost the node.
const LEASE_SECS_MIN: u64 = 2;
/// Longer than this no channel should be without its node.
const LEASE_SECS_MAX: u64 = 300;

/// The configuration of `tally serve`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `bitcoin`, `testnet`, `testnet4`, `signet` or `regtest`.
    pub network: bitcoin::Network,
    /// The chain source.
    pub bitcoin: BitcoinConfig,
    /// Where the journal is.
    #[serde(default)]
    pub store: StoreConfig,
    /// The Lightning node.
    #[serde(default)]
    pub lightning: LightningSection,
    /// The API.
    #[serde(default)]
    pub api: ApiConfig,
    /// The journal as a log that anyone can check.
    #[serde(default)]
    pub log: LogSection,
    /// The log's checkpoints in Bitcoin. Absent: none.
    pub anchor: Option<AnchorSection>,
    /// How long evidence is kept.
    #[serde(default)]
    pub evidence: EvidenceSection,
    /// What is asked of new tasks.
    #[serde(default)]
    pub policy: PolicyConfig,
    /// How much each key may have open at once.
    #[serde(default)]
    pub standing: StandingSection,
    /// Where everything is kept; the file's own directory.
    #[serde(skip)]
    pub data_dir: PathBuf,
}

/// Where the journal is, and with it all that the Lightning node keeps: in the data directory, on SQLite, unless told
/// otherwise.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// A PostgreSQL database (15 or later): `postgres://user:password@host/database`, or `host=… user=… dbname=…`. All
    /// replicas of a node have the same.
    pub url: Option<Secret>,
    /// The password, in a file of its own instead of in the URL.
    pub password_file: Option<PathBuf>,
    /// How long a replica may be silent before another takes the Lightning node over.
    pub lease_secs: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { url: None, password_file: None, lease_secs: LEASE_SECS }
    }
}

impl StoreConfig {
    /// The PostgreSQL database, if there is one.
    ///
    /// # Errors
    /// If the URL makes no sense, the password's file cannot be read, or there are two passwords.
    pub fn postgres(&self, data_dir: &Path) -> Result<Option<PostgresOptions>> {
        let Some(url) = &self.url else {
            ensure!(self.password_file.is_none(), "[store] password_file needs url");
            return Ok(None);
        };
        let options = PostgresOptions::try_new(&url.0).context("[store] url")?;
        let Some(file) = &self.password_file else { return Ok(Some(options)) };
        ensure!(!options.has_password(), "[store] has a password in the url, and a password_file: keep one");
        let file = data_dir.join(file);
        let password = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Some(options.with_password(Zeroizing::new(password).trim_end())))
    }

    /// [`Self::lease_secs`].
    pub fn lease(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.lease_secs)
    }

    fn check(&self) -> Result<()> {
        let secs = self.lease_secs;
        ensure!((LEASE_SECS_MIN..=LEASE_SECS_MAX).contains(&secs), "[store] lease_secs: {secs} is not 2 to 300");
        if let Some(url) = &self.url {
            PostgresOptions::try_new(&url.0).context("[store] url")?;
        }
        Ok(())
    }
}

/// A text that is never shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// Where Bitcoin Core is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BitcoinConfig {
    /// Its RPC address.
    pub rpc_url: String,
    /// Its cookie file; the usual way.
    pub rpc_cookie_file: Option<PathBuf>,
    /// A fixed user instead of the cookie.
    pub rpc_user: Option<String>,
    /// That user's password, in a file of its own.
    pub rpc_password_file: Option<PathBuf>,
}

/// The Lightning node.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LightningSection {
    /// Where peers may connect.
    pub listen: Vec<SocketAddr>,
    /// Where the network is told to reach the node.
    pub announce: Vec<SocketAddr>,
    /// The node's name in gossip.
    pub alias: String,
    /// Whether payments of others are forwarded.
    pub forward: bool,
}

impl Default for LightningSection {
    fn default() -> Self {
        let listen = vec![SocketAddr::from(([0, 0, 0, 0], 9735))];
        Self { listen, announce: Vec::new(), alias: "tallystick".to_owned(), forward: false }
    }
}

/// The API.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// Where the API listens.
    pub listen: SocketAddr,
    /// The addresses that clients use and sign, such as `https://tally.example/graphql`, besides those of this machine.
    pub public_urls: Vec<String>,
    /// Those of them at which the node looks itself whether users reach it; all unless told otherwise.
    pub look_at: Option<Vec<String>>,
    /// Who is admin and operator of the node from its first start on. Afterwards admins grant and withdraw roles, and this is
    /// not looked at any more.
    pub operators: BTreeSet<NostrKey>,
    /// Proxies before the API, as addresses (`127.0.0.1/32`) or networks (`10.0.0.0/8`): what they say in `X-Forwarded-For`
    /// is where a request comes from.
    pub trusted_proxies: Vec<IpNet>,
    /// How often one key, and one address, may ask.
    pub rates: RatesConfig,
}

impl Default for ApiConfig {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 8080));
        Self {
            listen,
            public_urls: Vec::new(),
            look_at: None,
            operators: BTreeSet::new(),
            trusted_proxies: Vec::new(),
            rates: RatesConfig::default(),
        }
    }
}

impl ApiConfig {
    fn check(&self) -> Result<()> {
        for url in &self.public_urls {
            let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
            let host = rest.with_context(|| format!("[api] public_urls: {url} is no URL"))?.strip_suffix("/graphql");
            let host = host.with_context(|| format!("[api] public_urls: {url} must end with /graphql"))?;
            ensure!(!host.is_empty() && !host.contains('/'), "[api] public_urls: {url} must have the path /graphql");
        }
        for url in self.look_at.iter().flatten() {
            ensure!(self.public_urls.contains(url), "[api] look_at: {url} is none of the public_urls");
        }
        self.rates.limits()?;
        let nowhere = self.listen.ip().is_unspecified() && self.public_urls.is_empty();
        let listen = self.listen;
        ensure!(!nowhere, "[api] listens on {listen}: public_urls must name the addresses that clients use and sign");
        Ok(())
    }

    /// Whether a proxy on this machine stands before the API that is not named: then nobody is counted who comes through it.
    pub fn hides_addresses(&self) -> bool {
        self.listen.ip().is_loopback() && !self.public_urls.is_empty() && self.trusted_proxies.is_empty()
    }

    /// Where the node looks whether users reach an API that really listens at `bound`: there, and at public URLs.
    pub fn looked_at(&self, bound: SocketAddr) -> Vec<String> {
        let public = self.look_at.as_ref().unwrap_or(&self.public_urls);
        std::iter::once(format!("http://{}/graphql", near(bound))).chain(public.iter().cloned()).collect()
    }

    /// Every address that a client may sign, for an API that really listens at `bound`: the configured ones, and those
    /// of this machine.
    pub fn signed_urls(&self, bound: SocketAddr) -> BTreeSet<String> {
        let near = near(bound);
        let mut urls: BTreeSet<_> = self.public_urls.iter().cloned().collect();
        urls.insert(format!("http://{near}/graphql"));
        if near.ip().is_loopback() {
            urls.insert(format!("http://localhost:{}/graphql", near.port()));
        }
        urls
    }
}

/// Where this machine reaches a listener.
fn near(mut bound: SocketAddr) -> SocketAddr {
    if bound.ip().is_unspecified() {
        bound.set_ip(if bound.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    bound
}

/// What is asked of new tasks. Absent keys keep the default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// The platform's fee in basis points.
    pub fee_basis_points: Option<u16>,
    /// The smallest fee.
    pub fee_min_sat: Option<u64>,
    /// The smallest payout of a tranche.
    pub payout_min_sat: Option<u64>,
    /// The largest payout of a tranche.
    pub payout_max_sat: Option<u64>,
    /// The most tranches of a task.
    pub tranches_max: Option<u32>,
    /// The largest final CLTV delta of a hold invoice.
    pub final_cltv_max_blocks: Option<u32>,
    /// The most blocks that the route of a payout may take.
    pub payout_cltv_max_blocks: Option<u32>,
    /// The largest final CLTV delta of a worker's invoice.
    pub payee_final_cltv_max_blocks: Option<u32>,
    /// Blocks kept between a payout and the deadline of its hold.
    pub payout_margin_blocks: Option<u32>,
    /// How long funding invoices can be paid.
    pub funding_window_secs: Option<u64>,
    /// The longest review window.
    pub review_window_max_secs: Option<u64>,
    /// How long a worker whose work is refused can open a dispute.
    pub dispute_window_secs: Option<u64>,
    /// The share of the disputed tranches' fees that a panel divides, in basis points: a fifth at most.
    pub arbitrator_share_basis_points: Option<u16>,
    /// The largest bond.
    pub bond_max_sat: Option<u64>,
    /// Disputes about less than this are decided by one arbitrator.
    pub one_arbitrator_below_sat: Option<u64>,
    /// Disputes about less than this are decided by three, and by five from there on.
    pub three_arbitrators_below_sat: Option<u64>,
    /// The blocks of a dispute's parts.
    pub dispute_draw_blocks: Option<u32>,
    /// How long evidence can be filed in each round.
    pub dispute_evidence_blocks: Option<u32>,
    /// How long who is drawn may think about it.
    pub dispute_seat_blocks: Option<u32>,
    /// How long the panel may think before it votes.
    pub dispute_commit_blocks: Option<u32>,
    /// How long votes can be revealed.
    pub dispute_reveal_blocks: Option<u32>,
    /// How long a ruling can be appealed.
    pub dispute_appeal_blocks: Option<u32>,
}

impl PolicyConfig {
    /// The policy, checked.
    ///
    /// # Errors
    /// If a number is out of range, or two contradict each other.
    pub fn policy(&self) -> Result<Policy> {
        let base = Policy::default();
        let sat = |value: Option<u64>, default| value.map_or(Ok(default), Sat::try_new);
        let blocks = |value: Option<u32>, default| value.map_or(default, Blocks);
        let secs = |value: Option<u64>, default| value.map_or(default, Duration::from_secs);
        let policy = Policy {
            fee_rate: self.fee_basis_points.map_or(Ok(base.fee_rate), BasisPoints::try_new)?,
            fee_min: sat(self.fee_min_sat, base.fee_min)?,
            payout_min: sat(self.payout_min_sat, base.payout_min)?,
            payout_max: sat(self.payout_max_sat, base.payout_max)?,
            tranches_max: self.tranches_max.unwrap_or(base.tranches_max),
            final_cltv_max: blocks(self.final_cltv_max_blocks, base.final_cltv_max),
            payout_cltv_max: blocks(self.payout_cltv_max_blocks, base.payout_cltv_max),
            payee_final_cltv_max: blocks(self.payee_final_cltv_max_blocks, base.payee_final_cltv_max),
            payout_margin: blocks(self.payout_margin_blocks, base.payout_margin),
            funding_window: secs(self.funding_window_secs, base.funding_window),
            review_window_max: secs(self.review_window_max_secs, base.review_window_max),
            dispute_window: secs(self.dispute_window_secs, base.dispute_window),
            arbitrator_share: match self.arbitrator_share_basis_points {
                Some(share) => BasisPoints::try_new(share)?,
                None => base.arbitrator_share,
            },
            bond_max: sat(self.bond_max_sat, base.bond_max)?,
            dispute: Plan {
                draw_blocks: blocks(self.dispute_draw_blocks, base.dispute.draw_blocks),
                evidence_blocks: blocks(self.dispute_evidence_blocks, base.dispute.evidence_blocks),
                seat_blocks: blocks(self.dispute_seat_blocks, base.dispute.seat_blocks),
                commit_blocks: blocks(self.dispute_commit_blocks, base.dispute.commit_blocks),
                reveal_blocks: blocks(self.dispute_reveal_blocks, base.dispute.reveal_blocks),
                appeal_blocks: blocks(self.dispute_appeal_blocks, base.dispute.appeal_blocks),
                one_below: sat(self.one_arbitrator_below_sat, base.dispute.one_below)?,
                three_below: sat(self.three_arbitrators_below_sat, base.dispute.three_below)?,
            },
        };
        policy.check().context("[policy]")?;
        Ok(policy)
    }
}

impl BitcoinConfig {
    /// The client's configuration.
    ///
    /// # Errors
    /// If the login is missing, doubled, or its file cannot be read.
    pub fn rpc(&self, data_dir: &Path) -> Result<RpcConfig> {
        let auth = match (&self.rpc_cookie_file, &self.rpc_user, &self.rpc_password_file) {
            (Some(cookie), None, None) => RpcAuth::CookieFile(data_dir.join(cookie)),
            (None, Some(user), Some(file)) => {
                let file = data_dir.join(file);
                let password = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
                RpcAuth::UserPass { user: user.clone(), password: password.trim_end().to_owned() }
            }
            _ => bail!("[bitcoin] needs either rpc_cookie_file, or rpc_user and rpc_password_file"),
        };
        Ok(RpcConfig::new(self.rpc_url.clone(), auth))
    }
}

impl Config {
    /// Reads the file in a data directory.
    ///
    /// # Errors
    /// If it cannot be read, has an unknown key, or a value that makes no sense; the message names it.
    pub fn read(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join(FILE);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}; `tally init` makes one", path.display()))?;
        Self::parse(&text, data_dir).with_context(|| format!("in {}", path.display()))
    }

    /// How the node anchors, if it does.
    pub fn anchoring(&self) -> Option<Anchoring> {
        self.anchor.as_ref().and_then(|section| section.anchoring(self.network))
    }

    /// Checks the text of a configuration for this data directory.
    ///
    /// # Errors
    /// If it has an unknown key, or a value that makes no sense; the message names it.
    pub fn parse(text: &str, data_dir: &Path) -> Result<Self> {
        let mut config: Self = toml::from_str(text)?;
        config.data_dir = data_dir.to_owned();
        config.policy.policy()?;
        config.api.check()?;
        config.log.check()?;
        config.anchor.iter().try_for_each(AnchorSection::check)?;
        config.store.check()?;
        config.standing.limits()?;
        config.evidence.check()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str =
        "network = \"regtest\"\n[bitcoin]\nrpc_url = \"http://127.0.0.1:18443\"\nrpc_cookie_file = \"c\"\n";

    #[test]
    fn the_least_configuration_is_enough() {
        let config: Config = toml::from_str(LEAST).unwrap();
        assert_eq!(config.policy.policy().unwrap(), Policy::default());
        assert_eq!(config.api.listen.port(), 8080);
        assert!(
            matches!(config.bitcoin.rpc(Path::new("/x")).unwrap().auth, RpcAuth::CookieFile(path) if path == Path::new("/x/c"))
        );
    }

    #[test]
    fn a_proxy_that_is_not_named_is_told() {
        let hides = |listen: &str, urls: &[&str], proxies: &[&str]| {
            let trusted_proxies = proxies.iter().map(|net| net.parse().unwrap()).collect();
            ApiConfig { trusted_proxies, ..api(listen, urls) }.hides_addresses()
        };
        let url = ["https://tally.example/graphql"];
        assert!(hides("127.0.0.1:8080", &url, &[]));
        assert!(!hides("127.0.0.1:8080", &url, &["127.0.0.1/32"]));
        assert!(!hides("127.0.0.1:8080", &[], &[]) && !hides("192.0.2.1:8080", &url, &[]));
        let text = format!("{LEAST}[api]\ntrusted_proxies = [\"10.0.0.0/8\"]\n[api.rates]\nkey_per_minute = 7\n");
        let config = Config::parse(&text, Path::new("/x")).unwrap();
        assert_eq!(config.api.rates.limits().unwrap().key.per_minute.get(), 7);
        for wrong in ["trusted_proxies = [\"here\"]", "[api.rates]\nkey_burst = 0", "[api.rates]\nper_key = 1"] {
            assert!(Config::parse(&format!("{LEAST}[api]\n{wrong}\n"), Path::new("/x")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_store_is_sqlite_unless_told_otherwise_and_passwords_stay_secret() {
        let config: Config = toml::from_str(LEAST).unwrap();
        assert!(config.store.postgres(Path::new("/x")).unwrap().is_none());
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("word"), "hunter2\n").unwrap();
        let with = |store: &str| Config::parse(&format!("{LEAST}[store]\n{store}\n"), dir.path());
        let url = "url = \"postgres://tally@127.0.0.1/journal\"";
        let config = with(&format!("{url}\npassword_file = \"word\"")).unwrap();
        let options = config.store.postgres(dir.path()).unwrap().unwrap();
        assert!(options.has_password() && !format!("{options:?} {config:?}").contains("hunter2"));
        let shown = with("url = \"postgres://tally:hunter2@127.0.0.1/journal\"").unwrap();
        assert!(!format!("{shown:?}").contains("hunter2"));
        let two = with("url = \"postgres://tally:hunter2@127.0.0.1/journal\"\npassword_file = \"word\"").unwrap();
        assert!(two.store.postgres(dir.path()).is_err());
        let file_alone = with("password_file = \"word\"").unwrap();
        assert!(file_alone.store.postgres(dir.path()).is_err());
        for wrong in ["lease_secs = 1", "lease_secs = 301", "url = \"mysql://a\"", "uri = \"x\""] {
            assert!(with(wrong).is_err(), "{wrong}");
        }
    }

    fn api(listen: &str, public_urls: &[&str]) -> ApiConfig {
        let public_urls = public_urls.iter().map(ToString::to_string).collect();
        ApiConfig { listen: listen.parse().unwrap(), public_urls, ..ApiConfig::default() }
    }

    #[test]
    fn this_machine_may_always_sign_its_own_addresses() {
        let urls = |listen: &str, public: &[&str]| {
            let api = api(listen, public);
            api.check().unwrap();
            Vec::from_iter(api.signed_urls(api.listen))
        };
        let near = ["http://127.0.0.1:8080/graphql", "http://localhost:8080/graphql"];
        assert_eq!(urls("127.0.0.1:8080", &[]), near);
        let public = "https://tally.example/graphql";
        assert_eq!(urls("0.0.0.0:8080", &[public]), [near[0], near[1], public]);
        assert_eq!(urls("[::]:80", &[public])[..2], ["http://[::1]:80/graphql", "http://localhost:80/graphql"]);
        assert_eq!(urls("10.0.0.1:8080", &[]), ["http://10.0.0.1:8080/graphql"]);
    }

    #[test]
    fn addresses_that_nobody_can_sign_are_refused() {
        for listen in ["0.0.0.0:8080", "[::]:8080"] {
            assert!(api(listen, &[]).check().unwrap_err().to_string().contains("public_urls"));
        }
        let bad =
            ["tally.example/graphql", "https://tally.example", "https://tally.example/api/graphql", "http:///graphql"];
        for url in bad {
            assert!(api("127.0.0.1:8080", &[url]).check().is_err(), "{url}");
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let unknown = toml::from_str::<Config>(&format!("{LEAST}[api]\nlisten_on = 1\n")).unwrap_err();
        assert!(unknown.to_string().contains("listen_on"), "{unknown}");
        let config: Config = toml::from_str(&format!("{LEAST}[policy]\nfinal_cltv_max_blocks = 10\n")).unwrap();
        assert!(config.policy.policy().is_err());
        let config: Config = toml::from_str(&format!("{LEAST}rpc_user = \"u\"\n")).unwrap();
        assert!(config.bitcoin.rpc(Path::new("/x")).is_err());
    }
}
