//! The journal, the outbox and the read models, on SQLite and on PostgreSQL.
//!
//! [`SqliteStore`] and [`PostgresStore`] implement the same ports, [`Journal`](tallystick_app::port::journal::Journal),
//! [`TaskReader`](tallystick_app::port::tasks::TaskReader) and [`TaskRebuild`](tallystick_app::port::tasks::TaskRebuild),
//! and run the same contract suite. SQLite needs nothing installed and belongs to one process; a PostgreSQL database
//! may be shared by several.
//!
//! | module | what it does |
//! | --- | --- |
//! | `chain` | the end of the chain, and whether one fact follows another |
//! | `columns` | a fact's body as columns |
//! | `prepared` | an append whose turn has not come yet |
//! | `alarm` | tells of a writer that ended by itself |
//! | `error` | what both answer alike |
//! | `evidence` | what both keep of evidence alike |
//! | `backup` | backups of SQLite, in one file each, and back |
//! | `copy` | copies SQLite into PostgreSQL |
//! | `status` | a store at a glance |
//! | `sqlite` | [`SqliteStore`] |
//! | `postgres` | [`PostgresStore`]; how to reach it is [`PostgresOptions`] of `tallystick-postgres` |
//!
//! | in `sqlite` | what it does |
//! | --- | --- |
//! | `store` | [`SqliteStore`]: open, close, and the ports |
//! | `schema` | connections, their settings, and the numbered migrations in `migrations/sqlite` |
//! | `file` | the database's file: made for the owner alone, known under one name |
//! | `lock` | one process at a time: an advisory lock on `<database>.lock` |
//! | `writer` | the one writing thread: everything that waits goes into one transaction |
//! | `ledger` | the writer's connection: transactions, savepoints and the head of the chain |
//! | `append`, `outbox`, `requests` | what is done inside a transaction |
//! | `readers` | the pool of read-only connections |
//! | `facts`, `tasks`, `log` | queries; the tree |
//! | `evidence` | the vault's tables |
//! | `verify` | recomputes the chain and names the first bad fact |
//! | `snapshot` | [`SqliteSnapshot`]: everything at one moment, for reading alone |
//! | `error` | SQLite's errors in the port's words |
//!
//! ```text
//! append ─┐                              ┌─ SAVEPOINT … RELEASE ─┐
//! append ─┼─▶ bounded channel ─▶ BEGIN ──┼─ SAVEPOINT … ROLLBACK ┼─▶ COMMIT (one fsync) ─▶ all replies
//! admit  ─┘                              └─ SAVEPOINT … RELEASE ─┘
//! ```
//!
//! | in `postgres` | what it does |
//! | --- | --- |
//! | `store` | [`PostgresStore`]: open, close, and the ports |
//! | `schema` | what is asked of the server, and the numbered migrations in `migrations/postgres` |
//! | `writer` | the one writing task of a process: everything that waits goes into one transaction |
//! | `session` | the writer's connection: tries, and what came of a COMMIT that was not answered |
//! | `batch`, `plan`, `write`, `statements` | one transaction: read what it asks for, decide in memory, write it |
//! | `readers` | the pools of connections that only read, and of those that claim effects |
//! | `heads` | hears of what other processes write |
//! | `facts`, `outbox`, `tasks`, `log` | queries; the tree |
//! | `scrub` | makes what was erased unreadable in the tables |
//! | `evidence` | the vault's tables |
//! | `verify` | recomputes the chain and names the first bad fact |
//! | `snapshot` | [`PostgresSnapshot`]: everything at one moment, for reading alone |
//! | `error` | PostgreSQL's errors in the port's words |
//!
//! ```text
//! append ─┐                     ┌────────── one round trip ─────────┐            ┌── one ──┐
//! append ─┼─▶ bounded channel ─▶ BEGIN, lock the head, read the rest ─▶ decide ─▶ write all ─▶ COMMIT ─▶ all replies
//! admit  ─┘
//! ```
//!
//! # Invariants of both
//! * A reply to a write leaves only after the COMMIT that holds it, and the COMMIT waits for the disk.
//! * The table `head` holds the end of the chain once more, written with every append: a journal whose end got lost
//!   does not open.
//! * After damage, nothing of the transaction counts and the writer stops for good: what the disk holds then is learned
//!   by opening again, not by going on. `failed` tells.
//! * Facts and authorities are never updated or deleted, only what is private in them is erased; triggers refuse all else.
//!
//! # Invariants of SQLite
//! * One thread writes. Nothing else opens the database for writing.
//! * The head of the chain in memory is the last row of `facts`; whenever a transaction fails it is read again.
//! * After an I/O error, in a COMMIT or in a job, the writer stops for good as after damage.
//!
//! # Invariants of PostgreSQL
//! * Whoever writes anything locks the row of `head` first: all processes write one after the other, and everything that
//!   a transaction decides on is read after that, by statements that see what was committed before (READ COMMITTED).
//! * Nothing that was decided is kept from one transaction to the next, but the last fact known to be committed. It must
//!   be there when the next one begins; a database that was put back to an older state stops the writer.
//! * A batch of which nothing was committed is tried again. A COMMIT that is not answered is settled: the head is locked
//!   on a new connection, which waits until the old one is through, and the batch's last fact is there or not. If it is,
//!   it counts once another COMMIT was answered well: a synchronous standby may lack what the server itself has. A batch
//!   without facts is answered with `store.unavailable` then; what it did may count or not, and asking again is safe.
//! * A COMMIT that the server warns of was not answered: so it tells that the wait for a standby was broken off.
//! * A server that could lose what it acknowledged is not used: `fsync`, `full_page_writes`, `synchronous_commit`.

#![forbid(unsafe_code)]

mod alarm;
mod backup;
mod chain;
mod columns;
mod copy;
mod error;
mod evidence;
mod postgres;
mod prepared;
mod sqlite;
mod status;

pub use backup::{BackedUp, ENCLOSED_BYTES_MAX, ENCLOSED_MAX, Enclosed, Unpacked, back_up, sweep, unpack};
pub use copy::{Beside, Copied, MovedTo, copy, moved_to, prepare_journal, take_back};
pub use postgres::{PostgresHeads, PostgresSnapshot, PostgresStore, Turn};
pub use sqlite::{SqliteSnapshot, SqliteStore};
pub use status::StoreStatus;
pub use tallystick_postgres::PostgresOptions;
