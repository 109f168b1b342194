//! When this node was away: facts of its own, so that nobody answers for what our absence kept them from.
//!
//! At a start the node tells from when to when it was away, if that was longer than [`AWAY_MIN`]. It is told before any timer
//! runs, so that no deadline that passed meanwhile is decided without it.

use borsh::{BorshDeserialize, BorshSerialize};
use tallystick_core::{Body, Duration, Fact, Timestamp, canonical};
use tallystick_escrow::{Outage, Task};

use crate::{
    app::App,
    error::AppError,
    port::{
        journal::{Append, AppendError, NewFact, StoreError},
        limits::PAGE_MAX,
    },
};

/// The stream of what the node tells of itself.
pub const STREAM: &str = "node/self";
/// What the names of such streams begin with.
const BELOW: &str = "node/";
/// The kind of fact that tells of an outage.
pub const AWAY: &str = "node.away";
/// Absences up to this are no outage: a restart, a lease that changes hands.
pub const AWAY_MIN: Duration = Duration::from_secs(120);
/// How often it is tried anew because something else came first.
const CONFLICTS_MAX: u32 = 64;

/// The public body of an [`AWAY`] fact, which is also what the node signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Away {
    /// The last time at which the node is known to have been there.
    pub from: Timestamp,
    /// When it was back.
    pub until: Timestamp,
}

/// What a process keeps in its own directory of when it was last there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastThere {
    /// When it last kept the time, or since when it is away if that is not told yet; nothing if that is not known.
    pub at: Option<Timestamp>,
    /// Whether a start has begun that has not told yet since when the node was away.
    pub is_starting: bool,
}

impl LastThere {
    /// Since when the node was away, for a start at `now`: since it last kept the time, or since its newest fact, whichever is
    /// later; nothing if neither is known. What a start wrote that ended before it told counts as absence still, and so does
    /// a newest fact that is later than now: its clock was set back since.
    pub fn away_since(self, newest_fact: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let newest = newest_fact.filter(|newest| *newest <= now);
        match self {
            Self { at: Some(at), is_starting: true } => Some(at),
            Self { at, .. } => at.max(newest),
        }
    }
}

/// What a fact tells of an outage.
///
/// # Errors
/// [`StoreError::Corrupt`] if it tells of none.
pub fn outage_of(fact: &Fact) -> Result<Outage, StoreError> {
    let content = fact.body.content().filter(|_| fact.kind == AWAY);
    let away = content.and_then(|content| canonical::decode::<Away>("outage", content).ok());
    let Away { from, until } = away.ok_or_else(|| StoreError::Corrupt(format!("fact {} is no outage", fact.seq)))?;
    Ok(Outage { from, until })
}

impl App {
    /// Tells that the node was away since `from`, if that was long. For a start, once the height is known and before any
    /// worker runs. Answers whether there was something to tell.
    ///
    /// # Errors
    /// [`AppError`]; no timer may run then.
    pub async fn note_outage(&self, from: Timestamp) -> Result<bool, AppError> {
        let ctx = self.ctx(self.key())?;
        if from.until(ctx.now) <= AWAY_MIN {
            return Ok(false);
        }
        let body = canonical::encode(&Away { from, until: ctx.now });
        for _ in 0..CONFLICTS_MAX {
            let before = self.0.parts.journal.stream(STREAM, 0).await?;
            let version = before.last().map_or(0, |fact| fact.version);
            let word = tallystick_core::NodeWord {
                stream: STREAM,
                expected_version: version,
                recorded_at: ctx.now,
                height: ctx.height,
                command: &body,
            };
            let append = Append {
                stream: STREAM.to_owned(),
                expected_version: version,
                facts: vec![NewFact { kind: AWAY, body: Body::Public(body.clone()) }],
                authority: self.0.parts.key.authorise(&word),
                recorded_at: ctx.now,
                height: ctx.height,
                effects: Vec::new(),
                finishes: Vec::new(),
                reservations: Vec::new(),
                row: None,
                erases: None,
            };
            match self.0.parts.journal.append(append).await {
                Ok(_) => {
                    tracing::info!(%from, until = %ctx.now, "this node was away");
                    return Ok(true);
                }
                Err(AppendError::Conflict { .. }) => {}
                Err(AppendError::Store(error)) => return Err(error.into()),
                Err(_) => return Err(AppError::Fault),
            }
        }
        Err(AppError::Busy)
    }

    /// The times in which the node was away since a task was created, in order.
    pub(crate) async fn outages_since(&self, task: &Task) -> Result<Vec<Outage>, AppError> {
        let (mut outages, mut after) = (Vec::new(), 0);
        loop {
            let page = self.0.parts.journal.facts_below(BELOW, after, PAGE_MAX).await?;
            let Some(last) = page.last() else { return Ok(outages) };
            after = last.seq;
            for fact in &page {
                outages.extend(Some(outage_of(fact)?).filter(|outage| outage.until >= task.created_at));
            }
        }
    }
}
