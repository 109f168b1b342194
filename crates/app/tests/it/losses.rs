//! Holds that go without having been asked to, at each point of a task's life.

use tallystick_core::Duration;
use tallystick_escrow::PayFailure;
use tallystick_testkit::rail::Presence;

use crate::node::{Node, PAYEE, PAYER, World, price, task};

async fn lose(node: &Node, tranche: usize) -> bool {
    let hash = node.hashes(task(0)).await[tranche];
    node.world.rail.lose_hold(hash)
}

#[tokio::test]
async fn while_the_task_is_being_funded() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[1_000, 2_000], "funding").await;
    let first = node.view(task(0)).await.milestones[0].tranches[0].funding_invoice.clone().unwrap();
    assert!(world.rail.pay_hold(PAYER, &first));
    node.deliver().await;
    assert!(lose(&node, 0).await);
    node.deliver().await;
    assert_eq!(node.view(task(0)).await.milestones[0].tranches[0].state, "unfunded");
    // The same invoice can be paid once more.
    node.pay_holds(task(0)).await;
    assert_eq!(node.state_name(task(0)).await, "held");
    world.check().await;
}

#[tokio::test]
async fn before_the_work_the_rest_goes_back() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[1_000, 2_000], "held").await;
    assert!(lose(&node, 1).await);
    node.settle().await;
    let view = node.view(task(0)).await;
    assert_eq!((view.state.as_str(), view.reason.as_deref()), ("refunded", Some("hold_lost")));
    assert_eq!((world.gains(), world.rail.held_msat()), ((0, 0, 0), 0));
    world.check().await;
}

#[tokio::test]
async fn after_the_work_the_rest_is_decided_on() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[1_000, 2_000], "submitted").await;
    assert!(lose(&node, 1).await);
    node.settle().await;
    assert_eq!(node.state_name(task(0)).await, "submitted");
    node.approve(task(0)).await.unwrap();
    node.settle().await;
    let view = node.view(task(0)).await;
    assert_eq!((view.state.as_str(), view.reason.as_deref()), ("settled", Some("approved")));
    assert_eq!(world.rail.held_msat(), 0);
    world.check().await;
}

#[tokio::test]
async fn before_a_payout_that_nobody_was_told_about_the_rail_begins_none() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[20_000], "releasing").await;
    let hash = node.hashes(task(0)).await[0];
    assert!(lose(&node, 0).await);
    // The notice waits while the payout is asked for.
    node.outbox.run_once().await.unwrap();
    assert_eq!(world.rail.payouts(hash), (1, 0), "refused, for good");
    node.settle().await;
    assert_eq!(node.state_name(task(0)).await, "refunded");
    assert_eq!((world.gains(), world.rail.held_msat()), ((0, 0, 0), 0));
    world.check().await;
}

#[tokio::test]
async fn under_a_payout_that_arrives_the_platform_bears_it() {
    let world = World::new();
    let node = world.start();
    world.rail.set_presence(PAYEE, Presence::Stalling);
    node.task_at(task(0), &[20_000], "releasing").await;
    node.turn().await;
    assert!(lose(&node, 0).await);
    node.turn().await;
    world.rail.set_presence(PAYEE, Presence::Online);
    node.settle().await;
    let view = node.view(task(0)).await;
    assert_eq!((view.state.as_str(), view.milestones[0].tranches[0].state.as_str()), ("settled", "uncovered"));
    assert_eq!(world.gains(), (0, 20_000_000, -20_000_000));
    world.check().await;
}

#[tokio::test]
async fn under_a_payout_that_fails_nobody_bears_anything() {
    let world = World::new();
    let node = world.start();
    world.rail.set_presence(PAYEE, Presence::Stalling);
    node.task_at(task(0), &[20_000], "releasing").await;
    node.turn().await;
    assert!(lose(&node, 0).await);
    node.turn().await;
    world.rail.set_presence(PAYEE, Presence::Offline);
    node.settle().await;
    assert_eq!(node.state_name(task(0)).await, "refunded");
    assert_eq!(world.gains(), (0, 0, 0));
    world.check().await;
}

#[tokio::test]
async fn between_two_attempts_no_other_one_begins() {
    let world = World::new();
    let node = world.start();
    world.rail.fail_payouts(&[PayFailure::NoRoute]);
    node.task_at(task(0), &[20_000], "releasing").await;
    node.turn().await;
    let hash = node.hashes(task(0)).await[0];
    assert_eq!(world.rail.payouts(hash), (1, 0));
    // The second attempt waits for its time; meanwhile the money goes.
    assert!(lose(&node, 0).await);
    node.deliver().await;
    node.later(Duration::from_secs(60));
    node.settle().await;
    assert_eq!(node.state_name(task(0)).await, "refunded");
    assert_eq!(world.rail.payouts(hash).1, 0, "a payout began though its money was gone");
    assert_eq!(world.gains(), (0, 0, 0));
    world.check().await;
}

#[tokio::test]
async fn before_its_claim_the_outbox_does_not_ask_for_ever() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[20_000], "releasing").await;
    node.outbox.run_once().await.unwrap();
    world.rail.step();
    let hash = node.hashes(task(0)).await[0];
    node.deliver().await;
    assert_eq!(node.view(task(0)).await.milestones[0].tranches[0].state, "paid");
    assert!(node.next_effect_due().await.is_some(), "the claim is to be made");
    // The rail says that the hold is gone. (In this world the claim goes through in the end: the rail was wrong.)
    let lost = tallystick_app::port::rail::RailNotice::HoldLost { hash };
    assert!(world.rail.tell(&node.app, lost).await);
    assert_eq!(node.view(task(0)).await.milestones[0].tranches[0].state, "uncovered");
    assert_eq!(node.next_effect_due().await, None, "nothing is left to be claimed");
    world.rail.step();
    node.settle().await;
    assert_eq!(node.state_name(task(0)).await, "settled");
    world.check().await;
}

#[tokio::test]
async fn on_its_way_back_it_is_back() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[1_000, 2_000], "refunding").await;
    assert!(lose(&node, 0).await);
    node.deliver().await;
    node.settle().await;
    assert_eq!(node.state_name(task(0)).await, "refunded");
    assert_eq!((world.gains(), world.rail.held_msat()), ((0, 0, 0), 0));
    world.check().await;
}

#[tokio::test]
async fn of_one_tranche_the_others_are_paid_out() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[1_000, 2_000], "releasing").await;
    assert!(lose(&node, 1).await);
    node.deliver().await;
    node.settle().await;
    let view = node.view(task(0)).await;
    let states: Vec<&str> = view.tranches().map(|part| part.state.as_str()).collect();
    assert_eq!((view.state.as_str(), states.as_slice()), ("settled", ["claimed", "returned"].as_slice()));
    assert_eq!(world.gains(), price(1_000));
    world.check().await;
}

#[tokio::test]
async fn after_the_end_there_is_nothing_to_lose() {
    for state in ["releasing", "refunding"] {
        let world = World::new();
        let node = world.start();
        node.task_at(task(0), &[1_000], state).await;
        node.settle().await;
        assert!(!lose(&node, 0).await);
        let facts = world.count().await;
        let hash = node.hashes(task(0)).await[0];
        assert!(world.rail.tell(&node.app, tallystick_app::port::rail::RailNotice::HoldLost { hash }).await);
        assert_eq!(world.count().await, facts);
    }
}
