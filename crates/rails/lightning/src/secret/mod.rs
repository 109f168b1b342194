//! Seed, keys derived from it, and what is sealed with them.
//!
//! Nothing in here can be printed, and everything is wiped when dropped, as far as the libraries that it is handed to
//! allow.

mod backup;
mod derive;
mod proof;
mod seal;
mod seed;
mod vault;

pub use backup::BackupKey;
pub(crate) use derive::RootKeys;
pub use proof::{PaymentProof, payment_proofs};
pub(crate) use seal::Sealer;
pub use seed::SEED_FILE;
pub(crate) use seed::{Seed, create, open};
pub(crate) use vault::Vault;
