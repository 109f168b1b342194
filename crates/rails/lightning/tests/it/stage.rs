//! A platform between a payer and a payee.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bitcoin::Network;
use tallystick_app::port::operator::{NodeOperator, OpenChannel, Payment};
use tallystick_app::port::rail::{
    Heard, HoldRail, HoldRequest, InvoiceReader, NotHeard, PayRequest, RailListener, RailNotice,
};
use tallystick_core::{BlockHeight, Blocks, Digest32, Duration, Msat, PaymentHash, Sat};
use tallystick_devnet::{ChannelPlan, Devnet, Party, PartyError, PartyOptions, wait_until};
use tallystick_lightning::{LightningConfig, LightningNode};
use tokio::task::JoinHandle;

pub const PASSPHRASE: &str = "platform";
pub const HOUR: Duration = Duration::from_secs(3_600);
pub const HOLD_BLOCKS: Blocks = Blocks(612);
pub const CLTV_LIMIT: Blocks = Blocks(200);

pub fn msat(amount: u64) -> Msat {
    Msat::try_new(amount).unwrap()
}

pub fn fees() -> Msat {
    msat(100_000)
}

/// Remembers what it hears. Knows the holds that it was told of.
#[derive(Default)]
pub struct Recorder {
    known: Mutex<HashSet<PaymentHash>>,
    heard: Mutex<Vec<RailNotice>>,
    deaf: AtomicBool,
    refused: Mutex<Vec<RailNotice>>,
    unwanted: Mutex<Vec<RailNotice>>,
}

impl Recorder {
    pub fn expect(&self, hash: PaymentHash) {
        self.known.lock().unwrap().insert(hash);
    }

    pub fn forget(&self, hash: &PaymentHash) {
        self.known.lock().unwrap().remove(hash);
    }

    /// From now on this very hold is not wanted, although its hash is known.
    pub fn refuse(&self, notice: RailNotice) {
        self.unwanted.lock().unwrap().push(notice);
    }

    /// From now on nothing can be journaled, or it can again.
    pub fn deafen(&self, deaf: bool) {
        self.deaf.store(deaf, Ordering::SeqCst);
    }

    pub fn heard(&self) -> Vec<RailNotice> {
        self.heard.lock().unwrap().clone()
    }

    /// What was told while nothing could be journaled.
    pub fn refused(&self) -> Vec<RailNotice> {
        self.refused.lock().unwrap().clone()
    }

    /// What was heard about a hash.
    pub fn about(&self, hash: &PaymentHash) -> Vec<RailNotice> {
        let is_about = |notice: &RailNotice| match notice {
            RailNotice::HoldLocked { hash: other, .. }
            | RailNotice::HoldLost { hash: other }
            | RailNotice::HoldClaimed { hash: other, .. }
            | RailNotice::PayoutPaid { hash: other, .. }
            | RailNotice::PayoutFailed { hash: other, .. } => other == hash,
            RailNotice::Block { .. } => false,
        };
        self.heard().into_iter().filter(is_about).collect()
    }

    pub async fn until(&self, what: &str, wanted: impl Fn(&RailNotice) -> bool) -> RailNotice {
        wait_until(what, async || Ok(self.heard().iter().any(&wanted))).await.unwrap();
        self.heard().into_iter().rfind(|notice| wanted(notice)).unwrap()
    }

    pub async fn until_locked(&self, hash: PaymentHash) -> (Msat, BlockHeight) {
        let locked = |notice: &RailNotice| matches!(notice, RailNotice::HoldLocked { hash: at, .. } if *at == hash);
        match self.until("a hold to lock", locked).await {
            RailNotice::HoldLocked { amount, claim_deadline, .. } => (amount, claim_deadline),
            other => panic!("{other:?}"),
        }
    }

    pub async fn until_claimed(&self, hash: PaymentHash) {
        self.until(
            "a hold to be claimed",
            |notice| matches!(notice, RailNotice::HoldClaimed { hash: at, .. } if *at == hash),
        )
        .await;
    }

    pub async fn until_paid(&self, id: Digest32) -> Msat {
        let paid = |notice: &RailNotice| matches!(notice, RailNotice::PayoutPaid { id: at, .. } if *at == id);
        match self.until("a payout", paid).await {
            RailNotice::PayoutPaid { fee, .. } => fee,
            other => panic!("{other:?}"),
        }
    }
}

#[async_trait]
impl RailListener for Recorder {
    async fn hear(&self, notice: RailNotice) -> Result<Heard, NotHeard> {
        if self.deaf.load(Ordering::SeqCst) {
            self.refused.lock().unwrap().push(notice);
            return Err(NotHeard("the journal is away".to_owned()));
        }
        let heard = match &notice {
            RailNotice::HoldLocked { hash, .. } if !self.known.lock().unwrap().contains(hash) => Heard::Unknown,
            _ if self.unwanted.lock().unwrap().contains(&notice) => Heard::Unknown,
            _ => Heard::Noted,
        };
        self.heard.lock().unwrap().push(notice);
        Ok(heard)
    }
}

/// The platform's node, in a directory of its own.
pub struct Platform {
    pub node: LightningNode,
    pub recorder: Arc<Recorder>,
    config: LightningConfig,
    _dir: Arc<tempfile::TempDir>,
}

impl Platform {
    pub async fn start(net: &Devnet) -> Self {
        Self::start_with(net, |_| {}).await
    }

    pub async fn start_with(net: &Devnet, change: impl FnOnce(&mut LightningConfig)) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let mut config = LightningConfig::new(dir.path().to_owned(), Network::Regtest, net.chain().rpc().clone());
        config.listen = vec![([127, 0, 0, 1], 0).into()];
        change(&mut config);
        LightningNode::create(&config.data_dir, PASSPHRASE).unwrap();
        let recorder = Arc::new(Recorder::default());
        let node = LightningNode::start(config.clone(), PASSPHRASE, recorder.clone()).await.unwrap();
        config.listen = node.listen_addresses().to_vec();
        Self { node, recorder, config, _dir: dir }
    }

    pub fn dir(&self) -> PathBuf {
        self.config.data_dir.clone()
    }

    pub fn config(&self) -> LightningConfig {
        self.config.clone()
    }

    /// Changes the configuration for the next start.
    pub fn change(&mut self, change: impl FnOnce(&mut LightningConfig)) {
        change(&mut self.config);
    }

    pub async fn stop(&self) {
        self.node.shutdown().await;
    }

    /// Starts again on the same directory and port, with the same listener.
    pub async fn start_again(&mut self) {
        let listener = self.recorder.clone();
        self.node = LightningNode::start(self.config.clone(), PASSPHRASE, listener).await.unwrap();
    }

    pub fn contact(&self) -> (String, String) {
        (self.node.node_id().to_string(), self.node.listen_addresses()[0].to_string())
    }
}

/// Payer — platform — payee, with a channel on each side.
pub struct Stage {
    pub net: Devnet,
    pub platform: Platform,
}

pub fn plan() -> ChannelPlan {
    ChannelPlan { capacity: Sat::try_new(2_000_000).unwrap(), push: msat(800_000_000), announce: false }
}

impl Stage {
    /// With these parties, each with a channel to the platform.
    pub async fn with(parties: &[&str]) -> Self {
        let mut net = Devnet::start().await.unwrap();
        let platform = Platform::start(&net).await;
        net.fund(&platform.node).await.unwrap();
        for name in parties {
            net.add_party(name, PartyOptions::default()).await.unwrap();
        }
        let stage = Self { net, platform };
        for name in parties {
            stage.open_channel(name).await;
        }
        stage
    }

    pub async fn new() -> Self {
        Self::with(&["payer", "payee"]).await
    }

    pub async fn open_channel(&self, party: &str) {
        let (peer, address) = self.platform.contact();
        self.net.open_channel_to(party, (&peer, &address), plan()).await.unwrap();
        self.until_usable(party).await;
    }

    /// Opens a channel from another node to the platform.
    pub async fn open_channel_of(&self, other: &Platform) {
        let (peer, address) = self.platform.contact();
        let plan = plan();
        let request = OpenChannel {
            peer,
            address: Some(address),
            capacity: plan.capacity,
            push: plan.push,
            announce: plan.announce,
            key: None,
        };
        other.node.open_channel(request).await.unwrap();
        wait_until("the funding", async || Ok(!self.net.chain().rpc().get_raw_mempool().await?.is_empty()))
            .await
            .unwrap();
        self.mine(6).await;
        let id = other.node.node_id().to_string();
        for (node, peer) in [(&self.platform.node, &id), (&other.node, &self.platform.node.node_id().to_string())] {
            wait_until("the channel", async || {
                Ok(node.channels().await.iter().any(|channel| channel.peer == *peer && channel.usable))
            })
            .await
            .unwrap();
        }
    }

    /// Waits until the platform can use its channel with a party.
    pub async fn until_usable(&self, party: &str) {
        let peer = self.party(party).address().await.unwrap().0;
        wait_until("the platform's channel", async || {
            Ok(self.platform.node.channels().await.iter().any(|channel| channel.peer == peer && channel.usable))
        })
        .await
        .unwrap();
        let id = self.platform.node.node_id().to_string();
        let node = self.party(party).node().await.unwrap();
        wait_until("the party's channel", async || {
            Ok(node.channels().await.iter().any(|channel| channel.peer == id && channel.usable))
        })
        .await
        .unwrap();
    }

    pub fn party(&self, name: &str) -> &Party {
        self.net.party(name).unwrap()
    }

    pub fn recorder(&self) -> &Recorder {
        &self.platform.recorder
    }

    /// The payee's invoice, and its hash.
    pub async fn worker_invoice(&self, amount: Msat) -> (String, PaymentHash) {
        let bolt11 = self.party("payee").invoice(amount, HOUR).await.unwrap();
        let hash = self.platform.node.read(&bolt11).unwrap().hash;
        (bolt11, hash)
    }

    /// A hold invoice on this hash that the listener knows.
    pub async fn hold_invoice(&self, hash: PaymentHash, amount: Msat, blocks: Blocks) -> String {
        self.recorder().expect(hash);
        let request =
            HoldRequest { hash, amount, description: "a task".to_owned(), expiry: HOUR, final_cltv_delta: blocks };
        self.platform.node.hold_invoice(request).await.unwrap()
    }

    /// Lets the payer pay an invoice; it waits in the background.
    pub async fn pay(&self, bolt11: &str) -> JoinHandle<Result<Payment, PartyError>> {
        self.party("payer").pay_async(bolt11, fees(), HOUR).await.unwrap()
    }

    /// Locks a hold on the hash of a fresh invoice of the payee.
    pub async fn locked(&self, payout: Msat, hold: Msat) -> Locked {
        let (bolt11, hash) = self.worker_invoice(payout).await;
        let invoice = self.hold_invoice(hash, hold, HOLD_BLOCKS).await;
        let payment = self.pay(&invoice).await;
        let (amount, deadline) = self.recorder().until_locked(hash).await;
        assert_eq!(amount, hold);
        Locked { bolt11, hash, payment, deadline }
    }

    /// Locks some of the payer's money on a hash.
    pub async fn hold(&self, hash: PaymentHash) {
        let invoice = self.hold_invoice(hash, msat(1_000_000), HOLD_BLOCKS).await;
        self.pay(&invoice).await;
        self.recorder().until_locked(hash).await;
    }

    pub fn payout(&self, id: u8, bolt11: &str) -> PayRequest {
        PayRequest {
            id: Digest32([id; 32]),
            bolt11: bolt11.to_owned(),
            fee_limit: fees(),
            cltv_limit: CLTV_LIMIT,
            begin_by: BlockHeight(u32::MAX),
            covered: true,
        }
    }

    /// Waits until no HTLC is anywhere.
    pub async fn until_at_rest(&self) {
        wait_until("all channels to be at rest", async || {
            let mut pending = self.platform.node.balances().await?.outbound_pending.get();
            for party in self.net.parties() {
                if let Ok(node) = party.node().await {
                    pending += node.balances().await?.outbound_pending.get();
                }
            }
            Ok(pending == 0)
        })
        .await
        .unwrap();
    }

    /// Mines, and waits until the platform and all parties have seen it.
    pub async fn mine(&self, blocks: u32) -> BlockHeight {
        let height = self.net.mine(blocks).await.unwrap();
        wait_until("the platform to see the block", async || Ok(self.platform.node.height() >= height)).await.unwrap();
        height
    }

    /// All money in channels between these parties and the platform.
    pub async fn channel_money(&self) -> u64 {
        let mut sum = self.platform.node.balances().await.unwrap().channels.get();
        for party in self.net.parties() {
            sum += party.balances().await.unwrap().channels.get();
        }
        sum
    }

    pub async fn stop(self) {
        self.platform.stop().await;
        self.net.stop().await;
    }
}

pub struct Locked {
    pub bolt11: String,
    pub hash: PaymentHash,
    pub payment: JoinHandle<Result<Payment, PartyError>>,
    pub deadline: BlockHeight,
}
