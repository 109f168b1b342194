//! Standing from facts: a score whose terms are shown, a tier, a limit on what may be open, badges.
//!
//! Nothing here is stored. A host makes [`Deal`]s and [`Service`]s from the journal's facts, asks a [`Market`] for a
//! [`Standing`], and anyone who has the facts gets the same. The formula, what it costs to cheat it, and what it does
//! not resist are told in `docs/reputation.md`.
//!
//! # Invariants
//! * A point of trade costs at least [`FEE_PER_POINT`] in fees, whoever trades with whom.
//! * What a counterparty is worth to somebody comes only from its trade with others.
//! * More good deals never lower a score; a lost dispute always does.
//! * A score is the sum of its terms, and each term names its facts.

mod arbitrator;
mod badge;
mod deals;
mod error;
mod facts;
mod fade;
mod formula;
pub(crate) mod index;
mod market;
mod standing;
mod term;

pub use arbitrator::draw_weight;
pub use badge::Badge;
pub use deals::Deals;
pub use error::ReputationError;
pub use facts::{BondsLost, Deal, Did, End, Role, Service};
pub use formula::{FEE_PER_POINT, Limits, Tier};
pub use market::{Market, WEIGHT_WHOLE};
pub use standing::Standing;
pub use term::{Explained, Term};

pub(crate) use facts::{check_deals, check_services};
