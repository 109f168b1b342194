//! What an arbitrator counts in the draw of panels.

use tallystick_core::{NostrKey, Timestamp};

use super::{
    Did, Explained, ReputationError, Service, Term, check_services,
    fade::{day, fade},
    formula::{DEAL_HALF_LIFE, PENALTY_HALF_LIFE},
    term::points,
};

/// What an arbitrator begins with.
const NEWCOMER: u128 = 100;
/// The most that service adds.
const SERVICE_MAX: u128 = 900;
/// A revealed vote's worth in thousandths of a point. As much again is for its nearness to the ruling: who honestly sees it
/// otherwise keeps half.
const VOTE_MILLIS: u128 = 25_000;
/// A silence in thousandths of a halving.
const SILENCE: u128 = 1_000;
const MILLIS: u128 = 1_000;

/// An arbitrator's weight in the draw, 1 to 1,000, and its terms. Services are sorted by the number of their fact.
///
/// 100 to begin with; up to 50 for each vote that was revealed, 900 for all together, halved every 180 days; halved by each silence,
/// which itself is forgotten by half every 365 days. A seat that was refused in time changes nothing.
///
/// # Errors
/// [`ReputationError`] if the services are not sorted, later than `now`, or contradict themselves.
pub fn draw_weight(arbitrator: NostrKey, services: &[Service], now: Timestamp) -> Result<Explained, ReputationError> {
    check_services(services, now)?;
    let (mut votes, mut silences) = ((0u128, Vec::new()), (0u128, Vec::new()));
    for service in services.iter().filter(|service| service.arbitrator == arbitrator) {
        let age = day(now) - day(service.asked_at);
        match service.did {
            Did::Refused => {}
            Did::Silent => {
                silences.0 += fade(SILENCE, age, PENALTY_HALF_LIFE);
                silences.1.push(service.seq);
            }
            Did::Revealed { vote, ruling, of } => {
                let [vote, ruling, of] = [vote, ruling, of].map(|sat| u128::from(sat.get()));
                let near = VOTE_MILLIS * (of - vote.abs_diff(ruling)) / of;
                votes.0 += fade(VOTE_MILLIS + near, age, DEAL_HALF_LIFE);
                votes.1.push(service.seq);
            }
        }
    }
    Ok(explain(votes, silences))
}

fn explain((votes, voted): (u128, Vec<u64>), (silences, silent): (u128, Vec<u64>)) -> Explained {
    let served = (votes / MILLIS).min(SERVICE_MAX);
    let full = NEWCOMER + served;
    // Silences cannot be so many that a halving is lost: beyond 64 nothing is left to halve.
    let halvings = u64::try_from(silences).unwrap_or(u64::MAX);
    let left = fade(full, halvings, 1_000).max(1);
    let term = |name, points, why: String, facts| Term { name, points, why, facts };
    let mut terms = vec![term("newcomer", points(NEWCOMER), "what everybody begins with".to_owned(), Vec::new())];
    if !voted.is_empty() {
        let why =
            format!("{} votes revealed: worth {votes} thousandths today, {SERVICE_MAX} points at most", voted.len());
        terms.push(term("service", points(served), why, voted));
    }
    if !silent.is_empty() {
        let why = format!("{} times silent: halved {silences} thousandths of a time, 1 at least is left", silent.len());
        terms.push(term("silence", points(left) - points(full), why, silent));
    }
    Explained::of(terms)
}
