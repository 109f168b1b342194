//! The outbox: pauses, repetitions, and one try at a time.

use tallystick_app::{Clock, port::journal::Journal};
use tallystick_core::{Duration, Timestamp};
use tallystick_testkit::{escrow::NOW, rail::Presence};

use crate::node::{Node, PAYEE, World, task};

fn since_start(time: Timestamp) -> u64 {
    NOW.until(time).as_millis()
}

async fn attempts(node: &Node) -> Vec<u32> {
    let far = NOW.after(Duration::from_secs(1_000_000));
    node.world.store.due_effects(far, 100).await.unwrap().iter().map(|effect| effect.attempts).collect()
}

#[tokio::test]
async fn pauses_grow_while_the_rail_cannot_and_end_when_it_can() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[20_000], "refunding").await;
    world.rail.set_available(false);
    let mut due = 0;
    for pause in [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
        node.outbox.run_once().await.unwrap();
        let next = since_start(node.next_effect_due().await.unwrap());
        assert_eq!(next - due, pause);
        // Before its time it is not tried.
        let tried = attempts(&node).await;
        node.outbox.run_once().await.unwrap();
        assert_eq!(attempts(&node).await, tried);
        due = next;
        world.clock.set(NOW.after(Duration::from_millis(due)));
    }
    world.rail.set_available(true);
    node.outbox.run_once().await.unwrap();
    assert_eq!((node.next_effect_due().await, node.state_name(task(0)).await.as_str()), (None, "refunded"));
    world.check().await;
}

#[tokio::test]
async fn a_payment_under_way_is_asked_after_and_not_made_again() {
    let world = World::new();
    let node = world.start();
    world.rail.set_presence(PAYEE, Presence::Stalling);
    node.task_at(task(0), &[20_000], "releasing").await;
    let hash = node.hashes(task(0)).await[0];
    for asked in 1..=4 {
        node.outbox.run_once().await.unwrap();
        assert_eq!(world.rail.payouts(hash), (1, 0));
        assert_eq!(attempts(&node).await, [asked]);
        assert_eq!(since_start(node.next_effect_due().await.unwrap()), u64::from(asked) * 30_000);
        node.later(Duration::from_secs(30));
    }
    // It arrives, but the notice is lost with the process: asking is enough.
    world.rail.set_presence(PAYEE, Presence::Online);
    world.rail.step();
    let node = world.start();
    node.outbox.run_once().await.unwrap();
    assert_eq!(node.view(task(0)).await.tranches[0].state, "paid");
    node.settle().await;
    assert_eq!(world.rail.payouts(hash), (1, 1));
    world.check().await;
}

#[tokio::test]
async fn an_outbox_that_runs_twice_at_once_tries_once() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[1_000, 2_000, 3_000], "releasing").await;
    let outboxes = (node.outbox.clone(), node.outbox.clone(), node.outbox.clone());
    let (one, two, three) = tokio::join!(outboxes.0.run_once(), outboxes.1.run_once(), outboxes.2.run_once());
    assert_eq!((one, two, three), (Ok(()), Ok(()), Ok(())));
    for hash in node.hashes(task(0)).await {
        assert_eq!(world.rail.payouts(hash), (1, 0));
    }
    assert_eq!(attempts(&node).await, [1, 1, 1]);
    node.settle().await;
    world.check().await;
}

#[tokio::test]
async fn two_nodes_on_one_journal_pay_once() {
    // Not a way to run them; but if somebody does, the payout's id still makes it one payment.
    let world = World::new();
    let (one, other) = (world.start(), world.start());
    one.task_at(task(0), &[20_000], "releasing").await;
    let (first, second) = tokio::join!(one.outbox.run_once(), other.outbox.run_once());
    assert_eq!((first, second), (Ok(()), Ok(())));
    one.settle().await;
    other.settle().await;
    assert_eq!(world.rail.payouts(one.hashes(task(0)).await[0]), (1, 1));
    world.check().await;
}

#[tokio::test]
async fn nothing_is_tried_before_the_rail_is_there() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[20_000], "refunding").await;
    let app = world.app(std::sync::Arc::clone(&world.store) as _);
    let outbox = tallystick_app::outbox::Outbox::new(app.clone());
    outbox.run_once().await.unwrap();
    assert_eq!(attempts(&node).await, [1]);
    let rail = std::sync::Arc::new(world.rail.clone());
    app.connect(std::sync::Arc::clone(&rail) as _, rail as _);
    world.clock.set(node.next_effect_due().await.unwrap());
    outbox.run_once().await.unwrap();
    assert_eq!(node.state_name(task(0)).await, "refunded");
}

#[tokio::test]
async fn a_payout_waits_for_its_time() {
    let world = World::new();
    let node = world.start();
    world.rail.set_presence(PAYEE, Presence::Offline);
    node.task_at(task(0), &[20_000], "releasing").await;
    let hash = node.hashes(task(0)).await[0];
    for (attempt, pause) in (1..).zip([1, 2, 4, 8]) {
        node.turn().await;
        assert_eq!(world.rail.payouts(hash), (attempt, 0));
        assert_eq!(node.view(task(0)).await.tranches[0].attempts, u32::try_from(attempt).unwrap() + 1);
        let next = node.next_effect_due().await.unwrap();
        assert_eq!(world.clock.now().until(next), Duration::from_secs(pause));
        node.later(Duration::from_millis(pause * 1_000 - 1));
        node.turn().await;
        assert_eq!(world.rail.payouts(hash), (attempt, 0));
        node.later(Duration::from_millis(1));
    }
    world.rail.set_presence(PAYEE, Presence::Online);
    node.settle().await;
    assert_eq!(world.rail.payouts(hash), (5, 1));
    world.check().await;
}

#[tokio::test]
async fn many_effects_at_once_are_all_done() {
    let world = World::new();
    let node = world.start();
    // More than run at once.
    for n in 0..300 {
        node.task_at(task(n), &[100], "assigned").await;
        let fund = tallystick_escrow::UserCommand::RequestFunding;
        node.ask(task(n), tallystick_testkit::escrow::requester(), fund).await.unwrap();
    }
    for _ in 0..2 {
        node.outbox.run_once().await.unwrap();
    }
    assert_eq!(node.next_effect_due().await, None);
    for n in 0..300 {
        assert!(node.view(task(n)).await.tranches[0].funding_invoice.is_some());
    }
}
