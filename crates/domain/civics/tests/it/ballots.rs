//! Awards, and the ruling that votes make.

use proptest::{collection::vec, prelude::*};
use tallystick_civics::dispute::{Award, median};
use tallystick_core::Sat;
use tallystick_testkit::cases;

use crate::given::{parts, sat};

#[test]
fn an_award_names_parts_that_exist() {
    assert!(Award::NOTHING.fits(1));
    assert!(Award::new(0b1).fits(1) && !Award::new(0b10).fits(1));
    assert!(Award::new(u64::MAX).fits(64) && !Award::new(u64::MAX).fits(63));
    assert!(Award::new(0b10).includes(1) && !Award::new(0b10).includes(0) && !Award::new(u64::MAX).includes(64));
}

#[test]
fn its_value_is_the_sum_of_its_parts() {
    let value = |mask| Award::new(mask).value(&parts()).get();
    assert_eq!([0b000, 0b001, 0b110, 0b111].map(value), [0, 50_000, 150_000, 200_000]);
}

#[test]
fn rulings() {
    let rule = |masks: &[u64]| median(&masks.iter().copied().map(Award::new).collect::<Vec<_>>(), &parts());
    assert_eq!(rule(&[]), None);
    assert_eq!(rule(&[0b100]), Some(Award::new(0b100)));
    // Of two the lower one: what is not agreed on is not paid.
    assert_eq!(rule(&[0b111, 0b001]), Some(Award::new(0b001)));
    assert_eq!(rule(&[0b111, 0b000, 0b010]), Some(Award::new(0b010)));
    // By value, not by mask: 0b100 is 90,000 and 0b011 is 110,000.
    assert_eq!(rule(&[0b011, 0b100, 0b111]), Some(Award::new(0b011)));
    assert_eq!(rule(&[0b111, 0b110, 0b001, 0b000]), Some(Award::new(0b001)));
    assert_eq!(rule(&[0b111, 0b111, 0b000, 0b000, 0b001]), Some(Award::new(0b001)));
    // Of the same value, the lower mask.
    let same = [sat(1), sat(1)];
    assert_eq!(median(&[Award::new(0b10), Award::new(0b01)], &same), Some(Award::new(0b01)));
}

fn disputed() -> impl Strategy<Value = Vec<Sat>> {
    vec((1u64..1_000).prop_map(sat), 1..=64)
}

fn masks(honest: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Vec<u64>> {
    vec(any::<u64>(), honest)
}

fn awards(masks: &[u64], parts: &[Sat]) -> Vec<Award> {
    let fitting = u64::MAX >> (64 - parts.len());
    masks.iter().map(|mask| Award::new(mask & fitting)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(1_000)) })]

    #[test]
    fn a_ruling_is_a_vote_in_the_middle(parts in disputed(), masks in masks(1..=7)) {
        let votes = awards(&masks, &parts);
        let ruling = median(&votes, &parts).unwrap();
        prop_assert!(votes.contains(&ruling));
        let order = |award: &Award| (award.value(&parts), award.mask());
        let below = votes.iter().filter(|vote| order(vote) < order(&ruling)).count();
        let above = votes.iter().filter(|vote| order(vote) > order(&ruling)).count();
        prop_assert!(below * 2 < votes.len() && above * 2 <= votes.len(), "{below} below, {above} above");
    }

    #[test]
    fn an_honest_majority_bounds_the_ruling(parts in disputed(), honest in masks(1..=4), dishonest in masks(0..=3)) {
        let (honest, mut votes) = (awards(&honest, &parts), awards(&dishonest, &parts));
        votes.truncate(honest.len() - 1);
        votes.extend(&honest);
        let ruling = median(&votes, &parts).unwrap().value(&parts);
        let values = || honest.iter().map(|award| award.value(&parts));
        prop_assert!(values().min() <= Some(ruling) && Some(ruling) <= values().max());
    }

    #[test]
    fn nobody_of_three_or_five_moves_it_past_the_others(parts in disputed(), masks in masks(5..=5), five in any::<bool>()) {
        let votes = awards(&masks[..if five { 5 } else { 3 }], &parts);
        let ruling = median(&votes, &parts).unwrap().value(&parts);
        for n in 0..votes.len() {
            let others = || votes.iter().enumerate().filter(move |(other, _)| *other != n).map(|(_, a)| a.value(&parts));
            prop_assert!(others().min() <= Some(ruling) && Some(ruling) <= others().max());
        }
    }

    #[test]
    fn the_order_of_votes_does_not_matter(parts in disputed(), masks in masks(1..=7), turn in 0usize..7) {
        let votes = awards(&masks, &parts);
        let mut turned = votes.clone();
        turned.rotate_left(turn % votes.len());
        turned.reverse();
        prop_assert_eq!(median(&votes, &parts), median(&turned, &parts));
    }
}
