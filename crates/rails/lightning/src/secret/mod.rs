//! Seed, keys derived from it, and what is sealed with them.
//!
//! Nothing in here can be printed, and everything is wiped when dropped, as far as the libraries that it is handed to
//! allow.

mod derive;
mod seal;
mod seed;

pub(crate) use derive::RootKeys;
pub(crate) use seal::Sealer;
pub(crate) use seed::{Seed, create, open};
