//! A fact with all that proves it, in one file: checked with nothing but the file and a policy.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`bundle`] | the file: a C2SP tlog-proof whose `extra` holds the fact, its opening and who stands behind it |
//! | `anchored` | the part of it that is in Bitcoin |
//! | [`authority`] | whether an authority really stands behind a fact: BIP-340, NIP-01, NIP-98 |
//! | [`error`] | why a bundle is refused |
//!
//! # Invariants
//! * No IO, no clock, no randomness. Every input is hostile and has a limit.
//! * What is answered was checked: a bundle with anything wrong in it proves nothing.
//! * One bundle has one spelling.

#![forbid(unsafe_code)]

mod anchored;
pub mod authority;
pub mod bundle;
pub mod error;

pub use anchored::BundleAnchor;
pub use authority::{Claims, Signed, check_authority};
pub use bundle::{FactBundle, Proven};
pub use error::BundleError;
