//! Two replicas on one journal: what one writes the other tells of, in order, once.

use async_trait::async_trait;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tallystick_app::{
    App, TaskUpdate, Workers,
    port::{
        journal::{Head, Heads, Journal, StoreError},
        request::Action,
    },
};
use tallystick_testkit::{
    MemoryStore, asking,
    escrow::{requester, worker},
};
use tokio::sync::{Notify, broadcast::Receiver};

use crate::node::{PAYEE, World, task};

/// The head of a journal in memory. It may be deaf: then it tells of nothing.
struct Told {
    store: Arc<MemoryStore>,
    deaf: AtomicBool,
    written: Notify,
}

impl Told {
    fn new(world: &World) -> Arc<Self> {
        Arc::new(Self { store: Arc::clone(&world.store), deaf: AtomicBool::new(false), written: Notify::new() })
    }
}

#[async_trait]
impl Heads for Told {
    async fn head(&self) -> Result<Head, StoreError> {
        let mut head = Head::START;
        while let Some(last) = self.store.facts(head.seq, 1_000).await?.last() {
            head = Head { seq: last.seq, hash: last.hash };
        }
        Ok(head)
    }

    async fn beyond(&self, seq: u64) {
        loop {
            let written = self.written.notified();
            if !self.deaf.load(Ordering::Acquire) && self.head().await.is_ok_and(|head| head.seq > seq) {
                return;
            }
            written.await;
        }
    }
}

async fn next(updates: &mut Receiver<TaskUpdate>) -> TaskUpdate {
    tokio::time::timeout(Duration::from_secs(60), updates.recv()).await.expect("an update").unwrap()
}

/// Has five updates written by `one` and `two` in turn, and answers the states that they lead through.
async fn write_both(world: &World, one: &App, two: &App, heads: &Told, n: u64) -> [&'static str; 3] {
    use tallystick_escrow::UserCommand;
    let terms = tallystick_testkit::escrow::terms(&[20_000]);
    let ask = |author, action| asking(author, task(n), &action);
    one.create(task(n), terms.clone(), ask(requester(), Action::Create(terms))).await.unwrap();
    heads.written.notify_waiters();
    let invoices = vec![world.rail.invoice(PAYEE, 20_000)];
    two.accept(task(n), invoices.clone(), ask(worker(), Action::Accept(invoices))).await.unwrap();
    heads.written.notify_waiters();
    one.ask(task(n), UserCommand::CancelTask, ask(requester(), Action::Cancel)).await.unwrap();
    heads.written.notify_waiters();
    ["open", "assigned", "cancelled"]
}

#[tokio::test(start_paused = true)]
async fn each_replica_tells_of_everything_in_order_and_once() {
    let world = World::new();
    let (one, two) = (world.start(), world.start());
    let heads = Told::new(&world);
    // What is there already is not told.
    one.task_at(task(9), &[20_000], "open").await;
    let followers = [
        Workers::follow(&one.app, Arc::clone(&heads) as _).await.unwrap(),
        Workers::follow(&two.app, Arc::clone(&heads) as _).await.unwrap(),
    ];
    assert!(Workers::follow(&one.app, Arc::clone(&heads) as _).await.is_err(), "twice would tell everything twice");
    let mut listeners = [one.app.updates(), two.app.updates()];
    for n in 0..4 {
        // A replica that hears of nothing for a while looks by itself.
        heads.deaf.store(n % 2 == 1, Ordering::Release);
        let states = write_both(&world, &one.app, &two.app, &heads, n).await;
        for updates in &mut listeners {
            for state in states {
                let update = next(updates).await;
                assert_eq!((update.view.id, &*update.view.state), (task(n), state));
            }
        }
    }
    for app in [&one.app, &two.app] {
        app.caught_up().await.unwrap();
    }
    for updates in &mut listeners {
        assert!(updates.try_recv().is_err(), "something was told twice");
    }
    for follower in followers {
        follower.stop().await;
    }
    world.check().await;
}

/// The outbox and the timers of the replica that has the rail are woken by what another wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn effects_that_another_replica_asks_for_are_performed_here() {
    let world = World::new();
    let owner = world.start();
    // The other one has no rail: only a height, and a reader of invoices.
    let other = world.app(Arc::clone(&world.store) as _);
    let height = tallystick_testkit::rail::HEIGHT_START;
    assert!(world.rail.tell(&other, tallystick_app::port::rail::RailNotice::Block { height }).await);
    other.read_invoices_with(Arc::new(world.rail.clone()));
    let heads = Told::new(&world);
    let followers = [
        Workers::follow(&owner.app, Arc::clone(&heads) as _).await.unwrap(),
        Workers::follow(&other, Arc::clone(&heads) as _).await.unwrap(),
    ];
    let workers = Workers::start_in_epoch(&owner.app, 1);
    let tell = {
        let heads = Arc::clone(&heads);
        tokio::spawn(async move {
            loop {
                heads.written.notify_waiters();
                tokio::task::yield_now().await;
            }
        })
    };
    let terms = tallystick_testkit::escrow::terms(&[20_000]);
    let ask = |author, action| asking(author, task(0), &action);
    other.create(task(0), terms.clone(), ask(requester(), Action::Create(terms))).await.unwrap();
    let invoices = vec![world.rail.invoice(PAYEE, 20_000)];
    other.accept(task(0), invoices.clone(), ask(worker(), Action::Accept(invoices))).await.unwrap();
    let answer = other.request_funding(task(0), ask(requester(), Action::Fund)).await.unwrap();
    assert!(
        answer.view.milestones[0].tranches[0].funding_invoice.is_some(),
        "the owner's outcome is in the other's answer"
    );
    tell.abort();
    workers.stop().await;
    for follower in followers {
        follower.stop().await;
    }
}

/// A database that was put back to an older state, and went on from there: what it holds now follows nothing that was
/// told.
#[tokio::test(start_paused = true)]
async fn another_history_is_not_told() {
    let (world, before) = (World::new(), World::new());
    let other = before.start();
    other.task_at(task(8), &[20_000], "open").await;
    let node = world.start();
    node.task_at(task(9), &[20_000], "open").await;
    // As long as the other, with another fact in its place.
    assert_eq!(world.count().await, before.count().await);
    let heads = Told::new(&before);
    let follower = Workers::follow(&node.app, Arc::clone(&heads) as _).await.unwrap();
    let (told, mut updates) = (node.app.told(), node.app.updates());
    assert_eq!(told, Some(heads.head().await.unwrap()));
    node.cancel(task(9), requester()).await.unwrap();
    other.cancel(task(8), requester()).await.unwrap();
    // Whoever waits to be told waits far longer than it takes to look, and in vain.
    assert!(node.app.caught_up().await.is_err());
    assert!(updates.try_recv().is_err(), "another history was told");
    assert_eq!(node.app.told(), told);
    follower.stop().await;
}
