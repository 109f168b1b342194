//! A run: a plan that is drawn as it goes, or one that was drawn before, and the laws after each of its steps.

mod presence;

use futures::future::join_all;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tallystick_app::{
    Clock,
    away::LastThere,
    cause::Trusted,
    fsck::Fsck,
    port::{
        journal::Journal,
        rail::HoldRail,
        tasks::{TaskReader, TaskRebuild},
    },
    rebuild::ROWS_FORMAT,
};
use tallystick_core::{Digest32, Duration, PaymentHash, Timestamp, canonical};
use tallystick_escrow::{Effect, State};
use tallystick_log::WitnessPolicy;
use tallystick_testkit::{
    Requests,
    escrow::NOW,
    publish,
    rail::{HoldState, NODE_MSAT_START},
};

use crate::{
    act::{Deeds, Hand, REST_MAX, enrol, id_of, is_kept, timers},
    books::Books,
    draft::Draft,
    draw::{self, Stand},
    law::{self, Broken, Evidence, When},
    node::{Life, Setup, World, key},
    plan::{Act, Plan, Step},
    rng::Rng,
    standby::Both,
    story::{At, Story},
};

/// The most blocks that may go by until the node has had time for what it can do. Far fewer than a payout's reserve: who
/// is not let alone for longer than that owes an explanation for each hold that goes back by itself.
const BLOCKS_AWAY_MAX: u32 = 100;
/// From so many blocks before the deadline of a hold on, the node has time after each block.
const BLOCKS_NEAR: u32 = 45;
/// Rounds in which the node must come to rest.
const ROUNDS_MAX: u32 = 200;
/// How long the node waits in a round for what it cannot do yet.
const WAIT: Duration = Duration::from_secs(10);
/// Rounds in which every task must end once nobody does anything any more.
const END_ROUNDS_MAX: u32 = 80;
/// One step in so many has its users ask the second replica.
const STANDBY_ONE_IN: u64 = 4;

/// What a run is to do.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// Draw a plan from this seed.
    Seed {
        /// The seed.
        seed: u64,
        /// How many tasks; a few if it is not said.
        tasks: Option<usize>,
    },
    /// Do what this plan says.
    Plan(&'a Plan),
}

/// What came of a run.
#[derive(Debug)]
pub struct Ran {
    /// What happened.
    pub plan: Plan,
    /// The first law that did not hold.
    pub broken: Option<Broken>,
    /// The story, if it was asked for.
    pub lines: Vec<String>,
    /// Facts in the journal.
    pub facts: usize,
    /// How the tasks ended, by the names of their states.
    pub ends: Vec<&'static str>,
    /// How many facts of each kind their journal holds.
    pub kinds: BTreeMap<&'static str, u64>,
}

/// Runs, in one thread, and to the same end whenever the same is asked.
///
/// # Panics
/// If the system gives no runtime.
pub fn run(source: Source<'_>, setup: &Setup, is_told: bool) -> Ran {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    // What hangs on a cut wire goes with the runtime.
    runtime.expect("a runtime of one thread").block_on(async {
        let (mut rng, drafts) = match source {
            Source::Seed { seed, tasks } => {
                let mut rng = Rng::new(seed);
                let drafts = draw::drafts(&mut rng, tasks);
                (Some(rng), drafts)
            }
            Source::Plan(plan) => (None, plan.drafts.clone()),
        };
        let mut player = Player::new(drafts, setup, is_told).await;
        // The first start has nothing to tell, and the node keeps the time from then on.
        player.tell_outage().await;
        if player.drafts.iter().any(|draft| draft.panel.is_some()) {
            enrol(&player.world, &player.life, &player.deeds).await;
        }
        let mut steps = match source {
            Source::Seed { .. } => Vec::new(),
            Source::Plan(plan) => plan.steps.clone(),
        };
        let result = match &mut rng {
            Some(rng) => player.draw(rng, &mut steps).await,
            None => player.play(&steps).await,
        };
        let result = match result {
            Ok(()) => player.end().await,
            Err(broken) => Err(broken),
        };
        let broken = result.err().map(|(law, what)| Broken { law, what, step: player.step });
        let ends = player.books.states.iter().map(|state| match state {
            State::Absent => "never posted",
            State::Present(task) => task.state_name(),
        });
        Ran {
            ends: ends.collect(),
            plan: Plan { drafts: player.drafts, steps },
            broken,
            facts: player.books.chain.len(),
            kinds: player.books.kinds,
            lines: player.story.lines(),
        }
    })
}

type Judged = Result<(), (&'static str, String)>;

struct Player<'a> {
    world: World,
    setup: &'a Setup,
    life: Life,
    drafts: Vec<Draft>,
    budgets: Vec<(u64, u64)>,
    books: Books,
    deeds: Deeds,
    story: Story,
    step: usize,
    /// Blocks since the node last had time.
    blocks_away: u32,
    /// Everything that was acknowledged.
    kept: Vec<(Digest32, String)>,
    asked: Vec<crate::wire::Asked>,
    /// What the node keeps beside its journal of when it was last there.
    there: LastThere,
    /// When the node was away.
    outages: Vec<(Timestamp, Timestamp)>,
    /// How many of them there were when the clock was last set: with a clock that was set between them, two do not follow
    /// each other.
    clock_set_after: usize,
    /// Whether the node was started in this step.
    is_new: bool,
    /// Payments that the network knew after the last step.
    paid_before: BTreeSet<Digest32>,
}

impl<'a> Player<'a> {
    async fn new(drafts: Vec<Draft>, setup: &'a Setup, is_told: bool) -> Self {
        let world = World::new();
        let ids: Vec<_> = (0..drafts.len()).map(id_of).collect();
        Self {
            life: world.start(setup).await,
            world,
            setup,
            budgets: drafts.iter().map(Draft::budgets_sat).map(|(one, other)| (one * 1_000, other * 1_000)).collect(),
            drafts,
            books: Books::new(&ids),
            deeds: Deeds::default(),
            story: Story::new(is_told),
            step: 0,
            blocks_away: 0,
            kept: Vec::new(),
            asked: Vec::new(),
            there: LastThere::default(),
            outages: Vec::new(),
            clock_set_after: 0,
            is_new: false,
            paid_before: BTreeSet::new(),
        }
    }

    /// Draws steps and does them, until there are enough, or nothing is left to be done.
    async fn draw(&mut self, rng: &mut Rng, steps: &mut Vec<Step>) -> Judged {
        for _ in 0..draw::steps_max(self.drafts.len()) {
            let stand = Stand {
                drafts: &self.drafts,
                states: &self.books.states,
                now: self.world.clock.now(),
                height: self.world.rail.height(),
            };
            let step = draw::step(rng, &stand);
            steps.push(step.clone());
            self.take(&step).await?;
            let is_over = |state: &State| matches!(state, State::Present(task) if task.phase.is_final());
            if self.books.states.iter().all(is_over) {
                break;
            }
        }
        Ok(())
    }

    async fn play(&mut self, steps: &[Step]) -> Judged {
        for step in steps {
            self.take(step).await?;
        }
        Ok(())
    }

    /// What the platform is worth, with what it has paid to arbitrators.
    fn worth(&self) -> u64 {
        let payments = self.world.rail.seen_payments();
        self.world.rail.node_worth_msat() + self.books.spent_on_rewards(&payments)
    }

    fn at(&self) -> At {
        let millis = |time: Timestamp| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let secs = (millis(self.world.clock.now()) - millis(NOW)) / 1_000;
        At { step: self.step, height: self.world.rail.height().0, secs }
    }

    /// One step, and the laws after it.
    async fn take(&mut self, step: &Step) -> Judged {
        self.step += 1;
        let (at, worth) = (self.at(), self.worth());
        let lost = self.books.lost.clone();
        self.life.wire.begin(step.trouble, step.salt);
        let (mut reached, mut outcomes) = (When::Always, Vec::new());
        match step.acts.as_slice() {
            [Act::Rest] => {
                self.rest().await;
                reached = When::AtRest;
                outcomes.push(String::new());
            }
            [Act::Restart] => {
                self.restart(step.salt).await;
                outcomes.push(String::new());
            }
            [Act::Pass { blocks, secs }] => {
                self.pass(*blocks, *secs).await;
                outcomes.push(String::new());
            }
            [Act::Away { blocks, secs }] => {
                self.away(*blocks, *secs, step.salt).await;
                outcomes.push(String::new());
            }
            [Act::Cut { how, blocks, secs }] => {
                self.cut(*how, *blocks, *secs).await;
                outcomes.push(String::new());
            }
            acts => {
                if acts.iter().any(|act| matches!(act, Act::Clock { .. })) {
                    self.before_the_clock_is_set().await;
                }
                let is_alone = acts.len() == 1;
                let (world, life, books, drafts) = (&self.world, &self.life, &self.books, self.drafts.as_slice());
                let asks_standby = step.salt.is_multiple_of(STANDBY_ONE_IN);
                let hand = Hand { world, life, books, drafts, deeds: &self.deeds, is_alone, asks_standby };
                let done = join_all(acts.iter().map(|act| hand.act(act)));
                let died = tokio::select! {
                    biased;
                    () = self.life.wire.died() => true,
                    done = done => {
                        outcomes = done;
                        false
                    }
                };
                if died {
                    self.restart(step.salt).await;
                }
            }
        }
        self.story.step(at, step, &outcomes);
        self.judge(reached, worth, &lost).await
    }

    /// Time goes by, a block at a time. The node is not kept from its work for too long, nor when it matters.
    async fn pass(&mut self, blocks: u32, secs: u64) {
        let each = Duration::from_secs(secs / u64::from(blocks.max(1)));
        if blocks == 0 {
            self.go_on(self.world.clock.now().after(each)).await;
        }
        for _ in 0..blocks {
            self.go_on(self.world.clock.now().after(each)).await;
            self.world.rail.mine(1);
            self.blocks_away += 1;
            if self.blocks_away >= BLOCKS_AWAY_MAX || self.is_near() {
                self.rest().await;
            }
        }
    }

    /// Whether a hold is close to its deadline.
    fn is_near(&self) -> bool {
        let height = self.world.rail.height();
        let holds = self.world.rail.seen_holds();
        holds.values().any(|hold| hold.state == HoldState::Held && height.until(hold.claim_deadline).0 <= BLOCKS_NEAR)
    }

    /// Everything that the node can do now, it does: nothing goes wrong meanwhile. The clock moves on to what was put off
    /// after an error, an hour at most.
    async fn rest(&mut self) {
        self.life.wire.begin(None, 0);
        self.blocks_away = 0;
        let until = self.world.clock.now().after(REST_MAX);
        for _ in 0..ROUNDS_MAX {
            let heard = self.world.rail.deliver(&Both(&self.life.app, &self.life.standby.app)).await;
            // A store in memory does not fail.
            let _ = timers(&self.life).await;
            let _ = self.life.outbox.run_once().await;
            let moved = self.world.rail.step();
            let pending = self.pending().await;
            let is_paid = |effect: &Effect| matches!(effect, Effect::Pay { .. } | Effect::PayReward { .. });
            let waits = pending.iter().filter(|(effect, _)| !is_paid(effect));
            match waits.map(|(_, due)| *due).min() {
                Some(due) if due > self.world.clock.now() && due <= until => self.go_on(due).await,
                // Due, and claimed by a try that was cut short: it is given again once that claim is over.
                Some(_) if heard == 0 && !moved => self.go_on(self.world.clock.now().after(WAIT)).await,
                Some(_) => {}
                None if heard == 0 && !moved && self.world.rail.notices().is_empty() => return,
                None => {}
            }
        }
    }

    /// Effects that are not finished, and when they are due.
    async fn pending(&self) -> Vec<(Effect, Timestamp)> {
        let late = Timestamp::from_millis(u64::MAX / 4);
        let pending = self.world.store.due_effects(late, 1_000).await.unwrap_or_default();
        let read = |body: &[u8]| canonical::decode::<Effect>("effect", body).ok();
        pending.iter().filter_map(|effect| Some((read(&effect.body)?, effect.due))).collect()
    }

    /// Nobody does anything any more, and time goes by until all of it is over.
    async fn end(&mut self) -> Judged {
        self.step += 1;
        for round in 0..END_ROUNDS_MAX {
            let (at, worth, lost) = (self.at(), self.worth(), self.books.lost.clone());
            self.rest().await;
            self.story.note(at, if round == 0 { "nobody does anything any more" } else { "time goes by" });
            self.judge(When::AtRest, worth, &lost).await?;
            let is_over = |state: &State| match state {
                State::Absent => true,
                State::Present(task) => task.phase.is_final(),
            };
            if self.books.states.iter().all(is_over) && self.pending().await.is_empty() {
                break;
            }
            let worth = self.worth();
            self.pass(30, 30 * 600).await;
            self.judge(When::Always, worth, &self.books.lost.clone()).await?;
        }
        let (worth, lost) = (self.worth(), self.books.lost.clone());
        self.judge(When::AtTheEnd, worth, &lost).await?;
        if self.setup.fsck { self.fsck().await } else { Ok(()) }
    }

    async fn judge(&mut self, reached: When, worth_before: u64, lost_before: &BTreeSet<PaymentHash>) -> Judged {
        let told = self.books.read(&self.world.store).await.map_err(|what| ("kept", what))?;
        self.story.facts(&told);
        let asked = [std::mem::take(&mut self.asked), self.life.wire.asked()].concat();
        let fresh = self.deeds.acknowledged.take();
        // All of them once the run is over; those of this step at once.
        self.kept.extend(fresh.iter().cloned());
        let looked_at = if reached == When::AtTheEnd { &self.kept } else { &fresh };
        let mut unkept = Vec::new();
        for (authority, what) in looked_at {
            if !is_kept(&self.world, *authority).await {
                unkept.push(format!("{what}: acknowledged, and not in the journal"));
            }
        }
        let told_of = self.life.standby.told().await;
        let (is_new, ends) = (std::mem::take(&mut self.is_new), std::mem::take(&mut self.books.appends));
        let mut views = Vec::new();
        for task in &self.books.changed {
            let view = TaskReader::task(self.world.store.as_ref(), id_of(*task)).await.unwrap_or_default();
            views.push((*task, view));
        }
        let (now, height) = (self.world.clock.now(), self.world.rail.height());
        let due = match reached {
            When::Always => Vec::new(),
            _ => self.world.store.due_tasks(now, height, 0, 100).await.unwrap_or_default(),
        };
        let pending: Vec<Effect> = match reached {
            When::Always => Vec::new(),
            _ => self.pending().await.into_iter().map(|(effect, _)| effect).collect(),
        };
        let payments = self.world.rail.seen_payments();
        let evidence = Evidence {
            books: &self.books,
            told: &told,
            asked: &asked,
            rail: &self.world.rail,
            holds: &self.world.rail.seen_holds(),
            payments: &payments,
            now,
            height,
            budgets: &self.budgets,
            outages: &self.outages,
            clock_set_after: self.clock_set_after,
            total_msat: NODE_MSAT_START + self.deeds.brought_msat.get(),
            worth_before,
            lost_before,
            paid_before: &self.paid_before,
            unkept: &unkept,
            twice: &self.deeds.twice.take(),
            views: &views,
            appends: &ends,
            told_of: if is_new { None } else { Some(told_of.as_deref()) },
            pending: &pending,
            due: &due.iter().filter_map(|id| (0..self.drafts.len()).find(|at| id_of(*at) == *id)).collect::<Vec<_>>(),
        };
        law::judge(&evidence, reached)?;
        self.paid_before = payments.into_keys().collect();
        Ok(())
    }

    /// Everything from the first fact, as `tally fsck` recomputes it.
    async fn fsck(&self) -> Judged {
        let store = &self.world.store;
        if self.books.chain.is_empty() {
            return Ok(());
        }
        // A node makes its rows complete at its start; these are, from the first.
        store.set_rows_format(ROWS_FORMAT).await.map_err(|error| ("fsck", error.to_string()))?;
        publish(store).await;
        let fsck = Fsck {
            store: Arc::clone(store) as _,
            requests: Arc::new(Requests),
            invoices: Arc::new(self.world.rail.clone()),
            trusted: Trusted { node: Some(key().public()), ..Trusted::default() },
            key: None,
            policy: WitnessPolicy::none(),
            checkpoints: Vec::new(),
            published: None,
            now: self.world.clock.now(),
        };
        fsck.run(|_| ()).await.map(drop).map_err(|damage| ("fsck", damage.to_string()))
    }
}
