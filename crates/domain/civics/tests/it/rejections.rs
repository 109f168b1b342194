//! The table of all codes.

use std::collections::BTreeSet;
use tallystick_civics::{
    dispute::{PlanError, Rejection},
    draw::CandidatesError,
    registry, roles,
};
use tallystick_core::{AmountError, Blocks, Coded};

use crate::given::{HEIGHT, NOW, key};

/// One of each: what clients branch on.
fn all() -> Vec<(Rejection, &'static str)> {
    use Rejection as R;
    let (state, height) = ("seating", HEIGHT);
    vec![
        (R::Plan(PlanError::Phase { phase: "draw", blocks: Blocks(0) }), "dispute.plan"),
        (R::Amount(AmountError::TooLarge), "amount.too_large"),
        (R::SameParty, "dispute.same_party"),
        (R::Parts { count: 0 }, "dispute.parts"),
        (R::Conflicts { count: 1_001 }, "dispute.conflicts"),
        (R::TooManySeats { seats: 7 }, "dispute.too_many_seats"),
        (R::TooLate { height, needed: Blocks(90), rule_by: height }, "dispute.too_late"),
        (R::NotParty, "dispute.not_party"),
        (R::NotOpener, "dispute.not_opener"),
        (R::NotSeated, "dispute.not_seated"),
        (R::EvidenceClosed { state }, "dispute.evidence_closed"),
        (R::EvidenceSize { bytes: 0 }, "dispute.evidence_size"),
        (R::EvidenceCount, "dispute.evidence_count"),
        (R::EvidenceTotal { bytes: 2, left: 1 }, "dispute.evidence_total"),
        (R::EvidenceKnown, "dispute.evidence_known"),
        (R::NotSeating { state }, "dispute.not_seating"),
        (R::SeatRefused, "dispute.seat_refused"),
        (R::NotCommitting { state }, "dispute.not_committing"),
        (R::AlreadyCommitted, "dispute.already_committed"),
        (R::NotRevealing { state }, "dispute.not_revealing"),
        (R::NotCommitted, "dispute.not_committed"),
        (R::AlreadyRevealed, "dispute.already_revealed"),
        (R::BadAward { parts: 3 }, "dispute.bad_award"),
        (R::CommitmentDiffers, "dispute.commitment_differs"),
        (R::NotRuled { state }, "dispute.not_ruled"),
        (R::AlreadyAppealed, "dispute.already_appealed"),
        (R::RulingAccepted, "dispute.ruling_accepted"),
        (R::NotWithdrawable { state }, "dispute.not_withdrawable"),
        (R::TimeOver { height, until: height }, "dispute.time_over"),
        (R::NotDrawing { state }, "dispute.not_drawing"),
        (R::AlreadyDrawn, "dispute.already_drawn"),
        (R::WrongBlock { block: height, needed: height }, "dispute.wrong_block"),
        (R::WrongRegistry { seq: 1, needed: 2 }, "dispute.wrong_registry"),
        (R::NotBuried { height, needed: height }, "dispute.not_buried"),
    ]
}

fn registry_all() -> [(registry::Rejection, &'static str); 5] {
    use registry::Rejection as R;
    [
        (R::NotFound, "arbitrator.not_found"),
        (R::NotSelf, "arbitrator.not_self"),
        (R::Pay, "arbitrator.pay"),
        (R::Withdrawn, "arbitrator.withdrawn"),
        (R::OtherStatement, "arbitrator.other_statement"),
    ]
}

fn roles_all() -> [(roles::Rejection, &'static str); 17] {
    use roles::Rejection as R;
    [
        (R::NotOperator, "auth.not_operator"),
        (R::NotAdmin, "auth.not_admin"),
        (R::SecondFactor, "roles.second_factor"),
        (R::NotEnrolled, "roles.not_enrolled"),
        (R::SecondAdmin, "roles.second_admin"),
        (R::CodeUsed, "roles.code_used"),
        (R::Paused { until: NOW }, "roles.paused"),
        (R::NoProposal, "roles.no_proposal"),
        (R::OwnProposal, "roles.own_proposal"),
        (R::OtherAction, "roles.other_action"),
        (R::TooManyProposals, "roles.too_many_proposals"),
        (R::NotSelf, "roles.not_self"),
        (R::NoSuchAdmin, "roles.no_such_admin"),
        (R::NotEnrolling, "roles.not_enrolling"),
        (R::LastAdmin, "roles.last_admin"),
        (R::TooManyHolders, "roles.too_many_holders"),
        (R::Founders, "roles.founders"),
    ]
}

#[test]
fn codes_are_part_of_the_public_interface() {
    let dispute = all().into_iter().map(|(rejection, code)| (rejection.code().0, rejection.to_string(), code));
    let registry =
        registry_all().into_iter().map(|(rejection, code)| (rejection.code().0, rejection.to_string(), code));
    let roles = roles_all().into_iter().map(|(rejection, code)| (rejection.code().0, rejection.to_string(), code));
    let candidates = CandidatesError::Unsorted(key(1));
    let candidates = [(candidates.code().0, candidates.to_string(), "dispute.candidates")];
    let mut codes = BTreeSet::new();
    for (actual, sentence, code) in dispute.chain(registry).chain(roles).chain(candidates) {
        assert_eq!(actual, code);
        assert!(codes.insert(code), "{code} is used twice");
        assert!(sentence.len() > 10 && !sentence.ends_with('.') && !sentence.contains('{'), "{sentence}");
    }
    assert_eq!(codes.len(), 57);
}
