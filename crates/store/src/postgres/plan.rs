//! What a batch of jobs comes to: decided in memory, in the order in which the jobs came, on what the database held
//! when the head was locked. A refusal changes nothing, as nothing is changed before all is checked.

use std::collections::{BTreeMap, BTreeSet};
use tallystick_app::port::journal::{Append, AppendError, Appended, Erasure, NewEffect, StoreError};
use tallystick_app::port::tasks::TaskRow;
use tallystick_core::{Digest32, Fact, Id, Timestamp};
use tallystick_escrow::Task;

use crate::chain::Head;
use crate::postgres::error::{Result, signed};
use crate::prepared::Prepared;

/// Something to be written.
pub(crate) enum Work {
    Append(Box<Prepared>),
    Defer { key: String, until: Timestamp },
    Finish { key: String },
    Admit { request: Digest32, now: Timestamp, forget_after: Timestamp },
    Clear,
    Show(Vec<TaskRow>),
    SetFormat(u32),
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Appended(Appended),
    Admitted(bool),
    Done,
}

impl Work {
    /// About how many bytes it sends to the server.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Append(prepared) => {
                let Append { facts, effects, row, .. } = &prepared.append;
                facts.iter().filter_map(|fact| fact.body.content()).map(<[u8]>::len).sum::<usize>()
                    + effects.iter().map(|effect| effect.body.len()).sum::<usize>()
                    + prepared.authority_bytes.len()
                    + row.as_ref().map_or(0, |row| row.view.len())
            }
            Self::Show(rows) => rows.iter().map(|row| row.view.len()).sum(),
            _ => 0,
        }
    }

    /// Whether it is alone in its transaction: what comes before and after it must not be mixed.
    pub(crate) fn is_alone(&self) -> bool {
        match self {
            Self::Append(prepared) => prepared.append.erases.is_some(),
            other => matches!(other, Self::Clear),
        }
    }

    /// Refuses text that PostgreSQL cannot hold: it has no character 0.
    pub(crate) fn check_text(&self) -> Result<()> {
        let sound = match self {
            Self::Append(prepared) => {
                let Append { stream, facts, effects, finishes, reservations, row, erases, .. } = &prepared.append;
                let row = row.iter().flat_map(|row| [&*row.state, row.view.as_str()]);
                let streams = erases.iter().map(|erasure| erasure.stream.as_str()).chain([stream.as_str()]);
                let keys = effects.iter().map(|effect| effect.key.as_str()).chain(finishes.iter().map(String::as_str));
                keys.chain(facts.iter().map(|fact| fact.kind))
                    .chain(reservations.iter().map(|reservation| reservation.space))
                    .chain(row)
                    .chain(streams)
                    .all(storable)
            }
            Self::Defer { key, .. } | Self::Finish { key } => storable(key),
            Self::Show(rows) => rows.iter().all(|row| storable(&row.state) && storable(&row.view)),
            Self::Admit { .. } | Self::Clear | Self::SetFormat(_) => true,
        };
        if sound { Ok(()) } else { Err(StoreError::Limit("text with the character 0 in it".into())) }
    }
}

/// Whether PostgreSQL can hold a text.
pub(crate) fn storable(text: &str) -> bool {
    !text.contains('\0')
}

/// An effect as far as a batch changes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effect<'a> {
    /// Set for one that is not in the database yet: its stream and its content.
    pub(crate) new: Option<(&'a str, &'a NewEffect)>,
    pub(crate) due: i64,
    pub(crate) attempts: i64,
    pub(crate) finished: bool,
    pub(crate) changed: bool,
}

/// What the database held when the head was locked, as far as the batch asks for it.
#[derive(Default)]
pub(crate) struct Found<'a> {
    pub(crate) versions: BTreeMap<String, u64>,
    pub(crate) holders: BTreeMap<(String, Vec<u8>), String>,
    pub(crate) effects: BTreeMap<String, Effect<'a>>,
    /// Until when each request is remembered.
    pub(crate) seen: BTreeMap<Digest32, i64>,
    /// Streams that were erased.
    pub(crate) erased: BTreeSet<String>,
    /// Whether the stream to be erased has an effect that is not finished.
    pub(crate) under_way: bool,
}

/// What is to be written, and what the callers will be told once it is.
pub(crate) struct Plan<'a> {
    found: Found<'a>,
    /// The end of the chain after the batch.
    pub(crate) head: Head,
    pub(crate) facts: Vec<Fact>,
    pub(crate) authorities: BTreeMap<Digest32, &'a [u8]>,
    /// Space, name, stream.
    pub(crate) reserved: Vec<(&'a str, &'a [u8], &'a str)>,
    /// Keys of new effects, in the order in which they came.
    pub(crate) added: Vec<&'a str>,
    /// Requests to be remembered, and until when.
    pub(crate) admitted: BTreeMap<Digest32, i64>,
    /// What ended before this time may be forgotten, so many at most.
    pub(crate) purge: Option<(i64, i64)>,
    pub(crate) rows: BTreeMap<Id<Task>, &'a TaskRow>,
    pub(crate) clear: bool,
    pub(crate) format: Option<u32>,
    pub(crate) erases: Option<&'a Erasure>,
    pub(crate) answers: Vec<Result<Answer, AppendError>>,
}

impl<'a> Plan<'a> {
    /// Decides each job in turn.
    pub(crate) fn of(works: impl IntoIterator<Item = &'a Work>, head: Head, found: Found<'a>) -> Self {
        let mut plan = Self {
            found,
            head,
            facts: Vec::new(),
            authorities: BTreeMap::new(),
            reserved: Vec::new(),
            added: Vec::new(),
            admitted: BTreeMap::new(),
            purge: None,
            rows: BTreeMap::new(),
            clear: false,
            format: None,
            erases: None,
            answers: Vec::new(),
        };
        for work in works {
            let answer = plan.decide(work);
            plan.answers.push(answer);
        }
        plan
    }

    /// Effects that were in the database before, and are different now.
    pub(crate) fn changed(&self) -> impl Iterator<Item = (&str, &Effect<'a>)> {
        let effects = self.found.effects.iter();
        effects.filter(|(_, effect)| effect.changed && effect.new.is_none()).map(|(key, effect)| (key.as_str(), effect))
    }

    /// A new effect as it is after the batch.
    pub(crate) fn effect(&self, key: &str) -> Option<&Effect<'a>> {
        self.found.effects.get(key)
    }

    fn decide(&mut self, work: &'a Work) -> Result<Answer, AppendError> {
        match work {
            Work::Append(prepared) => return self.append(prepared).map(Answer::Appended),
            Work::Admit { request, now, forget_after } => {
                return Ok(Answer::Admitted(self.admit(*request, *now, *forget_after)));
            }
            Work::Defer { key, until } => {
                if let Some(effect) = self.pending(key) {
                    effect.due = signed(until.as_millis());
                    effect.attempts = (effect.attempts + 1).min(i64::from(u32::MAX));
                    effect.changed = true;
                }
            }
            Work::Finish { key } => self.finish(key),
            Work::Clear => {
                self.clear = true;
                self.format = Some(0);
            }
            Work::Show(rows) => rows.iter().for_each(|row| self.show(row)),
            Work::SetFormat(format) => self.format = Some(*format),
        }
        Ok(Answer::Done)
    }

    fn append(&mut self, prepared: &'a Prepared) -> Result<Appended, AppendError> {
        let Prepared { append, authority, authority_bytes } = prepared;
        let stream = append.stream.as_str();
        let actual = self.expect(stream, append.expected_version)?;
        if let Some(Erasure { stream, version, .. }) = &append.erases {
            self.expect(stream, *version)?;
            if self.found.under_way {
                return Err(AppendError::UnderWay { stream: stream.clone() });
            }
        }
        let mut names = Vec::new();
        for reservation in &append.reservations {
            let name = (reservation.space.to_owned(), reservation.name.clone());
            match self.found.holders.get(&name) {
                Some(holder) if holder == stream => {}
                Some(_) => return Err(AppendError::Taken { space: reservation.space }),
                None => names.push((name, reservation)),
            }
        }
        // A stream is never longer than the journal.
        let count = u64::try_from(append.facts.len()).unwrap_or(u64::MAX);
        if self.head.seq.checked_add(count).is_none_or(|seq| i64::try_from(seq).is_err()) {
            return Err(StoreError::Limit("the journal is full".into()).into());
        }
        for (name, reservation) in names {
            // One that the append names twice is taken once.
            if self.found.holders.insert(name, append.stream.clone()).is_none() {
                self.reserved.push((reservation.space, &reservation.name, stream));
            }
        }
        self.authorities.insert(*authority, authority_bytes);
        let version = self.chain(append, *authority, actual);
        self.found.versions.insert(append.stream.clone(), version);
        for effect in &append.effects {
            self.add_effect(stream, effect);
        }
        for key in &append.finishes {
            self.finish(key);
        }
        append.row.iter().for_each(|row| self.show(row));
        self.erases = append.erases.as_ref();
        Ok(Appended { seq: self.head.seq, version })
    }

    /// Refuses a stream that was erased, or is at another version. Answers the version.
    fn expect(&self, stream: &str, expected: u64) -> Result<u64, AppendError> {
        if self.found.erased.contains(stream) {
            return Err(AppendError::Erased { stream: stream.to_owned() });
        }
        let actual = self.found.versions.get(stream).copied().unwrap_or(0);
        if actual == expected { Ok(actual) } else { Err(AppendError::Conflict { expected, actual }) }
    }

    /// Chains the facts; answers the stream's version after them.
    fn chain(&mut self, append: &Append, authority: Digest32, mut version: u64) -> u64 {
        for new in &append.facts {
            version += 1;
            let mut fact = Fact {
                seq: self.head.seq + 1,
                stream: append.stream.clone(),
                version,
                kind: new.kind.to_owned(),
                body: new.body.clone(),
                authority,
                recorded_at: append.recorded_at,
                height: append.height,
                prev: self.head.hash,
                hash: Digest32([0; 32]),
            };
            fact.hash = fact.link();
            self.head = Head { seq: fact.seq, hash: fact.hash };
            self.facts.push(fact);
        }
        version
    }

    fn add_effect(&mut self, stream: &'a str, new: &'a NewEffect) {
        if self.found.effects.contains_key(&new.key) {
            return;
        }
        let effect = Effect { new: Some((stream, new)), due: signed(new.due.as_millis()), ..Effect::default() };
        self.found.effects.insert(new.key.clone(), effect);
        self.added.push(&new.key);
    }

    fn pending(&mut self, key: &str) -> Option<&mut Effect<'a>> {
        self.found.effects.get_mut(key).filter(|effect| !effect.finished)
    }

    fn finish(&mut self, key: &str) {
        if let Some(effect) = self.pending(key) {
            effect.finished = true;
            effect.changed = true;
        }
    }

    /// One whose time is over counts as forgotten, purged or not.
    fn admit(&mut self, request: Digest32, now: Timestamp, forget_after: Timestamp) -> bool {
        let now = signed(now.as_millis());
        if self.found.seen.get(&request).is_some_and(|until| *until >= now) {
            return false;
        }
        // Not before: a call that remembers nothing leaves no trace of its time, and fsck could not tell what it forgot.
        let (before, count) = self.purge.unwrap_or((now, 0));
        self.purge = Some((before.min(now), count + 2));
        let until = signed(forget_after.as_millis());
        self.found.seen.insert(request, until);
        self.admitted.insert(request, until);
        true
    }

    /// The newest version of a row is shown; of two that are alike, the first.
    fn show(&mut self, row: &'a TaskRow) {
        let shown = self.rows.entry(row.id).or_insert(row);
        if shown.version < row.version {
            *shown = row;
        }
    }
}
