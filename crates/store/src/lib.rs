//! The journal, the outbox and the read models on SQLite.
//!
//! [`SqliteStore`] implements the ports [`Journal`](tallystick_app::port::journal::Journal),
//! [`TaskReader`](tallystick_app::port::tasks::TaskReader) and [`TaskRebuild`](tallystick_app::port::tasks::TaskRebuild).
//!
//! | module | what it does |
//! | --- | --- |
//! | `store` | [`SqliteStore`]: open, close, and the ports |
//! | `schema` | connections, their settings, and the numbered migrations in `migrations/` |
//! | `file` | the database's file: made for the owner alone, known under one name |
//! | `lock` | one process at a time: an advisory lock on `<database>.lock` |
//! | `writer` | the one writing thread: everything that waits goes into one transaction |
//! | `ledger` | the writer's connection: transactions, savepoints and the head of the chain |
//! | `append`, `outbox`, `requests` | what is done inside a transaction |
//! | `readers` | the pool of read-only connections |
//! | `facts`, `tasks` | queries |
//! | `verify` | recomputes the chain and names the first bad fact |
//! | `error` | SQLite's errors in the port's words |
//!
//! ```text
//! append ─┐                              ┌─ SAVEPOINT … RELEASE ─┐
//! append ─┼─▶ bounded channel ─▶ BEGIN ──┼─ SAVEPOINT … ROLLBACK ┼─▶ COMMIT (one fsync) ─▶ all replies
//! admit  ─┘                              └─ SAVEPOINT … RELEASE ─┘
//! ```
//!
//! # Invariants
//! * A reply to a write leaves only after the COMMIT that holds it, with `synchronous=FULL`.
//! * One thread writes. Nothing else opens the database for writing.
//! * The head of the chain in memory is the last row of `facts`; whenever a transaction fails it is read again. Each
//!   append writes it to the table `head` as well: a journal whose end got lost does not open.
//! * After an I/O error or damage, in a COMMIT or in a job, nothing of the transaction counts and the writer stops for
//!   good: what the disk holds then is learned by opening again, not by going on. [`SqliteStore::failed`] tells.
//! * Facts and authorities are never updated or deleted; triggers refuse it.

#![forbid(unsafe_code)]

mod chain;
mod error;
mod postgres;
mod prepared;
mod sqlite;

pub use postgres::{PostgresOptions, PostgresStore};
pub use sqlite::SqliteStore;
