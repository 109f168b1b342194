//! Timers: by time, by height, many at once, and around one that is stuck.

use async_trait::async_trait;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use tallystick_app::{
    App, AppError, Parts, Workers,
    port::{
        journal::StoreError,
        tasks::{TaskQuery, TaskReader, TaskRebuild, TaskRow},
    },
};
use tallystick_core::{BlockHeight, Coded, Duration, Id, NodeKey, Timestamp};
use tallystick_escrow::{OnSilence, Task, Terms, UserCommand};
use tallystick_testkit::{
    MemoryStore,
    escrow::{self, REVIEW, WORK_TIME, decide_by, requester, terms, worker},
};

use crate::{
    faults::Troubled,
    node::{World, task},
};

#[tokio::test]
async fn a_task_expires_at_its_deadline_and_not_before() {
    let world = World::new();
    let node = world.start();
    node.create(task(0), terms(&[1_000])).await.unwrap();
    node.later(Duration::from_millis(WORK_TIME.as_millis() - 1));
    node.timers.run_once().await.unwrap();
    assert_eq!(node.state_name(task(0)).await, "open");
    node.later(Duration::from_millis(1));
    node.timers.run_once().await.unwrap();
    assert_eq!(node.state_name(task(0)).await, "expired");
    node.timers.run_once().await.unwrap();
    assert_eq!(world.count().await, 2);
}

#[tokio::test]
async fn silence_is_heard_when_the_review_ends() {
    for (on_silence, end) in [(OnSilence::Release, "settled"), (OnSilence::Refund, "refunded")] {
        let world = World::new();
        let node = world.start();
        node.create(task(0), Terms { on_silence, ..terms(&[1_000]) }).await.unwrap();
        node.accept(task(0), worker(), node.invoices(&[1_000])).await.unwrap();
        node.ask(task(0), requester(), UserCommand::RequestFunding).await.unwrap();
        node.outbox.run_once().await.unwrap();
        node.pay_holds(task(0)).await;
        node.submit(task(0)).await.unwrap();
        node.settle().await;
        assert_eq!(node.state_name(task(0)).await, "submitted");
        node.later(REVIEW);
        node.settle().await;
        let view = node.view(task(0)).await;
        assert_eq!((view.state.as_str(), view.reason.as_deref()), (end, Some("silence")));
        world.check().await;
    }
}

#[tokio::test]
async fn the_last_height_wakes_a_held_task_and_no_height_before() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[1_000], "held").await;
    let last = node.view(task(0)).await.milestones[0].decide_by.unwrap();
    assert!(last >= decide_by());
    let blocks = node.app.height().until(last).0;
    world.rail.mine(blocks - 1);
    node.settle().await;
    assert_eq!(node.state_name(task(0)).await, "held");
    world.rail.mine(1);
    node.settle().await;
    assert_eq!(node.view(task(0)).await.reason.as_deref(), Some("blocks_ran_out"));
    // By the node itself, long before the rail would have had to.
    assert_eq!((node.state_name(task(0)).await.as_str(), world.gains()), ("refunded", (0, 0, 0)));
    world.check().await;
}

#[tokio::test]
async fn a_node_that_slept_through_the_deadline_makes_up_for_it() {
    let world = World::new();
    {
        let node = world.start();
        node.task_at(task(0), &[1_000], "held").await;
        node.task_at(task(1), &[1_000], "submitted").await;
    }
    // Two days without the node: past every deadline, and the rail has given the money back by itself.
    world.rail.mine(600);
    world.clock.advance(Duration::from_secs(2 * 86_400));
    assert_eq!(world.rail.held_msat(), 0);
    let node = world.start();
    node.settle().await;
    for n in [0, 1] {
        assert_eq!(node.state_name(task(n)).await, "refunded");
    }
    assert_eq!(world.gains(), (0, 0, 0));
    world.check().await;
}

#[tokio::test]
async fn many_tasks_are_woken_in_one_go() {
    let world = World::new();
    let node = world.start();
    for n in 0..600 {
        node.create(task(n), terms(&[1_000])).await.unwrap();
    }
    node.later(WORK_TIME);
    node.timers.run_once().await.unwrap();
    for n in 0..600 {
        assert_eq!(node.state_name(task(n)).await, "expired");
    }
}

#[tokio::test]
async fn one_task_that_cannot_be_read_does_not_keep_the_others_asleep() {
    let world = World::new();
    {
        let node = world.start();
        for n in 0..3 {
            node.create(task(n), terms(&[1_000])).await.unwrap();
        }
    }
    let (journal, trouble) = Troubled::new(&world.store);
    *trouble.broken.lock().unwrap() = vec![format!("escrow/{}", task(0))];
    let node = world.start_with(journal, Arc::new(world.rail.clone()));
    node.later(WORK_TIME);
    assert_eq!(node.timers.run_once().await.unwrap_err().code().0, "store.corrupt");
    for (n, state) in [(0, "open"), (1, "expired"), (2, "expired")] {
        assert_eq!(node.state_name(task(n)).await, state);
    }
}

/// However many cannot be woken, whoever is due after them is.
#[tokio::test]
async fn many_tasks_that_cannot_be_read_step_aside() {
    const STUCK: u64 = 300;
    let world = World::new();
    {
        let node = world.start();
        for n in 0..STUCK + 3 {
            node.create(task(n), terms(&[1_000])).await.unwrap();
        }
    }
    let (journal, trouble) = Troubled::new(&world.store);
    *trouble.broken.lock().unwrap() = (0..STUCK).map(|n| format!("escrow/{}", task(n))).collect();
    let node = world.start_with(journal, Arc::new(world.rail.clone()));
    node.later(WORK_TIME);
    assert_eq!(node.timers.run_once().await.unwrap_err().code().0, "store.corrupt");
    for n in STUCK..STUCK + 3 {
        assert_eq!(node.state_name(task(n)).await, "expired");
    }
}

#[tokio::test]
async fn a_panic_on_the_way_of_one_task_leaves_the_others_awake() {
    let world = World::new();
    let (journal, trouble) = Troubled::new(&world.store);
    let node = world.start_with(journal, Arc::new(world.rail.clone()));
    for n in 0..3 {
        node.create(task(n), terms(&[1_000])).await.unwrap();
    }
    *trouble.cursed.lock().unwrap() = vec![format!("escrow/{}", task(0))];
    assert_eq!(node.cancel(task(0), requester()).await, Err(AppError::Fault));
    node.later(WORK_TIME);
    assert_eq!(node.timers.run_once().await, Err(AppError::Fault));
    for (n, state) in [(0, "open"), (1, "expired"), (2, "expired")] {
        assert_eq!(node.state_name(task(n)).await, state);
    }
    trouble.cursed.lock().unwrap().clear();
    assert!(node.timers.run_once().await.is_ok());
    assert_eq!(node.state_name(task(0)).await, "expired");
}

/// A read model that tells how often it was asked for what is due.
struct Counting(Arc<MemoryStore>, AtomicU32);

#[async_trait]
impl TaskReader for Counting {
    async fn task(&self, id: Id<Task>) -> Result<Option<String>, StoreError> {
        self.0.task(id).await
    }

    async fn tasks(&self, query: &TaskQuery) -> Result<Vec<String>, StoreError> {
        self.0.tasks(query).await
    }

    async fn due_tasks(
        &self,
        now: Timestamp,
        height: BlockHeight,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<Id<Task>>, StoreError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.due_tasks(now, height, skip, limit).await
    }

    async fn next_wake_after(&self, time: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.0.next_wake_after(time).await
    }
}

/// A task that is woken in vain is woken less and less often, and keeps nobody else asleep.
#[tokio::test(start_paused = true)]
async fn a_task_that_is_woken_in_vain_is_left_alone_for_longer_and_longer() {
    let world = World::new();
    let tasks = Arc::new(Counting(Arc::clone(&world.store), AtomicU32::new(0)));
    let app = App::new(Parts {
        journal: Arc::clone(&world.store) as _,
        log: Arc::clone(&world.store) as _,
        tasks: Arc::clone(&tasks) as _,
        clock: Arc::clone(&world.clock) as _,
        key: NodeKey::try_new(&[8; 32]).unwrap(),
        policy: escrow::policy(),
    });
    app.connect(Arc::new(world.rail.clone()), Arc::new(world.rail.clone()));
    let node = world.start();
    for n in 0..2 {
        node.create(task(n), terms(&[1_000])).await.unwrap();
    }
    // A row that wants what its facts do not.
    let early = TaskRow {
        id: task(0),
        version: 9,
        state: "open".into(),
        requester: requester(),
        worker: None,
        wake_at: Some(escrow::NOW),
        wake_height: None,
        view: "{}".into(),
    };
    world.store.show_rows(vec![early]).await.unwrap();
    let workers = Workers::start(&app);
    let asked = async |secs| {
        let before = tasks.1.load(Ordering::Relaxed);
        for _ in 0..secs {
            tokio::time::advance(std::time::Duration::from_secs(1)).await;
            // The workers have their turns.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
        tasks.1.load(Ordering::Relaxed) - before
    };
    assert!(asked(10).await > 5, "it is tried again");
    let later = asked(60).await;
    assert!(later < 20, "asked {later} times in a minute");
    world.clock.advance(WORK_TIME);
    asked(6).await;
    assert_eq!(node.state_name(task(1)).await, "expired");
    workers.stop().await;
}
