//! Bonds on the one road, and when this node was away.

use std::sync::{Arc, atomic::Ordering};
use tallystick_app::{
    away::{APART, AWAY, AWAY_MIN, Gaps, LastThere, STEADY_MAX},
    port::{journal::Journal, rail::InvoiceReader, request::Action, tasks::TaskRebuild},
    rebuild::ROWS_FORMAT,
    standing::Kept,
};
use tallystick_civics::{
    dispute::Award,
    reputation::{End, Role},
};
use tallystick_core::{Duration, Id, Sat, Timestamp};
use tallystick_escrow::{Bonds, Task, Terms, UserCommand, plan::GRACE};
use tallystick_testkit::{
    asking,
    escrow::{self, DEADLINE, requester, sat, stranger, terms, worker},
};

use crate::{
    disputes::{FIVE, admit, dispute, mined, rule},
    faults::Troubled,
    node::{Node, PAYEE, PAYER, World, task},
};

const BOND: u64 = 2_000;

/// When nothing can be handed in any more by a worker with a bond.
pub fn over() -> Timestamp {
    DEADLINE.after(GRACE)
}

/// A task of 20,000 sat whose worker puts up a bond, all locked: the payer and the payee pay their own holds.
pub async fn held(node: &Node, id: Id<Task>) {
    held_with(node, id, terms(&[20_000])).await;
}

/// The same with these terms, and perhaps a requester's bond in them.
pub async fn held_with(node: &Node, id: Id<Task>, terms: Terms) {
    let rail = &node.world.rail;
    let terms = Terms { bonds: Bonds { worker: Some(sat(BOND)), ..terms.bonds }, ..terms };
    let invoices: Vec<u64> = terms.workers_invoices().map(Sat::get).collect();
    node.create(id, terms).await.unwrap();
    node.accept(id, worker(), node.invoices(&invoices)).await.unwrap();
    let bolt11 = rail.invoice(PAYER, BOND);
    let facts = rail.read(&bolt11).unwrap();
    let fund = UserCommand::FundWithBond { invoice: Box::new((bolt11, facts)) };
    node.ask(id, requester(), fund).await.unwrap();
    node.outbox.run_once().await.unwrap();
    let view = node.view(id).await;
    for part in view.tranches() {
        assert!(rail.pay_hold(PAYER, part.funding_invoice.as_ref().unwrap()));
    }
    for bond in &view.bonds {
        let owner = if bond.of_worker { PAYEE } else { PAYER };
        assert!(rail.pay_hold(owner, bond.hold.funding_invoice.as_ref().unwrap()));
    }
    node.deliver().await;
    assert_eq!(node.state_name(id).await, "held");
}

/// A world in which the payee has money to put up.
pub fn world() -> World {
    let world = World::new();
    world.rail.add_wallet(PAYEE, 10_000);
    world
}

/// What payer and payee gained, and the node, in msat.
pub fn gains(world: &World) -> (i128, i128, i128) {
    let (payer, payee, node) = world.gains();
    (payer, payee - 10_000_000, node)
}

pub async fn check(world: &World) {
    tallystick_testkit::publish(&world.store).await;
    world.store.set_rows_format(ROWS_FORMAT).await.unwrap();
    world.fsck().run(|_| ()).await.unwrap();
    assert!(world.rail.violations().is_empty(), "{:?}", world.rail.violations());
}

#[tokio::test]
async fn a_bond_comes_back_with_the_pay() {
    let world = world();
    let node = world.start();
    held(&node, task(0)).await;
    assert_eq!(gains(&world), (-20_200_000, -2_020_000, 0), "both sides have locked their part");
    node.submit(task(0)).await.unwrap();
    node.approve(task(0)).await.unwrap();
    node.settle().await;
    assert_eq!(node.state_name(task(0)).await, "settled");
    assert_eq!(gains(&world), (-20_200_000, 20_000_000, 200_000));
    check(&world).await;
}

#[tokio::test]
async fn a_broken_promise_pays_the_requester_and_nobody_else() {
    let world = world();
    let node = world.start();
    held(&node, task(0)).await;
    world.clock.set(over());
    node.settle().await;
    let view = node.view(task(0)).await;
    assert_eq!((view.state.as_str(), view.reason.as_deref()), ("refunded", Some("work_deadline")));
    assert_eq!(view.bonds[0].hold.reason.as_deref(), Some("broken_promise"));
    // The platform keeps its fee for the payout, and nothing of the bond.
    assert_eq!(gains(&world), (2_000_000, -2_020_000, 20_000));
    check(&world).await;
}

/// A task with both bonds whose work a panel of three ruled on: five tranches of 20,000 sat, the requester's bond of 3,000, the
/// worker's of 100,000.
async fn ruled(node: &Node, id: Id<Task>, award: u64) {
    let (requesters, workers) = (3_000, 100_000);
    let bonds = Bonds { requester: Some(sat(requesters)), worker: Some(sat(workers)) };
    node.create(id, Terms { bonds, ..escrow::panel_terms(&FIVE) }).await.unwrap();
    let invoices = node.invoices(&[&FIVE[..], &[requesters]].concat());
    node.accept(id, worker(), invoices).await.unwrap();
    let rail = &node.world.rail;
    let bolt11 = rail.invoice(PAYER, workers);
    let facts = rail.read(&bolt11).unwrap();
    node.ask(id, requester(), UserCommand::FundWithBond { invoice: Box::new((bolt11, facts)) }).await.unwrap();
    node.outbox.run_once().await.unwrap();
    let view = node.view(id).await;
    let of_payer = view.tranches().chain([&view.bonds[0].hold]);
    for hold in of_payer {
        assert!(rail.pay_hold(PAYER, hold.funding_invoice.as_ref().unwrap()));
    }
    assert!(rail.pay_hold(PAYEE, view.bonds[1].hold.funding_invoice.as_ref().unwrap()));
    node.deliver().await;
    node.submit(id).await.unwrap();
    node.reject(id).await.unwrap();
    dispute(node, id, worker()).await;
    mined(node, 6).await;
    rule(node, id, &[Award::new(award); 3]).await;
    node.settle().await;
}

/// Who lost a dispute is told by the work alone, and a bond that was taken earns nobody's standing anything.
#[tokio::test]
async fn bonds_count_for_nothing_in_a_rulings_sums() {
    let world = World::new();
    world.rail.add_wallet(PAYEE, 500_000);
    let node = world.start();
    admit(&node, 10..20).await;
    // No work is paid for, and both keep their bonds: the worker's own is no part of what it won.
    ruled(&node, task(0), 0b100_0000).await;
    assert_eq!(node.state_name(task(0)).await, "refunded");
    // Two fifths of the work, and the worker's bond is taken: it lost that, and no dispute.
    ruled(&node, task(1), 0b000_0011).await;
    assert_eq!(node.state_name(task(1)).await, "settled");
    assert_eq!(node.view(task(1)).await.bonds[1].hold.reason.as_deref(), Some("ruled"));
    let names = async |key, role| -> Vec<&'static str> {
        let known = node.app.standing(key, role).await.unwrap();
        known.standing.score.terms.iter().map(|term| term.name).collect()
    };
    assert_eq!(names(worker(), Role::Worker).await, ["dispute_lost", "bond_lost"]);
    let known = node.app.standing(worker(), Role::Worker).await.unwrap();
    assert_eq!(known.standing.cut_by.len(), 1, "the first of the two");
    node.app.erase(task(0), asking(stranger(), task(0), &Action::Erase)).await.unwrap().unwrap();
    node.app.erase(task(1), asking(stranger(), task(1), &Action::Erase)).await.unwrap().unwrap();
    let kept: Vec<_> = world.facts().await.iter().filter_map(|fact| Kept::of(fact).unwrap()).collect();
    let told = kept.iter().map(|kept| (kept.deal.paid.get(), kept.deal.refunded.get(), kept.deal.end));
    let of = sat(100_000);
    let expected =
        [(0, 100_000, End::Ruled { award: sat(0), of }), (40_000, 60_000, End::Ruled { award: sat(40_000), of })];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    check(&world).await;
}

#[tokio::test]
async fn a_short_absence_is_no_outage() {
    let world = world();
    let node = world.start();
    let from = escrow::NOW;
    world.clock.set(from.after(AWAY_MIN));
    assert_eq!(node.app.note_outage(from).await, Ok(false));
    world.clock.set(from.after(AWAY_MIN).after(Duration::from_millis(1)));
    assert_eq!(node.app.note_outage(from).await, Ok(true));
    // A clock that was set back tells of nothing.
    world.clock.set(from);
    assert_eq!(node.app.note_outage(from.after(AWAY_MIN)).await, Ok(false));
    check(&world).await;
}

/// What came before the task kept nobody from it.
#[tokio::test]
async fn an_outage_before_the_task_excuses_nothing() {
    let world = world();
    let node = world.start();
    node.app.note_outage(Timestamp::from_millis(escrow::NOW.as_millis() - 900_000)).await.unwrap();
    world.clock.advance(Duration::from_secs(60));
    held(&node, task(0)).await;
    world.clock.set(over());
    node.settle().await;
    let view = node.view(task(0)).await;
    assert_eq!(view.bonds[0].hold.reason.as_deref(), Some("broken_promise"));
    check(&world).await;
}

/// Facts hide no absence that is known, and neither does a clock that was set back.
#[test]
fn the_last_time_that_counts_is_before_the_first_start() {
    let at = Timestamp::from_millis;
    let there = |millis: Option<u64>, is_away| LastThere { at: millis.map(at), is_away, ..LastThere::default() };
    let cases = [
        (there(None, false), None, None),
        (there(None, false), Some(5), Some(5)),
        (there(Some(7), false), None, Some(7)),
        (there(Some(7), false), Some(5), Some(7)),
        // A replica without the timers wrote it, or a start that ended before it told.
        (there(Some(7), false), Some(9), Some(7)),
        (there(Some(7), true), Some(9), Some(7)),
        (there(None, true), Some(9), Some(9)),
        // A fact of a time that is still to come.
        (there(None, false), Some(21), None),
    ];
    for (there, newest, since) in cases {
        let starting = LastThere { at: since.map(at), is_away: since.is_some(), gaps: None };
        assert_eq!(there.starting(newest.map(at), at(20)), starting, "{there:?} {newest:?}");
    }
}

/// Gaps that follow each other are one absence; those that are far from each other are none.
#[test]
fn short_gaps_one_after_another_are_an_absence() {
    // Seconds without a gap, and seconds of a gap, in turn; and since when the node was away by the last of them.
    type Turns = Vec<(u64, u64)>;
    let at = |secs| Timestamp::from_millis(1_000 * secs);
    let cases: [(Turns, Option<u64>); 7] = [
        (vec![(0, 120)], None),
        (vec![(0, 121)], Some(0)),
        (vec![(0, 50), (60, 50), (60, 21)], None),
        (vec![(0, 50), (60, 50), (60, 41)], Some(0)),
        (vec![(0, 100), (APART.as_secs(), 100)], Some(0)),
        (vec![(0, 100), (APART.as_secs() + 1, 100)], None),
        // What is told is not told again.
        (vec![(0, 100), (10, 100), (10, 100)], None),
    ];
    for (turns, expected) in cases {
        let (mut now, mut there, mut since) = (0, LastThere { at: Some(at(0)), ..LastThere::default() }, None);
        for (steady, gap) in &turns {
            now += steady;
            there = LastThere { at: Some(at(now)), ..there };
            now += gap;
            (there, since) = there.there(at(now));
        }
        assert_eq!(since, expected.map(at), "{turns:?}");
    }
    // A start counts, however short it was.
    let starting = LastThere { at: Some(at(7)), is_away: true, gaps: None };
    let gaps = Some(Gaps { from: at(7), until: at(8), total: Duration::from_secs(1) });
    assert_eq!(starting.there(at(8)), (LastThere { at: Some(at(8)), is_away: false, gaps }, None));
    // A clock that was set back hides nothing that comes after.
    let later = LastThere { at: Some(at(9_000)), ..LastThere::default() };
    assert_eq!(later.there(at(8)).0.at, Some(at(8)));
}

/// A task with a bond on a node that keeps the time, and was there all the time until `at`.
async fn held_until(node: &Node, at: Timestamp) {
    node.app.attend_from(LastThere::default()).await.unwrap();
    held(node, task(0)).await;
    node.world.clock.set(at);
    node.app.attend_from(LastThere { at: Some(at), ..LastThere::default() }).await.unwrap();
}

/// How many absences the node told of.
async fn told(world: &World) -> usize {
    world.store.facts_below("node/", 0, 10).await.unwrap().len()
}

/// How a node that lives was not there: what is set before the deadline passes, and undone after.
async fn lives_through(cut: fn(&Node, bool)) -> (Option<String>, usize) {
    let world = world();
    let node = world.start();
    node.app.attend_from(LastThere::default()).await.unwrap();
    held(&node, task(0)).await;
    let until = |millis| Timestamp::from_millis(over().as_millis() - millis);
    // It is there all the time until ten minutes before.
    let there = LastThere { at: Some(until(600_000)), ..LastThere::default() };
    world.clock.set(until(600_000));
    node.app.attend_from(there).await.unwrap();
    cut(&node, true);
    world.clock.set(over());
    // The task is woken before the node keeps the time again.
    node.timers.run_once().await.unwrap();
    cut(&node, false);
    node.settle().await;
    let view = node.view(task(0)).await;
    assert_eq!(view.reason.as_deref(), Some("work_deadline"));
    let told = world.store.facts_below("node/", 0, 10).await.unwrap();
    assert!(told.iter().all(|fact| fact.kind == AWAY));
    check(&world).await;
    (view.bonds[0].hold.reason.clone(), told.len())
}

/// A process that stood still, or whose clock was set forward, tells so before any timer takes a bond.
#[tokio::test]
async fn a_node_that_stood_still_takes_no_bond() {
    assert_eq!(lives_through(|_, _| ()).await, (Some("bond_kept".into()), 1));
}

/// A task is woken without its network, and takes no bond.
#[tokio::test]
async fn a_node_without_its_network_takes_no_bond() {
    let cut = |node: &Node, is_cut: bool| node.world.rail.set_available(!is_cut);
    assert_eq!(lives_through(cut).await.0, Some("bond_kept".into()));
}

/// Nor does one that nobody reaches: its API, or what is before it, does not answer.
#[tokio::test]
async fn a_node_that_lets_nobody_in_takes_no_bond() {
    let cut = |node: &Node, is_cut: bool| node.door.open(!is_cut);
    assert_eq!(lives_through(cut).await.0, Some("bond_kept".into()));
}

/// A short absence across the deadline is not told, and costs nobody anything: work is taken for longer after it.
#[tokio::test]
async fn a_short_absence_across_the_deadline_costs_no_bond() {
    let world = world();
    let node = world.start();
    held_until(&node, Timestamp::from_millis(DEADLINE.as_millis() - 1_000)).await;
    world.rail.set_available(false);
    world.clock.advance(AWAY_MIN);
    node.timers.run_once().await.unwrap();
    world.rail.set_available(true);
    node.app.attend().await.unwrap();
    node.timers.run_once().await.unwrap();
    assert_eq!(told(&world).await, 0, "nothing is told");
    node.submit(task(0)).await.unwrap();
    while tallystick_app::Clock::now(&*world.clock) < over() {
        world.clock.advance(STEADY_MAX);
        node.app.attend().await.unwrap();
    }
    assert_eq!(told(&world).await, 0, "nor is it later");
    node.approve(task(0)).await.unwrap();
    node.settle().await;
    assert_eq!(node.view(task(0)).await.bonds[0].hold.reason.as_deref(), Some("bond_kept"));
    check(&world).await;
}

/// An absence that is not over is not told, and counts: across the rest of the time for late work.
#[tokio::test]
async fn a_bond_is_not_taken_in_an_absence_that_is_to_be_told() {
    let world = world();
    let node = world.start();
    let before_the_end = |secs: u64| Timestamp::from_millis(over().as_millis() - 1_000 * secs);
    held_until(&node, before_the_end(158)).await;
    // Away for 119 s, there for a moment, and not reached from then on.
    world.clock.set(before_the_end(39));
    node.app.attend().await.unwrap();
    node.door.open(false);
    assert_eq!(told(&world).await, 0, "it was not long");
    world.clock.set(over());
    node.timers.run_once().await.unwrap();
    assert!(node.app.is_away());
    node.door.open(true);
    node.settle().await;
    assert_eq!(node.view(task(0)).await.bonds[0].hold.reason.as_deref(), Some("bond_kept"));
    check(&world).await;
}

/// What a node saw itself that it was not there counts, however short it was.
#[tokio::test]
async fn short_cuts_that_the_node_sees_add_up() {
    let world = world();
    let node = world.start();
    node.app.attend_from(LastThere { at: Some(escrow::NOW), ..LastThere::default() }).await.unwrap();
    let cuts = AWAY_MIN.as_secs() / 20 + 1;
    for cut in 1..=cuts {
        node.door.open(false);
        assert_eq!(node.app.attend().await.map(|there| there.is_away), Ok(true));
        world.clock.advance(Duration::from_secs(20));
        node.door.open(true);
        assert_eq!(node.app.attend().await.map(|there| there.is_away), Ok(false));
        assert_eq!(told(&world).await, usize::from(cut == cuts));
    }
    check(&world).await;
}

/// Nor does one whose journal can be read and not written: somebody tried, and found nobody there.
#[tokio::test]
async fn a_node_that_cannot_write_takes_no_bond() {
    let world = world();
    let (journal, trouble) = Troubled::new(&world.store);
    let node = world.start_with(journal, Arc::new(world.rail.clone()));
    held_until(&node, Timestamp::from_millis(over().as_millis() - 600_000)).await;
    trouble.unwritable.store(true, Ordering::Release);
    node.submit(task(0)).await.unwrap_err();
    while tallystick_app::Clock::now(&*world.clock) < over() {
        world.clock.advance(STEADY_MAX);
        node.app.attend().await.unwrap_err();
    }
    trouble.unwritable.store(false, Ordering::Release);
    node.settle().await;
    assert_eq!(node.view(task(0)).await.bonds[0].hold.reason.as_deref(), Some("bond_kept"));
    assert_eq!(told(&world).await, 1);
    check(&world).await;
}

/// Who is there all the time takes it.
#[tokio::test]
async fn a_node_that_keeps_the_time_takes_the_bond() {
    let world = world();
    let node = world.start();
    node.app.attend_from(LastThere::default()).await.unwrap();
    held(&node, task(0)).await;
    while tallystick_app::Clock::now(&*world.clock) < over() {
        world.clock.advance(STEADY_MAX);
        node.app.attend().await.unwrap();
    }
    node.settle().await;
    assert_eq!(node.view(task(0)).await.bonds[0].hold.reason.as_deref(), Some("broken_promise"));
    assert!(world.store.facts_below("node/", 0, 10).await.unwrap().is_empty());
    check(&world).await;
}
