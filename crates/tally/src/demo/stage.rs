//! The private network on which the stories play: a chain, a requester, a worker, and the node between them.

use anyhow::{Context, Result, ensure};
use bitcoin::{Address, Amount, Network};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};
use tallystick_app::port::operator::NodeOperator;
use tallystick_core::{Msat, Sat};
use tallystick_devnet::{Party, RegtestChain};
use tallystick_graphql::client::Tap;

use super::platform::{LOOK, Platform};
use crate::ask::Api;

/// The longest that the network may take for a step.
pub const STEP_MAX: Duration = Duration::from_secs(60);
const PURSE_SAT: u64 = 50_000_000;
const CHANNEL_SAT: u64 = 10_000_000;
const PUSH_SAT: u64 = 1_000_000;
const CONFIRMATIONS: u32 = 6;

/// Somebody with a key and a Lightning node of their own.
#[derive(Clone)]
pub struct Actor {
    /// A client of the node with the actor's key.
    pub api: Api,
    /// The actor's Lightning node.
    pub party: Arc<Party>,
    /// The actor's key.
    pub keys: nostr::key::Keys,
}

/// The private network.
pub struct Stage {
    /// The chain.
    pub chain: Arc<RegtestChain>,
    /// Who pays.
    pub requester: Actor,
    /// Who works.
    pub worker: Actor,
    /// The node.
    pub platform: Platform,
    dir: PathBuf,
}

/// Everybody's money in channels, in msat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purses {
    /// The requester's.
    pub requester: u64,
    /// The worker's.
    pub worker: u64,
    /// The node's.
    pub platform: u64,
}

impl Purses {
    /// All money in channels.
    pub const fn sum(&self) -> u64 {
        self.requester + self.worker + self.platform
    }
}

impl Stage {
    /// Starts parties and node below `dir` on a chain on which the first rewards are mature, and opens the channels.
    ///
    /// # Errors
    /// If any part does not start.
    pub async fn start(chain: RegtestChain, binary: &Path, dir: &Path, env: &[(&str, String)]) -> Result<Self> {
        let platform = Platform::init(binary, dir, &chain.rpc_config())?;
        Box::pin(Self::start_with(chain, platform, dir, env)).await
    }

    /// The same with a node whose directory is made already.
    ///
    /// # Errors
    /// If any part does not start.
    pub async fn start_with(
        chain: RegtestChain,
        mut platform: Platform,
        dir: &Path,
        env: &[(&str, String)],
    ) -> Result<Self> {
        let (requester, worker) = tokio::try_join!(
            Box::pin(actor("requester", dir, &chain, &platform)),
            Box::pin(actor("worker", dir, &chain, &platform))
        )?;
        platform.set_env(env);
        platform.start(&[]).await?;
        let stage = Self { chain: Arc::new(chain), requester, worker, platform, dir: dir.to_owned() };
        stage.open_channels().await?;
        Ok(stage)
    }

    /// From now on everything that anybody hears from the node is appended to `tap`.
    pub fn tap(&mut self, tap: &Tap) {
        for actor in [&mut self.requester, &mut self.worker] {
            actor.api = actor.api.clone().with_tap(tap.clone());
        }
        self.platform.tap(tap);
    }

    /// Where everything is kept.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    async fn open_channels(&self) -> Result<()> {
        // A node on a database serves before it has the lease of its Lightning node.
        let up = async || Ok(self.platform.info().await?["lightning"]["listen"][0].is_string());
        self.until("the Lightning node is up", up).await?;
        let new_address = "mutation { nodeNewAddress }";
        let for_platform = self.platform.operator().ask("nodeNewAddress", new_address, json!({})).await?;
        let for_requester = self.requester.party.node().await?.new_address().await?;
        for address in [for_platform.as_str().context("an address is text")?, for_requester.as_str()] {
            let address = Address::from_str(address)?.require_network(Network::Regtest)?;
            self.chain.miner().faucet(&address, Amount::from_sat(PURSE_SAT)).await?;
        }
        self.chain.miner().mine(1).await?;
        self.until("the purses are filled", async || {
            let requester = self.requester.party.balances().await?.onchain_confirmed;
            let balances = self.platform.node("balances { onchainConfirmedSat }").await?;
            let platform = balances["balances"]["onchainConfirmedSat"].as_u64();
            Ok(requester.get() == PURSE_SAT && platform == Some(PURSE_SAT))
        })
        .await?;

        let info = self.platform.info().await?;
        let node_id = info["lightning"]["nodeId"].as_str().context("a node id is text")?.to_owned();
        let listen = info["lightning"]["listen"][0].as_str().context("an address is text")?.to_owned();
        let (capacity, push) = (Sat::try_new(CHANNEL_SAT)?, Sat::try_new(PUSH_SAT)?.to_msat());
        self.requester.party.open_channel((&node_id, &listen), capacity, push).await?;
        let (peer, address) = self.worker.party.address().await?;
        let input = json!({ "peer": peer, "address": address, "capacitySat": CHANNEL_SAT,
            "pushMsat": push.get().to_string() });
        let open = "mutation($input: OpenChannelInput!) { nodeOpenChannel(input: $input) }";
        self.platform.operator().ask("nodeOpenChannel", open, json!({ "input": input })).await?;
        // Both funding transactions are waited for, so that one batch of blocks confirms them.
        self.until("both channels are funded", async || Ok(self.chain.rpc().get_raw_mempool().await?.len() >= 2))
            .await?;
        self.chain.miner().mine(CONFIRMATIONS).await?;
        self.until_usable().await
    }

    /// Waits until both channels of the node can be used, seen from all sides.
    ///
    /// # Errors
    /// If that takes too long.
    pub async fn until_usable(&self) -> Result<()> {
        self.until("the channels are usable", async || self.is_usable().await).await
    }

    /// Whether both channels of the node can be used, seen from all sides.
    ///
    /// # Errors
    /// If somebody does not answer.
    pub async fn is_usable(&self) -> Result<bool> {
        let platform = self.platform.info().await?["lightning"]["usableChannels"].as_u64();
        let mut parties = true;
        for party in [&self.requester.party, &self.worker.party] {
            parties &= party.node().await?.channels().await.iter().any(|channel| channel.usable);
        }
        Ok(platform == Some(2) && parties)
    }

    /// Stops everybody.
    ///
    /// # Errors
    /// If the node ends badly.
    pub async fn stop(&mut self) -> Result<()> {
        let stopped = self.platform.stop().await;
        self.requester.party.go_offline().await;
        self.worker.party.go_offline().await;
        stopped
    }

    /// Waits for a condition. An error of the condition counts as *not yet*.
    ///
    /// # Errors
    /// If it takes longer than [`STEP_MAX`]; the condition's last error is told.
    pub async fn until(&self, what: &str, condition: impl AsyncFn() -> Result<bool>) -> Result<()> {
        let start = Instant::now();
        loop {
            let result = condition().await;
            if matches!(result, Ok(true)) {
                return Ok(());
            }
            if start.elapsed() > STEP_MAX {
                let why = result.err().map_or_else(|| "it is not".to_owned(), |error| format!("{error:#}"));
                anyhow::bail!("waited {} s until {what}: {why}", STEP_MAX.as_secs());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until a task is in a state, and answers it.
    ///
    /// # Errors
    /// If that takes too long.
    pub async fn until_state(&self, id: &str, state: &str) -> Result<Value> {
        let start = Instant::now();
        loop {
            let task = self.requester.api.task(id).await;
            if let Ok(task) = &task
                && task["state"] == state
            {
                return Ok(task.clone());
            }
            ensure!(start.elapsed() < STEP_MAX, "task {id} is not {state} in time: {task:?}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until no money is under way, and answers everybody's.
    ///
    /// # Errors
    /// If that takes too long.
    pub async fn purses(&self) -> Result<Purses> {
        let at_rest = async || {
            let node = self.platform.node("balances { heldMsat outboundPendingMsat }").await?;
            let mut under_way =
                read_msat(&node["balances"]["heldMsat"])? + read_msat(&node["balances"]["outboundPendingMsat"])?;
            for party in [&self.requester.party, &self.worker.party] {
                let balances = party.balances().await?;
                under_way += balances.held.get() + balances.outbound_pending.get();
            }
            Ok(under_way == 0)
        };
        self.until("all payments have come to rest", at_rest).await?;
        let node = self.platform.node("balances { channelsMsat }").await?;
        Ok(Purses {
            requester: self.requester.party.balances().await?.channels.get(),
            worker: self.worker.party.balances().await?.channels.get(),
            platform: read_msat(&node["balances"]["channelsMsat"])?,
        })
    }

    /// The height of the chain.
    ///
    /// # Errors
    /// If the chain does not answer.
    pub async fn height(&self) -> Result<u32> {
        Ok(self.chain.rpc().get_block_count().await?)
    }

    /// Mines blocks and waits until the node has seen them.
    ///
    /// # Errors
    /// If it does not in time.
    pub async fn mine(&self, blocks: u32) -> Result<u32> {
        self.chain.miner().mine(blocks).await?;
        let height = self.height().await?;
        self.until("the node sees the blocks", async || {
            Ok(self.platform.info().await?["height"].as_u64() == Some(u64::from(height)))
        })
        .await?;
        Ok(height)
    }
}

async fn actor(name: &str, dir: &Path, chain: &RegtestChain, platform: &Platform) -> Result<Actor> {
    let keys = nostr::key::Keys::generate();
    let party = Party::start(name, dir.join(name), chain.rpc_config()).await?;
    Ok(Actor { api: Api::new(&platform.url(), keys.clone())?, party: Arc::new(party), keys })
}

/// Reads the API's msat, which are text.
pub fn read_msat(value: &Value) -> Result<u64> {
    let text = value.as_str().context("msat are text")?;
    Ok(Msat::try_new(text.parse()?)?.get())
}
