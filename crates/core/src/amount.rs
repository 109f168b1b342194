//! Bitcoin amounts as integers.
//!
//! A [`Sat`] is 10⁻⁸ bitcoin, an [`Msat`] a thousandth of it (BOLT 2 uses it for HTLCs). Every operation is
//! checked and answers [`AmountError`] instead of wrapping; no amount exceeds [`Msat::MAX`].

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use std::fmt;

use crate::code::{Code, Coded};

/// All bitcoin that can ever exist, in satoshi.
const SUPPLY_SAT: u64 = 21_000_000 * 100_000_000;
const MSAT_PER_SAT: u64 = 1_000;
const BASIS_POINTS_WHOLE: u16 = 10_000;

/// Why an amount cannot be computed or accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AmountError {
    /// The result would be above 21 million bitcoin.
    #[error("the amount is larger than all bitcoin that can exist")]
    TooLarge,
    /// More than 10,000 basis points.
    #[error("{0} basis points are more than the whole (10000)")]
    Rate(u16),
}

impl Coded for AmountError {
    fn code(&self) -> Code {
        match self {
            Self::TooLarge => Code("amount.too_large"),
            Self::Rate(_) => Code("amount.rate_too_high"),
        }
    }
}

macro_rules! amount {
    ($(#[$doc:meta])* $name:ident, $unit:literal, $max:expr) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, Serialize,
        )]
        pub struct $name(u64);

        impl $name {
            /// Nothing.
            pub const ZERO: Self = Self(0);
            /// All bitcoin that can ever exist.
            pub const MAX: Self = Self($max);

            #[doc = concat!("Takes a number of ", $unit, ".\n\n# Errors\n[`AmountError::TooLarge`] above [`Self::MAX`].")]
            pub const fn try_new(value: u64) -> Result<Self, AmountError> {
                if value > $max { Err(AmountError::TooLarge) } else { Ok(Self(value)) }
            }

            #[doc = concat!("The number of ", $unit, ".")]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// Adds.
            ///
            /// # Errors
            /// [`AmountError::TooLarge`] above [`Self::MAX`].
            pub const fn checked_add(self, other: Self) -> Result<Self, AmountError> {
                match self.0.checked_add(other.0) {
                    Some(sum) => Self::try_new(sum),
                    None => Err(AmountError::TooLarge),
                }
            }

            /// Adds up a list.
            ///
            /// # Errors
            /// [`AmountError::TooLarge`] above [`Self::MAX`].
            pub fn sum(amounts: impl IntoIterator<Item = Self>) -> Result<Self, AmountError> {
                amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{} ", $unit), self.0)
            }
        }

        impl BorshDeserialize for $name {
            fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
                Self::try_new(u64::deserialize_reader(reader)?).map_err(std::io::Error::other)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::try_new(<u64 as Deserialize>::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

amount!(
    /// Millisatoshi: what Lightning counts in.
    Msat,
    "msat",
    SUPPLY_SAT * MSAT_PER_SAT
);
amount!(
    /// Satoshi: what the chain and people count in.
    Sat,
    "sat",
    SUPPLY_SAT
);

impl Sat {
    /// The same amount in millisatoshi. Cannot overflow: both types end at the supply.
    pub const fn to_msat(self) -> Msat {
        Msat(self.0 * MSAT_PER_SAT)
    }
}

impl From<Sat> for Msat {
    fn from(sat: Sat) -> Self {
        sat.to_msat()
    }
}

/// A rate in hundredths of a percent, 10,000 at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, Serialize)]
pub struct BasisPoints(u16);

impl BasisPoints {
    /// Takes a rate.
    ///
    /// # Errors
    /// [`AmountError::Rate`] above 10,000.
    pub const fn try_new(rate: u16) -> Result<Self, AmountError> {
        if rate > BASIS_POINTS_WHOLE { Err(AmountError::Rate(rate)) } else { Ok(Self(rate)) }
    }

    /// The rate as a number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// This share of `amount`, rounded up to whole satoshi, once.
    pub fn of(self, amount: Sat) -> Sat {
        let share = u128::from(amount.0) * u128::from(self.0);
        let rounded = share.div_ceil(u128::from(BASIS_POINTS_WHOLE));
        Sat(u64::try_from(rounded).expect("a share of at most the whole is no larger than the amount"))
    }
}

impl BorshDeserialize for BasisPoints {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        Self::try_new(u16::deserialize_reader(reader)?).map_err(std::io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overflow_is_a_value() {
        assert_eq!(Sat::MAX.checked_add(Sat(1)), Err(AmountError::TooLarge));
        assert_eq!(Msat::try_new(u64::MAX), Err(AmountError::TooLarge));
        assert_eq!(Sat::MAX.to_msat(), Msat::MAX);
        assert_eq!(Msat::sum([Msat::MAX, Msat(1)]), Err(AmountError::TooLarge));
    }

    #[test]
    fn a_share_is_rounded_up_once() {
        let rate = BasisPoints::try_new(100).unwrap();
        assert_eq!(rate.of(Sat(100)), Sat(1));
        assert_eq!(rate.of(Sat(101)), Sat(2));
        assert_eq!(rate.of(Sat(0)), Sat(0));
        assert_eq!(BasisPoints::try_new(10_000).unwrap().of(Sat::MAX), Sat::MAX);
        assert_eq!(BasisPoints::try_new(10_001), Err(AmountError::Rate(10_001)));
    }

    #[test]
    fn stored_bytes_above_the_supply_are_refused() {
        let bytes = borsh::to_vec(&u64::MAX).unwrap();
        assert!(borsh::from_slice::<Msat>(&bytes).is_err());
        assert!(serde_test_bytes("18446744073709551615").is_err());
    }

    fn serde_test_bytes(json: &str) -> Result<Sat, serde::de::value::Error> {
        use serde::de::IntoDeserializer;
        <Sat as Deserialize>::deserialize(json.parse::<u64>().unwrap().into_deserializer())
    }
}
