//! How a node is set up.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bitcoin::Network;
use tallystick_bitcoin::RpcClient;
use tallystick_postgres::{Lease, PostgresOptions};

use crate::LightningError;

/// The name in gossip has 32 bytes (BOLT 7).
const ALIAS_BYTES_MAX: usize = 32;
/// Addresses that a node tells the network; LDK panics on more than 100.
const ADDRESSES_MAX: usize = 16;

/// Where channels and payments are kept.
#[derive(Clone, Debug, Default)]
pub enum Database {
    /// In a SQLite file in the node's directory.
    #[default]
    Sqlite,
    /// In a PostgreSQL database. The node writes as long as it holds the lease, and stops when it finds that it does not.
    Postgres {
        /// Which database.
        options: Box<PostgresOptions>,
        /// The lease, taken before.
        lease: Lease,
    },
}

/// How a Lightning node is set up.
#[derive(Clone, Debug)]
pub struct LightningConfig {
    /// Where the seed lies, and the database if it is a file. One node, one directory.
    pub data_dir: PathBuf,
    /// Where channels and payments are kept.
    pub database: Database,
    /// The Bitcoin network; the chain source must be on the same.
    pub network: Network,
    /// The chain source.
    pub rpc: RpcClient,
    /// Where peers may connect. Port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Where the network is told to reach this node; empty if it is not told.
    pub announce: Vec<SocketAddr>,
    /// The name in gossip; at most 32 bytes (BOLT 7).
    pub alias: String,
    /// How often the chain source is asked for a new block.
    pub poll_interval: Duration,
    /// How long the chain source may be silent before holds and payments no longer begin.
    pub chain_silence_max: Duration,
    /// The longest pause between two attempts to reach a channel's peer.
    pub reconnect_pause_max: Duration,
    /// Whether payments of others are forwarded. Off for a node that only holds and pays out.
    pub forward: bool,
    /// Whether channels are taken though the wallet could not pay for closing them in a hurry. For wallets that only
    /// spend and earn their own money; a node that holds the money of others loses its payouts so.
    pub accept_without_reserve: bool,
}

impl LightningConfig {
    /// A configuration with the usual pauses: on regtest blocks and peers are looked for much more often.
    #[must_use]
    pub fn new(data_dir: PathBuf, network: Network, rpc: RpcClient) -> Self {
        let (poll, reconnect) = match network {
            Network::Regtest => (Duration::from_millis(100), Duration::from_millis(500)),
            _ => (Duration::from_secs(1), Duration::from_secs(60)),
        };
        Self {
            data_dir,
            database: Database::Sqlite,
            network,
            rpc,
            listen: Vec::new(),
            announce: Vec::new(),
            alias: "tallystick".to_owned(),
            poll_interval: poll,
            chain_silence_max: Duration::from_secs(600),
            reconnect_pause_max: reconnect,
            forward: false,
            accept_without_reserve: false,
        }
    }

    pub(crate) fn check(&self) -> Result<(), LightningError> {
        if self.alias.len() > ALIAS_BYTES_MAX {
            let length = self.alias.len();
            return Err(LightningError::Config(format!("the alias has {length} bytes, at most {ALIAS_BYTES_MAX}")));
        }
        if self.announce.len() > ADDRESSES_MAX {
            let count = self.announce.len();
            return Err(LightningError::Config(format!("{count} addresses to announce, at most {ADDRESSES_MAX}")));
        }
        if self.poll_interval.is_zero() || self.reconnect_pause_max.is_zero() {
            return Err(LightningError::Config("the pauses must be longer than nothing".to_owned()));
        }
        Ok(())
    }

    /// The alias as gossip carries it: padded with zeros.
    pub(crate) fn alias_bytes(&self) -> [u8; ALIAS_BYTES_MAX] {
        let mut bytes = [0; ALIAS_BYTES_MAX];
        for (to, from) in bytes.iter_mut().zip(self.alias.bytes()) {
            *to = from;
        }
        bytes
    }
}
