//! Disputes in a task: who may open them and when, what they lead to, and that nothing else decides meanwhile.

use tallystick_civics::{
    dispute::{self, Award, Duty, Outcome, Phase as DisputePhase, Seats, UserCommand as Act},
    registry::Did,
};
use tallystick_core::{Blocks, Coded, Decision, Duration};
use tallystick_escrow::{
    Command, Effect, Event, NodeCommand, OnSilence, Phase, Policy, RefundReason, Rejection, ReleaseReason, Stage,
    TaskView, Terms, TrancheState, UserCommand, Verdict, plan,
};
use tallystick_testkit::escrow::*;

const FIVE: [u64; 5] = [20_000; 5];
const TWO: [u64; 2] = [1_000, 2_000];

fn held_panel(payouts: &[u64]) -> Given {
    held_with(panel_terms(payouts))
}

fn submitted_panel(payouts: &[u64]) -> Given {
    held_panel(payouts).done(worker(), submit())
}

fn rejected_panel(payouts: &[u64]) -> Given {
    submitted_panel(payouts).done(requester(), reject())
}

fn states(given: &Given) -> Vec<TrancheState> {
    given.phase().job().unwrap().tranches.iter().map(|part| part.state).collect()
}

fn verdicts(given: &Given) -> Vec<Option<Verdict>> {
    given.phase().job().unwrap().tranches.iter().map(|part| part.verdict).collect()
}

const WINDOW: Duration = Duration::from_secs(6 * 3_600);

#[test]
fn a_hold_is_longer_by_a_dispute() {
    let with = open_with(panel_terms(&TWO)).task().hold_blocks;
    assert_eq!(with, HOLD_BLOCKS.plus(plan::dispute_blocks(&policy())));
    // Six hours are 44 blocks when they come fast; two rounds of 90, and 6 to carry a ruling out.
    assert_eq!(plan::dispute_blocks(&policy()), Blocks(44 + 180 + 6));
    let late = due(NOW.after(Duration::from_secs(3 * 86_400)), panel_terms(&TWO));
    Given::nothing().when(requester(), create(late.clone())).then_rejected(&Rejection::HoldTooLong {
        blocks: Blocks(762),
        delta: Blocks(1_140),
        limit: Blocks(1_000),
    });
    let _ = open_with(Terms { panel: None, ..late });
    let short = Terms { hold_blocks: Some(HOLD_BLOCKS), ..panel_terms(&TWO) };
    let rejection = Rejection::HoldTooShort { blocks: HOLD_BLOCKS, needed: with };
    Given::nothing().when(requester(), create(short)).then_rejected(&rejection);
    Given::nothing()
        .when(requester(), create(with_panel(Seats::Seven, terms(&TWO))))
        .then_rejected(&Rejection::Terms(tallystick_escrow::TermsError::Panel { seats: 7 }));
}

#[test]
fn rejected_work_goes_back_only_after_the_time_to_dispute_it() {
    let given = submitted_panel(&TWO);
    let until = given.now.after(WINDOW);
    let given = given.when(requester(), reject()).then_events(&[
        Event::WorkRejected { milestone: 0, reason_hash: REASONS },
        Event::RefundPlanned { milestone: 0, reason: RefundReason::Rejected, until },
    ]);
    assert_eq!(given.phase_name(), "rejected");
    let view = TaskView::from(given.task());
    assert_eq!((view.milestones[0].refund_at, view.milestones[0].at_deadline), (Some(until), Some(OnSilence::Refund)));
    given.when(requester(), reject()).then_already_applied();
    given.when_reported(NodeCommand::Wake).then_already_applied();
    // The requester may think better of it.
    let _ = given.when(requester(), approve()).then_events_and_payouts(&[0, 1], ReleaseReason::Approved);
    let cancel = |tranche| Effect::CancelHold { hash: hash(tranche) };
    let _ = given
        .clone()
        .at(until)
        .when_reported(NodeCommand::Wake)
        .then(&[refund_begun(RefundReason::Rejected)], &[cancel(0), cancel(1)]);
    // When blocks come fast: once no dispute fits any more, there is nothing to wait for.
    let last = given.open_by();
    given.clone().height(last).when_reported(NodeCommand::Wake).then_already_applied();
    let given = given.height(last.after(Blocks(1)));
    let rejection = given.decide(worker(), Command::User(open_dispute(worker(), 0))).unwrap_err();
    assert_eq!(rejection.code().0, "dispute.too_late");
    let _ = given.reported(NodeCommand::Wake);
}

#[test]
fn work_can_be_refused_only_while_that_can_be_disputed() {
    let given = submitted_panel(&TWO);
    let last = given.open_by().before(Blocks(44));
    let _ = given.clone().height(last).done(requester(), reject()).disputed_by(worker());
    let given = given.height(last.after(Blocks(1)));
    let rejection = Rejection::TooFewBlocks { height: given.height, last };
    given.when(requester(), reject()).then_rejected(&rejection);
    // But it can be disputed at once.
    let _ = given.height(last.after(Blocks(44))).disputed_by(requester());
}

#[test]
fn a_review_fits_before_the_last_height_to_refuse() {
    let given = held_panel(&TWO);
    let submit_by = given.open_by().before(Blocks(44 + 6));
    assert_eq!(TaskView::from(given.task()).milestones[0].submit_by, Some(submit_by));
    let _ = given.clone().height(submit_by).done(worker(), submit());
    let given = given.height(submit_by.after(Blocks(1)));
    given.when(worker(), submit()).then_rejected(&Rejection::TooFewBlocks { height: given.height, last: submit_by });
}

#[test]
fn silence_that_refuses_can_be_disputed() {
    let given = held_with(Terms { on_silence: OnSilence::Refund, ..panel_terms(&TWO) }).done(worker(), submit());
    let given = given.later(REVIEW);
    let until = given.now.after(WINDOW);
    let planned = Event::RefundPlanned { milestone: 0, reason: RefundReason::Silence, until };
    let given = given.when_reported(NodeCommand::Wake).then_events(&[planned]);
    let _ = given.clone().disputed_by(worker());
    let given = given.at(until).reported(NodeCommand::Wake);
    assert_eq!(verdicts(&given), [Some(Verdict::Refund(RefundReason::Silence)); 2]);
}

#[test]
fn either_side_can_dispute_what_is_held() {
    for given in [held_panel(&TWO), submitted_panel(&TWO), rejected_panel(&TWO)] {
        for side in [requester(), worker()] {
            let disputed = given.clone().disputed_by(side);
            assert_eq!(disputed.phase_name(), "disputed");
            disputed.when(side, open_dispute(side, 0)).then_already_applied();
            let other = if side == worker() { requester() } else { worker() };
            disputed.when(other, open_dispute(other, 0)).then_rejected(&Rejection::Disputed);
        }
        given.when(stranger(), open_dispute(stranger(), 0)).then_rejected(&Rejection::NotParty);
    }
    let rejection = Rejection::NoPanel;
    submitted(&TWO).when(worker(), open_dispute(worker(), 0)).then_rejected(&rejection);
    let early = funding_with(panel_terms(&TWO));
    early.when(worker(), open_dispute(worker(), 0)).then_rejected(&Rejection::NotHeld { state: "funding" });
    early.when(worker(), act(Act::Appeal)).then_rejected(&Rejection::NotDisputed);
}

#[test]
fn what_time_has_decided_against_a_side_it_cannot_dispute() {
    let late = held_panel(&TWO).at(DEADLINE);
    late.when(worker(), open_dispute(worker(), 0)).then_rejected(&Rejection::DeadlinePassed { deadline: DEADLINE });
    let _ = late.disputed_by(requester());
    let silent = submitted_panel(&TWO).later(REVIEW);
    let rejection = Rejection::DeadlinePassed { deadline: silent.now };
    silent.when(requester(), open_dispute(requester(), 0)).then_rejected(&rejection);
    let _ = silent.disputed_by(worker());
}

/// Nothing but the panel decides what is disputed.
#[test]
fn time_decides_nothing_that_is_disputed() {
    for given in [held_panel(&TWO), submitted_panel(&TWO), rejected_panel(&TWO)] {
        let given = given.disputed_by(worker()).at(DEADLINE.after(WINDOW).after(REVIEW));
        assert_eq!(given.state.wake().at, None);
        given.when_reported(NodeCommand::Wake).then_already_applied();
        given
            .when(requester(), UserCommand::CancelTask)
            .then_rejected(&Rejection::NotCancellable { state: "disputed" });
        given.when(worker(), UserCommand::CancelTask).then_rejected(&Rejection::NotCancellable { state: "disputed" });
    }
    let given = submitted_panel(&TWO).disputed_by(worker());
    given.when(requester(), reject()).then_rejected(&Rejection::Disputed);
    given.when(requester(), approve_some(0, &[0])).then_rejected(&Rejection::Disputed);
}

#[test]
fn work_can_be_handed_in_while_it_is_disputed() {
    let given = held_panel(&TWO).disputed_by(requester()).done(worker(), submit());
    assert_eq!(given.phase_name(), "disputed");
    let given = given.done(requester(), act(Act::Withdraw));
    assert_eq!(given.phase_name(), "submitted");
}

/// A ruling of 60 to 40: three of five equal tranches.
#[test]
fn a_ruling_is_a_split_of_tranches() {
    let given = rejected_panel(&FIVE).disputed_by(worker()).drawn();
    assert_eq!(given.bench().len(), 3);
    let votes = [Award::new(0b00001), Award::new(0b00111), Award::new(0b11111)];
    let given = given.voted(&votes);
    assert_eq!(given.case(0).dispute.outcome(), Outcome::Running, "there is time to appeal");
    let given = given.content();
    assert_eq!(given.case(0).dispute.outcome(), Outcome::Award(Award::new(0b00111)));
    use TrancheState::{Paying, Returning};
    let states = states(&given);
    assert!(states[..3].iter().all(|state| matches!(state, Paying { attempt: 1, covered: true, .. })), "{states:?}");
    assert_eq!(states[3..], [Returning; 2]);
    let ruled = Some(Verdict::Release(ReleaseReason::Ruled));
    assert_eq!(verdicts(&given)[..3], [ruled; 3]);
    assert_eq!(verdicts(&given)[3..], [Some(Verdict::Refund(RefundReason::Ruled)); 2]);
    let pays = given.effects.iter().filter(|effect| matches!(effect, Effect::Pay { .. })).count();
    assert_eq!(pays, 3);
    let view = TaskView::from(given.task()).milestones[0].dispute.clone().unwrap();
    assert_eq!((view.state.as_str(), view.award, view.panel.len()), ("decided", Some(0b111), 3));
}

#[test]
fn a_ruling_stands_when_the_time_to_appeal_is_over() {
    let given = rejected_panel(&TWO).disputed_by(worker()).drawn().voted(&[Award::new(0b10); 3]).woken();
    assert!(matches!(states(&given)[..], [TrancheState::Returning, TrancheState::Paying { .. }]));
}

/// Every way that a dispute may go ends so early that its payouts can begin.
#[test]
fn rulings_come_in_time_for_payouts() {
    let mut given = submitted_panel(&TWO);
    given = given.clone().height(given.open_by()).disputed_by(worker()).drawn();
    let job = given.phase().job().unwrap();
    let decide_by = given.task().decide_by(job, 0).unwrap();
    let given = given.voted(&[Award::new(0b11); 3]);
    let given = if given.case(0).dispute.phase.is_final() { given } else { given.woken() };
    assert!(given.height <= plan::rule_by(decide_by));
    assert!(states(&given).iter().all(|state| matches!(state, TrancheState::Paying { .. })));
}

/// The node was away until after the last height: what was awarded cannot be paid any more, and is given back, not lost.
#[test]
fn a_ruling_that_is_carried_out_too_late_gives_back() {
    let given = rejected_panel(&TWO).disputed_by(worker()).drawn().voted(&[Award::new(0b11); 3]);
    let late = claim_deadline().after(plan::dispute_blocks(&policy())).before(Blocks(1));
    let given = given.height(late).reported(NodeCommand::Wake);
    assert_eq!(given.case(0).dispute.outcome(), Outcome::Award(Award::new(0b11)));
    assert_eq!(states(&given), [TrancheState::Returning; 2]);
    assert_eq!(verdicts(&given), [Some(Verdict::Refund(RefundReason::BlocksRanOut)); 2]);
}

/// No panel could be brought to a ruling: the milestone goes on where its work stood.
#[test]
fn a_dispute_that_fails_leaves_it_to_the_terms() {
    let silent = |given: Given| {
        let mut given = given;
        while !given.case(0).dispute.phase.is_final() {
            given = given.woken();
        }
        assert_eq!(given.case(0).dispute.outcome(), Outcome::Failed);
        given
    };
    let end = |given: Given| {
        let given = given.at(given_later());
        let woken = given.decide(node(), Command::Node(NodeCommand::Wake)).unwrap();
        match woken {
            Decision::Accept { events, .. } => verdicts(&given.events(events))[0],
            Decision::AlreadyApplied => verdicts(&given)[0],
        }
    };
    let refused = silent(rejected_panel(&TWO).disputed_by(worker()));
    assert_eq!(end(refused), Some(Verdict::Refund(RefundReason::Rejected)));
    let handed_in = silent(submitted_panel(&TWO).disputed_by(requester()));
    assert!(matches!(handed_in.task().stage(handed_in.phase().job().unwrap(), 0), Some(Stage::Submitted { .. })));
    assert_eq!(end(handed_in), Some(Verdict::Release(ReleaseReason::Silence)));
    let worked_on = silent(held_panel(&TWO).disputed_by(requester()));
    assert_eq!(end(worked_on), Some(Verdict::Refund(RefundReason::WorkDeadline)));
}

fn given_later() -> tallystick_core::Timestamp {
    DEADLINE.after(Duration::from_secs(30 * 86_400))
}

/// A worker who disputes the own work at once, and gives that up, wins nothing: the requester has a whole review again.
#[test]
fn who_withdraws_takes_no_time_from_the_other_side() {
    let given = submitted_panel(&TWO).disputed_by(worker()).later(REVIEW).later(REVIEW);
    let given = given.done(worker(), act(Act::Withdraw));
    let again = given.now.after(REVIEW);
    assert_eq!(TaskView::from(given.task()).milestones[0].review_until, Some(again));
    given.when_reported(NodeCommand::Wake).then_already_applied();
    given.when(worker(), open_dispute(worker(), 0)).then_rejected(&Rejection::DisputedBefore);
    let _ = given.clone().disputed_by(requester());
    let _ = given.done(requester(), reject());
    // Later it would be too late for that.
    let given = submitted_panel(&TWO);
    let last = given.open_by().before(Blocks(44 + 6));
    let given = given.disputed_by(worker()).height(last);
    let _ = given.clone().done(worker(), act(Act::Withdraw));
    let given = given.height(last.after(Blocks(1)));
    let rejection = Rejection::TooFewBlocks { height: given.height, last };
    given.when(worker(), act(Act::Withdraw)).then_rejected(&rejection);
    let given = given.done(worker(), UserCommand::ConcedeWork { milestone: 0 });
    assert_eq!(verdicts(&given), [Some(Verdict::Refund(RefundReason::Conceded)); 2]);
}

#[test]
fn the_sides_may_agree_until_somebody_has_voted() {
    let given = rejected_panel(&TWO).disputed_by(worker()).drawn();
    let closed = |given: &Given| matches!(given.case(0).dispute.phase, DisputePhase::Closed);
    let approved = given.clone().done(requester(), approve());
    assert!(closed(&approved) && matches!(states(&approved)[0], TrancheState::Paying { .. }));
    approved.when(requester(), approve()).then_already_applied();
    let concede = UserCommand::ConcedeWork { milestone: 0 };
    let conceded = given.clone().done(worker(), concede.clone());
    assert!(closed(&conceded) && states(&conceded) == [TrancheState::Returning; 2]);
    conceded.when(worker(), concede.clone()).then_already_applied();
    given.when(requester(), concede.clone()).then_rejected(&Rejection::NotWorker);

    let bench = given.bench();
    let given = bench.iter().fold(given, |given, who| given.done(*who, act(Act::AcceptSeat))).woken();
    let commitment = tallystick_core::Digest32([1; 32]);
    let given = given.done(bench[0], act(Act::CommitVote { commitment }));
    given.when(requester(), approve()).then_rejected(&Rejection::Disputed);
    given.when(worker(), concede).then_rejected(&Rejection::Disputed);
}

/// Before work is handed in, a requester can pay for what is disputed, and for nothing else.
#[test]
fn an_unfinished_milestone_can_be_paid_only_to_end_its_dispute() {
    let given = held_panel(&TWO).disputed_by(requester());
    let _ = given.when(requester(), approve()).answer.unwrap();
    let given = given.done(requester(), act(Act::Withdraw));
    given.when(requester(), approve()).then_rejected(&Rejection::NotSubmitted { state: "held" });
}

/// Mostro gave up what was held while a dispute ran ("hold gone while a dispute runs"): here it goes on about the rest, and
/// is closed when nothing is left; nothing is paid that no hold covers.
#[test]
fn hold_gone_while_a_dispute_runs() {
    for given in [held_panel(&TWO), rejected_panel(&TWO)] {
        let given = given.disputed_by(worker()).drawn().reported(lost(0));
        assert_eq!(given.phase_name(), "disputed");
        assert_eq!(states(&given)[0], TrancheState::Returned);
        let ruled = given.clone().voted(&[Award::new(0b11); 3]).content();
        assert!(matches!(states(&ruled)[..], [TrancheState::Returned, TrancheState::Paying { .. }]));
        let paid = ruled.effects.iter().filter_map(|effect| match effect {
            Effect::Pay { hash, .. } => Some(*hash),
            _ => None,
        });
        assert_eq!(paid.collect::<Vec<_>>(), [hash(1)]);
        let gone = given.reported(lost(1));
        assert_eq!(gone.case(0).dispute.phase, DisputePhase::Closed);
        assert!(matches!(gone.phase(), Phase::Refunded { .. }));
        assert_eq!(gone.state.wake(), tallystick_escrow::Wake::default());
    }
}

#[test]
fn a_payout_that_the_journal_knows_nothing_of_closes_the_dispute() {
    let given = rejected_panel(&TWO).disputed_by(worker()).drawn().reported(spent(0));
    assert_eq!(given.case(0).dispute.phase, DisputePhase::Closed);
    assert!(matches!(states(&given)[..], [TrancheState::Spent { .. }, TrancheState::Returning]));
}

#[test]
fn a_disputed_milestone_keeps_no_other_waiting() {
    let sooner = tallystick_core::Timestamp::from_millis(DEADLINE.as_millis() - 3_600_000);
    let milestones = vec![milestone(&[1_000], sooner), milestone(&[2_000], DEADLINE)];
    let given = held_with(Terms { milestones, ..panel_terms(&[]) }).done(worker(), submit());
    let given = given.done(requester(), reject()).disputed_by(worker());
    let given = given.done(worker(), submit_for(1));
    let command = UserCommand::ApproveWork { milestone: 1, tranches: None };
    let given = given.done(requester(), command);
    assert!(matches!(states(&given)[..], [TrancheState::Held { .. }, TrancheState::Paying { .. }]));
    // A worker who steps back gives up what is not disputed.
    given.when(worker(), UserCommand::CancelTask).then_rejected(&Rejection::NotCancellable { state: "disputed" });
}

/// What the registry is told: who voted and how near the ruling, who was silent, and nothing of who refused.
#[test]
fn arbitrators_standing_hears_of_it() {
    let given = rejected_panel(&FIVE).disputed_by(worker()).drawn();
    let bench = given.bench();
    let given = given.done(bench[0], act(Act::RefuseSeat));
    let bench = given.bench();
    let votes = [Award::new(0b00001), Award::new(0b00011)];
    let given = bench[1..].iter().fold(given, |given, who| given.done(*who, act(Act::AcceptSeat))).woken();
    let dispute = given.case(0).dispute.clone();
    let mut given = given;
    for (who, award) in bench[1..3].iter().zip(votes) {
        let commitment = dispute::commitment(dispute.opening.id, 1, *who, award, &salt(*who));
        given = given.done(*who, act(Act::CommitVote { commitment }));
    }
    given = given.woken();
    for (who, award) in bench[1..3].iter().zip(votes) {
        given = given.done(*who, act(Act::RevealVote { award, salt: salt(*who) }));
    }
    let given = given.content();
    let told: Vec<_> = given
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::NoteService { arbitrator, did, .. } => Some((*arbitrator, *did)),
            _ => None,
        })
        .collect();
    // Of two votes the lower one rules; the other is one tranche of five off it.
    let expected = [
        (bench[1], Did::Voted { off_permille: 0 }),
        (bench[2], Did::Voted { off_permille: 200 }),
        (bench[3], Did::Missed(Duty::Commit)),
    ];
    assert_eq!(told, expected);
}

#[test]
fn panels_grow_with_the_amount() {
    let seats = |payouts: &[u64], panel| {
        let given = held_with(with_panel(panel, terms(payouts))).disputed_by(worker());
        given.case(0).dispute.panel.seats
    };
    assert_eq!(seats(&[99_999], Seats::One), Seats::One);
    assert_eq!(seats(&[99_999], Seats::Three), Seats::Three);
    assert_eq!(seats(&[100_000], Seats::One), Seats::Three);
    assert_eq!(seats(&[1_000_000], Seats::One), Seats::Five);
}

/// However all rounds go, arbitrators together cost no more than the fees of what is disputed.
#[test]
fn arbitrators_never_cost_more_than_the_fee() {
    for seats in [Seats::One, Seats::Three, Seats::Five] {
        let fees = sat(1_000);
        let each = Policy::default().reward(fees, seats).get();
        let most = 2 * seats.count() + seats.on_appeal().count();
        assert!(each > 0 && each * u64::try_from(most).unwrap() <= fees.to_msat().get());
    }
}

#[test]
fn a_draw_is_recorded_once_and_needs_its_block() {
    let given = rejected_panel(&TWO).disputed_by(worker());
    let due = given.state.draws_due();
    assert_eq!((due.len(), due[0].block, due[0].from), (1, HEIGHT.after(Blocks(1)), HEIGHT.after(Blocks(6))));
    let draw = given.draw(0);
    let answer = given.decide(node(), Command::Node(draw.clone())).unwrap_err();
    assert_eq!(answer.code().0, "dispute.not_buried");
    let given = given.drawn();
    assert!(given.state.draws_due().is_empty());
    assert_eq!(given.decide(node(), Command::Node(draw)), Ok(Decision::AlreadyApplied));
}
