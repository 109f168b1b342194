//! Attacks on standing, from signed requests down to a journal on disk.

use std::sync::Arc;
use tallystick_app::{
    App, AppError, Parts,
    outbox::Outbox,
    port::request::Action,
    standing::{Known, LimitError},
    timers::Timers,
};
use tallystick_civics::{
    anomaly::Kind,
    reputation::{Limits, Role, Tier},
};
use tallystick_core::{Coded, Duration, Id, NodeKey, NostrKey};
use tallystick_escrow::{Task, UserCommand};
use tallystick_store::SqliteStore;
use tallystick_testkit::{
    ManualClock, SimRail, action_of, asking,
    escrow::{self, key, requester, sat, terms, worker},
};

struct Node {
    app: App,
    clock: Arc<ManualClock>,
    rail: SimRail,
}

impl Node {
    fn start(store: &SqliteStore, clock: &Arc<ManualClock>, rail: &SimRail, limits: Option<Limits>) -> Self {
        let kept = Arc::new(store.clone());
        let app = App::new(Parts {
            journal: Arc::clone(&kept) as _,
            log: Arc::clone(&kept) as _,
            tasks: kept,
            clock: Arc::clone(clock) as _,
            key: NodeKey::try_new(&[8; 32]).unwrap(),
            policy: escrow::policy(),
        });
        app.connect(Arc::new(rail.clone()), Arc::new(rail.clone()));
        limits.into_iter().for_each(|limits| app.limit_open(limits));
        Self { app, clock: Arc::clone(clock), rail: rail.clone() }
    }

    async fn post(&self, id: Id<Task>, by: NostrKey, sat: u64) -> Result<(), AppError> {
        let terms = terms(&[sat]);
        let request = asking(by, id, &Action::Create(terms.clone()));
        self.app.create(id, terms, request).await.map(drop)
    }

    async fn accept(&self, id: Id<Task>, by: NostrKey, sat: u64) -> Result<(), AppError> {
        let invoices = vec![self.rail.invoice("payee", sat)];
        let request = asking(by, id, &Action::Accept(invoices.clone()));
        self.app.accept(id, invoices, request).await.map(drop)
    }

    async fn ask(&self, id: Id<Task>, by: NostrKey, command: UserCommand) {
        let request = asking(by, id, &action_of(&command));
        self.app.ask(id, command, request).await.unwrap();
    }

    /// Effects, network, notices, until the task is settled.
    async fn settle(&self, id: Id<Task>) {
        let (outbox, timers) = (Outbox::new(self.app.clone()), Timers::new(self.app.clone()));
        for _ in 0..20 {
            timers.run_once().await.unwrap();
            outbox.run_once().await.unwrap();
            self.rail.step();
            self.rail.deliver(&self.app).await;
            if self.app.task(id).await.unwrap().unwrap().state == "settled" {
                return;
            }
        }
        panic!("the task is never settled");
    }

    async fn deal(&self, n: u64, (payer, payee): (NostrKey, NostrKey), sat: u64) {
        let id = task(n);
        self.post(id, payer, sat).await.unwrap();
        self.accept(id, payee, sat).await.unwrap();
        self.ask(id, payer, UserCommand::RequestFunding).await;
        Outbox::new(self.app.clone()).run_once().await.unwrap();
        for part in self.app.task(id).await.unwrap().unwrap().tranches() {
            assert!(self.rail.pay_hold("payer", part.funding_invoice.as_deref().unwrap()));
        }
        self.rail.deliver(&self.app).await;
        self.ask(id, payee, escrow::submit()).await;
        self.clock.advance(Duration::from_secs(20));
        self.ask(id, payer, escrow::approve()).await;
        self.settle(id).await;
    }

    async fn standing(&self, key: NostrKey, role: Role) -> Known {
        self.app.standing(key, role).await.unwrap()
    }
}

fn task(n: u64) -> Id<Task> {
    Id::from_parts(escrow::NOW.as_millis() + n, [9; 10])
}

/// Two keys that trade with each other stay Novices, whatever they pay; a worker whom others know as well does not; and
/// a theft after one big good deal is bounded by a Novice's limit.
#[tokio::test]
async fn self_trade_raises_no_limit_and_is_flagged() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(escrow::NOW);
    let rail = SimRail::new(Arc::clone(&clock));
    rail.add_wallet("payer", 20_000_000);
    rail.add_wallet("payee", 0);
    let store = SqliteStore::open(dir.path().join("journal.sqlite")).unwrap();
    let node = Node::start(&store, &clock, &rail, Some(Limits::default()));
    let (a, b) = (requester(), worker());
    for n in 0..10 {
        node.deal(n, if n % 2 == 0 { (a, b) } else { (b, a) }, 190_000).await;
    }
    // Somebody works for twelve who all have others to work for them.
    let honest = key(60);
    for n in 0..12u8 {
        let payer = key(20 + n);
        for other in 0..10u8 {
            node.deal(100 + u64::from(n) * 20 + u64::from(other), (payer, key(40 + other)), 60_000).await;
        }
        node.deal(2_000 + u64::from(n), (payer, honest), 100_000).await;
    }
    let again = Node::start(&store, &clock, &rail, Some(Limits::default()));
    for node in [&node, &again] {
        for (key, role) in [(a, Role::Requester), (a, Role::Worker), (b, Role::Requester), (b, Role::Worker)] {
            let standing = node.standing(key, role).await.standing;
            assert_eq!((standing.score.total, standing.tier, standing.open_limit), (0, Tier::Novice, sat(200_000)));
        }
        let standing = node.standing(honest, Role::Worker).await.standing;
        // Twelve times 1,000 sat of fees, worth 158 points each; every counterparty has ten others, and counts whole.
        assert_eq!(
            (standing.score.total, standing.tier, standing.open_limit),
            (1_896, Tier::Intermediate, sat(1_000_000))
        );
    }
    let refused = |role| LimitError::Sat { role, tier: Tier::Novice, limit: 200_000, open: 0, more: 200_001 };
    assert_eq!(refused(Role::Worker).code().0, "reputation.open_sat");
    assert_eq!(again.post(task(1_000), a, 200_001).await, Err(refused(Role::Requester).into()));
    Node::start(&store, &clock, &rail, None).post(task(1_001), key(3), 200_001).await.unwrap();
    assert_eq!(again.accept(task(1_001), b, 200_001).await, Err(refused(Role::Worker).into()));
    again.accept(task(1_001), honest, 200_001).await.unwrap();
    let flags = again.app.anomalies().await.unwrap();
    let mut pair = [a, b];
    pair.sort();
    let kinds: Vec<Kind> = flags.iter().filter(|flag| flag.who == pair).map(|flag| flag.kind).collect();
    assert_eq!(kinds, [Kind::ReciprocalPair, Kind::CaptivePair, Kind::InstantDeals, Kind::FixedIntervals]);
    assert!(flags.iter().all(|flag| !flag.evidence.is_empty()));
}
