//! The straight ways through a task's life, fact by fact.

use tallystick_core::{Blocks, Duration, Msat};
use tallystick_escrow::{
    Effect, Event, NodeCommand, OnSilence, PayFailure, Phase, Policy, RefundReason, ReleaseReason, Terms,
    TrancheInvoice, UserCommand, Verdict,
};
use tallystick_testkit::escrow::*;

fn pay(tranche: u8, attempt: u32, payout: u64, not_before: tallystick_core::Timestamp) -> Effect {
    Effect::Pay {
        hash: hash(tranche),
        id: pay_id(tranche, attempt),
        bolt11: format!("payout invoice {tranche}"),
        fee_limit: policy().fee(sat(payout)).to_msat(),
        cltv_limit: Blocks(288),
        begin_by: decide_by(),
        not_before,
    }
}

#[test]
fn approved_work_is_paid_out() {
    let invoice = |tranche| TrancheInvoice {
        bolt11: format!("payout invoice {tranche}"),
        hash: hash(tranche),
        expires_at: NOW.after(Duration::from_secs(30 * 86_400)),
    };
    let given = Given::nothing()
        .when(requester(), create(terms(&[20_000])))
        .then_events(&[Event::TaskCreated {
            id: task_id(),
            requester: requester(),
            terms: terms(&[20_000]),
            policy: policy(),
            hold_blocks: HOLD_BLOCKS,
            at: NOW,
        }])
        .when(worker(), accept(&[20_000]))
        .then_events(&[Event::TaskAccepted { worker: worker(), invoices: vec![invoice(0)] }])
        .when(requester(), UserCommand::RequestFunding)
        .then(
            &[Event::FundingRequested { until: NOW.after(Duration::from_secs(3_600)) }],
            &[Effect::MakeHoldInvoice {
                hash: hash(0),
                amount: msat(20_200_000),
                description: format!("Paint the fence (task {})", task_id()),
                expiry: Duration::from_secs(3_600),
                final_cltv_delta: Blocks(186 + 288 + 48 + 39 + 3),
            }],
        )
        .when_reported(invoice_made(0))
        .then_events(&[Event::HoldInvoiceMade { tranche: 0, bolt11: "hold invoice 0".into() }])
        .when_reported(locked(0, 20_000))
        .then_events(&[
            Event::HoldLocked { tranche: 0, amount: msat(20_200_000), claim_deadline: claim_deadline() },
            Event::TaskHeld,
        ])
        .when(worker(), submit())
        .then_events(&[Event::WorkSubmitted { milestone: 0, work_hash: WORK, review_until: NOW.after(REVIEW) }])
        .when(requester(), approve())
        .then(
            &[
                release_begun(1, ReleaseReason::Approved),
                Event::PayoutBegun { tranche: 0, attempt: 1, not_before: NOW },
            ],
            &[pay(0, 1, 20_000, NOW)],
        )
        .when_reported(paid(0, 1))
        .then(
            &[Event::PayoutPaid { tranche: 0, fee: ROUTING_FEE }],
            &[Effect::ClaimHold { hash: hash(0), amount: msat(20_200_000) }],
        )
        .when_reported(claimed(0, 20_000))
        .then_events(&[Event::HoldClaimed { tranche: 0, amount: msat(20_200_000) }, Event::TaskSettled]);
    assert!(matches!(given.phase(), Phase::Settled { .. }));
    assert_eq!(given.task().verdict(), Some(Verdict::Release(ReleaseReason::Approved)));
}

#[test]
fn rejected_work_is_not_paid() {
    let given = submitted(&[20_000])
        .when(requester(), reject())
        .then(
            &[Event::WorkRejected { milestone: 0, reason_hash: REASONS }, refund_begun(RefundReason::Rejected)],
            &[Effect::CancelHold { hash: hash(0) }],
        )
        .when_reported(returned(0))
        .then_events(&[Event::HoldReturned { tranche: 0 }, Event::TaskRefunded]);
    assert!(matches!(given.phase(), Phase::Refunded { .. }));
    assert_eq!(given.task().verdict(), Some(Verdict::Refund(RefundReason::Rejected)));
}

#[test]
fn before_money_is_locked_either_side_steps_back_for_nothing() {
    for given in [assigned(&[20_000]), funding(&[20_000])] {
        for by in [requester(), worker()] {
            given.when(by, UserCommand::CancelTask).then_events(&[Event::TaskCancelled { by }]);
        }
    }
    open(&[20_000]).when(requester(), UserCommand::CancelTask).then_events(&[Event::TaskCancelled { by: requester() }]);
}

#[test]
fn once_money_is_locked_stepping_back_gives_it_back() {
    let sides = [(requester(), RefundReason::CancelledByRequester), (worker(), RefundReason::CancelledByWorker)];
    for (by, reason) in sides {
        held(&[20_000])
            .when(by, UserCommand::CancelTask)
            .then(&[refund_of_all(reason)], &[Effect::CancelHold { hash: hash(0) }]);
    }
    submitted(&[20_000])
        .when(worker(), UserCommand::CancelTask)
        .then(&[refund_of_all(RefundReason::CancelledByWorker)], &[Effect::CancelHold { hash: hash(0) }]);
}

#[test]
fn tasks_that_nobody_funds_expire() {
    for given in [open(&[20_000]), assigned(&[20_000])] {
        given.clone().later(WORK_TIME).when_reported(NodeCommand::Wake).then_events(&[Event::TaskExpired]);
        let just_before = Duration::from_millis(WORK_TIME.as_millis() - 1);
        given.later(just_before).when_reported(NodeCommand::Wake).then_already_applied();
    }
    let window = Policy::default().funding_window;
    funding(&[20_000]).later(window).when_reported(NodeCommand::Wake).then_events(&[Event::TaskExpired]);
}

#[test]
fn the_funding_window_ends_with_the_work_deadline() {
    let half_an_hour = Duration::from_secs(1_800);
    assigned(&[20_000])
        .at(tallystick_core::Timestamp::from_millis(DEADLINE.as_millis() - half_an_hour.as_millis()))
        .when(requester(), UserCommand::RequestFunding)
        .then(
            &[Event::FundingRequested { until: DEADLINE }],
            &[Effect::MakeHoldInvoice {
                hash: hash(0),
                amount: msat(20_200_000),
                description: format!("Paint the fence (task {})", task_id()),
                expiry: half_an_hour,
                final_cltv_delta: Blocks(564),
            }],
        );
}

#[test]
fn work_that_is_never_submitted_is_not_paid() {
    held(&[20_000])
        .at(DEADLINE)
        .when_reported(NodeCommand::Wake)
        .then(&[refund_begun(RefundReason::WorkDeadline)], &[Effect::CancelHold { hash: hash(0) }]);
}

#[test]
fn silence_means_what_the_terms_say() {
    let release = submitted_with(&[20_000], OnSilence::Release).later(REVIEW);
    let now = release.now;
    release.when_reported(NodeCommand::Wake).then(
        &[release_begun(1, ReleaseReason::Silence), Event::PayoutBegun { tranche: 0, attempt: 1, not_before: now }],
        &[pay(0, 1, 20_000, now)],
    );
    let refund = submitted_with(&[20_000], OnSilence::Refund).later(REVIEW);
    refund
        .when_reported(NodeCommand::Wake)
        .then(&[refund_begun(RefundReason::Silence)], &[Effect::CancelHold { hash: hash(0) }]);
    for on_silence in [OnSilence::Release, OnSilence::Refund] {
        let just_before = Duration::from_millis(REVIEW.as_millis() - 1);
        submitted_with(&[20_000], on_silence)
            .later(just_before)
            .when_reported(NodeCommand::Wake)
            .then_already_applied();
    }
}

#[test]
fn after_the_review_window_silence_has_decided_for_the_worker() {
    let reject = reject();
    let late = submitted_with(&[20_000], OnSilence::Release).later(REVIEW);
    let deadline = NOW.after(REVIEW);
    late.when(requester(), reject.clone()).then_rejected(&tallystick_escrow::Rejection::DeadlinePassed { deadline });
    // Where silence is a refund, a late rejection says the same.
    submitted_with(&[20_000], OnSilence::Refund).later(REVIEW).when(requester(), reject).then(
        &[Event::WorkRejected { milestone: 0, reason_hash: REASONS }, refund_begun(RefundReason::Rejected)],
        &[Effect::CancelHold { hash: hash(0) }],
    );
    // A late approval still pays, as long as nobody was woken before.
    let approved = submitted_with(&[20_000], OnSilence::Refund).later(REVIEW).done(requester(), approve());
    assert_eq!(approved.phase_name(), "releasing");
}

#[test]
fn a_failed_payout_is_tried_again_after_a_growing_pause() {
    let mut given = releasing(&[20_000]);
    for (attempt, pause) in (1..).zip([1, 2, 4, 8, 16, 32, 60, 60, 60, 600, 600]) {
        let not_before = given.now.after(Duration::from_secs(pause));
        given = given
            .when_reported(failed(0, attempt, PayFailure::NoRoute))
            .then(
                &[
                    Event::PayoutFailed { tranche: 0, attempt, reason: PayFailure::NoRoute },
                    Event::PayoutBegun { tranche: 0, attempt: attempt + 1, not_before },
                ],
                &[pay(0, attempt + 1, 20_000, not_before)],
            )
            .at(not_before);
    }
    given.when_reported(paid(0, 12)).then(
        &[Event::PayoutPaid { tranche: 0, fee: ROUTING_FEE }],
        &[Effect::ClaimHold { hash: hash(0), amount: msat(20_200_000) }],
    );
}

#[test]
fn a_payee_that_refuses_is_tried_twenty_times() {
    for reason in [PayFailure::Refused, PayFailure::Other, PayFailure::NoRoute, PayFailure::AttemptsExhausted] {
        let given = (1..20).fold(releasing(&[20_000]), |given, attempt| given.reported(failed(0, attempt, reason)));
        let given = given.reported(failed(0, 20, reason));
        let ends = matches!(reason, PayFailure::Refused | PayFailure::Other);
        assert_eq!(given.facts.last() == Some(&Event::TrancheRefundBegun { tranche: 0 }), ends, "{reason:?}");
    }
}

#[test]
fn a_payout_that_cannot_work_any_more_is_given_back() {
    let given_back =
        |reason| [Event::PayoutFailed { tranche: 0, attempt: 1, reason }, Event::TrancheRefundBegun { tranche: 0 }];
    for reason in [PayFailure::InvoiceExpired, PayFailure::TooLate] {
        releasing(&[20_000])
            .when_reported(failed(0, 1, reason))
            .then(&given_back(reason), &[Effect::CancelHold { hash: hash(0) }]);
    }
    for reason in [PayFailure::NoRoute, PayFailure::Refused, PayFailure::AttemptsExhausted, PayFailure::Other] {
        let late = releasing(&[20_000]).height(decide_by().after(Blocks(1)));
        let given = late
            .when_reported(failed(0, 1, reason))
            .then(&given_back(reason), &[Effect::CancelHold { hash: hash(0) }])
            .when_reported(returned(0))
            .then_events(&[Event::HoldReturned { tranche: 0 }, Event::TaskRefunded]);
        assert_eq!(given.task().verdict(), Some(Verdict::Refund(RefundReason::PayoutFailed)));
    }
}

#[test]
fn the_fee_is_rounded_up_once_and_is_never_nothing() {
    let cases = [(1, 1), (99, 1), (100, 1), (101, 2), (20_000, 200), (20_001, 201), (5_000_000, 50_000)];
    for (payout, fee) in cases {
        let given = assigned(&[payout]);
        let part = &given.phase().job().unwrap().tranches[0];
        assert_eq!(part.fee.get(), fee, "fee of {payout} sat");
        assert_eq!(part.hold().unwrap(), msat((payout + fee) * 1_000));
        assert!(part.hold().unwrap() > part.payout.to_msat());
    }
    let free = Policy { fee_rate: tallystick_core::BasisPoints::default(), ..policy() };
    let given = Given::nothing()
        .done(
            requester(),
            UserCommand::CreateTask { id: task_id(), terms: terms(&[5_000_000]), policy: Box::new(free) },
        )
        .done(worker(), accept(&[5_000_000]));
    assert_eq!(given.phase().job().unwrap().tranches[0].fee, sat(1));
}

#[test]
fn a_payout_may_cost_at_most_the_fee() {
    let given = releasing(&[20_000, 777]);
    let limits: Vec<Msat> = given
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Pay { fee_limit, .. } => Some(*fee_limit),
            _ => None,
        })
        .collect();
    assert_eq!(limits, [msat(200_000), msat(8_000)]);
}

#[test]
fn the_view_shows_where_a_task_stands() {
    use tallystick_escrow::TaskView;
    let view = |given: &Given| TaskView::from(given.task());
    let planned = view(&open(&[20_000]));
    assert_eq!(
        (planned.state.as_str(), planned.worker, planned.milestones[0].tranches[0].state.as_str()),
        ("open", None, "planned")
    );
    let reasons: [(Given, Option<&str>, &str); 6] = [
        (held(&[20_000]), None, "held"),
        (releasing(&[20_000]), Some("approved"), "paying"),
        (releasing(&[20_000]).reported(paid(0, 1)), Some("approved"), "paid"),
        (settled(&[20_000]), Some("approved"), "claimed"),
        (refunding(&[20_000]), Some("rejected"), "returning"),
        (refunded(&[20_000]), Some("rejected"), "returned"),
    ];
    for (given, reason, tranche) in reasons {
        let view = view(&given);
        assert_eq!(view.state, given.phase_name());
        assert_eq!((view.reason.as_deref(), view.milestones[0].tranches[0].state.as_str()), (reason, tranche));
        assert_eq!(view.milestones[0].tranches[0].hash, Some(hash(0)));
    }
    assert_eq!(view(&submitted(&[20_000])).milestones[0].decide_by, Some(decide_by()));
    assert_eq!(view(&held(&[20_000])).milestones[0].work_hash, None);
    for given in [submitted(&[20_000]), releasing(&[20_000]), settled(&[20_000])] {
        let part = view(&given).milestones.remove(0);
        assert_eq!((part.work_hash, part.reason_hash), (Some(WORK), None));
    }
    for given in [refunding(&[20_000]), refunded(&[20_000])] {
        let part = view(&given).milestones.remove(0);
        assert_eq!((part.work_hash, part.reason_hash), (Some(WORK), Some(REASONS)));
    }
}

#[test]
fn terms_may_ask_for_a_longer_hold() {
    let given = open_with(Terms { hold_blocks: Some(Blocks(400)), ..terms(&[20_000]) });
    assert_eq!(given.task().hold_blocks, Blocks(400));
}
