//! What arbitrators count in the draw.

use tallystick_civics::reputation::{Did, ReputationError, Service, draw_weight};
use tallystick_core::Coded;

use crate::support::*;

fn weight(services: &[Service]) -> i64 {
    let explained = draw_weight(key(1), services, now()).unwrap();
    assert_eq!(explained.terms.iter().map(|term| term.points).sum::<i64>(), explained.total);
    explained.total
}

#[test]
fn newcomers_refusals_and_votes() {
    assert_eq!(weight(&[]), 100);
    assert_eq!(weight(&[service(1, 1, Did::Refused, 0)]), 100);
    assert_eq!(weight(&[vote(1, 2, 500, 500, 0)]), 100, "another's vote");
    assert_eq!(weight(&[vote(1, 1, 500, 500, 0)]), 150);
    assert_eq!(weight(&[vote(1, 1, 0, 1_000, 0)]), 125, "who sees it otherwise keeps half");
    assert_eq!(weight(&[vote(1, 1, 500, 500, 180)]), 125);
    let many: Vec<Service> = (1..=40).map(|seq| vote(seq, 1, 500, 500, 0)).collect();
    assert_eq!(weight(&many), 1_000);
}

#[test]
fn silence_halves_and_is_forgotten_slower_than_service() {
    let silent = |seq, days| service(seq, 1, Did::Silent, days);
    let votes = |days| (1..=20).map(move |seq| vote(seq, 1, 500, 500, days));
    let with = |days, silences: &[u64]| {
        let silences = (21..).zip(silences).map(|(seq, days)| silent(seq, *days));
        weight(&votes(days).chain(silences).collect::<Vec<_>>())
    };
    assert_eq!(with(0, &[]), 1_000);
    assert_eq!(with(0, &[0]), 500);
    assert_eq!(with(0, &[0, 0]), 250);
    assert_eq!(with(0, &[365]), 750);
    assert_eq!(with(180, &[180]), 600 - 600 * 754 / 2_000, "753.4 thousandths of a halving are left");
    assert_eq!(with(0, &[0; 100]), 1, "nobody is never drawn");
}

#[test]
fn terms_name_their_facts() {
    let services = [vote(3, 1, 0, 0, 0), service(5, 1, Did::Silent, 0), service(7, 1, Did::Refused, 0)];
    let explained = draw_weight(key(1), &services, now()).unwrap();
    let told: Vec<_> = explained.terms.iter().map(|term| (term.name, term.points, term.facts.as_slice())).collect();
    assert_eq!(told, [("newcomer", 100, &[][..]), ("service", 50, &[3]), ("silence", -75, &[5])]);
}

#[test]
fn services_that_cannot_be_are_refused() {
    let refused = |services: &[Service]| draw_weight(key(1), services, now()).unwrap_err().code().0;
    assert_eq!(refused(&[vote(2, 1, 0, 0, 0), vote(2, 1, 0, 0, 0)]), "reputation.unsorted");
    assert_eq!(refused(&[vote(1, 1, 1_001, 0, 0)]), "reputation.contradiction");
    let nothing = Did::Revealed { vote: sat(0), ruling: sat(0), of: sat(0) };
    assert_eq!(refused(&[service(1, 1, nothing, 0)]), "reputation.contradiction");
    let mut early = vote(1, 1, 0, 0, 0);
    early.asked_at = at(TODAY + 1);
    assert!(matches!(draw_weight(key(1), &[early], now()), Err(ReputationError::Future { seq: 1, .. })));
}
