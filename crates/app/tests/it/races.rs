//! Two requests at once, made to collide: both are decided on the same version before either is appended.

use std::sync::{Arc, atomic::Ordering};
use tallystick_app::{Answer, AppError};
use tallystick_core::{Coded, NostrKey};
use tallystick_escrow::UserCommand;
use tallystick_testkit::escrow::{self, approve, key, reject, requester, submit, worker};

use crate::{
    faults::{Trouble, Troubled},
    node::{Node, World, task},
};

fn start() -> (World, Node, Arc<Trouble>) {
    let world = World::new();
    let (journal, trouble) = Troubled::new(&world.store);
    let node = world.start_with(journal, Arc::new(world.rail.clone()));
    (world, node, trouble)
}

fn code(answer: &Result<Answer, AppError>) -> &'static str {
    match answer {
        Ok(Answer { changed: true, .. }) => "won",
        Ok(Answer { changed: false, .. }) => "already",
        Err(error) => error.code().0,
    }
}

/// Both at once in this state; answers who got what.
async fn collide(state: &str, first: (NostrKey, UserCommand), second: (NostrKey, UserCommand)) -> [&'static str; 2] {
    let (world, node, trouble) = start();
    node.task_at(task(0), &[20_000], state).await;
    trouble.meet(2);
    let (one, other) = tokio::join!(node.ask(task(0), first.0, first.1), node.ask(task(0), second.0, second.1));
    node.settle().await;
    world.check().await;
    [code(&one), code(&other)]
}

#[track_caller]
fn one_of(answers: [&'static str; 2], first_wins: &'static str, second_wins: &'static str) {
    assert!(
        answers == ["won", first_wins] || answers == [second_wins, "won"],
        "{answers:?}: one wins, the other is told {first_wins} or {second_wins}"
    );
}

#[tokio::test]
async fn two_workers_accept_at_once() {
    let (world, node, trouble) = start();
    node.create(task(0), escrow::terms(&[20_000])).await.unwrap();
    trouble.meet(2);
    let (one, other) = tokio::join!(
        node.accept(task(0), worker(), node.invoices(&[20_000])),
        node.accept(task(0), key(7), node.invoices(&[20_000])),
    );
    one_of([code(&one), code(&other)], "escrow.already_assigned", "escrow.already_assigned");
    let winner = if one.is_ok() { worker() } else { key(7) };
    assert_eq!(node.view(task(0)).await.worker, Some(winner));
    world.check().await;
}

#[tokio::test]
async fn one_invoice_for_two_tasks_at_once() {
    let (world, node, trouble) = start();
    for n in [0, 1] {
        node.create(task(n), escrow::terms(&[20_000])).await.unwrap();
    }
    let invoice = node.invoices(&[20_000]);
    trouble.meet(2);
    let (one, other) =
        tokio::join!(node.accept(task(0), worker(), invoice.clone()), node.accept(task(1), worker(), invoice.clone()),);
    one_of([code(&one), code(&other)], "invoice.hash_reused", "invoice.hash_reused");
    world.check().await;
}

#[tokio::test]
async fn approval_meets_the_workers_withdrawal() {
    let answers = collide("submitted", (requester(), approve()), (worker(), UserCommand::CancelTask)).await;
    one_of(answers, "escrow.not_cancellable", "escrow.not_submitted");
}

#[tokio::test]
async fn approval_meets_rejection() {
    let answers = collide("submitted", (requester(), approve()), (requester(), reject())).await;
    one_of(answers, "escrow.not_submitted", "escrow.not_submitted");
}

#[tokio::test]
async fn work_meets_the_requesters_withdrawal() {
    let answers = collide("held", (worker(), submit()), (requester(), UserCommand::CancelTask)).await;
    one_of(answers, "escrow.not_cancellable", "escrow.not_held");
}

#[tokio::test]
async fn acceptance_meets_withdrawal() {
    let (world, node, trouble) = start();
    node.create(task(0), escrow::terms(&[20_000])).await.unwrap();
    trouble.meet(2);
    let (one, other) =
        tokio::join!(node.accept(task(0), worker(), node.invoices(&[20_000])), node.cancel(task(0), requester()),);
    // A task that was just taken can still be cancelled: then both worked, one after the other.
    let answers = [code(&one), code(&other)];
    assert!(answers == ["won", "won"] || answers == ["escrow.ended", "won"], "{answers:?}");
    assert_eq!(node.state_name(task(0)).await, "cancelled");
    world.check().await;
}

#[tokio::test]
async fn the_same_request_twice_at_once_has_one_effect() {
    let answers = collide("submitted", (requester(), approve()), (requester(), approve())).await;
    one_of(answers, "already", "already");
}

#[tokio::test]
async fn withdrawal_meets_the_payers_money() {
    let (world, node, trouble) = start();
    node.task_at(task(0), &[20_000], "funding").await;
    let invoice = node.view(task(0)).await.milestones[0].tranches[0].funding_invoice.clone().unwrap();
    assert!(world.rail.pay_hold(crate::node::PAYER, &invoice));
    trouble.meet(2);
    let (cancelled, heard) = tokio::join!(node.cancel(task(0), requester()), node.deliver());
    assert_eq!((code(&cancelled), heard), ("won", 1));
    node.settle().await;
    // Cancelled before the money came: the rail gives it back. After: the node does.
    let state = node.state_name(task(0)).await;
    assert!(state == "cancelled" || state == "refunded", "{state}");
    assert_eq!((world.gains(), world.rail.held_msat()), ((0, 0, 0), 0));
    world.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_workers_accept_at_once() {
    let (world, node, _) = start();
    node.create(task(0), escrow::terms(&[20_000])).await.unwrap();
    let node = Arc::new(node);
    let mut jobs = tokio::task::JoinSet::new();
    for n in 10..60 {
        let (node, invoices) = (Arc::clone(&node), node.invoices(&[20_000]));
        jobs.spawn(async move { code(&node.accept(task(0), key(n), invoices).await) });
    }
    let answers = jobs.join_all().await;
    assert_eq!(answers.iter().filter(|answer| **answer == "won").count(), 1);
    assert_eq!(answers.iter().filter(|answer| **answer == "escrow.already_assigned").count(), 49);
    world.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_does_everything_at_once() {
    let (world, node, _) = start();
    for n in 0..6 {
        node.task_at(task(n), &[1_000, 2_000], "submitted").await;
    }
    let node = Arc::new(node);
    let mut jobs = tokio::task::JoinSet::new();
    for n in 0..6 {
        for command in [approve(), reject(), UserCommand::CancelTask, submit()] {
            for author in [requester(), worker()] {
                let (node, command) = (Arc::clone(&node), command.clone());
                jobs.spawn(async move { drop(node.ask(task(n), author, command).await) });
            }
        }
        let turner = Arc::clone(&node);
        jobs.spawn(async move {
            turner.turn().await;
        });
    }
    jobs.join_all().await;
    node.settle().await;
    let (mut paid, mut back) = (0, 0);
    for n in 0..6 {
        match node.state_name(task(n)).await.as_str() {
            "settled" => paid += 1,
            "refunded" => back += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(paid + back, 6);
    assert_eq!(world.gains(), (-3_030_000 * paid, 3_000_000 * paid, 30_000 * paid));
    world.check().await;
}

#[tokio::test]
async fn a_conflict_is_decided_anew() {
    let (_, node, trouble) = start();
    node.create(task(0), escrow::terms(&[20_000])).await.unwrap();
    trouble.conflicts.store(63, Ordering::Release);
    assert_eq!(code(&node.cancel(task(0), requester()).await), "won");
}

#[tokio::test]
async fn conflicts_without_end_are_given_up() {
    let (world, node, trouble) = start();
    node.create(task(0), escrow::terms(&[20_000])).await.unwrap();
    trouble.conflicts.store(1_000, Ordering::Release);
    assert_eq!(code(&node.cancel(task(0), requester()).await), "app.busy");
    trouble.conflicts.store(0, Ordering::Release);
    assert_eq!(node.state_name(task(0)).await, "open");
    assert_eq!(code(&node.cancel(task(0), requester()).await), "won");
    world.check().await;
}
