//! What rows become, the same in both databases.

use std::collections::BTreeSet;
use tallystick_app::port::{journal::StoreError, limits::PAGE_MAX, snapshot::Held};
use tallystick_core::{Body, Digest32, Id, Opening};
use tallystick_escrow::Task;

use crate::error::Result;

/// Content, commitment and salt.
pub(crate) type BodyColumns<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, Option<&'a [u8]>);

/// A body's columns.
pub(crate) fn of_body(body: &Body) -> BodyColumns<'_> {
    match body {
        Body::Public(content) => (Some(content), None, None),
        Body::Private { commitment, opening: Some(Opening { salt, content }) } => {
            (Some(content), Some(&commitment.0), Some(salt))
        }
        Body::Private { commitment, opening: None } => (None, Some(&commitment.0), None),
    }
}

/// The body that columns hold.
///
/// # Errors
/// [`StoreError::Corrupt`] for columns that no body has.
pub(crate) fn body(content: Option<Vec<u8>>, commitment: Option<[u8; 32]>, salt: Option<[u8; 32]>) -> Result<Body> {
    match (content, commitment, salt) {
        (Some(content), None, None) => Ok(Body::Public(content)),
        (Some(content), Some(commitment), Some(salt)) => {
            Ok(Body::Private { commitment: Digest32(commitment), opening: Some(Opening { salt, content }) })
        }
        (None, Some(commitment), None) => Ok(Body::Private { commitment: Digest32(commitment), opening: None }),
        _ => Err(StoreError::Corrupt("a body that is neither public nor private".into())),
    }
}

/// The columns by which the outbox is worked, with the largest number that each can hold.
const EFFECT_NUMBERS: [(&str, i64); 5] = [
    ("finished", 1),
    ("attempts", u32::MAX as i64),
    ("due", i64::MAX),
    ("claim_epoch", i64::MAX),
    ("claimed_until", i64::MAX),
];

/// Checks what an effect is worked by: facts do not make it, and with a number that none can be it would never be done.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub(crate) fn effect_numbers(key: &str, numbers: [i64; 5]) -> Result<()> {
    let is_bad = |((_, max), number): &(&(&str, i64), i64)| !(0..=*max).contains(number);
    match EFFECT_NUMBERS.iter().zip(numbers).find(is_bad) {
        None => Ok(()),
        Some(((name, _), number)) => Err(StoreError::Corrupt(format!("the effect {key} has {name} = {number}"))),
    }
}

/// The least space and name that can follow a held name, or be the first.
pub(crate) fn names_from(after: Option<&Held>) -> (String, Vec<u8>) {
    // No name is between a name and the same with a zero byte after it.
    after.map_or_else(Default::default, |held| (held.space.clone(), [&held.name[..], &[0]].concat()))
}

/// Tasks that are due, each once, those by height first: a page of them after the first `skip`.
pub(crate) fn page_of_both(
    mut by_height: Vec<Id<Task>>,
    by_time: Vec<Id<Task>>,
    skip: u32,
    limit: u32,
) -> Vec<Id<Task>> {
    let known: BTreeSet<Id<Task>> = by_height.iter().copied().collect();
    by_height.extend(by_time.into_iter().filter(|id| !known.contains(id)));
    by_height.into_iter().skip(skip as usize).take(limit.min(PAGE_MAX) as usize).collect()
}
