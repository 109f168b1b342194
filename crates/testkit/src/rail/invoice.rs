//! Invoices of the simulated network: fields joined by colons, and a checksum. Only the rail reads them.

use tallystick_app::port::rail::{InvoiceError, InvoiceFacts};
use tallystick_core::{Blocks, Msat, PaymentHash, Timestamp, canonical};

const PREFIX: &str = "sim";
/// As many characters as a QR code holds.
const LENGTH_MAX: usize = 7_089;
const FIELDS: usize = 9;

/// What an invoice says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invoice {
    pub network: String,
    pub payee: [u8; 33],
    pub hash: PaymentHash,
    pub amount: Option<Msat>,
    pub expires_at: Timestamp,
    pub final_cltv_delta: Blocks,
    /// `s`: it carries a payment secret. `x`: it needs features that nobody knows.
    pub features: String,
}

impl Invoice {
    pub(super) fn write(&self) -> String {
        let amount = self.amount.map_or("any".to_owned(), |amount| amount.get().to_string());
        let body = format!(
            "{PREFIX}:{}:{}:{}:{amount}:{}:{}:{}",
            self.network,
            hex(&self.payee),
            self.hash,
            self.expires_at.as_millis(),
            self.final_cltv_delta.0,
            self.features,
        );
        let sum = checksum(&body);
        format!("{body}:{sum}")
    }

    pub(super) fn read(text: &str) -> Result<Self, InvoiceError> {
        if text.len() > LENGTH_MAX {
            return Err(InvoiceError::TooLong { length: text.len(), limit: LENGTH_MAX });
        }
        let malformed = |why: &str| InvoiceError::Malformed(why.to_owned());
        let (body, sum) = text.rsplit_once(':').ok_or_else(|| malformed("it has no checksum"))?;
        if checksum(body) != sum {
            return Err(malformed("its checksum is wrong"));
        }
        let fields: Vec<&str> = text.split(':').collect();
        let [PREFIX, network, payee, hash, amount, expires_at, delta, features, _] = fields[..] else {
            return Err(InvoiceError::Malformed(format!("it has no {FIELDS} fields")));
        };
        if features.contains('x') {
            return Err(InvoiceError::UnknownFeatures);
        }
        if !features.contains('s') {
            return Err(InvoiceError::NoSecret);
        }
        let number = |text: &str| text.parse::<u64>().map_err(|_| malformed("a number is expected"));
        let amount = match amount {
            "any" => None,
            amount => Some(Msat::try_new(number(amount)?).map_err(|_| malformed("the amount is too large"))?),
        };
        Ok(Self {
            network: network.to_owned(),
            payee: unhex(payee).ok_or_else(|| malformed("the payee is no key"))?,
            hash: hash.parse().map_err(|_| malformed("the hash has no 64 digits"))?,
            amount,
            expires_at: Timestamp::from_millis(number(expires_at)?),
            final_cltv_delta: Blocks(delta.parse().map_err(|_| malformed("a number is expected"))?),
            features: features.to_owned(),
        })
    }

    pub(super) fn facts(&self, network: &str, own_key: &[u8; 33]) -> InvoiceFacts {
        InvoiceFacts {
            same_network: self.network == network,
            hash: self.hash,
            amount: self.amount,
            expires_at: self.expires_at,
            final_cltv_delta: self.final_cltv_delta,
            payee_is_self: self.payee == *own_key,
            hash_was_paid: false,
        }
    }
}

fn checksum(body: &str) -> String {
    canonical::sha256(body.as_bytes()).to_string()[..8].to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 33]> {
    let mut bytes = [0; 33];
    if text.len() != 66 || !text.is_ascii() {
        return None;
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Invoice {
        Invoice {
            network: "regtest".into(),
            payee: [2; 33],
            hash: PaymentHash([7; 32]),
            amount: Some(Msat::try_new(5_000).unwrap()),
            expires_at: Timestamp::from_secs(9),
            final_cltv_delta: Blocks(18),
            features: "s".into(),
        }
    }

    #[test]
    fn reads_what_it_wrote() {
        for amount in [None, sample().amount] {
            let invoice = Invoice { amount, ..sample() };
            assert_eq!(Invoice::read(&invoice.write()), Ok(invoice));
        }
    }

    #[test]
    fn refuses_the_rest() {
        let text = sample().write();
        for bad in ["", "sim", "lnbc1", ":", &text[1..], &text.replace(":5000:", ":6000:")] {
            assert!(matches!(Invoice::read(bad), Err(InvoiceError::Malformed(_))), "{bad}");
        }
        let long = "s".repeat(LENGTH_MAX + 1);
        assert!(matches!(Invoice::read(&long), Err(InvoiceError::TooLong { .. })));
        let odd = Invoice { features: "x".into(), ..sample() };
        assert_eq!(Invoice::read(&odd.write()), Err(InvoiceError::UnknownFeatures));
        let bare = Invoice { features: String::new(), ..sample() };
        assert_eq!(Invoice::read(&bare.write()), Err(InvoiceError::NoSecret));
    }
}
