//! Bonds: given back by default, taken by a ruling or for a promise that was broken, and never while this node was away.

use tallystick_civics::dispute::{Award, Outcome, Seats, UserCommand as Act};
use tallystick_core::{Blocks, Duration, Timestamp};
use tallystick_escrow::{
    BondView, Bonds, Command, Effect, Event, NodeCommand, OnSilence, Outage, Phase, Purpose, RefundReason, Rejection,
    ReleaseReason, TaskView, Terms, TermsError, TrancheState, UserCommand, Verdict, plan,
};
use tallystick_testkit::escrow::*;

const PAYOUTS: [u64; 2] = [20_000, 40_000];
/// Positions: two tranches, the requester's bond, the worker's.
const REQUESTERS: u32 = 2;
const WORKERS: u32 = 3;

/// When nothing can be handed in any more by a worker with a bond.
fn over() -> Timestamp {
    DEADLINE.after(plan::GRACE)
}

fn both() -> Terms {
    let bonds = Bonds { requester: Some(sat(3_000)), worker: Some(sat(2_000)) };
    Terms { bonds, ..panel_terms(&PAYOUTS) }
}

fn wake(outages: &[Outage]) -> NodeCommand {
    NodeCommand::WakeKnowing { outages: outages.to_vec() }
}

fn state(given: &Given, tranche: u32) -> TrancheState {
    given.phase().job().unwrap().tranches[tranche as usize].state
}

fn verdict(given: &Given, tranche: u32) -> Option<Verdict> {
    given.phase().job().unwrap().tranches[tranche as usize].verdict
}

fn position(tranche: u32) -> u8 {
    u8::try_from(tranche).unwrap()
}

/// All that was locked for work is with whom it belongs to.
fn work_is_over(given: Given) -> Given {
    (0..2).fold(given, |given, tranche| match state(&given, u32::from(tranche)) {
        TrancheState::Returning => given.reported(returned(tranche)),
        TrancheState::Paying { attempt, .. } => {
            given.reported(paid(tranche, attempt)).reported(claimed(tranche, PAYOUTS[usize::from(tranche)]))
        }
        other => panic!("{other:?}"),
    })
}

fn missed() -> Given {
    held_with(both()).at(over())
}

#[test]
fn each_bond_is_locked_on_the_other_sides_own_hash() {
    let given = held_with(both());
    let job = given.phase().job().unwrap();
    let of = |tranche: u32| &job.tranches[tranche as usize];
    use tallystick_civics::dispute::Side;
    assert_eq!(of(REQUESTERS).purpose, Purpose::Bond(Side::Payer));
    assert_eq!(of(WORKERS).purpose, Purpose::Bond(Side::Payee));
    // The worker handed in the one for the requester's bond when it took the task, the requester the other.
    let accepted = given.facts.iter().find_map(|fact| match fact {
        Event::TaskAccepted { invoices, .. } => Some(invoices.iter().map(|invoice| invoice.hash).collect::<Vec<_>>()),
        _ => None,
    });
    assert_eq!(accepted.unwrap(), [hash(0), hash(1), hash(2)]);
    let offered = given.facts.iter().find_map(|fact| match fact {
        Event::BondOffered { invoice } => Some(invoice.hash),
        _ => None,
    });
    assert_eq!(offered, Some(of(WORKERS).hash));
    let view = TaskView::from(given.task());
    let bonds: Vec<_> = view.bonds.iter().map(|bond| (bond.of_worker, bond.hold.payout.get())).collect();
    assert_eq!(bonds, [(false, 3_000), (true, 2_000)]);
    assert_eq!(view.holds().count(), 4);
    // Work begins when everything is locked, bonds too.
    let almost = funding_with(both());
    let almost = [(0, 20_000), (1, 40_000), (2, 3_000)]
        .into_iter()
        .fold(almost, |given, (tranche, payout)| given.reported(locked_longer(tranche, payout, Blocks(230))));
    assert_eq!(almost.phase_name(), "funding");
}

#[test]
fn what_becomes_of_a_bond_is_told() {
    let of = |given: &Given| -> Vec<_> {
        let bonds = TaskView::from(given.task()).bonds;
        let first = |bond: &BondView| bond.promises.first().map(|(deadline, _)| *deadline);
        bonds.iter().map(|bond| (first(bond), bond.return_by)).collect()
    };
    let last = Some(decide_by().after(Blocks(230)));
    assert_eq!(of(&funding_with(both())), [(None, None); 2], "nothing is at stake");
    let held = held_with(both());
    assert_eq!(of(&held), [(None, last), (Some(over()), last)]);
    assert_eq!(of(&held.clone().disputed_by(requester())), [(None, last); 2], "the panel says");
    assert_eq!(of(&held.clone().done(worker(), submit())), [(None, last); 2], "the promise is kept");
    assert_eq!(of(&held.done(worker(), UserCommand::CancelTask)), [(None, None); 2]);
}

#[test]
fn a_bond_goes_back_when_all_else_is_over() {
    let held = held_with(both());
    let submitted = held.clone().done(worker(), submit());
    let paths = [
        (submitted.clone().done(requester(), approve()), true),
        (submitted.done(requester(), reject()).later(Duration::from_secs(6 * 3_600)).reported(wake(&[])), false),
        (held.done(worker(), UserCommand::ConcedeWork { milestone: 0 }), false),
    ];
    for (given, is_paid) in paths {
        assert!(state(&given, REQUESTERS).is_held() && state(&given, WORKERS).is_held());
        let given = work_is_over(given);
        assert!(!given.phase().is_final());
        for bond in [REQUESTERS, WORKERS] {
            assert_eq!(state(&given, bond), TrancheState::Returning);
            assert_eq!(verdict(&given, bond), Some(Verdict::Refund(RefundReason::BondKept)));
        }
        let given = given.reported(returned(2)).reported(returned(3));
        assert_eq!(matches!(given.phase(), Phase::Settled { .. }), is_paid);
        assert!(given.phase().is_final());
    }
}

#[test]
fn a_worker_who_hands_in_nothing_loses_the_bond_to_the_requester() {
    let given = missed().reported(wake(&[]));
    assert_eq!(verdict(&given, 0), Some(Verdict::Refund(RefundReason::WorkDeadline)));
    assert_eq!(verdict(&given, WORKERS), Some(Verdict::Release(ReleaseReason::BrokenPromise)));
    let paid_to = given.effects.iter().find_map(|effect| match effect {
        Effect::Pay { hash, bolt11, .. } => Some((*hash, bolt11.clone())),
        _ => None,
    });
    assert_eq!(paid_to, Some((hash(3), "payout invoice 3".into())), "the requester's own invoice");
    assert!(state(&given, REQUESTERS).is_held());
    let given = work_is_over(given).reported(returned(2));
    assert!(!given.phase().is_final(), "the bond is on its way");
    let given = given.reported(paid(position(WORKERS), 1)).reported(claimed(position(WORKERS), 2_000));
    // Nobody was paid for work.
    assert!(matches!(given.phase(), Phase::Refunded { .. }));
}

/// RoboSats took a bond while its own coordinator was down, and Mostro one by mistake: here the journal knows when this node
/// was away, and a deadline that could not be kept because of that costs nothing.
#[test]
fn bond_slashed_during_our_outage() {
    let minute = Duration::from_secs(60);
    let before = |span: Duration| Timestamp::from_millis(DEADLINE.as_millis() - span.as_millis());
    let outages = [
        // Across the deadline, long before it, and just touching its last moment.
        Outage { from: before(minute), until: DEADLINE.after(minute) },
        Outage { from: NOW.after(minute), until: NOW.after(minute).after(minute) },
        Outage { from: over(), until: over().after(minute) },
    ];
    for outage in outages {
        let given = missed().later(minute).later(minute).reported(wake(&[outage]));
        assert_eq!(verdict(&given, 0), Some(Verdict::Refund(RefundReason::WorkDeadline)));
        let given = work_is_over(given);
        assert_eq!(verdict(&given, WORKERS), Some(Verdict::Refund(RefundReason::BondKept)), "{outage:?}");
    }
    // A node that does not say when it was away takes none either.
    let given = missed().reported(NodeCommand::Wake);
    assert!(state(&given, WORKERS).is_held());
    // What came after late work was over kept nobody from anything.
    let after = Outage { from: over().after(minute), until: over().after(minute).after(minute) };
    let given = missed().later(minute).later(minute).later(minute).reported(wake(&[after]));
    assert_eq!(verdict(&given, WORKERS), Some(Verdict::Release(ReleaseReason::BrokenPromise)));
}

/// A node does not tell of a short absence: who tried to hand in by the deadline finds it there a little later, and loses nothing.
/// Without a bond a deadline is a deadline.
#[test]
fn work_that_is_late_by_a_short_absence_keeps_the_bond() {
    let moment = Timestamp::from_millis(over().as_millis() - 1);
    let late = held_with(both()).at(moment);
    late.when_reported(wake(&[])).then_already_applied();
    let kept = late.clone().done(worker(), submit()).at(over());
    kept.when_reported(wake(&[])).then_already_applied();
    assert!(state(&kept, WORKERS).is_held());
    let back = late.clone().done(worker(), UserCommand::CancelTask);
    assert_eq!(verdict(&back, WORKERS), Some(Verdict::Refund(RefundReason::CancelledByWorker)));
    assert_eq!(late.disputed_by(worker()).phase_name(), "disputed", "there is time for that as well");
    missed().when(worker(), submit()).then_rejected(&Rejection::DeadlinePassed { deadline: over() });
    let plain = held_with(Terms { bonds: Bonds::default(), ..both() }).at(DEADLINE);
    plain.when(worker(), submit()).then_rejected(&Rejection::DeadlinePassed { deadline: DEADLINE });
    assert_eq!(verdict(&plain.reported(wake(&[])), 0), Some(Verdict::Refund(RefundReason::WorkDeadline)));
}

#[test]
fn who_steps_back_in_time_or_hands_in_keeps_the_bond() {
    let cancelled = held_with(both()).done(worker(), UserCommand::CancelTask);
    assert_eq!(verdict(&cancelled, WORKERS), Some(Verdict::Refund(RefundReason::CancelledByWorker)));
    let conceded = held_with(both()).done(worker(), UserCommand::ConcedeWork { milestone: 0 });
    assert!(state(&conceded, WORKERS).is_held());
    let silent = held_with(Terms { on_silence: OnSilence::Release, ..both() }).done(worker(), submit());
    let silent = silent.at(DEADLINE.after(REVIEW)).reported(wake(&[]));
    assert!(state(&silent, WORKERS).is_held());
    // Blocks that come too fast are nobody's promise.
    let given = held_with(both());
    let fast = given.clone().height(given.state.wake().height.unwrap()).reported(wake(&[]));
    assert_eq!(verdict(&fast, 0), Some(Verdict::Refund(RefundReason::BlocksRanOut)));
    assert_eq!(verdict(&fast, WORKERS), Some(Verdict::Refund(RefundReason::BlocksRanOut)));
}

/// Whom blocks kept from handing in before the deadline has broken no promise: the node itself would refuse the work.
#[test]
fn blocks_that_let_nothing_be_handed_in_take_no_bond() {
    for (panel, on_silence) in [(false, OnSilence::Release), (true, OnSilence::Release), (false, OnSilence::Refund)] {
        let panel = if panel { both().panel } else { None };
        let given = held_with(Terms { panel, on_silence, ..Terms { bonds: workers_alone(), ..both() } });
        let (job, task) = (given.phase().job().unwrap(), given.task());
        let last = plan::promised_by(&task.terms, &task.policy, task.decide_by(job, 0).unwrap());
        let view = &TaskView::from(task).bonds[0];
        assert_eq!(view.promises, [(over(), last)]);
        let bond = u32::try_from(job.tranches.len() - 1).unwrap();
        let at = |height| given.clone().height(height).at(over()).reported(wake(&[]));
        assert_eq!(verdict(&at(last), bond), Some(Verdict::Release(ReleaseReason::BrokenPromise)));
        let late = at(last.after(Blocks(1)));
        assert_ne!(verdict(&late, bond), Some(Verdict::Release(ReleaseReason::BrokenPromise)));
        assert_eq!(state(&late, 0), TrancheState::Returning, "the deadline counts all the same");
        // Until then it could have handed in, to the last moment.
        let moment = Timestamp::from_millis(over().as_millis() - 1);
        let _ = given.clone().height(last).at(moment).done(worker(), submit());
        let refused = given.clone().height(last.after(Blocks(1))).at(moment).decide(worker(), Command::User(submit()));
        match on_silence {
            OnSilence::Release => assert!(matches!(refused, Err(Rejection::TooFewBlocks { .. })), "{refused:?}"),
            // There blocks decide in the same block in which it is handed in.
            OnSilence::Refund => assert!(refused.is_ok(), "{refused:?}"),
        }
    }
}

fn workers_alone() -> Bonds {
    Bonds { requester: None, worker: Some(sat(2_000)) }
}

/// Nobody can ask for a bond, have it locked, and leave no time for the work.
#[test]
fn whoever_puts_up_a_bond_has_half_of_the_time_that_is_left() {
    let terms = Terms { bonds: workers_alone(), ..terms(&[20_000]) };
    let minutes = |n: u64| Duration::from_secs(60 * n);
    let before = |span: Duration| Timestamp::from_millis(DEADLINE.as_millis() - span.as_millis());
    let given = open_with(terms.clone()).done(worker(), accept(&[20_000])).at(before(minutes(40)));
    let fund = fund(given.task());
    let given = given.done(requester(), fund);
    let until = before(minutes(20));
    assert!(matches!(given.phase(), Phase::Funding { until: said, .. } if *said == until), "{:?}", given.phase());
    let given = [0, 1].into_iter().fold(given, |given, tranche| given.reported(invoice_made(tranche)));
    let given = given.reported(locked(1, 2_000));
    let moment = Timestamp::from_millis(until.as_millis() - 1);
    assert_eq!(given.clone().at(moment).reported(locked(0, 20_000)).phase_name(), "held");
    // Locked a moment later, or told so late: everything goes back, also if the deadline has passed.
    for late in [until, DEADLINE.after(minutes(1))] {
        let late = given.clone().at(late).reported(locked(0, 20_000));
        assert_eq!(late.phase_name(), "funding");
        late.when(worker(), submit()).then_rejected(&Rejection::NotHeld { state: "funding" });
        let back = late.reported(wake(&[]));
        for tranche in [0, 1] {
            assert_eq!(verdict(&back, tranche), Some(Verdict::Refund(RefundReason::FundingLapsed)));
        }
    }
    // Where no bond is at stake the whole window counts, to the deadline.
    let given = open_with(Terms { bonds: Bonds::default(), ..terms }).done(worker(), accept(&[20_000]));
    let given = given.at(before(minutes(40))).done(requester(), UserCommand::RequestFunding);
    assert!(matches!(given.phase(), Phase::Funding { until, .. } if *until == DEADLINE));
}

#[test]
fn a_disputed_deadline_takes_no_bond() {
    let given = held_with(both()).disputed_by(requester()).at(over());
    given.when_reported(wake(&[])).then_already_applied();
    assert!(state(&given, WORKERS).is_held());
}

/// The requester cannot have the worker's bond by a dispute that it withdraws when the deadline is over; nor does a panel's
/// silence take it from a worker who asked for one in time.
#[test]
fn a_dispute_that_came_to_nothing_takes_no_bond() {
    let withdraw = || UserCommand::Dispute { milestone: 0, command: Act::Withdraw };
    let taken = |given: Given| verdict(&given.reported(wake(&[])), WORKERS);
    let after = |by| held_with(both()).disputed_by(by).at(over()).done(by, withdraw());
    assert_eq!(taken(after(requester())), None);
    assert_eq!(taken(after(worker())), Some(Verdict::Release(ReleaseReason::BrokenPromise)), "its own is no excuse");
    let silent = held_with(both()).disputed_by(worker()).at(over());
    let too_late = silent.case(0).dispute.opening.rule_by.after(Blocks(1));
    let silent = silent.height(too_late).reported(wake(&[]));
    assert_eq!(silent.case(0).dispute.outcome(), Outcome::Failed);
    assert_ne!(verdict(&silent, WORKERS), Some(Verdict::Release(ReleaseReason::BrokenPromise)));
}

/// Two parts of work, the requester's bond, the worker's: each bit is for the worker's good.
#[test]
fn a_ruling_may_take_bonds() {
    let ruled = |award: u64| {
        let given = held_with(both()).done(worker(), submit()).done(requester(), reject());
        let given = given.disputed_by(worker()).drawn();
        assert_eq!(given.case(0).dispute.opening.parts, [20_000, 40_000, 3_000, 2_000].map(sat));
        given.voted(&[Award::new(award); 3]).content()
    };
    let ruling = Some(Verdict::Release(ReleaseReason::Ruled));
    // Everything for the worker, and the requester's bond: its own is not touched.
    let given = ruled(0b1111);
    assert_eq!([verdict(&given, 0), verdict(&given, REQUESTERS)], [ruling; 2]);
    assert!(state(&given, WORKERS).is_held());
    // Nothing for the worker, and its bond.
    let given = ruled(0b0000);
    assert_eq!(verdict(&given, 0), Some(Verdict::Refund(RefundReason::Ruled)));
    assert!(state(&given, REQUESTERS).is_held());
    assert_eq!(verdict(&given, WORKERS), ruling);
    // Half of the work, and no bond.
    let given = ruled(0b1001);
    assert_eq!([verdict(&given, 0), verdict(&given, 1)], [ruling, Some(Verdict::Refund(RefundReason::Ruled))]);
    let given = work_is_over(given);
    assert_eq!(verdict(&given, REQUESTERS), Some(Verdict::Refund(RefundReason::BondKept)));
    assert_eq!(verdict(&given, WORKERS), Some(Verdict::Refund(RefundReason::BondKept)));
    // Arbitrators earn by the fees for work, not by what they take.
    assert_eq!(given.case(0).reward, policy().reward(sat(600), Seats::Three));
}

#[test]
fn a_bond_goes_back_before_its_hold_ends_and_a_lost_one_decides_nothing() {
    let given = held_with(both()).done(worker(), submit());
    let given = given.reported(lost(position(WORKERS)));
    assert_eq!((given.phase_name(), state(&given, WORKERS)), ("submitted", TrancheState::Returned));
    let last = decide_by().after(Blocks(230));
    let given = given.height(last).reported(wake(&[]));
    assert_eq!(verdict(&given, REQUESTERS), Some(Verdict::Refund(RefundReason::BlocksRanOut)));
}

#[test]
fn bonds_have_terms_of_their_own() {
    let refused = |terms: Terms, error: TermsError| {
        Given::nothing().when(requester(), create(terms)).then_rejected(&Rejection::Terms(error));
    };
    let of_requester = Bonds { requester: Some(sat(3_000)), worker: None };
    refused(Terms { bonds: of_requester, ..terms(&PAYOUTS) }, TermsError::BondWithoutPanel);
    let large = Bonds { requester: None, worker: Some(sat(100_001)) };
    let error = TermsError::Bond { bond: sat(100_001), min: sat(1), max: sat(100_000) };
    refused(Terms { bonds: large, ..terms(&PAYOUTS) }, error);
    // One invoice for the worker's bond, if there is one, and none if there is none.
    let needed = Rejection::InvoiceCount { invoices: 0, tranches: 1 };
    let given = open_with(both()).done(worker(), accept(&[20_000, 40_000, 3_000]));
    given.when(requester(), UserCommand::RequestFunding).then_rejected(&needed);
    let own = UserCommand::FundWithBond { invoice: Box::new(invoice(1, 2_000)) };
    given.when(requester(), own).then_rejected(&Rejection::HashReused);
    // Which invoice the bond goes to is not changed by asking again.
    let fund = |n| UserCommand::FundWithBond { invoice: Box::new(invoice(n, 2_000)) };
    let given = given.done(requester(), fund(9));
    for same in [fund(9), UserCommand::RequestFunding] {
        given.when(requester(), same).then_already_applied();
    }
    given.when(requester(), fund(8)).then_rejected(&Rejection::BondAlreadyOffered);
    assigned(&PAYOUTS)
        .done(requester(), UserCommand::RequestFunding)
        .when(requester(), fund(9))
        .then_rejected(&Rejection::BondAlreadyOffered);
    let none = Rejection::InvoiceCount { invoices: 1, tranches: 0 };
    let more = UserCommand::FundWithBond { invoice: Box::new(invoice(9, 2_000)) };
    assigned(&PAYOUTS).when(requester(), more).then_rejected(&none);
    let count = Rejection::InvoiceCount { invoices: 2, tranches: 3 };
    open_with(both()).when(worker(), accept(&PAYOUTS)).then_rejected(&count);
}

#[test]
fn a_bond_that_cannot_be_paid_goes_back() {
    let given = missed().reported(wake(&[]));
    let failed = failed(position(WORKERS), 1, tallystick_escrow::PayFailure::InvoiceExpired);
    let given = given.reported(failed);
    assert_eq!(verdict(&given, WORKERS), Some(Verdict::Refund(RefundReason::PayoutFailed)));
    assert_eq!(state(&given, WORKERS), TrancheState::Returning);
}
