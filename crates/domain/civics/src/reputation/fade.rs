//! Whole days, and how what happened on them fades.

use tallystick_core::Timestamp;

const DAY_MILLIS: u64 = 86_400_000;

/// Days since the epoch, UTC. All ages are differences of these: within a day, order means nothing.
pub fn day(at: Timestamp) -> u64 {
    at.as_millis() / DAY_MILLIS
}

/// Half for each whole `half` in `age`, and in a straight line between the halvings. `half` is not zero.
pub fn fade(value: u128, age: u64, half: u64) -> u128 {
    let halvings = u32::try_from(age / half).unwrap_or(u32::MAX);
    let base = value.checked_shr(halvings).unwrap_or(0);
    base - base * u128::from(age % half) / u128::from(2 * half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_and_is_straight_between() {
        let at = |age| fade(1_000, age, 180);
        assert_eq!([0, 90, 180, 270, 360, 540].map(at), [1_000, 750, 500, 375, 250, 125]);
        assert_eq!(at(u64::MAX), 0);
        assert_eq!(fade(7, 1, 180), 7);
    }

    #[test]
    fn never_grows() {
        for value in [1, 2, 999, 1_000_003] {
            let faded: Vec<u128> = (0..4_000).map(|age| fade(value, age, 365)).collect();
            assert!(faded.is_sorted_by(|a, b| a >= b), "{value}");
        }
    }
}
