//! When this node was away: facts of its own, so that nobody answers for what our absence kept them from.
//!
//! The process that runs the timers keeps the time at which it was last there ([`LastThere`]): whatever lies between that and
//! the next time is a gap, be it that the process was gone, stood still or was cut off, or that its clock was set forward.
//! When gaps that follow each other are longer than [`AWAY_MIN`] together, the node tells of them before any timer runs, so that no
//! deadline that passed meanwhile is decided without it. Shorter ones cost nobody anything either: work is taken for longer than
//! that after its deadline ([`GRACE`]), before a bond is.

use borsh::{BorshDeserialize, BorshSerialize};
use std::sync::{Arc, atomic::Ordering};
use tallystick_core::{Body, Duration, Fact, Timestamp, canonical};
use tallystick_escrow::{NodeCommand, Outage, Task, plan::GRACE};
use tokio::sync::MutexGuard;

use crate::{
    app::{App, REQUEST_MEMORY},
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
/// The least time for which a node that tells of no outage was there, while late work was still taken.
const THERE_MIN: Duration = Duration::from_secs(20);
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

/// Between two times at which a process that lives was there: no gap. It keeps the time far more often.
pub const STEADY_MAX: Duration = Duration::from_secs(40);
/// Gaps with more than this between them are no gaps that follow each other.
pub const APART: Duration = Duration::from_secs(3_600);

const _: () = assert!(AWAY_MIN.as_millis() + STEADY_MAX.as_millis() + THERE_MIN.as_millis() <= GRACE.as_millis());

/// What a process keeps of when it was last there, in its own directory as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastThere {
    /// The last time, or since when it is away if that is not told yet; nothing if that is not known.
    pub at: Option<Timestamp>,
    /// Whether it is known that the node was not there since: a start has begun, or it looked and was not there. However short that
    /// was, it is a gap.
    pub is_away: bool,
    /// Gaps before that are not told.
    pub gaps: Option<Gaps>,
}

/// Gaps that follow each other, too short together to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gaps {
    /// When the first began.
    pub from: Timestamp,
    /// When the last ended.
    pub until: Timestamp,
    /// How long they are together.
    pub total: Duration,
}

impl LastThere {
    /// As a start at `now` begins: away since it last kept the time. If that is not known, since its newest fact: earlier than it was
    /// perhaps, so that too much counts as absence. One that is later than now tells nothing: its clock was set back since.
    #[must_use]
    pub fn starting(self, newest_fact: Option<Timestamp>, now: Timestamp) -> Self {
        let at = self.at.or(newest_fact.filter(|newest| *newest <= now));
        Self { at, is_away: at.is_some(), ..self }
    }

    /// As it is once the node is there at `now`, and since when it was away, if that is to be told. A clock that was set back
    /// hides nothing that comes after.
    pub fn there(self, now: Timestamp) -> (Self, Option<Timestamp>) {
        let there = |gaps| Self { at: Some(now), is_away: false, gaps };
        let Some(last) = self.at else { return (there(self.gaps), None) };
        let gap = last.until(now);
        if gap <= STEADY_MAX && !self.is_away {
            return (there(self.gaps), None);
        }
        let before = self.gaps.filter(|gaps| gaps.until.until(last) <= APART);
        let (from, known) = before.map_or((last, 0), |gaps| (gaps.from, gaps.total.as_millis()));
        let gaps = Gaps { from, until: now, total: Duration::from_millis(known.saturating_add(gap.as_millis())) };
        if gaps.total > AWAY_MIN { (there(None), Some(from.min(last))) } else { (there(Some(gaps)), None) }
    }

    /// Whether the node is away at `now`, and would have to tell of it if it were back.
    fn is_outage(self, now: Timestamp) -> bool {
        self.is_away && self.there(now).1.is_some()
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
    /// Begins to keep the time at which the node is there, and tells if it was away: for a start, once the height is known and
    /// before any worker runs. From here on [`App::attend`] is to be called often.
    ///
    /// # Errors
    /// [`AppError`]; no timer may run then.
    pub async fn attend_from(&self, there: LastThere) -> Result<LastThere, AppError> {
        let mut last = self.0.last_there.lock().await;
        self.note(last.insert(there)).await
    }

    /// Keeps the time at which the node is there: the journal can be read, and written if that failed since the last time, the
    /// rail reaches its network, and users reach the node. Tells if it was not there for long. Answers when it was last there.
    ///
    /// # Errors
    /// [`AppError`]: the node is not there.
    pub async fn attend(&self) -> Result<LastThere, AppError> {
        let mut last = self.0.last_there.lock().await;
        self.look_around(last.get_or_insert_default()).await
    }

    async fn look_around(&self, last: &mut LastThere) -> Result<LastThere, AppError> {
        let is_there = self.is_there().await;
        if is_there != Ok(true) {
            last.is_away = last.at.is_some();
            self.0.away.store(last.is_outage(self.clock().now()), Ordering::Release);
            return is_there.map(|_| *last);
        }
        self.0.away.store(false, Ordering::Release);
        self.note(last).await
    }

    /// Whether the node is away, for so long that it will tell of it.
    pub fn is_away(&self) -> bool {
        self.0.away.load(Ordering::Acquire)
    }

    async fn is_there(&self) -> Result<bool, AppError> {
        self.outages().await?;
        // Once something could not be written, the node is there again when something can be.
        if self.0.unwritten.swap(false, Ordering::AcqRel) {
            self.write_something().await.inspect_err(|_| self.missed())?;
        }
        Ok(self.rail()?.0.is_reachable() && self.lets_in().await)
    }

    /// Writes something that means nothing, and is forgotten as requests are.
    async fn write_something(&self) -> Result<(), AppError> {
        let now = self.clock().now();
        let id = canonical::digest("tallystick/there/v1", &[&now.as_millis().to_le_bytes()]);
        self.0.parts.journal.admit(id, now, now.after(REQUEST_MEMORY)).await?;
        Ok(())
    }

    /// The node is there now: told of before, if it was away.
    async fn note(&self, last: &mut LastThere) -> Result<LastThere, AppError> {
        // After the journal has answered: it may have taken long.
        let (there, away_since) = last.there(self.clock().now());
        if let Some(from) = away_since {
            self.note_outage(from).await?;
        }
        *last = there;
        Ok(there)
    }

    /// What wakes a task with a worker's bond, and when: it hears when the node was away, without which none is taken. Nobody
    /// tells anything new of that until the lock is let go.
    ///
    /// # Errors
    /// [`AppError`]: the task cannot be woken.
    pub(crate) async fn waking<'a>(
        &'a self,
        task: &Task,
    ) -> Result<(NodeCommand, Timestamp, MutexGuard<'a, Option<LastThere>>), AppError> {
        let mut last = self.0.last_there.lock().await;
        // Where nobody keeps the time there is nothing to look at.
        let there = match last.as_mut() {
            Some(last) => Some(self.look_around(last).await?),
            None => None,
        };
        let outages = self.outages_since(task).await?;
        let now = self.clock().now();
        let was_there = |there: LastThere| there.at.is_some_and(|at| at.until(now) <= STEADY_MAX);
        Ok(match there {
            Some(there) if !was_there(there) || there.is_outage(now) => (NodeCommand::Wake, now, last),
            // Decided for a moment at which the node was there, however long the decision takes.
            _ => (NodeCommand::WakeKnowing { outages }, now, last),
        })
    }

    /// Something could not be written: who asked for it may have found nobody there.
    pub(crate) fn missed(&self) {
        self.0.unwritten.store(true, Ordering::Release);
    }

    /// Tells that the node was away since `from`, if that was long. Answers whether there was something to tell.
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

    /// Whether the node told of an absence since a task was created, or will tell of one: it excuses its worker.
    ///
    /// # Errors
    /// [`AppError::Store`].
    pub async fn was_away_since(&self, created_at: Timestamp) -> Result<bool, AppError> {
        Ok(self.is_away() || !self.outages_after(created_at).await?.is_empty())
    }

    /// The times in which the node was away since a task was created, in order.
    pub(crate) async fn outages_since(&self, task: &Task) -> Result<Vec<Outage>, AppError> {
        self.outages_after(task.created_at).await
    }

    async fn outages_after(&self, created_at: Timestamp) -> Result<Vec<Outage>, AppError> {
        let outages = self.outages().await?;
        Ok(outages.iter().filter(|outage| outage.until >= created_at).copied().collect())
    }

    /// All times in which the node was away, as the journal tells now.
    async fn outages(&self) -> Result<Arc<Vec<Outage>>, AppError> {
        let (mut outages, mut after) = self.0.outages.get();
        loop {
            let page = self.0.parts.journal.facts_below(BELOW, after, PAGE_MAX).await?;
            let Some(last) = page.last() else { return Ok(outages) };
            after = last.seq;
            let more: Result<Vec<_>, _> = page.iter().map(outage_of).collect();
            Arc::make_mut(&mut outages).extend(more?);
            self.0.outages.put(&outages, after);
        }
    }
}
