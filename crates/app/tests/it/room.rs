//! A disk that is almost full: nothing begins, and what has begun ends.

use tallystick_app::{AppError, port::request::Action};
use tallystick_core::Coded;
use tallystick_escrow::UserCommand;
use tallystick_testkit::{
    asking,
    escrow::{requester, terms, worker},
};

use crate::node::{World, price, task};

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
