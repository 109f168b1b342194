//! One appeal, to a larger panel, while there is time for it.

use tallystick_civics::dispute::{Award, Cause, Opening, Outcome, Phase, Rejection, Seats, Side, UserCommand};
use tallystick_core::{Blocks, Coded, Decision};

use crate::given::*;

const LARGER: [Award; 5] = [Award::NOTHING, Award::new(0b111), Award::new(0b100), Award::new(0b111), Award::NOTHING];

#[test]
fn an_appeal_goes_to_a_larger_panel_whose_ruling_is_final() {
    let given = appealed();
    let cause = Cause::Appeal { by: Side::Payer, against: VOTES[1] };
    assert_eq!((given.dispute.panel.cause, given.dispute.panel.seats), (cause, Seats::Five));
    assert_eq!(given.ask(payer(), UserCommand::Appeal), Ok(Decision::AlreadyApplied));
    given.refused(payee(), UserCommand::Appeal, &Rejection::AlreadyAppealed);
    // New evidence for the new panel; nobody sits twice.
    let given = given.done(payee(), file()).drawn();
    let first = given.dispute.past[0].draw.as_ref().unwrap().order[..3].to_vec();
    assert!(first.iter().all(|before| !given.dispute.panel.draw.as_ref().unwrap().order.contains(before)));
    let given = given.seated().ruled(&LARGER);
    assert_eq!(given.dispute.outcome(), Outcome::Award(Award::new(0b100)));
    assert_eq!(given.dispute.served().len(), 8);
    given.refused(payee(), UserCommand::Appeal, &Rejection::AlreadyAppealed);
}

#[test]
fn if_the_larger_panel_fails_the_first_ruling_stands() {
    let seating = appealed().drawn();
    let committing = seating.clone().seated();
    let revealing = committing.clone().voted(&LARGER);
    let given = [appealed(), seating, committing.commits(0, LARGER[0]), revealing.reveals(0, LARGER[0])];
    for (given, silent) in given.into_iter().zip([0, 5, 4, 4]) {
        let given = given.woken();
        assert_eq!(given.dispute.outcome(), Outcome::Award(VOTES[1]));
        assert_eq!(given.dispute.silent().len(), silent);
    }
}

#[test]
fn sizes_go_up_to_seven() {
    let on_appeal = |parts: Vec<_>, votes: &[Award]| {
        let opening = Opening { parts, ..opening() };
        Given::opened_by(payer(), opening).drawn().seated().ruled(votes).done(payer(), UserCommand::Appeal)
    };
    assert_eq!(on_appeal(vec![sat(1)], &[Award::new(1)]).dispute.panel.seats, Seats::Three);
    let seven = on_appeal(vec![sat(2_000_000)], &[Award::new(1); 5]).drawn();
    assert_eq!(seven.dispute.panel.seats, Seats::Seven);
    // 23 who may sit, and 5 did.
    assert_eq!(seven.dispute.panel.draw.as_ref().unwrap().order.len(), 18);
    assert_eq!(seven.seated().ruled(&[Award::NOTHING; 7]).dispute.outcome(), Outcome::Award(Award::NOTHING));
}

#[test]
fn after_its_time_there_is_no_appeal() {
    let given = ruled();
    let Phase::Ruled { until, .. } = *given.phase() else { panic!() };
    assert_eq!(given.height.until(until), Blocks(12));
    let late = given.clone().at(until);
    late.refused(payer(), UserCommand::Appeal, &Rejection::TimeOver { height: until, until });
    assert_eq!(given.at(until.before(Blocks(1))).done(payer(), UserCommand::Appeal).phase().name(), "drawing");
}

/// The ruling is made 18 blocks after the opening; a whole round takes 90.
#[test]
fn an_appeal_needs_a_whole_round() {
    let ruled = |blocks| {
        let opening = Opening { rule_by: HEIGHT.after(Blocks(blocks)), ..opening() };
        Given::opened_by(payee(), opening).drawn().seated().ruled(&VOTES)
    };
    // None fits: the ruling is final at once.
    assert_eq!(ruled(18 + 89).dispute.outcome(), Outcome::Award(VOTES[1]));
    // One fits if it begins at once.
    let given = ruled(18 + 90);
    assert_eq!(given.dispute.wake(), Some(given.height.after(Blocks(1))));
    assert_eq!(given.clone().done(payee(), UserCommand::Appeal).phase().name(), "drawing");
    assert_eq!(given.later(1).ask(payee(), UserCommand::Appeal).unwrap_err().code().0, "dispute.time_over");
}

#[test]
fn a_replaced_panels_ruling_can_be_appealed() {
    let opening = Opening { rule_by: HEIGHT.after(Blocks(300)), ..opening() };
    let given = Given::opened_by(payee(), opening).drawn().woken().drawn().seated().ruled(&VOTES);
    let given = given.done(payee(), UserCommand::Appeal);
    assert_eq!((given.dispute.round(), given.dispute.panel.seats), (3, Seats::Five));
    assert_eq!(given.drawn().seated().ruled(&LARGER).dispute.outcome(), Outcome::Award(Award::new(0b100)));
}
