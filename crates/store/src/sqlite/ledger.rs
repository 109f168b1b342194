//! The writer's connection: transactions, savepoints and the head of the chain.

use rusqlite::{Connection, Params, params};
use std::cell::Cell;
use std::fmt::Display;
use tallystick_app::port::journal::StoreError;

use crate::chain::{self, Head};
use crate::sqlite::{
    error::{OrStore, Result, is_fatal, store_error},
    facts,
};

/// Reads the head, and checks the last fact: its own hash, and that it is the one that was written last.
fn read_head(conn: &Connection) -> Result<Head> {
    chain::checked(facts::last(conn)?, facts::head(conn)?)
}

const WRITE_HEAD: &str = "UPDATE head SET seq = ?1, hash = ?2";

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
    /// Set once a statement of the job under way failed so that nothing may go on ([`is_fatal`]).
    fatal: Cell<bool>,
}

impl Ledger {
    /// Takes over the connection and reads the head.
    pub(crate) fn new(conn: Connection) -> Result<Self> {
        let head = read_head(&conn)?;
        Ok(Self { conn, head, broken: None, fatal: Cell::new(false) })
    }

    /// Translates what came of a statement, and remembers a failure that must stop the writer. Every statement of a job
    /// goes through here.
    pub(crate) fn note<T>(&self, result: rusqlite::Result<T>) -> Result<T> {
        result.map_err(|error| {
            if is_fatal(&error) {
                self.fatal.set(true);
            }
            store_error(&error)
        })
    }

    /// Runs `work` in one transaction and commits it. All that `work` answers counts only if this answers `Ok`.
    pub(crate) fn transaction<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> (T, Result<(), Failure>) {
        let before = self.head;
        self.control("BEGIN IMMEDIATE", []);
        let answer = work(self);
        let Head { seq, hash } = self.head;
        if self.head != before {
            self.control(WRITE_HEAD, params![seq, hash.0]);
        }
        self.control("COMMIT", []);
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
        self.control("SAVEPOINT job", []);
        if let Some(failure) = &self.broken {
            return Err(failure.error.clone().into());
        }
        let answer = work(self);
        if let Err(error) = &answer {
            self.head = before;
            let fatal = self.fatal.take();
            if fatal || self.conn.is_autocommit() {
                self.lose(&error, fatal);
            }
            self.control("ROLLBACK TO job", []);
        }
        self.control("RELEASE job", []);
        answer
    }

    /// Runs a statement of the transaction's own, unless the transaction is lost already.
    fn control(&mut self, sql: &str, params: impl Params) {
        if self.broken.is_some() {
            return;
        }
        if let Err(error) = self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute(params)) {
            self.broken = Some(Failure { error: store_error(&error), fatal: is_fatal(&error) });
        }
    }

    /// SQLite ends the whole transaction by itself on some errors, such as a full disk. What came after that would
    /// commit alone: so nothing may. Nor may anything be committed to a database that is found to be damaged.
    fn lose(&mut self, why: &dyn Display, fatal: bool) {
        let error = StoreError::Unavailable(format!("the transaction was given up: {why}"));
        self.broken = Some(Failure { error, fatal });
    }

    /// Leaves the failed transaction and reads the head again.
    fn recover(&mut self, failure: Failure) -> Failure {
        let left = if self.conn.is_autocommit() { Ok(()) } else { self.conn.execute_batch("ROLLBACK").or_store() };
        match left.and_then(|()| read_head(&self.conn)) {
            Ok(head) => {
                self.head = head;
                failure
            }
            Err(_) => Failure { fatal: true, ..failure },
        }
    }
}
