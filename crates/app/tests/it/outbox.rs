//! The outbox: pauses, repetitions, and one try at a time.

use std::sync::{Arc, atomic::Ordering};
use tallystick_app::{Clock, Workers, port::journal::Journal};
use tallystick_core::{Duration, Timestamp};
use tallystick_testkit::{escrow::NOW, rail::Presence};

use crate::{
    faults::{MoodyRail, Troubled},
    node::{Node, PAYEE, World, task},
};

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
    assert_eq!(node.view(task(0)).await.milestones[0].tranches[0].state, "paid");
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
    let app = world.app(Arc::clone(&world.store) as _);
    let outbox = tallystick_app::outbox::Outbox::new(app.clone());
    outbox.run_once().await.unwrap();
    assert_eq!(attempts(&node).await, [1]);
    let rail = Arc::new(world.rail.clone());
    app.connect(Arc::clone(&rail) as _, rail as _);
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
        assert_eq!(node.view(task(0)).await.milestones[0].tranches[0].attempts, u32::try_from(attempt).unwrap() + 1);
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
        assert!(node.view(task(n)).await.milestones[0].tranches[0].funding_invoice.is_some());
    }
}

/// A node whose next effect gives a hold back, on a journal and a rail that can be troubled.
async fn refunding(world: &World) -> (Node, Arc<crate::faults::Trouble>, Arc<MoodyRail>) {
    let (journal, trouble) = Troubled::new(&world.store);
    let rail = Arc::new(MoodyRail::new(world.rail.clone()));
    let node = world.start_with(journal, Arc::clone(&rail) as _);
    node.task_at(task(0), &[20_000], "refunding").await;
    (node, trouble, rail)
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_takes_nothing_does_not_make_the_outbox_spin() {
    for panics in [false, true] {
        let world = World::new();
        let (node, trouble, rail) = refunding(&world).await;
        trouble.refused.store(u32::MAX, Ordering::Release);
        trouble.undeferrable.store(true, Ordering::Release);
        rail.panics.store(panics, Ordering::Release);
        let workers = Workers::start(&node.app);
        // At least 10 calls in 20 seconds, and at most 21.
        let begun = tokio::time::Instant::now();
        rail.asked(10).await;
        assert!(begun.elapsed() <= std::time::Duration::from_secs(20));
        rail.asked(22).await;
        assert!(begun.elapsed() > std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
        // A stop does not wait for the pause.
        let before = tokio::time::Instant::now();
        workers.stop().await;
        assert!(before.elapsed() < std::time::Duration::from_millis(500));
        // And once the journal writes again, the effect comes to its end.
        trouble.refused.store(0, Ordering::Release);
        trouble.undeferrable.store(false, Ordering::Release);
        rail.panics.store(false, Ordering::Release);
        let workers = Workers::start(&node.app);
        node.until(task(0), "refunded").await;
        workers.stop().await;
        world.check().await;
    }
}

#[tokio::test]
async fn a_panic_is_a_try_that_failed() {
    let world = World::new();
    let (node, _, rail) = refunding(&world).await;
    rail.panics.store(true, Ordering::Release);
    node.outbox.run_once().await.unwrap();
    assert_eq!((attempts(&node).await, node.next_effect_due().await.map(since_start)), (vec![1], Some(250)));
    node.outbox.run_once().await.unwrap();
    assert_eq!((attempts(&node).await, *rail.calls.borrow()), (vec![1], 1));
    rail.panics.store(false, Ordering::Release);
    node.settle().await;
    assert_eq!(node.state_name(task(0)).await, "refunded");
}

#[tokio::test]
async fn a_clock_that_jumps_back_delays_nothing() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[20_000], "refunding").await;
    world.rail.set_available(false);
    node.later(Duration::from_secs(86_400));
    node.outbox.run_once().await.unwrap();
    world.rail.set_available(true);
    world.clock.set(NOW);
    node.outbox.run_once().await.unwrap();
    assert_eq!(node.state_name(task(0)).await, "refunded");
    world.check().await;
}
