//! Erasing a task.

use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::Poll,
};
use tallystick_app::{
    AppError,
    erase::{ERASED, Erased, STREAM},
    port::{
        journal::Journal,
        rail::{Heard, RailListener, RailNotice},
        request::Action,
        tasks::TaskQuery,
    },
};
use tallystick_core::{Body, canonical};
use tallystick_escrow::Rejection;
use tallystick_testkit::{
    asking,
    escrow::{stranger, terms, worker},
};
use tokio::sync::Semaphore;

use crate::{
    faults::Troubled,
    node::{World, task},
};

/// Nothing that a task's parties wrote, or agreed on, is left; what proves it is.
#[tokio::test]
async fn an_ended_task_is_erased_and_its_hashes_stay() {
    let world = World::new();
    let node = world.start();
    let id = task(0);
    node.task_at(id, &[20_000], "releasing").await;
    node.settle().await;
    let hash = node.hashes(id).await[0];
    let before = world.facts().await;
    let seq = node.app.erase(id, asking(stranger(), id, &Action::Erase)).await.unwrap().expect("erased");
    let after = world.facts().await;
    assert_eq!((after.len(), seq), (before.len() + 2, before.len() as u64 + 2));
    for (old, new) in before.iter().zip(&after) {
        assert_eq!((new.entry(), new.body.content()), (old.entry(), None));
        assert_eq!(world.store.authority(new.authority).await.unwrap(), None);
    }
    // The deal is kept, in front of it.
    let told = &after[before.len() + 1];
    let erased = Erased { stream: format!("escrow/{id}"), version: before.len() as u64 };
    assert_eq!((told.stream.as_str(), told.kind.as_str()), (STREAM, ERASED));
    assert_eq!(told.body, Body::Public(canonical::encode(&erased)));
    assert_eq!(world.store.authority(told.authority).await.unwrap().unwrap().author(), stranger());

    assert_eq!(node.app.task(id).await, Ok(None));
    assert_eq!(node.app.tasks(&TaskQuery { limit: 10, ..TaskQuery::default() }).await, Ok(Vec::new()));
    assert_eq!(node.create(id, terms(&[20_000])).await, Err(AppError::Erased), "its id stays taken");
    // Twice is once, after a restart as well, and the read model is made without it.
    for node in [node, world.start()] {
        assert_eq!(node.app.erase(id, asking(stranger(), id, &Action::Erase)).await, Ok(None));
        assert_eq!(node.app.rebuild_tasks(&*world.store).await, Ok(0));
        assert_eq!(node.app.hear(RailNotice::HoldLost { hash }).await, Ok(Heard::Unknown));
    }
    assert_eq!(world.count().await, after.len());
}

#[tokio::test]
async fn a_task_that_goes_on_is_not_erased() {
    let world = World::new();
    let node = world.start();
    for (n, state) in ["open", "assigned", "funding", "held", "submitted"].into_iter().enumerate() {
        let id = task(n as u64);
        node.task_at(id, &[20_000], state).await;
        assert_eq!(
            node.app.erase(id, asking(stranger(), id, &Action::Erase)).await,
            Err(AppError::NotEnded),
            "{state}"
        );
        assert_eq!(node.state_name(id).await, state);
    }
    let nobody = node.app.erase(task(99), asking(stranger(), task(99), &Action::Erase)).await;
    assert_eq!(nobody, Err(Rejection::NotFound.into()));
    world.check().await;
}

/// The payer's claim is still to be made: until then nothing may go.
#[tokio::test]
async fn a_payout_whose_claim_is_under_way_keeps_its_task() {
    let world = World::new();
    let node = world.start();
    let id = task(0);
    node.task_at(id, &[20_000], "releasing").await;
    assert_eq!(node.app.erase(id, asking(stranger(), id, &Action::Erase)).await, Err(AppError::NotEnded));
    node.settle().await;
    assert_eq!(node.state_name(id).await, "settled");
    assert!(node.app.erase(id, asking(stranger(), id, &Action::Erase)).await.unwrap().is_some());
}

/// Does `work` up to the first reading of a stream, then `meanwhile`, then the rest.
async fn between<T>(
    trouble: &crate::faults::Trouble,
    work: impl Future<Output = T>,
    meanwhile: impl AsyncFnOnce() -> u64,
) -> T {
    let brake = Arc::new(Semaphore::new(0));
    *trouble.reading.lock().unwrap() = Some(Arc::clone(&brake));
    let mut work = pin!(work);
    while trouble.reading.lock().unwrap().is_some() {
        let poll = std::future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context).is_pending())).await;
        assert!(poll, "it reads no stream");
        tokio::task::yield_now().await;
    }
    meanwhile().await;
    brake.add_permits(1);
    work.await
}

/// Whoever read a task before it was erased does not bring it back into memory afterwards.
#[tokio::test]
async fn what_was_read_before_it_was_erased_is_not_kept() {
    let world = World::new();
    let id = task(0);
    let first = world.start();
    first.task_at(id, &[20_000], "assigned").await;
    first.cancel(id, worker()).await.unwrap();
    let (journal, trouble) = Troubled::new(&world.store);
    let node = world.start_with(journal, Arc::new(world.rail.clone()));
    let erased = async || node.app.erase(id, asking(stranger(), id, &Action::Erase)).await.unwrap().expect("erased");
    between(&trouble, node.cancel(id, stranger()), erased).await.unwrap_err();
    assert_eq!(node.cancel(id, worker()).await, Err(AppError::Erased));
}

/// Nor into the read model: a row that is made again.
#[tokio::test]
async fn a_row_that_is_made_while_its_task_is_erased_does_not_stay() {
    let world = World::new();
    let first = world.start();
    for n in 0..2 {
        first.task_at(task(n), &[20_000], "assigned").await;
        first.cancel(task(n), worker()).await.unwrap();
    }
    let (journal, trouble) = Troubled::new(&world.store);
    let node = world.start_with(journal, Arc::new(world.rail.clone()));
    // The journal's own stream is read first.
    trouble.passing.store(1, Ordering::Release);
    let erased =
        async || first.app.erase(task(0), asking(stranger(), task(0), &Action::Erase)).await.unwrap().expect("erased");
    let made = between(&trouble, node.app.rebuild_tasks(&*world.store), erased).await;
    assert_eq!((made, node.app.task(task(0)).await), (Ok(1), Ok(None)));
    assert_eq!(node.state_name(task(1)).await, "cancelled");
}

/// A replica that has not heard of the erasure adds nothing to the task, and shows it no more.
#[tokio::test]
async fn an_erased_task_takes_no_more_facts() {
    let world = World::new();
    let (old, other) = (world.start(), world.start());
    let id = task(0);
    old.task_at(id, &[20_000], "refunding").await;
    old.settle().await;
    let hash = old.hashes(id).await[0];
    other.app.erase(id, asking(stranger(), id, &Action::Erase)).await.unwrap().expect("erased");
    let count = world.count().await;
    // What the rail did by itself is a fact also after the end, but not here.
    let paid = RailNotice::HoldClaimed { hash, amount: tallystick_core::Msat::ZERO };
    assert_eq!(old.app.hear(paid).await, Ok(Heard::Unknown));
    assert_eq!((world.count().await, old.app.task(id).await), (count, Ok(None)));
    assert_eq!(old.app.erase(id, asking(stranger(), id, &Action::Erase)).await, Ok(None));
    assert_eq!(world.count().await, count, "it is not erased twice");
}
