//! Who lives here: requesters, workers and arbitrators, each side with Lightning nodes of its own.

use anyhow::{Context, Result};
use futures::future::try_join_all;
use nostr::key::Keys;
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tally::{
    ask::{Api, arbitrator},
    demo::{Actor, Side, Stage, read_msat},
    store::JOURNAL,
};
use tallystick_app::port::{operator::NodeOperator, rail::HoldRail};
use tallystick_core::canonical;
use tokio::sync::{Mutex, Semaphore};

/// How many can be drawn.
const ARBITRATORS: usize = 9;
/// After how many tasks the progress is told.
const TELL: usize = 100;
/// HTLCs that a channel takes (ADR 7), less those that are on their way back.
const SLOTS: usize = 26;

/// A requester, with room for so many more held payments.
pub struct Requester {
    pub actor: Actor,
    pub slots: Arc<Semaphore>,
}

/// A worker, whose node is offline for one reason at a time.
pub struct Worker {
    pub actor: Actor,
    pub outing: Mutex<()>,
}

/// Somebody who can be drawn.
pub struct Arbitrator {
    pub api: Api,
    pub keys: Keys,
}

pub struct Town {
    pub requesters: Vec<Requester>,
    pub workers: Vec<Worker>,
    pub arbitrators: Vec<Arbitrator>,
    /// The node that keeps the arbitrators' wallets.
    pub purse: Actor,
    /// The node over which the last worker is paid, for a fee.
    pub router: Actor,
    /// The node's operator.
    pub operator: Api,
    /// The node's journal.
    pub journal: PathBuf,
    /// Tasks that are played.
    pub playing: AtomicUsize,
    /// Those of them that wait for nothing but blocks.
    pub idling: AtomicUsize,
    /// Those of them that wait for the clock.
    pub waiting: AtomicUsize,
    /// Tasks that were played.
    pub played: AtomicUsize,
}

impl Town {
    /// So many of each side on this stage, two at least; one of each is there already.
    pub async fn build(stage: &mut Stage, requesters: usize, workers: usize) -> Result<Self> {
        let names: Vec<_> = (2..=requesters)
            .map(|n| (format!("requester-{n}"), Side::Pays))
            .chain((2..workers).map(|n| (format!("worker-{n}"), Side::IsPaid)))
            .chain([("arbitrators".to_owned(), Side::IsPaid), ("router".to_owned(), Side::Forwards)])
            .collect();
        let joining: Vec<_> = names.iter().map(|(name, side)| (name.as_str(), *side)).collect();
        let mut joined = stage.join(&joining).await?;
        let router = joined.pop().context("the router joined last")?;
        let purse = joined.pop().context("the arbitrators' node joined before")?;
        let mut working = joined.split_off(requesters - 1);
        working.push(stage.join_behind(&router, &format!("worker-{workers}")).await?);
        let requester = |actor| Requester { actor, slots: Arc::new(Semaphore::new(SLOTS)) };
        let worker = |actor| Worker { actor, outing: Mutex::new(()) };
        let operator = stage.platform.operator().clone();
        Ok(Self {
            requesters: [stage.requester.clone()].into_iter().chain(joined).map(requester).collect(),
            workers: [stage.worker.clone()].into_iter().chain(working).map(worker).collect(),
            arbitrators: try_join_all((0..ARBITRATORS).map(|n| admitted(stage, n))).await?,
            purse,
            router,
            operator,
            journal: stage.platform.dir().join(JOURNAL),
            playing: AtomicUsize::new(0),
            idling: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            played: AtomicUsize::new(0),
        })
    }

    /// Everybody with a Lightning node, but the node itself.
    pub fn actors(&self) -> impl Iterator<Item = &Actor> {
        let requesters = self.requesters.iter().map(|one| &one.actor);
        requesters.chain(self.workers.iter().map(|one| &one.actor)).chain([&self.purse, &self.router])
    }

    /// Everybody's money in channels, in msat: the node's first, then in the order of [`Self::actors`].
    pub async fn purses(&self) -> Result<Vec<u64>> {
        let document = "{ node { balances { channelsMsat } } }";
        let node = self.operator.ask("node", document, serde_json::json!({})).await?;
        let mut purses = vec![read_msat(&node["balances"]["channelsMsat"])?];
        for actor in self.actors() {
            purses.push(actor.party.balances().await?.channels.get());
        }
        Ok(purses)
    }

    /// The channels that everybody has, by id and funding output, in order.
    pub async fn channels(&self) -> Result<Vec<Vec<(String, Option<String>)>>> {
        let mut all = Vec::new();
        for actor in self.actors() {
            let channels = actor.party.node().await?.channels().await;
            let mut own: Vec<_> = channels.into_iter().map(|one| (one.channel_id, one.funding)).collect();
            own.sort();
            all.push(own);
        }
        Ok(all)
    }

    /// The heights that everybody has seen; nothing of those who are away.
    pub async fn heights(&self) -> Vec<Option<u32>> {
        let node = self.operator.ask("node", "{ node { height } }", serde_json::json!({})).await.ok();
        let height = node.and_then(|node| node["height"].as_u64()).and_then(|height| u32::try_from(height).ok());
        // It answers before it knows any.
        let mut heights = vec![height.filter(|height| *height > 0)];
        for actor in self.actors() {
            heights.push(actor.party.node().await.ok().map(|node| node.height().0));
        }
        heights
    }

    /// Tells of the progress now and then.
    pub fn tell(&self) {
        let played = self.played.load(Ordering::SeqCst);
        if played.is_multiple_of(TELL) {
            println!("{played} tasks were played");
        }
    }

    /// As long as this lives, a task waits for nothing but blocks.
    pub fn idle(&self) -> Counted<'_> {
        Counted::new(&self.idling)
    }

    /// As long as this lives, a task waits for the clock, and has to before its blocks run out.
    pub fn wait(&self) -> Counted<'_> {
        Counted::new(&self.waiting)
    }
}

/// One of a number.
pub struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(number: &'a AtomicUsize) -> Self {
        number.fetch_add(1, Ordering::SeqCst);
        Self(number)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An arbitrator whom the operator admitted.
async fn admitted(stage: &Stage, number: usize) -> Result<Arbitrator> {
    let keys = Keys::generate();
    let api = Api::new(&stage.platform.url(), keys.clone())?;
    let statement = canonical::sha256(format!("arbitrator {number}").as_bytes());
    arbitrator::register(&api, statement, "arbitrators@wallet.example").await?;
    arbitrator::admit(stage.platform.operator(), &api.client().author().to_string(), statement).await?;
    Ok(Arbitrator { api, keys })
}
