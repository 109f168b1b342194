//! What one append may carry, and how long an answer may be: the same for every implementation of the ports, so that
//! none accepts what another refuses.

use tallystick_core::{Authority, Body, Duration, Timestamp, fact::PUBLIC_BODY_BYTES_MAX};

use super::journal::{Append, StoreError};
use super::tasks::TaskRow;

/// Facts in one append, and likewise effects, finishes and reservations; rows written at once.
pub const ITEMS_MAX: usize = 1_000;
/// Bytes of one body: of a fact, an effect, an authority or a view.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Bytes of all bodies of one append together.
pub const APPEND_BYTES_MAX: usize = 8 << 20;
/// Bytes of a name: stream, kind, key, space, reserved name, state.
pub const NAME_BYTES_MAX: usize = 255;
/// Rows in one answer, whatever limit was asked for.
pub const PAGE_MAX: u32 = 1_000;
/// States in one query.
pub const STATES_MAX: usize = 32;
/// The longest time that an effect may have to wait, when it is asked for and whenever it is put off.
pub const EFFECT_PAUSE_MAX: Duration = Duration::from_secs(600);
/// The latest time that can be stored: the largest signed 64-bit number, as SQL has no unsigned ones.
pub const TIME_MAX: Timestamp = Timestamp::from_millis(i64::MAX.unsigned_abs());

impl Append {
    /// Checks the limits. Every implementation calls it before it does anything.
    ///
    /// # Errors
    /// [`StoreError::Limit`], naming what is too long, too late or missing.
    pub fn check_limits(&self) -> Result<(), StoreError> {
        if self.facts.is_empty() {
            return Err(StoreError::Limit("an append holds one fact at least".into()));
        }
        let counts = [
            ("facts", self.facts.len()),
            ("effects", self.effects.len()),
            ("finishes", self.finishes.len()),
            ("reservations", self.reservations.len()),
        ];
        for (what, count) in counts {
            at_most(what, count, ITEMS_MAX)?;
        }
        self.check_names()?;
        self.check_bodies()?;
        let times = [self.recorded_at].into_iter().chain(self.effects.iter().map(|effect| effect.due));
        for time in times {
            check_time(time)?;
        }
        self.row.iter().try_for_each(TaskRow::check_limits)?;
        let latest = self.recorded_at.after(EFFECT_PAUSE_MAX);
        match self.effects.iter().find(|effect| effect.due > latest) {
            Some(effect) => Err(StoreError::Limit(format!("{} waits longer than {EFFECT_PAUSE_MAX}", effect.key))),
            None => Ok(()),
        }
    }

    fn check_names(&self) -> Result<(), StoreError> {
        let erased = self.erases.iter().map(|erasure| &erasure.stream);
        for stream in [&self.stream].into_iter().chain(erased) {
            at_most("bytes in a stream's name", stream.len(), NAME_BYTES_MAX)?;
        }
        for fact in &self.facts {
            at_most("bytes in a fact's kind", fact.kind.len(), NAME_BYTES_MAX)?;
        }
        for key in self.effects.iter().map(|effect| &effect.key).chain(&self.finishes) {
            at_most("bytes in an effect's key", key.len(), NAME_BYTES_MAX)?;
        }
        for reservation in &self.reservations {
            at_most("bytes in a reservation's space", reservation.space.len(), NAME_BYTES_MAX)?;
            at_most("bytes in a reserved name", reservation.name.len(), NAME_BYTES_MAX)?;
        }
        Ok(())
    }

    fn check_bodies(&self) -> Result<(), StoreError> {
        let authority = match &self.authority {
            Authority::Request(request) => request.event.len().saturating_add(request.body.len()),
            Authority::Node { command, .. } => command.len(),
        };
        for fact in &self.facts {
            match &fact.body {
                Body::Public(content) => at_most("bytes in a public body", content.len(), PUBLIC_BODY_BYTES_MAX)?,
                Body::Private { opening: Some(_), .. } => {}
                Body::Private { opening: None, .. } => {
                    return Err(StoreError::Limit("a new fact's body needs its opening".into()));
                }
            }
        }
        let facts = self.facts.iter().filter_map(|fact| fact.body.content()).map(<[u8]>::len);
        let views = self.row.iter().map(|row| row.view.len());
        let effects = self.effects.iter().map(|effect| effect.body.len());
        let mut sum = 0usize;
        for bytes in facts.chain(effects).chain(views).chain([authority]) {
            at_most("bytes in a body", bytes, BODY_BYTES_MAX)?;
            sum = sum.saturating_add(bytes);
        }
        at_most("bytes in an append", sum, APPEND_BYTES_MAX)
    }
}

impl TaskRow {
    fn check_limits(&self) -> Result<(), StoreError> {
        at_most("bytes in the state's name", self.state.len(), NAME_BYTES_MAX)?;
        at_most("bytes in a view", self.view.len(), BODY_BYTES_MAX)?;
        self.wake_at.map_or(Ok(()), check_time)
    }
}

/// Checks the limits of rows that are written without facts. Every implementation calls it before it does anything.
///
/// # Errors
/// [`StoreError::Limit`], naming what is too long or too late.
pub fn check_rows(rows: &[TaskRow]) -> Result<(), StoreError> {
    at_most("rows", rows.len(), ITEMS_MAX)?;
    rows.iter().try_for_each(TaskRow::check_limits)
}

/// Checks that a time can be stored.
///
/// # Errors
/// [`StoreError::Limit`] if it is later than [`TIME_MAX`].
pub fn check_time(time: Timestamp) -> Result<(), StoreError> {
    if time > TIME_MAX { Err(StoreError::Limit(format!("{time} is too late to be stored"))) } else { Ok(()) }
}

fn at_most(what: &str, count: usize, limit: usize) -> Result<(), StoreError> {
    if count > limit { Err(StoreError::Limit(format!("{count} {what}, {limit} at most"))) } else { Ok(()) }
}

/// The first name behind all that begin with a prefix, which ends with a slash: `0` follows it in ASCII.
pub fn behind_prefix(prefix: &str) -> String {
    format!("{}0", prefix.strip_suffix('/').unwrap_or(prefix))
}
