//! A node whose crank the test turns, its users, and the world around it.

use async_trait::async_trait;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tallystick_app::{
    Answer, App, AppError, Parts,
    cause::Trusted,
    fsck::Fsck,
    outbox::Outbox,
    port::{
        entrance::Entrance,
        journal::Journal,
        rail::{HoldRail, InvoiceReader},
        request::Action,
        tasks::{TaskReader, TaskRebuild},
    },
    rebuild::ROWS_FORMAT,
    timers::Timers,
};
use tallystick_core::{Decider, Duration, Fact, Id, Msat, NodeKey, NostrKey, PaymentHash, Timestamp, canonical};
use tallystick_escrow::{Escrow, Event, State, Task, TaskView, Terms, UserCommand};
use tallystick_log::WitnessPolicy;
use tallystick_testkit::{
    ManualClock, MemoryStore, Requests, SimRail, action_of, asking_at,
    escrow::{self, approve, requester, worker},
    publish,
    rail::NODE_MSAT_START,
};

/// What the payer's wallet has at the beginning, in sat.
pub const PAYER_SAT: u64 = 1_000_000;
pub const PAYER: &str = "payer";
pub const PAYEE: &str = "payee";

/// What outlives a crash: disk, network and time.
#[derive(Clone)]
pub struct World {
    pub clock: Arc<ManualClock>,
    pub rail: SimRail,
    pub store: Arc<MemoryStore>,
}

/// What a crash takes away.
pub struct Node {
    pub world: World,
    pub app: App,
    pub outbox: Outbox,
    pub timers: Timers,
    pub door: Arc<Door>,
}

/// Where users come in: open, until it is closed.
#[derive(Default)]
pub struct Door {
    is_closed: AtomicBool,
}

impl Door {
    pub fn open(&self, is_open: bool) {
        self.is_closed.store(!is_open, Ordering::Release);
    }
}

#[async_trait]
impl Entrance for Door {
    async fn is_open(&self) -> bool {
        !self.is_closed.load(Ordering::Acquire)
    }
}

impl World {
    pub fn new() -> Self {
        let clock = ManualClock::new(escrow::NOW);
        let rail = SimRail::new(Arc::clone(&clock));
        rail.add_wallet(PAYER, PAYER_SAT);
        rail.add_wallet(PAYEE, 0);
        Self { clock, rail, store: Arc::new(MemoryStore::new()) }
    }

    /// The app over a journal and a rail that stand before the real ones. Not connected yet.
    pub fn app(&self, journal: Arc<dyn Journal>) -> App {
        let clock: Arc<ManualClock> = Arc::clone(&self.clock);
        let tasks: Arc<dyn TaskReader> = Arc::clone(&self.store) as _;
        let key = NodeKey::try_new(&[8; 32]).unwrap();
        let log = Arc::clone(&self.store) as _;
        App::new(Parts { journal, log, tasks, clock, key, policy: escrow::policy() })
    }

    pub fn start_with(&self, journal: Arc<dyn Journal>, rail: Arc<dyn HoldRail>) -> Node {
        let app = self.app(journal);
        let reader: Arc<dyn InvoiceReader> = Arc::new(self.rail.clone());
        app.connect(rail, reader);
        app.read_blocks_with(Arc::new(self.rail.clone()));
        let door = Arc::<Door>::default();
        app.look_at(Arc::clone(&door) as _);
        let (outbox, timers) = (Outbox::new(app.clone()), Timers::new(app.clone()));
        Node { world: self.clone(), app, outbox, timers, door }
    }

    pub fn start(&self) -> Node {
        self.start_with(Arc::clone(&self.store) as _, Arc::new(self.rail.clone()))
    }

    pub async fn facts(&self) -> Vec<Fact> {
        self.store.facts(0, 1_000).await.unwrap()
    }

    /// How many facts there are.
    pub async fn count(&self) -> usize {
        self.facts().await.len()
    }

    /// A task as its facts make it.
    pub async fn state(&self, id: Id<Task>) -> State {
        let facts = self.store.stream(&format!("escrow/{id}"), 0).await.unwrap();
        let events =
            facts.iter().map(|fact| canonical::decode::<Event>("event", fact.body.content().unwrap()).unwrap());
        events.fold(State::Absent, |state, event| Escrow::evolve(state, &event))
    }

    /// Everything that must hold whatever happened: all that fsck checks, all money, and nothing asked of the rail that
    /// never should be.
    pub async fn check(&self) {
        // A node makes its rows complete at its start; these are, from the first.
        self.store.set_rows_format(ROWS_FORMAT).await.unwrap();
        publish(&self.store).await;
        self.fsck().run(|_| ()).await.unwrap();
        assert_eq!(self.rail.total_msat(), NODE_MSAT_START + PAYER_SAT * 1_000, "money came or went");
        let violations = self.rail.violations();
        assert!(violations.is_empty(), "{violations:#?}");
    }

    /// What checks the store.
    pub fn fsck(&self) -> Fsck {
        Fsck {
            store: Arc::clone(&self.store) as _,
            requests: Arc::new(Requests),
            invoices: Arc::new(self.rail.clone()),
            trusted: Trusted { node: Some(NodeKey::try_new(&[8; 32]).unwrap().public()), ..Trusted::default() },
            key: None,
            policy: WitnessPolicy::none(),
            checkpoints: Vec::new(),
            published: None,
            now: tallystick_app::Clock::now(&*self.clock),
        }
    }

    /// What payer, payee and platform have gained, in msat.
    pub fn gains(&self) -> (i128, i128, i128) {
        let now = i128::from;
        (
            now(self.rail.wallet_msat(PAYER)) - now(PAYER_SAT * 1_000),
            now(self.rail.wallet_msat(PAYEE)),
            now(self.rail.node_msat()) - now(NODE_MSAT_START),
        )
    }
}

/// The `n`th task's id.
pub fn task(n: u64) -> Id<Task> {
    Id::from_parts(escrow::NOW.as_millis() + n, [9; 10])
}

impl Node {
    pub async fn ask(&self, id: Id<Task>, author: NostrKey, command: UserCommand) -> Result<Answer, AppError> {
        let request = asking_at(self.app.clock().now(), author, id, &action_of(&command));
        self.app.ask(id, command, request).await
    }

    pub async fn create(&self, id: Id<Task>, terms: Terms) -> Result<Answer, AppError> {
        let request = asking_at(self.app.clock().now(), requester(), id, &Action::Create(terms.clone()));
        self.app.create(id, terms, request).await
    }

    pub async fn accept(&self, id: Id<Task>, by: NostrKey, invoices: Vec<String>) -> Result<Answer, AppError> {
        let request = asking_at(self.app.clock().now(), by, id, &Action::Accept(invoices.clone()));
        self.app.accept(id, invoices, request).await
    }

    pub async fn cancel(&self, id: Id<Task>, by: NostrKey) -> Result<Answer, AppError> {
        self.ask(id, by, UserCommand::CancelTask).await
    }

    pub async fn submit(&self, id: Id<Task>) -> Result<Answer, AppError> {
        self.ask(id, worker(), escrow::submit()).await
    }

    pub async fn approve(&self, id: Id<Task>) -> Result<Answer, AppError> {
        self.ask(id, requester(), approve()).await
    }

    pub async fn reject(&self, id: Id<Task>) -> Result<Answer, AppError> {
        self.ask(id, requester(), UserCommand::RejectWork { milestone: 0, reason_hash: escrow::REASONS }).await
    }

    pub async fn view(&self, id: Id<Task>) -> TaskView {
        self.app.task(id).await.unwrap().expect("the task is there")
    }

    /// Waits until a task is in this state.
    pub async fn until(&self, id: Id<Task>, state: &str) {
        let mut updates = self.app.updates();
        let reached = async {
            while self.state_name(id).await != state {
                updates.recv().await.expect("the app is there");
            }
        };
        let patience = std::time::Duration::from_secs(120);
        tokio::time::timeout(patience, reached).await.unwrap_or_else(|_| panic!("the task never is {state}"));
    }

    pub async fn state_name(&self, id: Id<Task>) -> String {
        self.view(id).await.state
    }

    /// Fresh invoices of the payee for these payouts.
    pub fn invoices(&self, payouts: &[u64]) -> Vec<String> {
        payouts.iter().map(|payout| self.world.rail.invoice(PAYEE, *payout)).collect()
    }

    pub async fn hashes(&self, id: Id<Task>) -> Vec<PaymentHash> {
        self.view(id).await.tranches().filter_map(|part| part.hash).collect()
    }

    /// The payer pays every funding invoice that is not paid yet, and the node hears of it.
    pub async fn pay_holds(&self, id: Id<Task>) {
        for part in self.view(id).await.tranches().cloned() {
            if let Some(invoice) = part.funding_invoice {
                self.world.rail.pay_hold(PAYER, &invoice);
            }
        }
        self.deliver().await;
    }

    pub async fn deliver(&self) -> usize {
        self.world.rail.deliver(&self.app).await
    }

    /// A task with these payouts, in these steps' last state: `open`, `assigned`, `funding`, `held`, `submitted`,
    /// `releasing` or `refunding`. The outbox is not touched after `funding`.
    pub async fn task_at(&self, id: Id<Task>, payouts: &[u64], state: &str) {
        self.create(id, escrow::terms(payouts)).await.unwrap();
        for step in ["assigned", "funding", "held", "submitted", state] {
            if self.state_name(id).await == state {
                break;
            }
            match step {
                "assigned" => drop(self.accept(id, worker(), self.invoices(payouts)).await.unwrap()),
                "funding" => {
                    self.ask(id, requester(), UserCommand::RequestFunding).await.unwrap();
                    self.outbox.run_once().await.unwrap();
                }
                "held" => self.pay_holds(id).await,
                "submitted" => drop(self.submit(id).await.unwrap()),
                "releasing" => drop(self.approve(id).await.unwrap()),
                "refunding" => drop(self.reject(id).await.unwrap()),
                other => panic!("{other} is not on the way"),
            }
        }
        assert_eq!(self.state_name(id).await, state);
    }

    /// One turn of every wheel: timers, outbox, network, notices. Tells whether the network moved or had to tell.
    pub async fn turn(&self) -> bool {
        self.timers.run_once().await.unwrap();
        self.outbox.run_once().await.unwrap();
        let moved = self.world.rail.step();
        let heard = self.deliver().await;
        moved || heard > 0
    }

    /// Turns until nothing is left to do, moving the clock on to what is due next.
    pub async fn settle(&self) {
        for _ in 0..500 {
            let moved = self.turn().await;
            match self.next_effect_due().await {
                Some(due) if due > tallystick_app::Clock::now(self.world.clock.as_ref()) => self.world.clock.set(due),
                Some(_) => {}
                None if !moved && self.world.rail.notices().is_empty() => return,
                None => {}
            }
        }
        panic!("the node never comes to rest");
    }

    pub async fn next_effect_due(&self) -> Option<Timestamp> {
        self.world.store.next_effect_due().await.unwrap()
    }

    pub fn later(&self, span: Duration) {
        self.world.clock.advance(span);
    }
}

/// What a payout of so many sat costs the payer and brings the platform, in msat.
pub fn price(payout: u64) -> (i128, i128, i128) {
    let hold: Msat = escrow::hold_of(payout);
    let (hold, payout) = (i128::from(hold.get()), i128::from(payout * 1_000));
    (-hold, payout, hold - payout)
}
