//! The life of a dispute, step by step.

use tallystick_civics::dispute::{
    Award, Cause, Duty, Event, Failure, NodeCommand, Opening, Outcome, Phase, Plan, Rejection, Seats, Side, Silence,
    UserCommand, open,
};
use tallystick_civics::draw::{Candidates, draw};
use tallystick_core::{BlockHeight, Blocks, Coded, Ctx, Decision, Digest32, Sat};

use crate::given::*;

fn after(blocks: u32) -> BlockHeight {
    HEIGHT.after(Blocks(blocks))
}

#[test]
fn from_opening_to_a_ruling_that_stands() {
    let given = drawing();
    assert_eq!(given.dispute.opened_by, Side::Payee);
    assert_eq!((given.dispute.panel.draw_block(), given.dispute.draw_from()), (after(1), after(6)));
    let given = given.drawn();
    assert_eq!(given.phase(), &Phase::Seating { until: after(24) });
    let given = given.accept(0).accept(1).accept(2);
    assert_eq!(given.dispute.wake(), Some(after(18)), "all have a seat, but evidence may be filed");
    let given = given.woken();
    assert_eq!(given.phase(), &Phase::Committing { until: after(54) });
    let given = given.voted(&VOTES);
    assert_eq!(given.phase(), &Phase::Revealing { until: after(36) }, "ended early: all have voted");
    let given = given.reveals(2, VOTES[2]).reveals(0, VOTES[0]).later(3).reveals(1, VOTES[1]);
    let Phase::Ruled { award, until, .. } = given.phase() else { panic!("{given:?}") };
    assert_eq!((*award, *until), (VOTES[1], after(33)));
    assert_eq!(given.dispute.outcome(), Outcome::Running);
    let served: Vec<_> = (0..3).map(|n| given.drawn_as(n)).collect();
    let given = given.woken();
    assert_eq!(given.dispute.outcome(), Outcome::Award(VOTES[1]));
    assert_eq!((given.height, given.dispute.wake()), (after(33), None));
    assert_eq!(given.dispute.served(), served);
    assert_eq!(given.dispute.silent(), []);
}

#[test]
fn both_content_end_it_at_once() {
    let given = ruled().done(payee(), UserCommand::AcceptRuling);
    assert_eq!(given.phase().name(), "ruled");
    given.refused(payee(), UserCommand::Appeal, &Rejection::RulingAccepted);
    let given = given.done(payer(), UserCommand::AcceptRuling);
    assert_eq!(given.dispute.outcome(), Outcome::Award(VOTES[1]));
}

#[test]
fn who_is_drawn_can_be_worked_out_from_the_facts() {
    let given = seating();
    let Some(Event::PanelDrawn { block_hash, candidates: digest, order, registry_seq, round, .. }) = given.facts.get(1)
    else {
        panic!("{:?}", given.facts)
    };
    assert_eq!((*digest, *registry_seq), (candidates().digest(), REGISTRY_SEQ));
    let eligible = candidates().without(&drawing().dispute.excluded());
    assert_eq!(*order, draw(block_hash, id(), *round, &eligible, Seats::Three));
    assert_eq!(order.len(), 12);
    assert!(!order.contains(&payee()) && !order.contains(&biased()));
}

#[test]
fn a_refusal_seats_the_next_of_the_draw() {
    let given = seating();
    given.refused(given.drawn_as(3), UserCommand::AcceptSeat, &Rejection::NotSeated);
    let given = given.accept(0).refuse(1).accept(3).refuse(0).accept(4).accept(2).woken();
    assert_eq!(given.phase().name(), "committing");
    let (gone, sits) = (given.drawn_as(0), given.drawn_as(4));
    given.refused(gone, given.commit(gone, VOTES[0]), &Rejection::NotSeated);
    assert!(given.ask(sits, given.commit(sits, VOTES[0])).is_ok());
    assert_eq!(given.dispute.silent(), []);
}

#[test]
fn who_does_not_answer_is_dropped_and_a_majority_goes_on() {
    let given = seating().accept(0).accept(2).woken();
    assert_eq!(given.height, after(24));
    assert_eq!(given.phase(), &Phase::Committing { until: after(60) });
    let silent = Silence { arbitrator: given.drawn_as(1), round: 1, missed: Duty::Answer };
    assert_eq!(given.dispute.silent(), [silent]);
    let given = given.commits(0, VOTES[2]).commits(2, VOTES[0]).reveals(0, VOTES[2]).reveals(2, VOTES[0]).woken();
    assert_eq!(given.dispute.outcome(), Outcome::Award(VOTES[0]), "of two the lower one");
}

#[test]
fn who_steps_in_late_owes_no_answer() {
    let given = seating();
    let in_time = given.clone().later(9).refuse(0).accept(1).accept(2).woken();
    let silent = Silence { arbitrator: in_time.drawn_as(3), round: 1, missed: Duty::Answer };
    assert_eq!(in_time.dispute.silent(), [silent]);
    let late = given.later(10).refuse(0).accept(1).accept(2).woken();
    assert_eq!(late.phase().name(), "committing");
    assert_eq!(late.dispute.silent(), []);
}

#[test]
fn who_neither_commits_nor_reveals_is_told_of() {
    let given = committing().commits(0, VOTES[0]).commits(1, VOTES[1]).woken();
    let silence = |n, missed| Silence { arbitrator: given.drawn_as(n), round: 1, missed };
    assert_eq!(given.phase().name(), "revealing");
    assert_eq!(given.dispute.silent(), [silence(2, Duty::Commit)]);
    let failed = given.clone().reveals(1, VOTES[1]).woken();
    assert_eq!(failed.phase().name(), "drawing", "one of three is no majority");
    assert_eq!(failed.dispute.silent(), [silence(0, Duty::Reveal), silence(2, Duty::Commit)]);
    assert_eq!(failed.dispute.served(), [given.drawn_as(1)], "who did its part is paid");
}

#[test]
fn a_failed_panel_is_replaced_once_by_others() {
    let given = replaced();
    assert!(given.facts.contains(&Event::PanelFailed { round: 1, why: Failure::TooFewSeated, at: after(24) }));
    assert_eq!((given.dispute.round(), given.dispute.panel.cause), (2, Cause::Replacement));
    assert_eq!((given.dispute.panel.draw_block(), given.dispute.draw_from()), (after(25), after(30)));
    let asked: Vec<_> = given.dispute.past[0].bench.iter().map(|seat| seat.arbitrator).collect();
    let given = given.drawn();
    let order = &given.dispute.panel.draw.as_ref().unwrap().order;
    assert!(order.len() == 12 && asked.iter().all(|before| !order.contains(before)));
    let ruled = given.clone().seated().ruled(&VOTES).woken();
    assert_eq!(ruled.dispute.outcome(), Outcome::Award(VOTES[1]));
    assert_eq!(ruled.dispute.silent().len(), 3);
    let failed = given.woken();
    assert_eq!(failed.dispute.outcome(), Outcome::Failed);
}

#[test]
fn refusals_fail_a_panel_as_soon_as_no_majority_is_left() {
    let given = (0..10).fold(seating(), Given::refuse);
    assert_eq!(given.phase().name(), "seating");
    let given = given.refuse(10);
    assert_eq!((given.phase().name(), given.dispute.round()), ("drawing", 2));
    assert_eq!(given.dispute.silent(), [], "who was not done with thinking owes nothing");
}

#[test]
fn no_panel_is_replaced_when_no_whole_round_fits() {
    let short = |blocks| Given::opened_by(payer(), Opening { rule_by: after(blocks), ..opening() }).drawn().woken();
    assert_eq!(short(24 + 90).phase().name(), "drawing");
    assert_eq!(short(24 + 89).dispute.outcome(), Outcome::Failed);
}

#[test]
fn a_list_too_short_for_a_majority_fails_at_once() {
    let given = drawing().later(6);
    let NodeCommand::RecordDraw { block_height, block_hash, registry_seq, .. } = given.draw() else { unreachable!() };
    let few = |count| {
        let excluded = drawing().dispute.excluded();
        let list = candidates().without(&excluded).as_slice().iter().copied().take(count).collect();
        let candidates = Candidates::try_new(list).unwrap();
        NodeCommand::RecordDraw { block_height, block_hash, candidates, registry_seq }
    };
    assert_eq!(given.clone().reported(few(1)).dispute.outcome(), Outcome::Failed);
    assert_eq!(given.reported(few(2)).accept(0).accept(1).woken().phase().name(), "committing");
}

#[test]
fn a_draw_that_is_never_recorded_ends_it_in_time() {
    let given = drawing();
    let last = given.dispute.draw_by();
    assert_eq!(last, given.dispute.opening.rule_by.before(Blocks(72)));
    let late = given.clone().at(last).reported(given.draw());
    assert_eq!(late.phase().name(), "seating");
    let given = given.woken();
    assert_eq!((given.height, given.dispute.outcome()), (last.after(Blocks(1)), Outcome::Failed));
    assert_eq!(given.report(given.draw()).unwrap_err().code().0, "dispute.not_drawing");
}

#[test]
fn a_node_that_was_late_takes_nobodys_time_away() {
    let given = seating().accept(0).accept(1).accept(2).at(after(60)).reported(NodeCommand::Wake);
    assert_eq!(given.phase(), &Phase::Committing { until: after(96) });
    // The last height at which commits and reveals still fit before 225.
    let last = seating().accept(0).accept(1).accept(2).at(after(171));
    assert_eq!(last.clone().reported(NodeCommand::Wake).phase(), &Phase::Committing { until: after(207) });
    let over = last.later(1).reported(NodeCommand::Wake);
    assert_eq!(over.dispute.outcome(), Outcome::Failed);
    assert!(over.facts.contains(&Event::PanelFailed { round: 1, why: Failure::NoTime, at: after(172) }));
    assert_eq!(over.dispute.silent(), []);
}

#[test]
fn withdrawing() {
    for given in [drawing(), seating(), committing(), replaced()] {
        let given = given.done(payee(), UserCommand::Withdraw);
        assert_eq!(given.dispute.outcome(), Outcome::Withdrawn);
        assert_eq!(given.ask(payee(), UserCommand::Withdraw), Ok(Decision::AlreadyApplied));
    }
    let voted = committing().commits(0, VOTES[0]);
    // Nor after the panel that voted has failed.
    for given in [voted.clone(), voted.woken(), revealing(), ruled(), appealed(), decided(), failed()] {
        assert_eq!(given.ask(payee(), UserCommand::Withdraw).unwrap_err().code().0, "dispute.not_withdrawable");
    }
}

#[test]
fn evidence_until_the_panel_votes() {
    let given = drawing().done(payer(), file());
    assert_eq!(given.ask(payer(), file()), Ok(Decision::AlreadyApplied));
    let known = |author, bytes| given.ask(author, UserCommand::FileEvidence { hash: EVIDENCE, bytes });
    assert_eq!(known(payee(), 1_000).unwrap_err().code().0, "dispute.evidence_known");
    assert_eq!(known(payer(), 1_001).unwrap_err().code().0, "dispute.evidence_known");
    let file = |n: u8, bytes| UserCommand::FileEvidence { hash: Digest32([n; 32]), bytes };
    const MIB: u64 = 1 << 20;
    for bytes in [0, 10 * MIB + 1] {
        assert_eq!(given.ask(payee(), file(1, bytes)).unwrap_err().code().0, "dispute.evidence_size");
    }
    let full = (1..=5).fold(seating(), |given, n| given.done(payee(), file(n, 10 * MIB)));
    assert_eq!(full.ask(payee(), file(6, 1)).unwrap_err().code().0, "dispute.evidence_total");
    let many = (1..=32).fold(seating(), |given, n| given.done(payee(), file(n, 1)));
    assert_eq!(many.ask(payee(), file(33, 1)).unwrap_err().code().0, "dispute.evidence_count");
    assert!(many.ask(payer(), file(33, 1)).is_ok(), "each side has its own limits");
}

#[test]
fn the_amount_and_the_terms_decide_how_many_sit() {
    let seats = |parts: &[u64], seats_min| {
        let parts = parts.iter().copied().map(sat).collect();
        Given::opened_by(payer(), Opening { parts, seats_min, ..opening() }).dispute.panel.seats
    };
    assert_eq!(seats(&[99_999], Seats::One), Seats::One);
    assert_eq!(seats(&[99_999, 1], Seats::One), Seats::Three);
    assert_eq!(seats(&[99_999], Seats::Five), Seats::Five);
    assert_eq!(seats(&[500_000, 500_000], Seats::One), Seats::Five);
}

#[test]
fn a_single_arbitrator_decides_small_ones() {
    let small = Opening { parts: vec![sat(1_000)], ..opening() };
    let given = Given::opened_by(payer(), small).drawn().seated().ruled(&[Award::new(1)]).woken();
    assert_eq!(given.dispute.outcome(), Outcome::Award(Award::new(1)));
}

#[test]
fn openings_that_are_refused() {
    let ask = |author, opening: Opening| open(opening, &Ctx { now: NOW, height: HEIGHT, author }).unwrap_err().code().0;
    assert_eq!(ask(stranger(), opening()), "dispute.not_party");
    assert_eq!(ask(payer(), Opening { payee: payer(), ..opening() }), "dispute.same_party");
    assert_eq!(ask(payer(), Opening { parts: vec![], ..opening() }), "dispute.parts");
    assert_eq!(ask(payer(), Opening { parts: vec![sat(1); 65], ..opening() }), "dispute.parts");
    let everything = vec![Sat::MAX, sat(1)];
    assert_eq!(ask(payer(), Opening { parts: everything, ..opening() }), "amount.too_large");
    assert_eq!(ask(payer(), Opening { seats_min: Seats::Seven, ..opening() }), "dispute.too_many_seats");
    for conflicts in [vec![key(5), key(5)], (0..=255).cycle().take(1_001).map(key).collect()] {
        assert_eq!(ask(payer(), Opening { conflicts, ..opening() }), "dispute.conflicts");
    }
    let plan = Plan { draw_blocks: Blocks(0), ..Plan::default() };
    assert_eq!(ask(payer(), Opening { plan, ..opening() }), "dispute.plan");
    assert_eq!(ask(payer(), Opening { rule_by: after(89), ..opening() }), "dispute.too_late");
    assert_eq!(Given::opened_by(payer(), Opening { rule_by: after(90), ..opening() }).phase().name(), "drawing");
}

#[test]
fn draws_that_are_refused() {
    let given = drawing().later(6);
    let NodeCommand::RecordDraw { block_height, block_hash, candidates, registry_seq } = given.draw() else {
        unreachable!()
    };
    let code = |given: &Given, command| given.report(command).unwrap_err().code().0;
    let report = |block_height, block_hash, registry_seq| NodeCommand::RecordDraw {
        block_height,
        block_hash,
        candidates: candidates.clone(),
        registry_seq,
    };
    for other in [block_height.before(Blocks(1)), block_height.after(Blocks(1))] {
        assert_eq!(code(&given, report(other, block_hash, registry_seq)), "dispute.wrong_block");
    }
    assert_eq!(code(&given, report(block_height, block_hash, registry_seq + 1)), "dispute.wrong_registry");
    let early = given.clone().at(after(5));
    assert_eq!(code(&early, given.draw()), "dispute.not_buried");
    let late = given.clone().at(given.dispute.draw_by().after(Blocks(1)));
    assert_eq!(code(&late, given.draw()), "dispute.time_over");
    let drawn = given.reported(report(block_height, block_hash, registry_seq));
    for again in [&drawn, &replaced()] {
        assert_eq!(again.report(report(block_height, block_hash, registry_seq)), Ok(Decision::AlreadyApplied));
        assert_eq!(code(again, report(block_height, Digest32([0; 32]), registry_seq)), "dispute.already_drawn");
    }
}
