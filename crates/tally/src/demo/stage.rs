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
use tallystick_app::port::{operator::NodeOperator, rail::HoldRail};
use tallystick_core::{Msat, Sat};
use tallystick_devnet::{Party, PartyOptions, RegtestChain};
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
    /// Who joined later.
    pub others: Vec<Actor>,
    /// How many of them have no channel with the node.
    behind: u64,
    dir: PathBuf,
}

/// What somebody's channel is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// To pay: they open it.
    Pays,
    /// To be paid: they open it, and most of its money is the node's.
    IsPaid,
    /// To be paid, and to forward payments to others ([`Stage::join_behind`]): the node opens it.
    Forwards,
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
            Box::pin(actor("requester", dir, &chain, &platform, Side::Pays)),
            Box::pin(actor("worker", dir, &chain, &platform, Side::IsPaid))
        )?;
        platform.set_env(env);
        platform.start(&[]).await?;
        let stage = Self {
            chain: Arc::new(chain),
            requester,
            worker,
            platform,
            others: Vec::new(),
            behind: 0,
            dir: dir.to_owned(),
        };
        // A node on a database serves before it has the lease of its Lightning node.
        let up = async || Ok(stage.platform.info().await?["lightning"]["listen"][0].is_string());
        stage.until("the Lightning node is up", up).await?;
        stage.open_channels(&[(&stage.requester, Side::Pays), (&stage.worker, Side::IsPaid)]).await?;
        stage.until_usable().await?;
        Ok(stage)
    }

    /// More of them, each with a Lightning node and a channel of its own.
    ///
    /// # Errors
    /// If any part does not start.
    pub async fn join(&mut self, who: &[(&str, Side)]) -> Result<Vec<Actor>> {
        let mut actors = Vec::new();
        for (name, side) in who {
            actors.push(Box::pin(actor(name, &self.dir, &self.chain, &self.platform, *side)).await?);
        }
        let sides: Vec<_> = actors.iter().zip(who.iter().map(|(_, side)| *side)).collect();
        self.open_channels(&sides).await?;
        self.others.extend(actors.iter().cloned());
        self.until_usable().await?;
        Ok(actors)
    }

    /// Somebody who is paid over another who forwards.
    ///
    /// # Errors
    /// If any part does not start.
    pub async fn join_behind(&mut self, forwarder: &Actor, name: &str) -> Result<Actor> {
        let actor = Box::pin(actor(name, &self.dir, &self.chain, &self.platform, Side::IsPaid)).await?;
        let (peer, address) = actor.party.address().await?;
        let (capacity, push) = (Sat::try_new(CHANNEL_SAT)?, Sat::try_new(PUSH_SAT)?.to_msat());
        forwarder.party.open_channel((&peer, &address), capacity, push).await?;
        let funded = async || Ok(!self.chain.rpc().get_raw_mempool().await?.is_empty());
        self.until("the channel is funded", funded).await?;
        self.chain.miner().mine(CONFIRMATIONS).await?;
        self.others.push(actor.clone());
        self.behind += 1;
        self.until_usable().await?;
        Ok(actor)
    }

    /// From now on everything that anybody hears from the node is appended to `tap`.
    pub fn tap(&mut self, tap: &Tap) {
        for actor in [&mut self.requester, &mut self.worker].into_iter().chain(&mut self.others) {
            actor.api = actor.api.clone().with_tap(tap.clone());
        }
        self.platform.tap(tap);
    }

    /// Where everything is kept.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Opens a channel between each of these and the node, paid by the faucet.
    async fn open_channels(&self, actors: &[(&Actor, Side)]) -> Result<()> {
        let before = self.onchain_sat().await?;
        let new_address = "mutation { nodeNewAddress }";
        let for_platform = self.platform.operator().ask("nodeNewAddress", new_address, json!({})).await?;
        let for_platform = for_platform.as_str().context("an address is text")?;
        let mut addresses = Vec::new();
        let reserves = actors.iter().filter(|(_, side)| *side != Side::Pays);
        addresses.extend(reserves.map(|_| for_platform.to_owned()));
        let for_channels = PURSE_SAT * u64::try_from(addresses.len())?;
        let own = || actors.iter().map(|(actor, _)| &actor.party);
        for party in own() {
            addresses.push(party.node().await?.new_address().await?);
        }
        for address in &addresses {
            let address = Address::from_str(address)?.require_network(Network::Regtest)?;
            self.chain.miner().faucet(&address, Amount::from_sat(PURSE_SAT)).await?;
        }
        self.chain.miner().mine(1).await?;
        self.until("the purses are filled", async || {
            for party in own() {
                if party.balances().await?.onchain_confirmed.get() != PURSE_SAT {
                    return Ok(false);
                }
            }
            Ok(self.onchain_sat().await? == before + for_channels)
        })
        .await?;
        for (actor, side) in actors {
            match side {
                Side::Pays => self.open_from(&actor.party, PUSH_SAT).await?,
                Side::IsPaid => self.open_from(&actor.party, CHANNEL_SAT - PUSH_SAT).await?,
                Side::Forwards => self.open_to(&actor.party).await?,
            }
        }
        // All funding transactions are waited for, so that one batch of blocks confirms them.
        let funded = async || Ok(self.chain.rpc().get_raw_mempool().await?.len() >= actors.len());
        self.until("the channels are funded", funded).await?;
        self.chain.miner().mine(CONFIRMATIONS).await?;
        Ok(())
    }

    async fn onchain_sat(&self) -> Result<u64> {
        let node = self.platform.node("balances { onchainConfirmedSat }").await?;
        node["balances"]["onchainConfirmedSat"].as_u64().context("sats are a number")
    }

    async fn open_from(&self, party: &Party, push_sat: u64) -> Result<()> {
        let info = self.platform.info().await?;
        let node_id = info["lightning"]["nodeId"].as_str().context("a node id is text")?;
        let listen = info["lightning"]["listen"][0].as_str().context("an address is text")?;
        let (capacity, push) = (Sat::try_new(CHANNEL_SAT)?, Sat::try_new(push_sat)?.to_msat());
        party.open_channel((node_id, listen), capacity, push).await?;
        Ok(())
    }

    async fn open_to(&self, party: &Party) -> Result<()> {
        let (peer, address) = party.address().await?;
        let input = json!({ "peer": peer, "address": address, "capacitySat": CHANNEL_SAT });
        let open = "mutation($input: OpenChannelInput!) { nodeOpenChannel(input: $input) }";
        self.platform.operator().ask("nodeOpenChannel", open, json!({ "input": input })).await?;
        Ok(())
    }

    /// Everybody but the node.
    pub fn actors(&self) -> impl Iterator<Item = &Actor> {
        [&self.requester, &self.worker].into_iter().chain(&self.others)
    }

    /// Waits until all channels of the node can be used, seen from all sides.
    ///
    /// # Errors
    /// If that takes too long.
    pub async fn until_usable(&self) -> Result<()> {
        self.until("the channels are usable", async || self.is_usable().await).await
    }

    /// Whether all channels of the node can be used, seen from all sides.
    ///
    /// # Errors
    /// If somebody does not answer.
    pub async fn is_usable(&self) -> Result<bool> {
        let platform = self.platform.info().await?["lightning"]["usableChannels"].as_u64();
        let mut parties = true;
        let mut count = 0;
        for actor in self.actors() {
            let channels = actor.party.node().await?.channels().await;
            parties &= !channels.is_empty() && channels.iter().all(|channel| channel.usable);
            count += 1;
        }
        Ok(platform == Some(count - self.behind) && parties)
    }

    /// Stops everybody.
    ///
    /// # Errors
    /// If the node ends badly.
    pub async fn stop(&mut self) -> Result<()> {
        let stopped = self.platform.stop().await;
        for actor in self.actors() {
            actor.party.go_offline().await;
        }
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
            for actor in self.actors() {
                let balances = actor.party.balances().await?;
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

    /// Mines blocks and waits until the node and all wallets that are online have seen them: a wallet that has not would
    /// lock money until a block that is too near.
    ///
    /// # Errors
    /// If somebody does not in time.
    pub async fn mine(&self, blocks: u32) -> Result<u32> {
        self.chain.miner().mine(blocks).await?;
        let height = self.height().await?;
        self.until("everybody sees the blocks", async || {
            let mut seen = self.platform.info().await?["height"].as_u64() == Some(u64::from(height));
            for actor in self.actors() {
                if let Ok(node) = actor.party.node().await {
                    seen &= node.height().0 >= height;
                }
            }
            Ok(seen)
        })
        .await?;
        Ok(height)
    }
}

async fn actor(name: &str, dir: &Path, chain: &RegtestChain, platform: &Platform, side: Side) -> Result<Actor> {
    let keys = nostr::key::Keys::generate();
    let options = PartyOptions { forward: side == Side::Forwards };
    let party = Party::start_with(name, dir.join(name), chain.rpc_config(), options).await?;
    Ok(Actor { api: Api::new(&platform.url(), keys.clone())?, party: Arc::new(party), keys })
}

/// Reads the API's msat, which are text.
pub fn read_msat(value: &Value) -> Result<u64> {
    let text = value.as_str().context("msat are text")?;
    Ok(Msat::try_new(text.parse()?)?.get())
}
