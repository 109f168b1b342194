//! Pairs that pay to and fro, and pairs that trade with nobody else.

use super::{
    Flag, Kind, Thresholds,
    flag::permille,
    trade::{Between, Trade, evidence},
};
use crate::reputation::Deal;

pub fn find(trade: &Trade<'_>, thresholds: &Thresholds) -> Vec<Flag> {
    let both = |between| [reciprocal(trade, between, thresholds), captive(trade, between, thresholds)];
    trade.pairs.values().flat_map(both).flatten().collect()
}

fn reciprocal(trade: &Trade<'_>, between: &Between<'_>, thresholds: &Thresholds) -> Option<Flag> {
    let answered = answered(&between.ways, thresholds.reciprocal_near);
    let deals = between.ways[0].len() + between.ways[1].len();
    let strength = permille(answered.len() as u128 * 2, deals as u128);
    (answered.len() >= thresholds.reciprocal_min && strength >= thresholds.reciprocal_share).then(|| Flag {
        kind: Kind::ReciprocalPair,
        who: trade.names(&[between.keys.0, between.keys.1]),
        evidence: evidence(answered.iter().flatten().copied()),
        sentence: format!(
            "of {deals} deals between them, {} payments came back in a near amount the other way",
            answered.len()
        ),
        strength,
    })
}

/// Payments with an answer of a near amount, each used once: the smallest are matched first.
fn answered<'a>(ways: &[Vec<&'a Deal>; 2], near: u16) -> Vec<[&'a Deal; 2]> {
    let sorted = |way: &Vec<&'a Deal>| {
        let mut way = way.clone();
        way.sort_by_key(|deal| (deal.paid, deal.seq));
        way.into_iter().peekable()
    };
    let [mut to, mut fro] = [sorted(&ways[0]), sorted(&ways[1])];
    let mut answered = Vec::new();
    while let (Some(one), Some(other)) = (to.peek().copied(), fro.peek().copied()) {
        let (a, b) = (u128::from(one.paid.get()), u128::from(other.paid.get()));
        let is_near = a.abs_diff(b) * 1_000 <= a.max(b) * u128::from(near);
        if is_near {
            answered.push([one, other]);
        }
        if is_near || a < b {
            to.next();
        }
        if is_near || a >= b {
            fro.next();
        }
    }
    answered
}

fn captive(trade: &Trade<'_>, between: &Between<'_>, thresholds: &Thresholds) -> Option<Flag> {
    let (a, b) = between.keys;
    let volume = between.volume();
    let strength = permille(volume, trade.volume_of(a).max(trade.volume_of(b)));
    let deals = between.ways[0].len() + between.ways[1].len();
    (deals >= thresholds.captive_min && strength >= thresholds.captive_share).then(|| Flag {
        kind: Kind::CaptivePair,
        who: trade.names(&[a, b]),
        evidence: evidence(between.ways.iter().flatten().copied()),
        sentence: format!(
            "{deals} deals between them, {volume} sat, are at least {strength} thousandths of what each of them trades"
        ),
        strength,
    })
}
