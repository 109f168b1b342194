//! Time-based one-time passwords (RFC 6238) as authenticators expect them: SHA-1, six digits, thirty seconds.
//!
//! A secret is made of the node's own key, the admin's, and the enrolment's number. So none is stored anywhere: it is sealed
//! as the node's seed is, comes again after a restart, and is the same on every replica.

use tallystick_civics::roles::Checked;
use tallystick_core::{NodeKey, NostrKey, Timestamp};
use totp_rs::{Algorithm, Builder, Secret, Totp};
use zeroize::{Zeroize, Zeroizing};

const PURPOSE: &str = "tallystick/authenticator/v1";
/// As many as SHA-1 makes (RFC 4226, section 4).
const SECRET_BYTES: usize = 20;
/// How many steps a code may be early or late.
const WINDOW_STEPS: u16 = 1;
const STEP_SECS: u64 = 30;
const DIGITS: u8 = 6;

/// An admin's authenticator, as the node knows it. Not printable; wiped when dropped.
pub struct Authenticator(Totp);

impl Authenticator {
    /// That of an admin's enrolment with this number.
    pub(crate) fn new(key: &NodeKey, admin: NostrKey, number: u64) -> Self {
        let mut derived = key.secret_for(PURPOSE, &[&admin.to_bytes(), &number.to_le_bytes()]);
        let mut secret = [0; SECRET_BYTES];
        secret.copy_from_slice(&derived[..SECRET_BYTES]);
        derived.zeroize();
        let authenticator = Self::of(secret);
        secret.zeroize();
        authenticator
    }

    fn of(secret: [u8; SECRET_BYTES]) -> Self {
        let builder = Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(DIGITS)
            .with_skew(WINDOW_STEPS)
            .with_step_duration(STEP_SECS)
            .with_secret(Secret::new_stack(secret));
        Self(builder.build().expect("20 bytes and six digits are what RFC 4226 asks for"))
    }

    /// What a code is at this time. Codes are compared in constant time.
    pub(crate) fn check(&self, code: &str, now: Timestamp) -> Checked {
        self.0.check(code, now.as_secs()).map_or(Checked::Wrong, Checked::Step)
    }

    /// What an authenticator reads (`otpauth`, the Key URI Format): the secret itself, to be shown once, to its admin alone.
    pub fn uri(&self, admin: NostrKey) -> Zeroizing<String> {
        let (secret, admin) = (Zeroizing::new(self.0.secret().to_base32()), admin.to_string());
        Zeroizing::new(format!(
            "otpauth://totp/Tallystick:{}?secret={}&issuer=Tallystick&algorithm=SHA1&digits={DIGITS}&period={STEP_SECS}",
            &admin[..16],
            secret.as_str()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, for SHA-1: the last six of its eight digits, as the same number is cut to fewer (RFC 4226,
    /// section 5.3).
    const VECTORS: [(u64, &str); 6] = [
        (59, "94287082"),
        (1_111_111_109, "07081804"),
        (1_111_111_111, "14050471"),
        (1_234_567_890, "89005924"),
        (2_000_000_000, "69279037"),
        (20_000_000_000, "65353130"),
    ];

    #[test]
    fn the_vectors_of_rfc_6238() {
        let authenticator = Authenticator::of(*b"12345678901234567890");
        for (secs, code) in VECTORS {
            let found = authenticator.check(&code[2..], Timestamp::from_secs(secs));
            assert_eq!(found, Checked::Step(secs / STEP_SECS), "{secs}");
        }
    }

    #[test]
    fn a_code_holds_one_step_before_and_after_its_own() {
        let authenticator = Authenticator::of(*b"12345678901234567890");
        let (secs, code) = (1_111_111_111, "050471");
        let step = secs / STEP_SECS;
        for (at, expected) in [
            (step - 2, Checked::Wrong),
            (step - 1, Checked::Step(step)),
            (step, Checked::Step(step)),
            (step + 1, Checked::Step(step)),
            (step + 2, Checked::Wrong),
        ] {
            assert_eq!(authenticator.check(code, Timestamp::from_secs(at * STEP_SECS)), expected, "{at}");
        }
        for other in ["", "50471", "0050471", "05047l", "050 471", "０５０４７１", "050472"] {
            assert_eq!(authenticator.check(other, Timestamp::from_secs(secs)), Checked::Wrong, "{other}");
        }
    }

    #[test]
    fn each_enrolment_has_a_secret_of_its_own() {
        let key = |n| NodeKey::try_new(&[n; 32]).unwrap();
        let uri = |node, admin: u8, number| {
            let admin = key(admin).public();
            Authenticator::new(&key(node), admin, number).uri(admin).to_string()
        };
        let first = uri(9, 1, 1);
        assert_eq!(first, uri(9, 1, 1), "it comes again");
        for other in [uri(8, 1, 1), uri(9, 2, 1), uri(9, 1, 2)] {
            assert_ne!(first, other);
        }
        let secret = first.split("secret=").nth(1).unwrap().split('&').next().unwrap();
        assert_eq!(secret.len(), 32, "{first}");
        assert!(first.starts_with("otpauth://totp/Tallystick:") && first.ends_with("&digits=6&period=30"), "{first}");
    }
}
