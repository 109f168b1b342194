//! Small values for the suite, and for benches and crash tests of a store.

use std::sync::LazyLock;
use tallystick_app::port::journal::{Append, Erasure, NewEffect, NewFact, Reservation};
use tallystick_app::port::tasks::TaskRow;
use tallystick_core::{
    Authority, BlockHeight, Body, Digest32, Id, NodeKey, NostrKey, SignedRequest, Timestamp, canonical,
};
use tallystick_escrow::Task;

/// The kind of every fact made here.
pub const KIND: &str = "test.noted";
/// User 1's key, made once: it would cost more than an append to a fast store.
static USER: LazyLock<NostrKey> = LazyLock::new(|| key(1));
/// The time at which every append made here is recorded.
pub const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
/// The height at which every append made here is recorded.
pub const HEIGHT: BlockHeight = BlockHeight(800_000);

/// A user's key.
pub fn key(n: u8) -> NostrKey {
    let mut secret = [1; 32];
    secret[31] = n;
    NodeKey::try_new(&secret).expect("far below the curve's order").public()
}

/// The `n`th task's id: later for a larger `n`.
pub fn task_id(n: u64) -> Id<Task> {
    Id::from_parts(1_700_000_000_000 + n, [7; 10])
}

/// The `n`th task's stream.
pub fn stream(n: u64) -> String {
    format!("escrow/{}", task_id(n))
}

/// A request that user 1 signed, as far as a store can tell.
pub fn authority(words: &str) -> Authority {
    let id = canonical::sha256(words.as_bytes());
    Authority::Request(SignedRequest { author: *USER, id, event: words.to_owned(), body: words.as_bytes().to_vec() })
}

/// A request's digest.
pub fn request(n: u8) -> Digest32 {
    Digest32([n; 32])
}

/// One fact for the `n`th task, made on `version`.
pub fn append(n: u64, version: u64) -> Append {
    let stream = stream(n);
    let words = format!("version {} of {stream}", version + 1);
    Append {
        expected_version: version,
        facts: vec![private(KIND, words.clone().into_bytes())],
        authority: authority(&words),
        recorded_at: NOW,
        height: HEIGHT,
        effects: Vec::new(),
        finishes: Vec::new(),
        reservations: Vec::new(),
        row: Some(row(n, version)),
        erases: None,
        stream,
    }
}

/// The `n`th task's row after [`append`].
pub fn row(n: u64, version: u64) -> TaskRow {
    TaskRow {
        id: task_id(n),
        version: version + 1,
        state: "open".into(),
        requester: *USER,
        worker: None,
        wake_at: None,
        wake_height: None,
        view: format!("version {} of {}", version + 1, stream(n)),
    }
}

/// The row of a task's append.
pub fn row_mut(append: &mut Append) -> &mut TaskRow {
    append.row.as_mut().expect("a task's append has a row")
}

/// A fact that anyone may read.
pub fn public(kind: &'static str, content: Vec<u8>) -> NewFact {
    NewFact { kind, body: Body::Public(content) }
}

/// A fact that can be erased. Its salt is the content's own hash, so that runs are alike.
pub fn private(kind: &'static str, content: Vec<u8>) -> NewFact {
    NewFact { kind, body: Body::private(canonical::sha256(&content).0, content) }
}

/// An effect that is due `secs` after [`NOW`].
pub fn effect(key: &str, secs: u64) -> NewEffect {
    NewEffect { key: key.to_owned(), body: format!("do {key}").into_bytes(), due: later(secs) }
}

/// A payment hash to be reserved.
pub fn name(n: u8) -> Reservation {
    Reservation { space: "payment_hash", name: vec![n; 32] }
}

/// The time `secs` after [`NOW`].
pub fn later(secs: u64) -> Timestamp {
    Timestamp::from_secs(NOW.as_secs() + secs)
}

/// The append that erases the `n`th task's stream at a version, the first of the journal's own.
pub fn erasing(n: u64, version: u64) -> Append {
    Append {
        stream: "journal".into(),
        facts: vec![public("journal.erased", stream(n).into_bytes())],
        authority: authority("erase it"),
        row: None,
        erases: Some(Erasure { stream: stream(n), version, task: task_id(n) }),
        ..append(n, 0)
    }
}
