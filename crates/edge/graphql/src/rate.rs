//! How often one key, and one address, may ask: in all, and for what makes the Lightning node make or keep an invoice.
//!
//! [`quota`](crate::quota) shares out what there is at one time; this bounds what anybody asks over time. Keys cost nothing, so
//! addresses are counted as well: an IPv6 address by its /64, which is what one customer has.
//!
//! Who comes from this machine itself is not counted: that is its operator, or a proxy that is not named in
//! [`EdgeConfig::trusted_proxies`](crate::EdgeConfig::trusted_proxies). Behind such a proxy nobody is counted at all: whoever puts one
//! before the node names it there, or bounds rates in it.

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};
use std::{
    hash::{BuildHasher, Hash, RandomState},
    num::NonZeroU32,
    time::Duration,
};
use tallystick_core::NostrKey;

use crate::{error::EdgeError, source::Source};

const MINUTE: Duration = Duration::from_secs(60);

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub per_minute: NonZeroU32,
    /// At once, after a pause.
    pub burst: NonZeroU32,
}

impl Rate {
    /// So many in a minute, and so many at once.
    pub const fn new(per_minute: NonZeroU32, burst: NonZeroU32) -> Self {
        Self { per_minute, burst }
    }

    fn quota(self) -> Quota {
        let period = MINUTE / self.per_minute.get();
        Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MAX)).allow_burst(self.burst)
    }
}

/// All rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests of one key.
    pub key: Rate,
    /// Requests from one address.
    pub address: Rate,
    /// Of those, commands of one key with invoices: taking a task, asking for its funding, offering a renewal, being paid as an
    /// arbitrator.
    pub key_invoices: Rate,
    /// Such commands from one address.
    pub address_invoices: Rate,
}

impl Default for RateLimits {
    fn default() -> Self {
        let rate = |per_minute, burst| {
            let of = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
            Rate::new(of(per_minute), of(burst))
        };
        Self {
            key: rate(1_200, 400),
            address: rate(3_000, 1_000),
            key_invoices: rate(30, 60),
            address_invoices: rate(120, 240),
        }
    }
}

/// The rates of all keys and addresses.
pub(crate) struct Rates<C: Clock = DefaultClock> {
    key: Meter<C>,
    address: Meter<C>,
    key_invoices: Meter<C>,
    address_invoices: Meter<C>,
}

impl Rates {
    pub fn new(limits: &RateLimits) -> Self {
        Self::with_clock(limits, &DefaultClock::default())
    }
}

impl<C: Clock + Clone> Rates<C> {
    fn with_clock(limits: &RateLimits, clock: &C) -> Self {
        let meter = |rate: Rate| Meter::new(rate, clock.clone());
        Self {
            key: meter(limits.key),
            address: meter(limits.address),
            key_invoices: meter(limits.key_invoices),
            address_invoices: meter(limits.address_invoices),
        }
    }

    /// A request from somewhere, before anything else is looked at.
    ///
    /// # Errors
    /// [`EdgeError::TooOften`].
    pub fn request_from(&self, source: Source) -> Result<(), EdgeError> {
        self.address.pass_from(source)
    }

    /// A request that this key signed.
    ///
    /// # Errors
    /// [`EdgeError::TooOften`].
    pub fn request_by(&self, key: NostrKey, source: Source) -> Result<(), EdgeError> {
        self.key.pass_by(key, source)
    }

    /// A command with invoices.
    ///
    /// # Errors
    /// [`EdgeError::TooOften`].
    pub fn invoices(&self, key: NostrKey, source: Source) -> Result<(), EdgeError> {
        self.key_invoices.pass_by(key, source)?;
        self.address_invoices.pass_from(source)
    }
}

/// Counts one kind of thing. Its memory is bounded by the number of its slots: who is counted gets one by a hash that nobody
/// outside can foresee, and two who meet in one share its rate. Of a thousand who ask at one time, each meets another one with a
/// chance of 1.5 %; who does is refused earlier than alone, is told when to come again, and may meet nobody after the next start.
struct Meter<C: Clock> {
    limiter: RateLimiter<u16, HashMapStateStore<u16>, C, NoOpMiddleware<C::Instant>>,
    clock: C,
    slots: RandomState,
}

impl<C: Clock + Clone> Meter<C> {
    fn new(rate: Rate, clock: C) -> Self {
        let limiter = RateLimiter::hashmap_with_clock(rate.quota(), clock.clone());
        Self { limiter, clock, slots: RandomState::new() }
    }

    fn pass_from(&self, source: Source) -> Result<(), EdgeError> {
        match source {
            Source::Near => Ok(()),
            Source::Far(address) => self.pass(address, "this address"),
        }
    }

    fn pass_by(&self, key: NostrKey, source: Source) -> Result<(), EdgeError> {
        match source {
            Source::Near => Ok(()),
            Source::Far(_) => self.pass(key, "this key"),
        }
    }

    fn pass(&self, who: impl Hash, whom: &'static str) -> Result<(), EdgeError> {
        let [high, low, ..] = self.slots.hash_one(who).to_le_bytes();
        self.limiter.check_key(&u16::from_le_bytes([high, low])).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            // A fraction of a second rounds up: whoever comes back then is let in.
            let retry_secs = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
            EdgeError::TooOften { whom, retry_secs }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use std::net::IpAddr;
    use tallystick_core::NodeKey;

    fn key(n: u8) -> NostrKey {
        NodeKey::try_new(&[n; 32]).unwrap().public()
    }

    fn from(address: &str) -> Source {
        Source::of(address.parse::<IpAddr>().unwrap())
    }

    fn rates(clock: &FakeRelativeClock) -> Rates<FakeRelativeClock> {
        let rate = |per_minute, burst| Rate::new(NonZeroU32::new(per_minute).unwrap(), NonZeroU32::new(burst).unwrap());
        let limits = RateLimits {
            key: rate(60, 3),
            address: rate(60, 5),
            key_invoices: rate(2, 2),
            address_invoices: rate(6, 3),
        };
        Rates::with_clock(&limits, clock)
    }

    fn wait(result: Result<(), EdgeError>) -> Option<(&'static str, u64)> {
        match result {
            Ok(()) => None,
            Err(EdgeError::TooOften { whom, retry_secs }) => Some((whom, retry_secs)),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn each_key_has_its_rate_and_is_let_in_again() {
        let clock = FakeRelativeClock::default();
        let rates = rates(&clock);
        let ask = |n| wait(rates.request_by(key(n), from("192.0.2.1")));
        assert_eq!([ask(1), ask(1), ask(1), ask(1)], [None, None, None, Some(("this key", 1))]);
        assert_eq!(ask(2), None, "another key has its own");
        clock.advance(Duration::from_millis(999));
        assert!(ask(1).is_some());
        clock.advance(Duration::from_millis(1));
        assert_eq!(ask(1), None);
        assert!(ask(1).is_some());
    }

    #[test]
    fn an_address_counts_whatever_keys_it_uses_and_ipv6_by_its_64() {
        let rates = rates(&FakeRelativeClock::default());
        let ask = |address: &str| wait(rates.request_from(from(address)));
        for n in 1..=5 {
            assert_eq!(ask(&format!("2001:db8:1:2::{n}")), None);
        }
        assert_eq!(ask("2001:db8:1:2:ffff::1"), Some(("this address", 1)));
        assert_eq!(ask("2001:db8:1:3::1"), None);
        // An IPv4 address may come written as IPv6.
        for _ in 0..5 {
            assert_eq!(ask("::ffff:192.0.2.1"), None);
        }
        assert!(ask("192.0.2.1").is_some());
        assert_eq!(ask("192.0.2.2"), None);
    }

    #[test]
    fn invoices_have_stricter_rates_and_tell_when_to_come_again() {
        let clock = FakeRelativeClock::default();
        let rates = rates(&clock);
        let ask = |n| wait(rates.invoices(key(n), from("192.0.2.1")));
        assert_eq!([ask(1), ask(1), ask(1)], [None, None, Some(("this key", 30))]);
        assert_eq!([ask(2), ask(3)], [None, Some(("this address", 10))]);
        clock.advance(Duration::from_secs(10));
        assert_eq!(ask(4), None);
    }

    #[test]
    fn this_machine_itself_is_not_counted() {
        let rates = rates(&FakeRelativeClock::default());
        for near in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            for _ in 0..20 {
                let source = from(near);
                let passes =
                    [rates.request_from(source), rates.request_by(key(1), source), rates.invoices(key(1), source)];
                assert_eq!(passes, [Ok(()), Ok(()), Ok(())]);
            }
        }
    }

    #[test]
    fn memory_is_bounded_by_the_slots() {
        let rates = rates(&FakeRelativeClock::default());
        for n in 0..200_000u32 {
            // Two that meet in a slot may be refused: that is the price.
            let _ = rates.address.pass(n, "this address");
        }
        assert!(rates.address.limiter.len() <= 1 << 16);
    }

    #[test]
    fn the_defaults_are_stricter_for_invoices() {
        let limits = RateLimits::default();
        for (all, invoices) in [(limits.key, limits.key_invoices), (limits.address, limits.address_invoices)] {
            assert!(invoices.per_minute < all.per_minute && invoices.burst < all.burst);
        }
    }
}
