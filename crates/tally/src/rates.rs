//! `[api.rates]`: how often one key, and one address, may ask. Absent keys keep the default.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::num::NonZeroU32;
use tallystick_graphql::{Rate, RateLimits};

/// Requests in a minute in the long run, and at once after a pause.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RatesConfig {
    /// Requests that one key signs.
    pub key_per_minute: Option<u32>,
    /// The same, at once.
    pub key_burst: Option<u32>,
    /// Requests from one address; an IPv6 address is counted by its /64.
    pub address_per_minute: Option<u32>,
    /// The same, at once.
    pub address_burst: Option<u32>,
    /// Commands of one key with invoices: taking a task, asking for its funding, offering a renewal.
    pub key_invoices_per_minute: Option<u32>,
    /// The same, at once.
    pub key_invoices_burst: Option<u32>,
    /// Such commands from one address.
    pub address_invoices_per_minute: Option<u32>,
    /// The same, at once.
    pub address_invoices_burst: Option<u32>,
}

impl RatesConfig {
    /// The rates, checked.
    ///
    /// # Errors
    /// If one of them is 0: nobody could ask.
    pub fn limits(&self) -> Result<RateLimits> {
        let base = RateLimits::default();
        Ok(RateLimits {
            key: rate("key", self.key_per_minute, self.key_burst, base.key)?,
            address: rate("address", self.address_per_minute, self.address_burst, base.address)?,
            key_invoices: rate(
                "key_invoices",
                self.key_invoices_per_minute,
                self.key_invoices_burst,
                base.key_invoices,
            )?,
            address_invoices: rate(
                "address_invoices",
                self.address_invoices_per_minute,
                self.address_invoices_burst,
                base.address_invoices,
            )?,
        })
    }
}

fn rate(name: &str, per_minute: Option<u32>, burst: Option<u32>, base: Rate) -> Result<Rate> {
    let of = |what: &str, given: Option<u32>, default| match given {
        None => Ok(default),
        Some(number) => {
            NonZeroU32::new(number).with_context(|| format!("[api.rates] {name}_{what} must be at least 1"))
        }
    };
    Ok(Rate::new(of("per_minute", per_minute, base.per_minute)?, of("burst", burst, base.burst)?))
}
