//! Any event, effect and node command.

use proptest::{collection::vec, option, prelude::*};
use tallystick_civics::{
    dispute::{self, Award, Opening, Plan, Seats, Side},
    registry::Did,
};
use tallystick_core::{
    BasisPoints, BlockHeight, Blocks, Digest32, Duration, Id, Msat, NostrKey, PaymentHash, Sat, Timestamp,
};
use tallystick_escrow::{
    Bonds, Effect, Event, MilestoneTerms, NodeCommand, OnSilence, Outage, PayFailure, Policy, RefundReason,
    ReleaseReason, Task, Terms, TrancheInvoice,
};
use tallystick_testkit::escrow::{candidates, dispute_id, key, requester, worker};

fn sats() -> impl Strategy<Value = Sat> {
    (0..=Sat::MAX.get()).prop_map(|amount| Sat::try_new(amount).unwrap())
}

fn msats() -> impl Strategy<Value = Msat> {
    (0..=Msat::MAX.get()).prop_map(|amount| Msat::try_new(amount).unwrap())
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp::from_millis)
}

fn span() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_millis)
}

fn height() -> impl Strategy<Value = BlockHeight> {
    any::<u32>().prop_map(BlockHeight)
}

fn blocks() -> impl Strategy<Value = Blocks> {
    any::<u32>().prop_map(Blocks)
}

fn digest() -> impl Strategy<Value = Digest32> {
    any::<[u8; 32]>().prop_map(Digest32)
}

/// Small numbers often: the hashes of the harness's tranches are among them.
fn hash() -> impl Strategy<Value = PaymentHash> {
    prop_oneof![(0u8..3).prop_map(tallystick_testkit::escrow::hash), any::<[u8; 32]>().prop_map(PaymentHash)]
}

fn tranche() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0u32..3, 1 => any::<u32>()]
}

fn id() -> impl Strategy<Value = Id<Task>> {
    (any::<u64>(), any::<[u8; 10]>()).prop_map(|(millis, random)| Id::from_parts(millis, random))
}

fn terms() -> impl Strategy<Value = Terms> {
    let silence = prop_oneof![Just(OnSilence::Release), Just(OnSilence::Refund)];
    let milestone = (".{0,20}", vec(sats(), 0..4), time()).prop_map(|(title, payouts, work_deadline)| MilestoneTerms {
        title,
        payouts,
        work_deadline,
    });
    let renewal = option::of(silence.clone());
    let panel = option::of(seats());
    let bonds = (option::of(sats()), option::of(sats())).prop_map(|(requester, worker)| Bonds { requester, worker });
    (".{0,20}", digest(), vec(milestone, 0..4), span(), silence, option::of(blocks()), (renewal, panel, bonds))
        .prop_map(
            |(title, description_hash, milestones, review_window, on_silence, hold_blocks, (renewal, panel, bonds))| {
                Terms {
                    title,
                    description_hash,
                    milestones,
                    review_window,
                    on_silence,
                    hold_blocks,
                    renewal,
                    panel,
                    bonds,
                }
            },
        )
}

fn seats() -> impl Strategy<Value = Seats> {
    proptest::sample::select(vec![Seats::One, Seats::Three, Seats::Five, Seats::Seven])
}

fn plan() -> impl Strategy<Value = Plan> {
    ([blocks(), blocks(), blocks(), blocks(), blocks(), blocks()], sats(), sats()).prop_map(
        |(
            [draw_blocks, evidence_blocks, seat_blocks, commit_blocks, reveal_blocks, appeal_blocks],
            one_below,
            three_below,
        )| {
            Plan {
                draw_blocks,
                evidence_blocks,
                seat_blocks,
                commit_blocks,
                reveal_blocks,
                appeal_blocks,
                one_below,
                three_below,
            }
        },
    )
}

fn policy() -> impl Strategy<Value = Policy> {
    let rate = (0u16..=10_000).prop_map(|rate| BasisPoints::try_new(rate).unwrap());
    let limits = (blocks(), blocks(), blocks(), blocks());
    let rates = [rate.clone(), rate];
    let spans = [span(), span(), span()];
    (rates, [sats(), sats(), sats(), sats()], any::<u32>(), limits, spans, plan()).prop_map(
        |(
            [fee_rate, arbitrator_share],
            [fee_min, payout_min, payout_max, bond_max],
            tranches_max,
            limits,
            spans,
            dispute,
        )| {
            let [funding_window, review_window_max, dispute_window] = spans;
            Policy {
                fee_rate,
                fee_min,
                payout_min,
                payout_max,
                tranches_max,
                final_cltv_max: limits.0,
                payout_cltv_max: limits.1,
                payee_final_cltv_max: limits.2,
                payout_margin: limits.3,
                funding_window,
                review_window_max,
                dispute,
                dispute_window,
                arbitrator_share,
                bond_max,
            }
        },
    )
}

pub fn failure() -> impl Strategy<Value = PayFailure> {
    use PayFailure as F;
    proptest::sample::select(vec![
        F::NoRoute,
        F::Refused,
        F::InvoiceExpired,
        F::AttemptsExhausted,
        F::TooLate,
        F::Other,
    ])
}

fn refund() -> impl Strategy<Value = RefundReason> {
    use RefundReason as R;
    proptest::sample::select(vec![
        R::Rejected,
        R::CancelledByRequester,
        R::CancelledByWorker,
        R::WorkDeadline,
        R::Silence,
        R::BlocksRanOut,
        R::FundingLapsed,
        R::PayoutFailed,
        R::HoldLost,
        R::HoldSpent,
        R::Ruled,
        R::Conceded,
    ])
}

fn invoice() -> impl Strategy<Value = TrancheInvoice> {
    (".{0,20}", hash(), time()).prop_map(|(bolt11, hash, expires_at)| TrancheInvoice { bolt11, hash, expires_at })
}

pub fn event() -> impl Strategy<Value = Event> {
    let user = (1u8..5).prop_map(key);
    use ReleaseReason as R;
    let release = proptest::sample::select(vec![R::Approved, R::Silence, R::HoldSpent]);
    let created = (id(), user.clone(), terms(), policy(), blocks(), time()).prop_map(
        |(id, requester, terms, policy, hold_blocks, at)| Event::TaskCreated {
            id,
            requester,
            terms,
            policy,
            hold_blocks,
            at,
        },
    );
    let task = prop_oneof![
        created,
        (user.clone(), vec(invoice(), 0..4)).prop_map(|(worker, invoices)| Event::TaskAccepted { worker, invoices }),
        time().prop_map(|until| Event::FundingRequested { until }),
        Just(Event::TaskHeld),
        (tranche(), digest(), time()).prop_map(|(milestone, work_hash, review_until)| Event::WorkSubmitted {
            milestone,
            work_hash,
            review_until,
        }),
        (tranche(), vec(tranche(), 0..3), release).prop_map(|(milestone, tranches, reason)| Event::ReleaseBegun {
            milestone,
            tranches,
            reason
        }),
        (option::of(tranche()), refund()).prop_map(|(milestone, reason)| Event::RefundBegun { milestone, reason }),
        Just(Event::TaskSettled),
        Just(Event::TaskRefunded),
        user.prop_map(|by| Event::TaskCancelled { by }),
        Just(Event::TaskExpired),
        (tranche(), digest()).prop_map(|(milestone, reason_hash)| Event::WorkRejected { milestone, reason_hash }),
    ];
    prop_oneof![task, tranche_event()]
}

fn tranche_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (tranche(), ".{0,20}").prop_map(|(tranche, bolt11)| Event::HoldInvoiceMade { tranche, bolt11 }),
        (tranche(), msats(), height()).prop_map(|(tranche, amount, claim_deadline)| Event::HoldLocked {
            tranche,
            amount,
            claim_deadline
        }),
        (tranche(), any::<u32>(), time()).prop_map(|(tranche, attempt, not_before)| Event::PayoutBegun {
            tranche,
            attempt,
            not_before
        }),
        (tranche(), any::<u32>(), failure()).prop_map(|(tranche, attempt, reason)| Event::PayoutFailed {
            tranche,
            attempt,
            reason
        }),
        (tranche(), msats()).prop_map(|(tranche, fee)| Event::PayoutPaid { tranche, fee }),
        (tranche(), msats()).prop_map(|(tranche, amount)| Event::HoldClaimed { tranche, amount }),
        tranche().prop_map(|tranche| Event::TrancheRefundBegun { tranche }),
        tranche().prop_map(|tranche| Event::HoldReturned { tranche }),
        tranche().prop_map(|tranche| Event::HoldLost { tranche }),
        (tranche(), option::of(msats())).prop_map(|(tranche, fee)| Event::HoldSpent { tranche, fee }),
        renewal_event(),
        dispute_event(),
        invoice().prop_map(|invoice| Event::BondOffered { invoice }),
        tranche().prop_map(|tranche| Event::BondTaken { tranche, reason: ReleaseReason::Ruled }),
        (tranche(), refund()).prop_map(|(tranche, reason)| Event::BondReturnBegun { tranche, reason }),
    ]
}

fn person() -> impl Strategy<Value = NostrKey> {
    (1u8..30).prop_map(key)
}

fn award() -> impl Strategy<Value = Award> {
    prop_oneof![(0u64..8).prop_map(Award::new), any::<u64>().prop_map(Award::new)]
}

/// Facts about disputes: some that fit, and some in no order.
fn dispute_event() -> impl Strategy<Value = Event> {
    use dispute::Event as E;
    let dispute = prop_oneof![Just(requester()), Just(worker())].prop_map(dispute_id);
    let opening = (dispute.clone(), vec(sats(), 0..4), plan(), height(), seats(), any::<u64>()).prop_map(
        |(id, parts, plan, rule_by, seats_min, registry_seq)| Opening {
            id,
            payer: requester(),
            payee: worker(),
            parts,
            plan,
            rule_by,
            seats_min,
            conflicts: Vec::new(),
            registry_seq,
        },
    );
    let side = prop_oneof![Just(Side::Payer), Just(Side::Payee)];
    let opened = (tranche(), vec(tranche(), 0..4), msats(), opening, side, seats(), height()).prop_map(
        |(milestone, tranches, reward, opening, by, seats, at)| Event::DisputeOpened {
            milestone,
            tranches,
            reward,
            event: E::DisputeOpened { opening, by, seats, at },
        },
    );
    let step = prop_oneof![
        (vec(person(), 0..9), height(), height(), digest(), digest()).prop_map(
            |(order, at, until, block_hash, candidates)| {
                E::PanelDrawn { round: 1, block_height: at, block_hash, registry_seq: 0, candidates, order, at, until }
            }
        ),
        person().prop_map(|arbitrator| E::SeatAccepted { arbitrator }),
        height().prop_map(|until| E::CommittingBegun { until }),
        (person(), digest()).prop_map(|(arbitrator, commitment)| E::VoteCommitted { arbitrator, commitment }),
        height().prop_map(|until| E::RevealingBegun { until }),
        (person(), award()).prop_map(|(arbitrator, award)| E::VoteRevealed { arbitrator, award, salt: [0; 32] }),
        (award(), height()).prop_map(|(award, until)| E::RulingMade { round: 1, award, until }),
        award().prop_map(|award| E::DisputeDecided { award }),
        Just(E::DisputeFailed),
        Just(E::DisputeWithdrawn),
        Just(E::DisputeClosed),
    ];
    prop_oneof![
        3 => opened,
        3 => (tranche(), step).prop_map(|(milestone, event)| Event::Dispute { milestone, event }),
        1 => (tranche(), refund(), time()).prop_map(|(milestone, reason, until)| Event::RefundPlanned {
            milestone,
            reason,
            until
        }),
        1 => (tranche(), time())
            .prop_map(|(milestone, review_until)| Event::ReviewResumed { milestone, review_until }),
        1 => (dispute.clone(), person(), invoice(), any::<u32>(), time()).prop_map(
            |(dispute, arbitrator, invoice, attempt, not_before)| Event::RewardBegun {
                dispute,
                arbitrator,
                invoice,
                attempt,
                not_before
            }
        ),
        1 => (dispute.clone(), person(), any::<u32>(), failure()).prop_map(|(dispute, arbitrator, attempt, reason)| {
            Event::RewardFailed { dispute, arbitrator, attempt, reason }
        }),
        1 => (dispute, person(), msats())
            .prop_map(|(dispute, arbitrator, fee)| Event::RewardPaid { dispute, arbitrator, fee }),
    ]
}

fn renewal_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (tranche(), vec(invoice(), 0..4), time(), any::<bool>()).prop_map(|(milestone, invoices, until, in_time)| {
            Event::RenewalOffered { milestone, invoices, until, in_time }
        }),
        (tranche(), ".{0,20}").prop_map(|(tranche, bolt11)| Event::RenewalInvoiceMade { tranche, bolt11 }),
        tranche().prop_map(|tranche| Event::RenewalRefused { tranche }),
        (tranche(), msats(), height()).prop_map(|(tranche, amount, claim_deadline)| Event::HoldRenewed {
            tranche,
            amount,
            claim_deadline
        }),
        (tranche(), hash()).prop_map(|(tranche, hash)| Event::ReplacedHoldReturned { tranche, hash }),
        (tranche(), hash(), option::of(msats())).prop_map(|(tranche, hash, fee)| Event::OtherHoldSpent {
            tranche,
            hash,
            fee
        }),
    ]
}

pub fn effect() -> impl Strategy<Value = Effect> {
    let invoice = (hash(), msats(), ".{0,20}", span(), blocks()).prop_map(
        |(hash, amount, description, expiry, final_cltv_delta)| Effect::MakeHoldInvoice {
            hash,
            amount,
            description,
            expiry,
            final_cltv_delta,
        },
    );
    let pay = (hash(), digest(), ".{0,20}", msats(), blocks(), height(), time()).prop_map(
        |(hash, id, bolt11, fee_limit, cltv_limit, begin_by, not_before)| Effect::Pay {
            hash,
            id,
            bolt11,
            fee_limit,
            cltv_limit,
            begin_by,
            not_before,
        },
    );
    prop_oneof![
        invoice,
        pay,
        (hash(), msats()).prop_map(|(hash, amount)| Effect::ClaimHold { hash, amount }),
        hash().prop_map(|hash| Effect::CancelHold { hash }),
        (hash(), digest(), ".{0,20}", msats(), blocks(), time()).prop_map(
            |(hash, id, bolt11, fee_limit, cltv_limit, not_before)| Effect::PayReward {
                hash,
                id,
                bolt11,
                fee_limit,
                cltv_limit,
                not_before
            }
        ),
        (person(), any::<u16>()).prop_map(|(arbitrator, off_permille)| Effect::NoteService {
            dispute: dispute_id(worker()),
            arbitrator,
            did: Did::Voted { off_permille }
        }),
    ]
}

pub fn node_command() -> impl Strategy<Value = NodeCommand> {
    use NodeCommand as N;
    prop_oneof![
        (hash(), ".{0,20}").prop_map(|(hash, bolt11)| N::RecordHoldInvoice { hash, bolt11 }),
        (hash(), msats(), height()).prop_map(|(hash, amount, claim_deadline)| N::RecordHoldLocked {
            hash,
            amount,
            claim_deadline
        }),
        hash().prop_map(|hash| N::RecordHoldLost { hash }),
        hash().prop_map(|hash| N::RecordHoldReturned { hash }),
        (hash(), msats()).prop_map(|(hash, amount)| N::RecordHoldClaimed { hash, amount }),
        (hash(), digest(), msats()).prop_map(|(hash, id, fee)| N::RecordPayoutPaid { hash, id, fee }),
        (hash(), digest(), failure()).prop_map(|(hash, id, reason)| N::RecordPayoutFailed { hash, id, reason }),
        Just(N::Wake),
        vec((time(), time()), 0..3).prop_map(|list| N::WakeKnowing {
            outages: list.into_iter().map(|(from, until)| Outage { from, until }).collect()
        }),
        hash().prop_map(|hash| N::RecordHoldSpent { hash }),
        hash().prop_map(|hash| N::RecordHoldRefused { hash }),
        (0u32..3, height(), digest(), any::<u64>()).prop_map(|(milestone, block_height, block_hash, registry_seq)| {
            N::RecordDraw { milestone, block_height, block_hash, candidates: candidates(), registry_seq }
        }),
    ]
}
