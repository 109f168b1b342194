//! Stored bytes never change by accident: every event, effect and node command, as hexadecimal.
//!
//! The files hold one line per variant. A new variant adds a line (`UPDATE_SNAPSHOTS=1 cargo test`); a line that
//! changes breaks every journal that exists.

use tallystick_civics::{dispute, registry::Did};
use tallystick_core::{Blocks, Decider, Digest32, Duration, canonical};
use tallystick_escrow::{
    Effect, Escrow, Event, NodeCommand, Outage, PayFailure, Policy, RefundReason, ReleaseReason, State, TrancheInvoice,
    payout_id, reward_id,
};
use tallystick_testkit::{complete, escrow::*, golden};

fn events() -> Vec<Event> {
    let invoice = TrancheInvoice { bolt11: "lnbcrt1".into(), hash: hash(0), expires_at: DEADLINE };
    let created = Event::TaskCreated {
        id: task_id(),
        requester: requester(),
        terms: terms(&[20_000, 1]),
        policy: Policy::default(),
        hold_blocks: HOLD_BLOCKS,
        at: NOW,
    };
    let offered = invoice.clone();
    let mut events = vec![
        created,
        Event::TaskAccepted { worker: worker(), invoices: vec![invoice] },
        Event::FundingRequested { until: DEADLINE },
        Event::HoldInvoiceMade { tranche: 1, bolt11: "lnbcrt2".into() },
        Event::HoldLocked { tranche: 1, amount: hold_of(20_000), claim_deadline: claim_deadline() },
        Event::TaskHeld,
        Event::WorkSubmitted { milestone: 1, work_hash: WORK, review_until: DEADLINE },
        Event::ReleaseBegun { milestone: 1, tranches: vec![0, 2], reason: ReleaseReason::Silence },
        Event::PayoutBegun { tranche: 1, attempt: 2, not_before: NOW },
        Event::PayoutFailed { tranche: 1, attempt: 2, reason: PayFailure::NoRoute },
        Event::PayoutPaid { tranche: 1, fee: msat(1_001) },
        Event::HoldClaimed { tranche: 1, amount: hold_of(20_000) },
        Event::RefundBegun { milestone: Some(1), reason: RefundReason::Rejected },
        Event::TrancheRefundBegun { tranche: 1 },
        Event::HoldReturned { tranche: 1 },
        Event::HoldLost { tranche: 1 },
        Event::TaskSettled,
        Event::TaskRefunded,
        Event::TaskCancelled { by: worker() },
        Event::TaskExpired,
        Event::WorkRejected { milestone: 1, reason_hash: REASONS },
        Event::HoldSpent { tranche: 1, fee: Some(msat(1_001)) },
        Event::HoldSpent { tranche: 1, fee: None },
        Event::RenewalOffered { milestone: 1, invoices: vec![offered], until: DEADLINE, in_time: true },
        Event::RenewalInvoiceMade { tranche: 1, bolt11: "lnbcrt2".into() },
        Event::RenewalRefused { tranche: 1 },
        Event::HoldRenewed { tranche: 1, amount: hold_of(20_000), claim_deadline: claim_deadline() },
        Event::ReplacedHoldReturned { tranche: 1, hash: hash(1) },
        Event::OtherHoldSpent { tranche: 1, hash: hash(1), fee: Some(msat(1_001)) },
    ];
    events.extend(dispute_events());
    use PayFailure as F;
    let failures = [F::Refused, F::InvoiceExpired, F::AttemptsExhausted, F::TooLate, F::Other];
    events.extend(failures.map(|reason| Event::PayoutFailed { tranche: 0, attempt: 1, reason }));
    events.extend(reasons());
    events
}

fn reasons() -> Vec<Event> {
    use RefundReason as R;
    let refunds = [
        R::CancelledByRequester,
        R::CancelledByWorker,
        R::WorkDeadline,
        R::Silence,
        R::BlocksRanOut,
        R::FundingLapsed,
        R::PayoutFailed,
        R::HoldLost,
        R::HoldSpent,
        R::RenewalMissed,
        R::Ruled,
        R::Conceded,
        R::BondKept,
    ];
    let mut events: Vec<Event> = refunds.map(refund_of_all).into();
    let reasons = [
        ReleaseReason::Approved,
        ReleaseReason::HoldSpent,
        ReleaseReason::RenewalMissed,
        ReleaseReason::Ruled,
        ReleaseReason::BrokenPromise,
    ];
    events.extend(reasons.map(|reason| release_begun(1, reason)));
    events
}

fn dispute_events() -> Vec<Event> {
    let opened = held_with(panel_terms(&[20_000, 1])).disputed_by(worker()).facts.pop().unwrap();
    let (dispute, arbitrator) = (dispute_id(worker()), key(11));
    let invoice = TrancheInvoice { bolt11: "lnbcrt3".into(), hash: hash(7), expires_at: DEADLINE };
    vec![
        Event::RefundPlanned { milestone: 1, reason: RefundReason::Rejected, until: DEADLINE },
        opened,
        Event::Dispute { milestone: 1, event: dispute::Event::DisputeFailed },
        Event::ReviewResumed { milestone: 1, review_until: DEADLINE },
        Event::RewardBegun { dispute, arbitrator, invoice, attempt: 2, not_before: NOW },
        Event::RewardFailed { dispute, arbitrator, attempt: 2, reason: PayFailure::NoRoute },
        Event::RewardPaid { dispute, arbitrator, fee: msat(1_001) },
        Event::BondOffered {
            invoice: TrancheInvoice { bolt11: "lnbcrt4".into(), hash: hash(8), expires_at: DEADLINE },
        },
        Event::BondTaken { tranche: 3, reason: ReleaseReason::BrokenPromise },
        Event::BondReturnBegun { tranche: 3, reason: RefundReason::BondKept },
    ]
}

fn effects() -> Vec<Effect> {
    vec![
        Effect::MakeHoldInvoice {
            hash: hash(0),
            amount: hold_of(20_000),
            description: "Paint the fence".into(),
            expiry: Duration::from_secs(3_600),
            final_cltv_delta: Blocks(522),
        },
        Effect::Pay {
            hash: hash(0),
            id: pay_id(0, 1),
            bolt11: "lnbcrt1".into(),
            fee_limit: msat(200_000),
            cltv_limit: Blocks(288),
            begin_by: decide_by(),
            not_before: NOW,
        },
        Effect::ClaimHold { hash: hash(0), amount: hold_of(20_000) },
        Effect::CancelHold { hash: hash(0) },
        Effect::PayReward {
            hash: hash(7),
            id: reward_id(dispute_id(worker()), key(11), 2),
            bolt11: "lnbcrt3".into(),
            fee_limit: msat(4_000),
            cltv_limit: Blocks(288),
            not_before: NOW,
        },
        Effect::NoteService {
            dispute: dispute_id(worker()),
            arbitrator: key(11),
            did: Did::Voted { off_permille: 250 },
        },
    ]
}

fn node_commands() -> Vec<NodeCommand> {
    vec![
        invoice_made(0),
        locked(0, 20_000),
        lost(0),
        returned(0),
        claimed(0, 20_000),
        paid(0, 1),
        failed(0, 1, PayFailure::TooLate),
        NodeCommand::Wake,
        spent(0),
        refused(0),
        held_with(panel_terms(&[20_000])).disputed_by(worker()).draw(0),
        NodeCommand::WakeKnowing { outages: vec![Outage { from: NOW, until: DEADLINE }] },
    ]
}

fn name(debug: &impl std::fmt::Debug) -> String {
    let debug = format!("{debug:?}");
    debug.split([' ', '{']).next().unwrap_or_default().to_owned()
}

#[test]
fn events_keep_their_bytes() {
    let lines: Vec<_> = events().iter().map(|event| (event.kind().to_owned(), canonical::encode(event))).collect();
    golden("events.txt", &lines);
    complete::<Event>(&lines, 38);
}

#[test]
fn effects_keep_their_bytes_and_keys() {
    let lines: Vec<_> = effects().iter().map(|effect| (effect.key(), canonical::encode(effect))).collect();
    golden("effects.txt", &lines);
    complete::<Effect>(&lines, 6);
}

#[test]
fn node_commands_keep_their_bytes() {
    let lines: Vec<_> = node_commands().iter().map(|command| (name(command), canonical::encode(command))).collect();
    golden("node_commands.txt", &lines);
    complete::<NodeCommand>(&lines, 12);
}

#[test]
fn old_bytes_are_still_read() {
    let kept = include_str!("../golden/events.txt");
    let read = kept.lines().map(|line| {
        let bytes = hex::decode(line.split(' ').nth(1).unwrap()).unwrap();
        canonical::decode::<Event>("event", &bytes).unwrap()
    });
    let read: Vec<Event> = read.collect();
    assert_eq!(read, events());
    assert_ne!(read.iter().fold(State::Absent, Escrow::evolve), State::Absent);
}

#[test]
fn an_arbitrators_pay_is_another_payment_for_each_dispute_arbitrator_and_attempt() {
    let ids = [
        reward_id(dispute_id(worker()), key(11), 1),
        reward_id(dispute_id(worker()), key(11), 2),
        reward_id(dispute_id(worker()), key(12), 1),
        reward_id(dispute_id(requester()), key(11), 1),
        payout_id(task_id(), 0, 1),
    ];
    for (i, id) in ids.iter().enumerate() {
        assert!(!ids[..i].contains(id));
    }
}

#[test]
fn a_payouts_id_never_changes() {
    let id = |tranche, attempt| hex::encode(payout_id(task_id(), tranche, attempt).0);
    assert_eq!(id(0, 1), "5797c07d8dcc664b7a170eeb43b63ef8041b91e4486eaaf798ac4bc060292b04");
    assert_eq!(id(1, 0), "7ca1d62acdc630117835171f9bc4fc3eed99b4ae65792c80d53bc138bd52113c");
    assert_eq!(id(u32::MAX, u32::MAX), "ff5ca4095a416c3f4952750ffb67b2beca027d363f3cad147900a9bd2f7d914b");
    let all = [Digest32([0; 32]), payout_id(task_id(), 0, 1), payout_id(task_id(), 1, 0), payout_id(task_id(), 0, 256)];
    for (i, id) in all.iter().enumerate() {
        assert!(!all[..i].contains(id));
    }
}
