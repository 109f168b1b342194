//! Rings: three to five keys that pay each other in a circle, and hardly trade with others.
//!
//! A step of a ring has a share of at least a quarter of all that its payer pays, so at most four steps lead away from a
//! key, and a search of depth five from a key takes at most 4 + 16 + 64 + 256 = 340 steps.

use std::collections::BTreeSet;

use super::{
    Flag, Kind, Thresholds,
    flag::permille,
    trade::{Trade, evidence, volume},
};

const LENGTHS: std::ops::RangeInclusive<usize> = 3..=5;

pub fn find(trade: &Trade<'_>, thresholds: &Thresholds) -> Vec<Flag> {
    let steps = steps(trade, thresholds.ring_step);
    let mut rings = BTreeSet::new();
    for start in (0u32..).take(steps.len()) {
        walk(&steps, &mut vec![start], &mut rings);
    }
    rings.iter().filter_map(|members| flag(trade, members, thresholds.ring_inside)).collect()
}

/// Whom each key pays a good share of what it pays, and who earn a good share of what they earn by it.
fn steps(trade: &Trade<'_>, share: u16) -> Vec<Vec<u32>> {
    let mut steps = vec![Vec::new(); trade.keys.len()];
    for between in trade.pairs.values() {
        let (a, b) = between.keys;
        for (way, payer, payee) in [(&between.ways[0], a, b), (&between.ways[1], b, a)] {
            let volume = volume(way);
            let least = permille(volume, trade.paid[payer as usize].max(trade.earned[payee as usize]));
            if volume > 0 && least >= share {
                steps[payer as usize].push(payee);
            }
        }
    }
    steps
}

/// Goes on from the end of a path. A ring is found from its lowest member only, and known by its members.
fn walk(steps: &[Vec<u32>], path: &mut Vec<u32>, rings: &mut BTreeSet<Vec<u32>>) {
    let (Some(&start), Some(&end)) = (path.first(), path.last()) else { return };
    for &next in &steps[end as usize] {
        if next == start && LENGTHS.contains(&path.len()) {
            let mut members = path.clone();
            members.sort_unstable();
            rings.insert(members);
        }
        if next > start && !path.contains(&next) && path.len() < *LENGTHS.end() {
            path.push(next);
            walk(steps, path, rings);
            path.pop();
        }
    }
}

/// A flag, if each member's trade mostly stays among the members.
fn flag(trade: &Trade<'_>, members: &[u32], inside_min: u16) -> Option<Flag> {
    let mut inside = vec![0; members.len()];
    let mut deals = Vec::new();
    for (i, a) in members.iter().enumerate() {
        for (j, b) in members.iter().enumerate().skip(i + 1) {
            if let Some(between) = trade.pairs.get(&(*a, *b)) {
                inside[i] += between.volume();
                inside[j] += between.volume();
                deals.extend(between.deals());
            }
        }
    }
    let shares = inside.iter().zip(members).map(|(inside, member)| permille(*inside, trade.volume_of(*member)));
    let strength = shares.min().filter(|least| *least >= inside_min)?;
    Some(Flag {
        kind: Kind::Ring,
        who: trade.names(members),
        sentence: format!(
            "{} keys pay each other in a circle: {} deals among them are at least {strength} thousandths of what each of \
             them trades",
            members.len(),
            deals.len()
        ),
        evidence: evidence(deals),
        strength,
    })
}
