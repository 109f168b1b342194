//! What stays of a task whose facts are erased: its deal, so that nobody's standing changes by an erasure.

use borsh::{BorshDeserialize, BorshSerialize};
use tallystick_civics::reputation::{Deal, Service};
use tallystick_core::{Fact, canonical};

use super::deal::Going;
use crate::{
    change::private,
    erase::STREAM,
    error::AppError,
    port::journal::{NewFact, StoreError},
};

/// The kind of fact that keeps a deal, in the journal's own stream.
pub const KEPT: &str = "journal.deal_kept";

/// The private body of a [`KEPT`] fact.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Kept {
    /// The deal, with the number of the fact that ended its task.
    pub deal: Deal,
    /// What its arbitrators voted, with the numbers of the facts by which they revealed it, in order.
    pub votes: Vec<Service>,
}

impl Kept {
    /// What a fact keeps; nothing if it is another fact, or its contents are not known here.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if its contents are none of ours.
    pub fn of(fact: &Fact) -> Result<Option<Self>, StoreError> {
        let ours = fact.stream == STREAM && fact.kind == KEPT;
        let Some(content) = ours.then_some(fact.body.content()).flatten() else { return Ok(None) };
        let kept = canonical::decode("kept deal", content);
        kept.map(Some).map_err(|error| StoreError::Corrupt(format!("fact {}: {error}", fact.seq)))
    }
}

/// What has to be kept of a task's facts, if they are those of a deal.
///
/// # Errors
/// [`AppError::Erased`] if they were erased; [`AppError::Store`] if they are none of ours.
pub(crate) fn to_keep(facts: &[Fact]) -> Result<Option<NewFact>, AppError> {
    let mut going = Going::default();
    for fact in facts {
        going.take(fact)?;
        if going.has_ended() {
            let Some(deal) = going.deal(fact) else { return Ok(None) };
            let kept = Kept { deal, votes: going.services() };
            return Ok(Some(NewFact { kind: KEPT, body: private(canonical::encode(&kept))? }));
        }
    }
    Ok(None)
}
