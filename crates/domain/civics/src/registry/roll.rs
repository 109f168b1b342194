//! The list that panels are drawn from, as of a fact of the registry.

use std::collections::BTreeMap;
use tallystick_core::{Code, Coded, Decider, NostrKey, Sat, Timestamp};

use super::{Arbitrator, Did, Event, Registry, State};
use crate::{
    draw::{Candidate, Candidates, CandidatesError, WEIGHT_MAX},
    reputation::{self, Explained, ReputationError, Service, draw_weight},
};

/// A whole of thousandths.
const WHOLE: u64 = 1_000;

/// Everybody who ever registered, as of the last fact that was noted.
///
/// Note every fact of the registry's streams in the journal's order, up to the one that is named; then the candidates are
/// all who are eligible, each with its weight ([`draw_weight`]) at the time of that last fact.
#[derive(Clone, Debug, Default)]
pub struct Roll {
    states: BTreeMap<NostrKey, State>,
    services: Vec<Service>,
    last: Option<(u64, Timestamp)>,
}

/// Why a list cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RollError {
    /// The facts are not in order, or clocks went back between them.
    #[error(transparent)]
    Reputation(#[from] ReputationError),
    /// Too many are eligible.
    #[error(transparent)]
    Candidates(#[from] CandidatesError),
}

impl Coded for RollError {
    fn code(&self) -> Code {
        match self {
            Self::Reputation(error) => error.code(),
            Self::Candidates(error) => error.code(),
        }
    }
}

impl Roll {
    /// Notes a fact of an arbitrator's stream: its number, and when it was recorded.
    pub fn note(&mut self, (seq, at): (u64, Timestamp), arbitrator: NostrKey, event: &Event) {
        let state = self.states.entry(arbitrator).or_default();
        *state = Registry::evolve(std::mem::take(state), event);
        // A clock that was set back makes no fact of the future.
        let now = self.last.map_or(at, |(_, before)| before.max(at));
        if let Event::ArbitratorServed { dispute, did } = event {
            self.services.push(Service { seq, dispute: *dispute, arbitrator, asked_at: now, did: told(*did) });
        }
        self.last = Some((seq, now));
    }

    /// The number of the last fact that was noted; 0 before the first.
    pub fn seq(&self) -> u64 {
        self.last.map_or(0, |(seq, _)| seq)
    }

    /// The time that weights are of: the latest of any fact that was noted.
    pub fn at(&self) -> Timestamp {
        self.last.map_or(Timestamp::from_millis(0), |(_, at)| at)
    }

    /// What is known of an arbitrator.
    pub fn state(&self, arbitrator: NostrKey) -> &State {
        self.states.get(&arbitrator).unwrap_or(&State::Absent)
    }

    /// Everybody who registered, sorted by key.
    pub fn arbitrators(&self) -> impl Iterator<Item = &Arbitrator> {
        self.states.values().filter_map(|state| match state {
            State::Present(arbitrator) => Some(arbitrator),
            State::Absent => None,
        })
    }

    /// Who can be drawn, sorted by key, each with its weight and what that is made of.
    ///
    /// # Errors
    /// [`RollError`] if facts were noted out of order.
    pub fn weights(&self) -> Result<BTreeMap<NostrKey, Explained>, RollError> {
        let now = self.at();
        let mut services: BTreeMap<NostrKey, Vec<Service>> = BTreeMap::new();
        for service in &self.services {
            services.entry(service.arbitrator).or_default().push(service.clone());
        }
        let eligible = self.arbitrators().filter(|arbitrator| arbitrator.is_eligible());
        let weighed = eligible.map(|Arbitrator { key, .. }| {
            let own = services.get(key).map_or(&[][..], Vec::as_slice);
            Ok((*key, draw_weight(*key, own, now)?))
        });
        weighed.collect()
    }

    /// The same as a list to draw from.
    ///
    /// # Errors
    /// As [`Roll::weights`], or if more than [`CANDIDATES_MAX`](crate::draw::CANDIDATES_MAX) are eligible.
    pub fn candidates(&self) -> Result<Candidates, RollError> {
        let weights = self.weights()?;
        let candidate =
            |(key, weight): (&NostrKey, &Explained)| Candidate { arbitrator: *key, weight: in_a_draw(weight) };
        Ok(Candidates::try_new(weights.iter().map(candidate).collect())?)
    }
}

/// A weight as it counts in a draw.
pub fn in_a_draw(weight: &Explained) -> u32 {
    u32::try_from(weight.total).unwrap_or(WEIGHT_MAX).clamp(1, WEIGHT_MAX)
}

/// A service in the words of [`reputation`]: only how near a vote was to the ruling counts there, not the amounts.
fn told(did: Did) -> reputation::Did {
    let sat = |permille: u64| Sat::try_new(permille.min(WHOLE)).unwrap_or(Sat::ZERO);
    match did {
        Did::Voted { off_permille } => {
            reputation::Did::Revealed { vote: sat(off_permille.into()), ruling: Sat::ZERO, of: sat(WHOLE) }
        }
        Did::Missed(_) => reputation::Did::Silent,
    }
}
