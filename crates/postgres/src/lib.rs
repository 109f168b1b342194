//! What everything on PostgreSQL shares: the journal's store and the Lightning node's keep their tables in one database.
//!
//! | module | what it does |
//! | --- | --- |
//! | `options` | the connection string, and TLS |
//! | `connect` | connections, and COMMITs that are heard out |
//! | `parts` | numbered migrations of a part of the database that has its own numbers |
//! | `lease` | one of several processes has the turn, for a time that the database measures |
//! | `error` | PostgreSQL's errors in the port's words |
//!
//! # Invariants
//! * A lease has one holder at a time. Its token grows with every new holder, and its nonce is nobody else's, also where
//!   the database forgot a holder. Whoever writes under a lease locks its row in the same transaction and finds its own
//!   token and nonce there, or writes nothing ([`FENCE`]).
//! * A COMMIT counts only if the server answered it well and warned of nothing: one whose wait for a synchronous standby
//!   was broken off is answered too.
//! * Times of leases are the database's own; no clock of a process decides who may take one.

#![forbid(unsafe_code)]

mod connect;
mod error;
mod lease;
mod options;
mod parts;

pub use connect::{Connection, connect, connect_with};
pub use error::{OrStore, Result, column, store_error};
pub use lease::{FENCE, Lease, LeaseRow, Leases, Note};
pub use options::PostgresOptions;
pub use parts::Part;
/// The driver, so that all use one version of it.
pub use tokio_postgres;
