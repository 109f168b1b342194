//! The writer's connection: transactions, savepoints and the head of the chain.

use rusqlite::Connection;
use std::fmt::Display;
use tallystick_app::port::journal::{CHAIN_START, StoreError};
use tallystick_core::Digest32;

use crate::{
    error::{OrStore, Result, is_fatal, store_error},
    facts,
};

/// The end of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The last fact's sequence number; 0 before the first.
    pub(crate) seq: u64,
    /// The last fact's hash.
    pub(crate) hash: Digest32,
}

impl Head {
    /// Before the first fact.
    pub(crate) const START: Self = Self { seq: 0, hash: CHAIN_START };

    /// Reads the head from the table, and checks the last fact's own hash.
    pub(crate) fn read(conn: &Connection) -> Result<Self> {
        let Some(last) = facts::last(conn)? else { return Ok(Self::START) };
        if last.link() != last.hash {
            return Err(StoreError::Corrupt(format!("fact {} does not match its hash", last.seq)));
        }
        Ok(Self { seq: last.seq, hash: last.hash })
    }
}

/// How a transaction failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What the callers are told.
    pub(crate) error: StoreError,
    /// Whether the writer must stop: see the crate's invariants.
    pub(crate) fatal: bool,
}

/// The connection that writes. Used by one thread.
pub(crate) struct Ledger {
    pub(crate) conn: Connection,
    pub(crate) head: Head,
    /// Set once the transaction under way cannot be committed any more.
    broken: Option<Failure>,
}

impl Ledger {
    /// Takes over the connection and reads the head.
    pub(crate) fn new(conn: Connection) -> Result<Self> {
        let head = Head::read(&conn)?;
        Ok(Self { conn, head, broken: None })
    }

    /// Runs `work` in one transaction and commits it. All that `work` answers counts only if this answers `Ok`.
    pub(crate) fn transaction<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> (T, Result<(), Failure>) {
        self.control("BEGIN IMMEDIATE");
        let answer = work(self);
        self.control("COMMIT");
        let outcome = match self.broken.take() {
            None => Ok(()),
            Some(failure) => Err(self.recover(failure)),
        };
        (answer, outcome)
    }

    /// Runs `work` so that its error undoes what it did, and nothing else in the transaction.
    pub(crate) fn savepoint<T, E: From<StoreError> + Display>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let before = self.head;
        self.control("SAVEPOINT job");
        if let Some(failure) = &self.broken {
            return Err(failure.error.clone().into());
        }
        let answer = work(self);
        if let Err(error) = &answer {
            self.head = before;
            if self.conn.is_autocommit() {
                self.lose(&error);
            }
            self.control("ROLLBACK TO job");
        }
        self.control("RELEASE job");
        answer
    }

    /// Runs a statement of transaction control, unless the transaction is lost already.
    fn control(&mut self, sql: &str) {
        if self.broken.is_some() {
            return;
        }
        if let Err(error) = self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute([])) {
            self.broken = Some(Failure { error: store_error(&error), fatal: is_fatal(&error) });
        }
    }

    /// SQLite ends the whole transaction by itself on some errors, such as a full disk. What came after that would
    /// commit alone: so nothing may.
    fn lose(&mut self, why: &dyn Display) {
        let error = StoreError::Unavailable(format!("the transaction was given up: {why}"));
        self.broken = Some(Failure { error, fatal: false });
    }

    /// Leaves the failed transaction and reads the head again.
    fn recover(&mut self, failure: Failure) -> Failure {
        let left = if self.conn.is_autocommit() { Ok(()) } else { self.conn.execute_batch("ROLLBACK").or_store() };
        match left.and_then(|()| Head::read(&self.conn)) {
            Ok(head) => {
                self.head = head;
                failure
            }
            Err(_) => Failure { fatal: true, ..failure },
        }
    }
}
