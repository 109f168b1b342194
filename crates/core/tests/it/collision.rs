//! Two different GS1 EPCIS events whose CBV 2.0 event hashes are the same, as their fields are joined without a frame.
//! Under canonical bytes they differ in every way in which they could enter a journal.

use serde_json::Value;
use tallystick_core::{Body, Opening, canonical};

const A: &[u8] = include_bytes!("../vectors/epcis-hash/collision/a.jsonld");
const B: &[u8] = include_bytes!("../vectors/epcis-hash/collision/b.jsonld");
const HASH_OF_BOTH: &str = include_str!("../vectors/epcis-hash/collision/both.hash");

/// An event's own fields: the two that make the collision, name and value.
fn own_fields(document: &[u8]) -> Vec<(String, String)> {
    let document: Value = serde_json::from_slice(document).unwrap();
    let event = document["epcisBody"]["eventList"][0].as_object().unwrap();
    let own = event.iter().filter_map(|(name, value)| Some((name.strip_prefix("example:")?, value.as_str()?)));
    own.map(|(name, value)| (format!("{{https://ns.example.com/epcis/}}{name}"), value.to_owned())).collect()
}

#[test]
fn events_that_gs1_cannot_tell_apart_differ_here() {
    let (a, b) = (A.to_vec(), B.to_vec());
    assert!(HASH_OF_BOTH.starts_with("ni:///sha-256;abeea2898f60"), "one hash for both");
    assert_ne!(a, b);
    let (fields_a, fields_b) = (own_fields(&a), own_fields(&b));
    assert_eq!((fields_a.len(), fields_b.len()), (2, 1));

    // What the event hash does: names and values one after the other. This is the collision.
    let joined =
        |fields: &[(String, String)]| fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<String>();
    assert_eq!(joined(&fields_a), joined(&fields_b));

    // What we do with fields, and with whole documents, public or private.
    let framed = |fields: &[(String, String)]| {
        let fields: Vec<&[u8]> = fields.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]).collect();
        canonical::digest("tallystick/test-event/v1", &fields)
    };
    assert_ne!(framed(&fields_a), framed(&fields_b));
    assert_ne!(
        canonical::digest("tallystick/test-event/v1", &[&a]),
        canonical::digest("tallystick/test-event/v1", &[&b])
    );
    let commitment = |content: &[u8]| Opening { salt: [7; 32], content: content.to_vec() }.commitment();
    assert_ne!(commitment(&a), commitment(&b));
    assert_ne!(Body::private([7; 32], a), Body::private([7; 32], b));
}
