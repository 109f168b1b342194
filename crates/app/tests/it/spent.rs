//! Where journal and rail disagree, because one of them was restored from an older copy: the rail's word becomes a
//! fact, every effect ends, and every msat is told.

use tallystick_escrow::UserCommand;
use tallystick_testkit::{
    escrow::requester,
    rail::{Presence, SimRail},
};

use crate::node::{Node, PAYEE, World, price, task};

/// The node paid the first tranche in a past that its journal has forgotten.
async fn pay_forgotten(node: &Node, rail: &SimRail) {
    let invoice = node.view(task(0)).await.milestones[0].tranches[0].payout_invoice.clone().unwrap();
    assert!(rail.pay_forgotten(&invoice));
}

async fn check_spent(node: &Node) {
    let view = node.view(task(0)).await;
    assert_eq!((view.state.as_str(), view.reason.as_deref()), ("settled", Some("hold_spent")));
    assert_eq!(view.milestones[0].tranches[0].state, "spent");
    assert_eq!(node.next_effect_due().await, None, "something is left to do");
    let told = node.world.facts().await;
    assert_eq!(told.iter().filter(|fact| fact.kind == "escrow.hold_spent").count(), 1);
}

#[tokio::test]
async fn a_payout_that_is_heard_of_before_a_decision_is_a_fact() {
    for state in ["held", "submitted"] {
        let world = World::new();
        let node = world.start();
        node.task_at(task(0), &[1_000, 2_000], state).await;
        pay_forgotten(&node, &world.rail).await;
        node.settle().await;
        check_spent(&node).await;
        assert_eq!(node.view(task(0)).await.milestones[0].tranches[1].state, "returned");
        assert_eq!((world.gains(), world.rail.held_msat()), (price(1_000), 0));
        world.check().await;
    }
}

#[tokio::test]
async fn a_hold_to_be_given_back_that_was_spent_is_a_fact() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[20_000], "refunding").await;
    pay_forgotten(&node, &world.rail).await;
    // The rail answers before its notice is heard.
    node.outbox.run_once().await.unwrap();
    check_spent(&node).await;
    node.settle().await;
    check_spent(&node).await;
    assert_eq!((world.gains(), world.rail.held_msat()), (price(20_000), 0));
    world.check().await;
}

#[tokio::test]
async fn a_payout_that_is_heard_of_after_the_end_is_a_fact() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[20_000], "refunding").await;
    node.settle().await;
    assert_eq!(node.state_name(task(0)).await, "refunded");
    pay_forgotten(&node, &world.rail).await;
    node.settle().await;
    check_spent(&node).await;
    // The payer had the money back: the journal tells at least that the worker has it as well.
    assert_eq!(world.gains(), (0, 20_000_000, -20_000_000));
    world.check().await;
}

#[tokio::test]
async fn a_claim_without_its_preimage_is_given_up() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[20_000], "releasing").await;
    node.outbox.run_once().await.unwrap();
    world.rail.step();
    let hash = node.hashes(task(0)).await[0];
    node.deliver().await;
    assert_eq!(node.view(task(0)).await.milestones[0].tranches[0].state, "paid");
    world.rail.forget_preimage(hash);
    node.outbox.run_once().await.unwrap();
    let view = node.view(task(0)).await;
    assert_eq!((view.state.as_str(), view.milestones[0].tranches[0].state.as_str()), ("settled", "uncovered"));
    assert_eq!(node.next_effect_due().await, None, "the claim is asked for again");
    world.rail.mine(600);
    node.settle().await;
    assert_eq!((world.gains(), world.rail.held_msat()), ((0, 20_000_000, -20_000_000), 0));
    world.check().await;
}

#[tokio::test]
async fn a_hold_invoice_that_is_refused_ends_the_funding() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[1_000, 2_000], "assigned").await;
    world.rail.refuse_hold_invoices(true);
    node.ask(task(0), requester(), UserCommand::RequestFunding).await.unwrap();
    node.outbox.run_once().await.unwrap();
    assert_eq!(node.state_name(task(0)).await, "expired");
    assert_eq!(node.next_effect_due().await, None, "a refused invoice is asked for again");
    world.check().await;
}

#[tokio::test]
async fn a_payee_that_refuses_gets_no_payout_in_the_end() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[20_000], "releasing").await;
    let hash = node.hashes(task(0)).await[0];
    world.rail.set_presence(PAYEE, Presence::Online);
    world.rail.fail_payouts(&[tallystick_escrow::PayFailure::Refused; 30]);
    node.settle().await;
    assert_eq!(node.state_name(task(0)).await, "refunded");
    assert_eq!(world.rail.payouts(hash), (20, 0));
    world.check().await;
}
