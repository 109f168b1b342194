//! Choices from a seed: the same on every machine and in every version of this program, so no crate's generator.

/// A stream of numbers that a seed decides: SplitMix64, as Steele, Lea and Flood published it.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The stream of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `bound - 1`; 0 if there is none. The first ones are likelier by one in 2^40 at most, which
    /// nobody notices here.
    pub const fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// A number from `low` to `high`, both included.
    pub const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// True in so many of a hundred cases.
    pub const fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// One of them.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<T: Copy>(&mut self, some: &[T]) -> T {
        some[index(self.below(some.len() as u64))]
    }

    /// One of them, by their weights; nothing if all weigh nothing.
    pub fn weighed<T>(&mut self, mut some: Vec<(u64, T)>) -> Option<T> {
        let mut left = self.below(some.iter().map(|(weight, _)| weight).sum());
        let at = some.iter().position(|(weight, _)| match left.checked_sub(*weight) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        })?;
        Some(some.swap_remove(at).1)
    }
}

/// A number below the length of a list.
fn index(number: u64) -> usize {
    usize::try_from(number).expect("below the length of a list")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_everything() {
        let numbers = |seed| {
            let mut rng = Rng::new(seed);
            [rng.next(), rng.next(), rng.next()]
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
        // The published generator's first numbers for the seed 1234567.
        assert_eq!(
            numbers(1_234_567),
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn weights_count() {
        let mut rng = Rng::new(1);
        assert_eq!(rng.weighed(vec![(0, 'a'), (3, 'b'), (0, 'c')]), Some('b'));
        assert_eq!(rng.weighed::<char>(vec![(0, 'a')]), None);
        let counts = (0..4_000).filter(|_| rng.weighed(vec![(1, true), (3, false)]) == Some(true)).count();
        assert!((800..1_200).contains(&counts), "{counts} of 4,000 are not a quarter");
    }
}
