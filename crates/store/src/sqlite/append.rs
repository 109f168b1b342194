//! An append, inside the writer's transaction.

use rusqlite::params;
use tallystick_app::port::journal::{AppendError, Appended, NewFact, Reservation, StoreError};
use tallystick_core::{Digest32, Fact};

use crate::chain::Head;
use crate::columns;
pub(crate) use crate::prepared::Prepared;
use crate::sqlite::error::Result;
use crate::sqlite::{facts, ledger::Ledger, outbox, tasks};

const ADD_AUTHORITY: &str = "INSERT INTO authorities (digest, bytes) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
const ADD_FACT: &str = "INSERT INTO facts (seq, stream, version, kind, body, commitment, salt, authority, recorded_at,
        height, prev, hash)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
const RESERVE: &str = "INSERT INTO reservations (space, name, stream) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";

impl Ledger {
    /// Appends, or says why not; whoever calls undoes it then.
    pub(crate) fn append(&mut self, prepared: Prepared) -> Result<Appended, AppendError> {
        let Prepared { append, authority, authority_bytes } = prepared;
        let actual = self.expect(&append.stream, append.expected_version)?;
        for reservation in &append.reservations {
            self.reserve(&append.stream, reservation)?;
        }
        self.execute(ADD_AUTHORITY, params![authority.0, authority_bytes])?;
        let mut version = actual;
        for new in append.facts {
            version = next(version)?;
            let NewFact { kind, body } = new;
            self.add(Fact {
                seq: next(self.head.seq)?,
                stream: append.stream.clone(),
                version,
                kind: kind.to_owned(),
                body,
                authority,
                recorded_at: append.recorded_at,
                height: append.height,
                prev: self.head.hash,
                hash: Digest32([0; 32]),
            })?;
        }
        for effect in &append.effects {
            self.note(outbox::add(&self.conn, &append.stream, effect))?;
        }
        for key in &append.finishes {
            self.note(outbox::finish(&self.conn, key))?;
        }
        if let Some(row) = &append.row {
            self.note(tasks::show(&self.conn, row))?;
        }
        if let Some(erasure) = &append.erases {
            self.erase(erasure)?;
        }
        Ok(Appended { seq: self.head.seq, version })
    }

    /// Refuses a stream that was erased, or is at another version. Answers the version.
    pub(crate) fn expect(&self, stream: &str, expected: u64) -> Result<u64, AppendError> {
        match self.note(facts::version(&self.conn, stream))? {
            (_, true) => Err(AppendError::Erased { stream: stream.to_owned() }),
            (actual, false) if actual == expected => Ok(actual),
            (actual, false) => Err(AppendError::Conflict { expected, actual }),
        }
    }

    /// Chains a fact and writes it; its `hash` is filled in here.
    fn add(&mut self, mut fact: Fact) -> Result<()> {
        fact.hash = fact.link();
        let (content, commitment, salt) = columns::of_body(&fact.body);
        self.execute(
            ADD_FACT,
            params![
                fact.seq,
                fact.stream,
                fact.version,
                fact.kind,
                content,
                commitment,
                salt,
                fact.authority.0,
                fact.recorded_at.as_millis(),
                fact.height.0,
                fact.prev.0,
                fact.hash.0
            ],
        )?;
        self.head = Head { seq: fact.seq, hash: fact.hash };
        Ok(())
    }

    fn reserve(&self, stream: &str, reservation: &Reservation) -> Result<(), AppendError> {
        let Reservation { space, name } = reservation;
        if self.execute(RESERVE, params![space, name, stream])? == 1 {
            return Ok(());
        }
        match self.note(facts::holder(&self.conn, space, name))? {
            Some(holder) if holder == stream => Ok(()),
            _ => Err(AppendError::Taken { space }),
        }
    }

    fn execute(&self, sql: &str, params: impl rusqlite::Params) -> Result<usize> {
        self.note(self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute(params)))
    }
}

fn next(number: u64) -> Result<u64> {
    number.checked_add(1).ok_or_else(|| StoreError::Limit("the journal is full".into()))
}

/// How often SQLite had to prepare an append's statements again.
#[cfg(test)]
pub(crate) fn prepared_again(conn: &rusqlite::Connection) -> i32 {
    let statements = [ADD_AUTHORITY, ADD_FACT, RESERVE];
    let again = statements.map(|sql| {
        let statement = conn.prepare_cached(sql).expect("it was prepared before");
        statement.get_status(rusqlite::StatementStatus::RePrepare)
    });
    again.iter().sum()
}
