//! Any event, any command, most of it nonsense.

use proptest::{collection::vec, prelude::*};
use tallystick_civics::{
    dispute::{Award, Cause, Duty, Event, Failure, NodeCommand, Opening, Plan, Seats, Side, UserCommand},
    draw::{Candidate, Candidates},
    registry,
};
use tallystick_core::{BlockHeight, Blocks, Digest32, Id, NostrKey, Sat};

use crate::given::{EVIDENCE, HEIGHT, VOTES, candidates, id, key, payee, payer, salt, stranger};

pub fn digest() -> impl Strategy<Value = Digest32> {
    any::<[u8; 32]>().prop_map(Digest32)
}

pub fn person() -> impl Strategy<Value = NostrKey> {
    (1u8..34).prop_map(key)
}

fn height() -> impl Strategy<Value = BlockHeight> {
    prop_oneof![any::<u32>().prop_map(BlockHeight), (0u32..300).prop_map(|more| HEIGHT.after(Blocks(more)))]
}

fn blocks() -> impl Strategy<Value = Blocks> {
    any::<u32>().prop_map(Blocks)
}

fn amount() -> impl Strategy<Value = Sat> {
    (0..=Sat::MAX.get()).prop_map(|amount| Sat::try_new(amount).unwrap())
}

pub fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Payer), Just(Side::Payee)]
}

fn seats() -> impl Strategy<Value = Seats> {
    prop_oneof![Just(Seats::One), Just(Seats::Three), Just(Seats::Five), Just(Seats::Seven)]
}

pub fn award() -> impl Strategy<Value = Award> {
    prop_oneof![any::<u64>().prop_map(Award::new), (0u64..8).prop_map(Award::new)]
}

fn plan() -> impl Strategy<Value = Plan> {
    ([blocks(), blocks(), blocks(), blocks(), blocks(), blocks()], amount(), amount()).prop_map(
        |([draw_blocks, evidence_blocks, seat_blocks, commit_blocks, reveal_blocks, appeal_blocks], low, high)| Plan {
            draw_blocks,
            evidence_blocks,
            seat_blocks,
            commit_blocks,
            reveal_blocks,
            appeal_blocks,
            one_below: low,
            three_below: high,
        },
    )
}

fn opening() -> impl Strategy<Value = Opening> {
    let people = (person(), person(), vec(person(), 0..3));
    let times = (plan(), height(), seats(), any::<u64>());
    (any::<u64>(), any::<[u8; 10]>(), people, vec(amount(), 0..4), times).prop_map(
        |(millis, random, (payer, payee, conflicts), parts, (plan, rule_by, seats_min, registry_seq))| Opening {
            id: Id::from_parts(millis & 0xffff_ffff_ffff, random),
            payer,
            payee,
            parts,
            plan,
            rule_by,
            seats_min,
            conflicts,
            registry_seq,
        },
    )
}

fn cause() -> impl Strategy<Value = Cause> {
    prop_oneof![
        Just(Cause::Opening),
        Just(Cause::Replacement),
        (side(), award()).prop_map(|(by, against)| Cause::Appeal { by, against }),
    ]
}

pub fn event() -> impl Strategy<Value = Event> {
    use Event as E;
    let why = prop_oneof![
        Just(Failure::NoDraw),
        Just(Failure::TooFewSeated),
        Just(Failure::TooFewCommitted),
        Just(Failure::TooFewRevealed),
        Just(Failure::NoTime),
    ];
    let drawn = (height(), digest(), any::<u64>(), digest(), vec(person(), 0..9), height(), height());
    prop_oneof![
        (opening(), side(), seats(), height()).prop_map(|(opening, by, seats, at)| E::DisputeOpened {
            opening,
            by,
            seats,
            at
        }),
        (side(), digest(), any::<u64>()).prop_map(|(by, hash, bytes)| E::EvidenceFiled { by, hash, bytes }),
        drawn.prop_map(|(block_height, block_hash, registry_seq, candidates, order, at, until)| E::PanelDrawn {
            round: 1,
            block_height,
            block_hash,
            registry_seq,
            candidates,
            order,
            at,
            until
        }),
        person().prop_map(|arbitrator| E::SeatAccepted { arbitrator }),
        (person(), height()).prop_map(|(arbitrator, at)| E::SeatRefused { arbitrator, at }),
        height().prop_map(|until| E::CommittingBegun { until }),
        (person(), digest()).prop_map(|(arbitrator, commitment)| E::VoteCommitted { arbitrator, commitment }),
        height().prop_map(|until| E::RevealingBegun { until }),
        (person(), award(), any::<[u8; 32]>()).prop_map(|(arbitrator, award, salt)| E::VoteRevealed {
            arbitrator,
            award,
            salt
        }),
        (any::<u32>(), award(), height()).prop_map(|(round, award, until)| E::RulingMade { round, award, until }),
        side().prop_map(|by| E::RulingAccepted { by }),
        (any::<u32>(), cause(), seats(), height()).prop_map(|(round, cause, seats, at)| E::RoundBegun {
            round,
            cause,
            seats,
            at
        }),
        (any::<u32>(), why, height()).prop_map(|(round, why, at)| E::PanelFailed { round, why, at }),
        award().prop_map(|award| E::DisputeDecided { award }),
        Just(E::DisputeFailed),
        Just(E::DisputeWithdrawn),
        Just(E::DisputeClosed),
    ]
}

pub fn node_command() -> impl Strategy<Value = NodeCommand> {
    let few = vec((person(), 1u32..=1_000), 0..9).prop_map(|mut list| {
        list.sort();
        list.dedup_by_key(|(arbitrator, _)| *arbitrator);
        let list = list.into_iter().map(|(arbitrator, weight)| Candidate { arbitrator, weight });
        Candidates::try_new(list.collect()).unwrap()
    });
    let list = prop_oneof![few, Just(candidates())];
    prop_oneof![
        Just(NodeCommand::Wake),
        (height(), digest(), list, any::<u64>()).prop_map(|(block_height, block_hash, candidates, registry_seq)| {
            NodeCommand::RecordDraw { block_height, block_hash, candidates, registry_seq }
        }),
    ]
}

/// Who asks, and what.
pub fn ask() -> impl Strategy<Value = (NostrKey, UserCommand)> {
    use UserCommand as U;
    let anybody = || prop_oneof![Just(payer()), Just(payee()), Just(stranger()), person()];
    let evidence = prop_oneof![Just(EVIDENCE), digest()];
    let command = prop_oneof![
        (evidence, prop_oneof![Just(1_000u64), any::<u64>(), 1u64..20_000_000])
            .prop_map(|(hash, bytes)| U::FileEvidence { hash, bytes }),
        Just(U::AcceptSeat),
        Just(U::RefuseSeat),
        digest().prop_map(|commitment| U::CommitVote { commitment }),
        Just(U::Appeal),
        Just(U::AcceptRuling),
        Just(U::Withdraw),
    ];
    let votes = (person(), award()).prop_map(|(who, award)| (who, U::RevealVote { award, salt: salt(who) }));
    let own = (person(), 0usize..3).prop_map(|(who, n)| (who, U::RevealVote { award: VOTES[n], salt: salt(who) }));
    prop_oneof![6 => (anybody(), command), 1 => votes, 1 => own]
}

pub fn registry_event() -> impl Strategy<Value = registry::Event> {
    use registry::Event as E;
    prop_oneof![
        (person(), digest(), ".{0,20}").prop_map(|(arbitrator, statement_hash, pay)| E::ArbitratorRegistered {
            arbitrator,
            statement_hash,
            pay
        }),
        Just(E::ArbitratorPaused),
        Just(E::ArbitratorResumed),
        Just(E::ArbitratorWithdrawn),
        Just(E::ArbitratorAdmitted),
        Just(E::ArbitratorSuspended),
        (any::<u16>(), any::<bool>()).prop_map(|(off_permille, voted)| E::ArbitratorServed {
            dispute: id(),
            did: if voted { registry::Did::Voted { off_permille } } else { registry::Did::Missed(Duty::Reveal) },
        }),
    ]
}
