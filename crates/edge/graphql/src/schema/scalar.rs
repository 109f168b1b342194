//! Scalars, each checked as it is read.

use async_graphql::{InputValueResult, Number, Scalar, ScalarType, Value};
use std::{fmt::Display, str::FromStr};
use tallystick_core::{self as core, Digest32, Id};
use tallystick_escrow::Task;

fn text(value: &Value) -> Result<&str, &'static str> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err("expected a string"),
    }
}

fn read<T: FromStr<Err: Display>>(value: &Value) -> Result<T, String> {
    text(value)?.parse().map_err(|error: T::Err| error.to_string())
}

fn whole(value: &Value) -> Result<u64, &'static str> {
    match value {
        Value::Number(number) => number.as_u64().ok_or("expected a whole number"),
        _ => Err("expected a whole number"),
    }
}

/// A UUID of version 7 (RFC 9562): it sorts by the time at which it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uuid(pub Id<Task>);

impl Uuid {
    /// The id of something else than a task, as the API shows it.
    pub fn about<T>(id: Id<T>) -> Self {
        Self(Id::try_new(uuid::Uuid::from_bytes(*id.as_bytes())).expect("an id is a UUID of version 7"))
    }

    /// The id of something else than a task.
    pub fn of<T>(self) -> Id<T> {
        Id::try_new(uuid::Uuid::from_bytes(*self.0.as_bytes())).expect("an id is a UUID of version 7")
    }
}

/// 32 bytes as 64 hexadecimal digits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hex32(pub Digest32);

/// A Nostr public key (NIP-01): 64 hexadecimal digits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NostrKey(pub core::NostrKey);

/// Seconds since the Unix epoch, a JSON integer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timestamp(pub core::Timestamp);

/// Satoshi, a JSON integer. All bitcoin there can be is below 2^53, so no reader loses a digit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sat(pub core::Sat);

/// Millisatoshi as decimal digits in a string: large amounts are above 2^53, where JSON numbers lose digits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Msat(pub core::Msat);

/// A UUID of version 7 (RFC 9562) as text, such as `0193b1f4-7c3e-7000-8000-0123456789ab`. It sorts by the time at
/// which it was made.
#[Scalar(name = "UUID")]
impl ScalarType for Uuid {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(read(&value)?))
    }

    fn to_value(&self) -> Value {
        self.0.to_string().into()
    }
}

/// 32 bytes, such as a SHA-256 digest, as 64 hexadecimal digits.
#[Scalar]
impl ScalarType for Hex32 {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(read(&value)?))
    }

    fn to_value(&self) -> Value {
        self.0.to_string().into()
    }
}

/// A Nostr public key (NIP-01) as 64 hexadecimal digits.
#[Scalar]
impl ScalarType for NostrKey {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(read(&value)?))
    }

    fn to_value(&self) -> Value {
        self.0.to_string().into()
    }
}

/// A point in time: whole seconds since the Unix epoch, as a JSON integer.
#[Scalar]
impl ScalarType for Timestamp {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(core::Timestamp::from_secs(whole(&value)?)))
    }

    fn to_value(&self) -> Value {
        Value::Number(Number::from(self.0.as_secs()))
    }
}

/// An amount in satoshi, as a JSON integer. It never exceeds 2.1 × 10^15, so that no reader loses a digit.
#[Scalar]
impl ScalarType for Sat {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(core::Sat::try_new(whole(&value)?)?))
    }

    fn to_value(&self) -> Value {
        Value::Number(Number::from(self.0.get()))
    }
}

/// An amount in millisatoshi, as decimal digits in a string: it may exceed 2^53, above which JSON numbers lose
/// digits.
#[Scalar]
impl ScalarType for Msat {
    fn parse(value: Value) -> InputValueResult<Self> {
        let digits = text(&value)?;
        // A sign or a leading zero would make two texts of one amount.
        if digits != "0" && !digits.starts_with(|first: char| matches!(first, '1'..='9')) {
            return Err("expected decimal digits".into());
        }
        Ok(Self(core::Msat::try_new(digits.parse()?)?))
    }

    fn to_value(&self) -> Value {
        self.0.get().to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::value;

    #[test]
    fn amounts_are_exact_or_refused() {
        assert_eq!(Sat::parse(value!(2_100_000_000_000_000u64)).unwrap().to_value(), value!(2_100_000_000_000_000u64));
        for bad in [value!(2_100_000_000_000_001u64), value!(-1), value!(1.5), value!("1"), Value::Null] {
            assert!(Sat::parse(bad.clone()).is_err(), "{bad}");
        }
        assert_eq!(Msat::parse(value!("2100000000000000000")).unwrap().to_value(), value!("2100000000000000000"));
        assert_eq!(Msat::parse(value!("0")).unwrap().to_value(), value!("0"));
        for bad in ["", "+1", "-1", "01", "1.0", " 1", "2100000000000000001", "99999999999999999999"] {
            assert!(Msat::parse(value!(bad)).is_err(), "{bad}");
        }
        assert!(Msat::parse(value!(1)).is_err());
    }

    #[test]
    fn keys_ids_and_digests_are_checked() {
        assert!(NostrKey::parse(value!("00".repeat(32))).is_err());
        assert!(Hex32::parse(value!("00".repeat(31))).is_err());
        assert!(Hex32::parse(value!("00".repeat(32))).is_ok());
        assert!(Uuid::parse(value!("00000000-0000-4000-8000-000000000000")).is_err());
        assert!(Uuid::parse(value!("0193b1f4-7c3e-7000-8000-0123456789ab")).is_ok());
        assert!(Timestamp::parse(value!(-1)).is_err());
    }
}
