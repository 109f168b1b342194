//! Erasing a task.

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
    escrow::{stranger, terms},
};

use crate::node::{World, task};

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
    assert_eq!((after.len(), seq), (before.len() + 1, before.len() as u64 + 1));
    for (old, new) in before.iter().zip(&after) {
        assert_eq!((new.entry(), new.body.content()), (old.entry(), None));
        assert_eq!(world.store.authority(new.authority).await.unwrap(), None);
    }
    let told = &after[before.len()];
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
