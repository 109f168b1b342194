//! A chain with named parties on it.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, Amount, Network};
use tallystick_app::port::operator::{NodeOperator, OpenChannel};
use tallystick_app::port::rail::HoldRail;
use tallystick_core::{BlockHeight, Msat, Sat};
use tallystick_lightning::LightningNode;

use super::{Party, PartyError, PartyOptions};
use crate::regtest::RegtestChain;

/// Everything here is local: what takes longer does not come. What goes over the chain waits for timers of LDK's that run
/// every half a minute, more than once.
const PATIENCE: Duration = Duration::from_secs(150);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// What a channel needs until all take it for final, and until it may be announced (BOLT 7).
const CONFIRMATIONS: u32 = 6;
/// More than any devnet opens channels with.
const PURSE: Amount = Amount::from_sat(200_000_000);

/// A channel to be opened.
#[derive(Clone, Copy, Debug)]
pub struct ChannelPlan {
    /// The channel's size, paid by the opener.
    pub capacity: Sat,
    /// What the other side gets of it. Both sides should be above the reserve of 1 %.
    pub push: Msat,
    /// Whether it is told to the network.
    pub announce: bool,
}

/// A private network: chain, miner, faucet, parties. Parties are stopped with [`Self::stop`]; the files go when this
/// is dropped.
#[derive(Debug)]
pub struct Devnet {
    chain: RegtestChain,
    parties: BTreeMap<String, Party>,
    dir: tempfile::TempDir,
}

impl Devnet {
    /// Starts a chain without parties.
    ///
    /// # Errors
    /// [`PartyError`].
    pub async fn start() -> Result<Self, PartyError> {
        Ok(Self { chain: RegtestChain::start().await?, parties: BTreeMap::new(), dir: tempfile::tempdir()? })
    }

    /// The chain.
    #[must_use]
    pub fn chain(&self) -> &RegtestChain {
        &self.chain
    }

    /// Starts a party and fills its on-chain wallet.
    ///
    /// # Errors
    /// [`PartyError`].
    pub async fn add_party(&mut self, name: &str, options: PartyOptions) -> Result<(), PartyError> {
        let dir = self.dir.path().join(name);
        let party = Party::start_with(name, dir, self.chain.rpc_config(), options).await?;
        self.fund(&party.node().await?).await?;
        self.parties.insert(name.to_owned(), party);
        Ok(())
    }

    /// A party by its name.
    ///
    /// # Errors
    /// [`PartyError::Absent`] if nobody has it.
    pub fn party(&self, name: &str) -> Result<&Party, PartyError> {
        self.parties.get(name).ok_or_else(|| PartyError::Absent(name.to_owned()))
    }

    /// All parties, by name.
    pub fn parties(&self) -> impl Iterator<Item = &Party> {
        self.parties.values()
    }

    /// Fills a node's on-chain wallet from the faucet, and mines until it is spendable.
    ///
    /// # Errors
    /// [`PartyError`].
    pub async fn fund(&self, node: &LightningNode) -> Result<(), PartyError> {
        let before = node.balances().await?.onchain_confirmed;
        self.fund_address(&node.new_address().await?).await?;
        self.mine(1).await?;
        wait_until("the faucet's coins", async || Ok(node.balances().await?.onchain_confirmed > before)).await
    }

    /// Pays to an address from the faucet. Nothing is mined.
    ///
    /// # Errors
    /// [`PartyError`].
    pub async fn fund_address(&self, address: &str) -> Result<(), PartyError> {
        let address = address.parse::<Address<NetworkUnchecked>>().ok();
        let address = address.and_then(|address| address.require_network(Network::Regtest).ok());
        let address = address.ok_or_else(|| PartyError::Absent("with such an address".to_owned()))?;
        self.chain.miner().faucet(&address, PURSE).await?;
        Ok(())
    }

    /// Mines, and waits until every party has seen it.
    ///
    /// # Errors
    /// [`PartyError`].
    pub async fn mine(&self, blocks: u32) -> Result<BlockHeight, PartyError> {
        self.chain.miner().mine(blocks).await?;
        let height = self.height().await?;
        for party in self.parties.values() {
            if let Ok(node) = party.node().await {
                wait_until("a party to see the block", async || Ok(node.height() >= height)).await?;
            }
        }
        Ok(height)
    }

    /// The height of the chain.
    ///
    /// # Errors
    /// [`PartyError`].
    pub async fn height(&self) -> Result<BlockHeight, PartyError> {
        let count = self.chain.rpc().get_block_count().await;
        Ok(BlockHeight(count?))
    }

    /// Opens a channel between two parties, and waits until both can use it.
    ///
    /// # Errors
    /// [`PartyError`].
    pub async fn open_channel(&self, from: &str, to: &str, plan: ChannelPlan) -> Result<(), PartyError> {
        let to = self.party(to)?;
        let (peer, address) = to.address().await?;
        self.open_channel_to(from, (&peer, &address), plan).await?;
        let (opener, node) = (self.party(from)?.node().await?.node_id().to_string(), to.node().await?);
        wait_until("a channel", async || Ok(usable(&node, &opener).await > 0)).await
    }

    /// Opens a channel from a party to a node that may be in another process, and waits until the party can use it.
    ///
    /// # Errors
    /// [`PartyError`].
    pub async fn open_channel_to(
        &self,
        from: &str,
        (peer, address): (&str, &str),
        plan: ChannelPlan,
    ) -> Result<(), PartyError> {
        let node = self.party(from)?.node().await?;
        let known: Vec<String> = funded(&node, peer).await;
        node.open_channel(OpenChannel {
            peer: peer.to_owned(),
            address: Some(address.to_owned()),
            capacity: plan.capacity,
            push: plan.push,
            announce: plan.announce,
            key: None,
        })
        .await?;
        let rpc = self.chain.rpc();
        wait_until("a funding transaction", async || {
            let fresh = funded(&node, peer).await.into_iter().find(|funding| !known.contains(funding));
            let txid = fresh.and_then(|funding| funding.split(':').next().and_then(|txid| txid.parse().ok()));
            let waiting = rpc.get_raw_mempool().await?;
            Ok(txid.is_some_and(|txid| waiting.contains(&txid)))
        })
        .await?;
        self.mine(CONFIRMATIONS).await?;
        let wanted = known.len() + 1;
        wait_until("a channel", async || Ok(usable(&node, peer).await >= wanted)).await
    }

    /// Stops all parties and the chain.
    pub async fn stop(self) {
        for party in self.parties.values() {
            party.go_offline().await;
        }
        self.chain.stop().await;
    }
}

async fn funded(node: &LightningNode, peer: &str) -> Vec<String> {
    node.channels()
        .await
        .into_iter()
        .filter(|channel| channel.peer == peer)
        .filter_map(|channel| channel.funding)
        .collect()
}

async fn usable(node: &LightningNode, peer: &str) -> usize {
    node.channels().await.iter().filter(|channel| channel.peer == peer && channel.usable).count()
}

/// Waits for a condition, two and a half minutes at most.
///
/// # Errors
/// [`PartyError::TooLong`] naming what did not come, or the condition's own error.
pub async fn wait_until<F>(what: &str, mut condition: impl FnMut() -> F) -> Result<(), PartyError>
where
    F: Future<Output = Result<bool, PartyError>>,
{
    let start = Instant::now();
    while !condition().await? {
        if start.elapsed() > PATIENCE {
            return Err(PartyError::TooLong(what.to_owned()));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}
