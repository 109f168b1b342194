//! The workers as a node runs them: nobody turns the crank.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tallystick_app::{TaskUpdate, Workers, port::request::Action};
use tallystick_testkit::{asking, escrow::requester, rail::Presence};
use tokio::sync::broadcast::Receiver;

use crate::{
    faults::Troubled,
    node::{Node, PAYEE, World, price, task},
};

/// Waits for a task to come to a state, ten seconds at most.
async fn until(updates: &mut Receiver<TaskUpdate>, state: &str) {
    let wait = async { while updates.recv().await.unwrap().view.state != state {} };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap_or_else(|_| panic!("never {state}"));
}

async fn fund(node: &Node) {
    node.app.request_funding(task(0), asking(requester(), task(0), &Action::Fund)).await.unwrap();
    for part in node.view(task(0)).await.tranches().cloned() {
        assert!(node.world.rail.pay_hold(crate::node::PAYER, &part.funding_invoice.unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_goes_its_way_by_itself() {
    let world = World::new();
    let node = world.start();
    let workers = Workers::start(&node.app);
    let network = world.rail.run(Arc::new(node.app.clone()));
    let mut updates = node.app.updates();
    node.task_at(task(0), &[20_000], "assigned").await;
    fund(&node).await;
    until(&mut updates, "held").await;
    node.submit(task(0)).await.unwrap();
    node.approve(task(0)).await.unwrap();
    until(&mut updates, "settled").await;
    assert_eq!(world.gains(), price(20_000));
    workers.stop().await;
    network.abort();
    world.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_alone_give_a_forgotten_hold_back() {
    let world = World::new();
    let node = world.start();
    let workers = Workers::start(&node.app);
    let network = world.rail.run(Arc::new(node.app.clone()));
    let mut updates = node.app.updates();
    node.task_at(task(0), &[20_000], "assigned").await;
    fund(&node).await;
    until(&mut updates, "held").await;
    world.rail.mine(196);
    until(&mut updates, "refunded").await;
    assert_eq!(world.gains(), (0, 0, 0));
    workers.stop().await;
    network.abort();
    world.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_workers_leave_the_rest_to_the_next() {
    let world = World::new();
    let node = world.start();
    world.rail.set_presence(PAYEE, Presence::Stalling);
    node.task_at(task(0), &[20_000], "submitted").await;
    let workers = Workers::start(&node.app);
    node.approve(task(0)).await.unwrap();
    workers.stop().await;
    drop(node);
    let node = world.start();
    let workers = Workers::start(&node.app);
    let network = world.rail.run(Arc::new(node.app.clone()));
    let mut updates = node.app.updates();
    world.rail.set_presence(PAYEE, Presence::Online);
    until(&mut updates, "settled").await;
    workers.stop().await;
    network.abort();
    assert_eq!(world.gains(), price(20_000));
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_ends_by_itself_is_told_of() {
    let world = World::new();
    let (journal, trouble) = Troubled::new(&world.store);
    let node = world.start_with(journal, Arc::new(world.rail.clone()));
    let limit = Duration::from_secs(60);
    let workers = Workers::start(&node.app);
    assert!(tokio::time::timeout(limit, workers.failed()).await.is_err(), "all is well");
    trouble.outbox_cursed.store(true, Ordering::Release);
    // The outbox looks again by itself within a minute.
    tokio::time::timeout(2 * limit, workers.failed()).await.expect("the outbox has panicked");
    workers.stop().await;
}
