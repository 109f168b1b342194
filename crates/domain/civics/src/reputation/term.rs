//! A score that explains itself.

/// One part of a score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// What kind of part: `trade`, `age`, `dispute_lost` and so on.
    pub name: &'static str,
    /// The points that it gives, or takes.
    pub points: i64,
    /// Why, in a sentence with the numbers.
    pub why: String,
    /// The numbers of the facts behind it, in order.
    pub facts: Vec<u64>,
}

/// A score and what it is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explained {
    /// The parts.
    pub terms: Vec<Term>,
    /// Their sum.
    pub total: i64,
}

impl Explained {
    /// Adds up.
    pub(crate) fn of(terms: Vec<Term>) -> Self {
        let total = terms.iter().fold(0i64, |sum, term| sum.saturating_add(term.points));
        Self { terms, total }
    }
}

/// Points as they are shown.
pub(crate) fn points(value: u128) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
