//! What the node keeps in memory is never more than a shortcut.

use std::sync::{Arc, atomic::Ordering};
use tallystick_escrow::Rejection;
use tallystick_testkit::escrow::{requester, stranger, terms, worker};

use crate::{
    faults::Troubled,
    node::{World, task},
};

#[tokio::test]
async fn a_task_that_fell_out_of_memory_is_read_again() {
    let world = World::new();
    let (journal, trouble) = Troubled::new(&world.store);
    let node = world.start_with(journal, Arc::new(world.rail.clone()));
    let read = || trouble.facts_read.load(Ordering::Acquire);
    node.create(task(0), terms(&[20_000])).await.unwrap();
    node.accept(task(0), worker(), node.invoices(&[20_000])).await.unwrap();
    assert_eq!(read(), 0, "the facts of a task in memory need not be read");
    assert_eq!(node.cancel(task(0), stranger()).await, Err(Rejection::NotParty.into()));
    assert_eq!(read(), 0, "nor for a refusal");
    // More than fit in memory.
    for n in 1..=1_000 {
        node.create(task(n), terms(&[1])).await.unwrap();
    }
    assert_eq!(read(), 0);
    assert!(node.cancel(task(0), worker()).await.unwrap().changed);
    assert_eq!(read(), 2);
    assert_eq!(node.state_name(task(0)).await, "cancelled");
}

#[tokio::test]
async fn only_what_others_added_is_read() {
    let world = World::new();
    let (journal, trouble) = Troubled::new(&world.store);
    let (one, other) = (world.start_with(journal, Arc::new(world.rail.clone())), world.start());
    one.create(task(0), terms(&[20_000])).await.unwrap();
    other.accept(task(0), worker(), other.invoices(&[20_000])).await.unwrap();
    assert!(one.cancel(task(0), worker()).await.unwrap().changed);
    assert_eq!(trouble.facts_read.load(Ordering::Acquire), 1);
}

#[tokio::test]
async fn nothing_is_refused_on_what_memory_alone_says() {
    let world = World::new();
    let (one, other) = (world.start(), world.start());
    one.task_at(task(0), &[20_000], "held").await;
    // The other one moves on; what the first keeps in memory is old.
    other.submit(task(0)).await.unwrap();
    assert!(one.approve(task(0)).await.unwrap().changed);
    // And the other way round.
    assert_eq!(other.reject(task(0)).await, Err(Rejection::NotSubmitted { state: "releasing" }.into()));
    one.settle().await;
    let late = other.cancel(task(0), requester()).await;
    assert_eq!(late, Err(Rejection::NotCancellable { state: "settled" }.into()));
    world.check().await;
}

#[tokio::test]
async fn an_outcome_is_not_lost_to_an_old_memory() {
    let world = World::new();
    let (old, new) = (world.start(), world.start());
    old.task_at(task(0), &[20_000], "submitted").await;
    new.approve(task(0)).await.unwrap();
    new.outbox.run_once().await.unwrap();
    world.rail.step();
    // The one that still thinks the work waits for a decision hears that it was paid.
    old.deliver().await;
    old.settle().await;
    assert_eq!(old.state_name(task(0)).await, "settled");
    world.check().await;
}

#[tokio::test]
async fn what_does_not_exist_is_not_remembered() {
    let world = World::new();
    let (one, other) = (world.start(), world.start());
    assert_eq!(one.cancel(task(0), stranger()).await, Err(Rejection::NotFound.into()));
    other.create(task(0), terms(&[1])).await.unwrap();
    assert!(one.cancel(task(0), requester()).await.unwrap().changed);
}
