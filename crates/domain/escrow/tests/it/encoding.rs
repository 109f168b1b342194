//! Stored bytes: every value reads back, no other bytes are taken, and none make the reader panic.

use proptest::{collection::vec, prelude::*};
use tallystick_core::canonical::{decode, encode};
use tallystick_escrow::{Effect, Event, NodeCommand};
use tallystick_testkit::cases;

use crate::arbitrary;

/// Reads bytes as everything that is stored; what can be read must be written the same.
fn read_all(bytes: &[u8]) {
    if let Ok(event) = decode::<Event>("event", bytes) {
        assert_eq!(encode(&event), bytes);
    }
    if let Ok(effect) = decode::<Effect>("effect", bytes) {
        assert_eq!(encode(&effect), bytes);
    }
    if let Ok(command) = decode::<NodeCommand>("command", bytes) {
        assert_eq!(encode(&command), bytes);
    }
}

/// One byte changed, or a piece cut off or added.
fn damaged(mut bytes: Vec<u8>, at: prop::sample::Index, with: u8, kind: u8) -> Vec<u8> {
    let position = at.index(bytes.len());
    match kind % 3 {
        0 => bytes[position] ^= with.max(1),
        1 => bytes.truncate(position),
        _ => bytes.push(with),
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(512)) })]

    #[test]
    fn events_read_back(event in arbitrary::event()) {
        prop_assert_eq!(decode::<Event>("event", &encode(&event)), Ok(event));
    }

    #[test]
    fn effects_read_back(effect in arbitrary::effect()) {
        prop_assert_eq!(decode::<Effect>("effect", &encode(&effect)), Ok(effect));
    }

    #[test]
    fn node_commands_read_back(command in arbitrary::node_command()) {
        prop_assert_eq!(decode::<NodeCommand>("command", &encode(&command)), Ok(command));
    }

    #[test]
    fn foreign_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..300), variant in 0u8..40) {
        read_all(&bytes);
        // With a tag that exists, more of the reader is reached.
        read_all(&[&[variant], bytes.as_slice()].concat());
    }

    #[test]
    fn damaged_bytes_do_no_harm(
        event in arbitrary::event(),
        effect in arbitrary::effect(),
        (at, with, kind) in (any::<prop::sample::Index>(), any::<u8>(), any::<u8>()),
    ) {
        for bytes in [encode(&event), encode(&effect)] {
            let other = damaged(bytes.clone(), at, with, kind);
            read_all(&other);
            if let Ok(read) = decode::<Event>("event", &other) {
                prop_assert_ne!(encode(&read), bytes, "two byte strings for one event");
            }
        }
    }
}

#[test]
fn a_length_that_promises_too_much_is_refused_at_once() {
    // A hold invoice of 4 GiB for tranche 0.
    let bytes = [&[3u8, 0, 0, 0, 0], &u32::MAX.to_le_bytes()[..]].concat();
    assert!(decode::<Event>("event", &bytes).is_err());
}
