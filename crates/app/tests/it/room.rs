//! A disk that is almost full: nothing begins, and what has begun ends.

use std::{sync::Arc, time::Duration};
use tallystick_app::{
    AppError, Workers,
    port::{journal::StoreError, request::Action},
};
use tallystick_core::Coded;
use tallystick_escrow::UserCommand;
use tallystick_testkit::{
    asking,
    escrow::{requester, terms, worker},
};

use crate::{
    faults::Troubled,
    node::{Node, World, price, task},
};

#[tokio::test]
async fn without_room_nothing_begins() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[1_000], "open").await;
    node.task_at(task(1), &[1_000], "assigned").await;
    let before = world.count().await;
    node.app.set_room(false);
    let request = asking(requester(), task(2), &Action::Create(terms(&[1_000])));
    let refused = node.app.create(task(2), terms(&[1_000]), request.clone()).await;
    assert_eq!(refused, Err(AppError::Full));
    assert_eq!(AppError::Full.code().0, "app.full");
    assert_eq!(node.accept(task(0), worker(), node.invoices(&[1_000])).await, Err(AppError::Full));
    assert_eq!(node.ask(task(1), requester(), UserCommand::RequestFunding).await, Err(AppError::Full));
    assert_eq!(world.count().await, before);
    // What was refused was not remembered: the very request works later.
    node.app.set_room(true);
    assert!(node.app.create(task(2), terms(&[1_000]), request).await.unwrap().changed);
    world.check().await;
}

/// Nor on a damaged log, whatever room there is.
#[tokio::test]
async fn on_a_damaged_log_nothing_begins_and_what_has_begun_ends() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[20_000], "held").await;
    node.task_at(task(1), &[1_000], "open").await;
    assert!(node.app.is_sound());
    node.app.begin_nothing();
    node.app.set_room(true);
    assert!(!node.app.is_sound());
    let refused =
        node.app.create(task(2), terms(&[1_000]), asking(requester(), task(2), &Action::Create(terms(&[1_000])))).await;
    assert_eq!(refused, Err(AppError::Damaged));
    assert_eq!(AppError::Damaged.code().0, "app.damaged");
    assert_eq!(node.accept(task(1), worker(), node.invoices(&[1_000])).await, Err(AppError::Damaged));
    node.submit(task(0)).await.unwrap();
    node.approve(task(0)).await.unwrap();
    node.settle().await;
    assert_eq!(node.state_name(task(0)).await, "settled");
    assert_eq!(world.gains(), price(20_000));
    world.check().await;
}

#[tokio::test]
async fn without_room_what_has_begun_ends() {
    let world = World::new();
    let node = world.start();
    let (paid, rejected, stepped_back, open) = (task(0), task(1), task(2), task(3));
    node.task_at(paid, &[20_000], "held").await;
    node.task_at(rejected, &[1_000], "submitted").await;
    node.task_at(stepped_back, &[1_000], "held").await;
    node.task_at(open, &[1_000], "open").await;
    node.app.set_room(false);
    node.submit(paid).await.unwrap();
    node.approve(paid).await.unwrap();
    node.reject(rejected).await.unwrap();
    node.cancel(stepped_back, worker()).await.unwrap();
    node.cancel(open, requester()).await.unwrap();
    node.settle().await;
    assert_eq!(node.state_name(paid).await, "settled");
    assert_eq!(node.state_name(rejected).await, "refunded");
    assert_eq!(node.state_name(stepped_back).await, "refunded");
    assert_eq!(node.state_name(open).await, "cancelled");
    assert_eq!((world.gains(), world.rail.held_msat()), (price(20_000), 0));
    world.check().await;
}

/// While nobody can be asked what is to be done, nothing begins; what has begun goes on, and all is well again once they can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_outbox_stands_still_nothing_begins() {
    let world = World::new();
    let (journal, trouble) = Troubled::new(&world.store);
    let node = world.start_with(journal, Arc::new(world.rail.clone()));
    node.task_at(task(0), &[20_000], "submitted").await;
    node.task_at(task(1), &[20_000], "assigned").await;
    let workers = Workers::start(&node.app);
    let post = async |n| {
        let request = asking(requester(), task(n), &Action::Create(terms(&[1_000])));
        node.app.create(task(n), terms(&[1_000]), request).await
    };
    assert!(post(2).await.is_ok());
    *trouble.outbox_broken.lock().unwrap() = Some(StoreError::Unavailable("the disk is asleep".into()));
    node.approve(task(0)).await.unwrap();
    until(&node, |node| node.app.stands_still()).await;
    assert!(node.app.is_sound());
    assert_eq!(post(3).await.unwrap_err().code().0, "store.unavailable");
    *trouble.outbox_broken.lock().unwrap() = None;
    until(&node, |node| !node.app.stands_still()).await;
    assert!(post(3).await.is_ok());

    // Damage is told for good.
    *trouble.outbox_broken.lock().unwrap() = Some(StoreError::Corrupt("a row was eaten by mice".into()));
    node.ask(task(1), requester(), UserCommand::RequestFunding).await.unwrap();
    until(&node, |node| !node.app.is_sound()).await;
    *trouble.outbox_broken.lock().unwrap() = None;
    until(&node, |node| !node.app.stands_still()).await;
    assert_eq!(post(4).await, Err(AppError::Damaged));
    workers.stop().await;
    node.settle().await;
    assert_eq!(node.state_name(task(0)).await, "settled");
    world.check().await;
}

/// So does an effect whose task cannot be read: it is tried again and again, and somebody has to look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_effect_of_a_damaged_task_is_told() {
    let world = World::new();
    world.start().task_at(task(0), &[20_000], "releasing").await;
    // A process that begins here has read nothing yet.
    let (journal, trouble) = Troubled::new(&world.store);
    let node = world.start_with(journal, Arc::new(world.rail.clone()));
    *trouble.broken.lock().unwrap() = vec![format!("escrow/{}", task(0))];
    let workers = Workers::start(&node.app);
    until(&node, |node| !node.app.is_sound()).await;
    trouble.broken.lock().unwrap().clear();
    workers.stop().await;
}

/// Ten seconds at most.
async fn until(node: &Node, is: impl Fn(&Node) -> bool) {
    let wait = async {
        while !is(node) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.expect("it comes to that");
}
