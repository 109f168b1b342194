//! Stored bytes never change by accident: every event and node command, as hexadecimal.
//!
//! The files hold one line per variant. A new variant adds a line (`UPDATE_SNAPSHOTS=1 cargo test`); a line that
//! changes breaks every journal that exists.

use proptest::prelude::*;
use tallystick_civics::{
    dispute::{Award, Cause, Duty, Event, Failure, NodeCommand, Seats, Side, evolve},
    draw::{Candidate, Candidates},
    registry,
};
use tallystick_core::{Blocks, Digest32, canonical};
use tallystick_testkit::{cases, complete, golden};

use crate::{arbitrary, given::*};

fn events() -> Vec<Event> {
    let arbitrator = key(11);
    let at = HEIGHT.after(Blocks(6));
    let appeal = Cause::Appeal { by: Side::Payee, against: Award::new(0b101) };
    let mut events = vec![
        Event::DisputeOpened { opening: opening(), by: Side::Payee, seats: Seats::Three, at: HEIGHT },
        Event::EvidenceFiled { by: Side::Payer, hash: EVIDENCE, bytes: 1_000 },
        Event::PanelDrawn {
            round: 1,
            block_height: HEIGHT.after(Blocks(1)),
            block_hash: BLOCK,
            registry_seq: REGISTRY_SEQ,
            candidates: Digest32([0xca; 32]),
            order: vec![key(11), key(12)],
            at,
            until: HEIGHT.after(Blocks(24)),
        },
        Event::SeatAccepted { arbitrator },
        Event::SeatRefused { arbitrator, at },
        Event::CommittingBegun { until: at },
        Event::VoteCommitted { arbitrator, commitment: Digest32([0xc0; 32]) },
        Event::RevealingBegun { until: at },
        Event::VoteRevealed { arbitrator, award: Award::new(0b101), salt: [0x5a; 32] },
        Event::RulingMade { round: 1, award: Award::new(0b101), until: at },
        Event::RulingAccepted { by: Side::Payer },
        Event::RoundBegun { round: 2, cause: appeal, seats: Seats::Five, at },
        Event::PanelFailed { round: 1, why: Failure::NoDraw, at },
        Event::DisputeDecided { award: Award::new(0b101) },
        Event::DisputeFailed,
        Event::DisputeWithdrawn,
        Event::DisputeClosed,
    ];
    for (cause, seats) in [(Cause::Replacement, Seats::One), (Cause::Opening, Seats::Seven)] {
        events.push(Event::RoundBegun { round: 2, cause, seats, at });
    }
    use Failure as F;
    let failures = [F::TooFewSeated, F::TooFewCommitted, F::TooFewRevealed, F::NoTime];
    events.extend(failures.map(|why| Event::PanelFailed { round: 2, why, at }));
    events
}

fn registry_events() -> Vec<registry::Event> {
    use registry::Event as E;
    vec![
        E::ArbitratorRegistered {
            arbitrator: key(11),
            statement_hash: Digest32([0x57; 32]),
            pay: "a@b.example".into(),
        },
        E::ArbitratorPaused,
        E::ArbitratorResumed,
        E::ArbitratorWithdrawn,
        E::ArbitratorAdmitted,
        E::ArbitratorSuspended,
        E::ArbitratorServed { dispute: id(), did: registry::Did::Voted { off_permille: 250 } },
        E::ArbitratorServed { dispute: id(), did: registry::Did::Missed(Duty::Commit) },
    ]
}

fn node_commands() -> Vec<(String, NodeCommand)> {
    let candidates = Candidates::try_new(vec![Candidate { arbitrator: key(11), weight: 7 }]).unwrap();
    let draw = NodeCommand::RecordDraw {
        block_height: HEIGHT.after(Blocks(1)),
        block_hash: BLOCK,
        candidates,
        registry_seq: REGISTRY_SEQ,
    };
    vec![("RecordDraw".into(), draw), ("Wake".into(), NodeCommand::Wake)]
}

#[test]
fn events_keep_their_bytes() {
    let lines: Vec<_> = events().iter().map(|event| (event.kind().to_owned(), canonical::encode(event))).collect();
    golden("events.txt", &lines);
    complete::<Event>(&lines, 17);
}

#[test]
fn registry_events_keep_their_bytes() {
    let line = |event: &registry::Event| (event.kind().to_owned(), canonical::encode(event));
    let lines: Vec<_> = registry_events().iter().map(line).collect();
    golden("registry_events.txt", &lines);
    complete::<registry::Event>(&lines, 7);
}

#[test]
fn registry_node_commands_keep_their_bytes() {
    let did = registry::Did::Missed(Duty::Answer);
    let lines =
        [("RecordService".to_owned(), canonical::encode(&registry::NodeCommand::RecordService { dispute: id(), did }))];
    golden("registry_node_commands.txt", &lines);
    complete::<registry::NodeCommand>(&lines, 1);
}

#[test]
fn node_commands_keep_their_bytes() {
    let lines: Vec<_> =
        node_commands().iter().map(|(name, command)| (name.clone(), canonical::encode(command))).collect();
    golden("node_commands.txt", &lines);
    complete::<NodeCommand>(&lines, 2);
}

#[test]
fn old_bytes_are_still_read() {
    let read = include_str!("../golden/events.txt").lines().map(|line| {
        let bytes = hex::decode(line.split(' ').nth(1).unwrap()).unwrap();
        canonical::decode::<Event>("event", &bytes).unwrap()
    });
    let read: Vec<Event> = read.collect();
    assert_eq!(read, events());
    assert!(read.iter().fold(None, evolve).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(512)) })]

    #[test]
    fn what_is_stored_reads_back(
        event in arbitrary::event(),
        registered in arbitrary::registry_event(),
        command in arbitrary::node_command(),
    ) {
        prop_assert_eq!(canonical::decode::<Event>("event", &canonical::encode(&event)), Ok(event));
        let bytes = canonical::encode(&registered);
        prop_assert_eq!(canonical::decode::<registry::Event>("event", &bytes), Ok(registered));
        prop_assert_eq!(canonical::decode::<NodeCommand>("command", &canonical::encode(&command)), Ok(command));
    }

    #[test]
    fn foreign_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300), variant in 0u8..18) {
        let bytes = [&[variant], bytes.as_slice()].concat();
        if let Ok(event) = canonical::decode::<Event>("event", &bytes) {
            prop_assert_eq!(canonical::encode(&event), &bytes[..]);
        }
        if let Ok(command) = canonical::decode::<NodeCommand>("command", &bytes) {
            prop_assert_eq!(canonical::encode(&command), &bytes[..]);
        }
    }
}
