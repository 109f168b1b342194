//! What shows that a backup was made by whoever has the node's seed.

use bitcoin::hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha256};
use subtle::ConstantTimeEq as _;
use tallystick_core::Digest32;
use zeroize::Zeroizing;

use super::{RootKeys, Seed};

/// The key of a node's backups, made from its seed. Not printable.
pub struct BackupKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BackupKey")
    }
}

impl BackupKey {
    /// The key of the node with this seed.
    #[must_use]
    pub fn of(seed: &[u8; 32]) -> Self {
        // Private keys are the same on every network.
        Self(RootKeys::new(&Seed::restored(*seed, 0), bitcoin::Network::Bitcoin).backup_key())
    }

    /// HMAC-SHA256 (RFC 2104) of the digest of all that is in a backup.
    #[must_use]
    pub fn authenticate(&self, digest: Digest32) -> [u8; 32] {
        let mut engine = HmacEngine::<sha256::Hash>::new(&*self.0);
        engine.input(&digest.0);
        Hmac::from_engine(engine).to_byte_array()
    }

    /// Whether the code is that of this digest. It takes the same time whatever is wrong.
    #[must_use]
    pub fn vouches_for(&self, digest: Digest32, code: &[u8; 32]) -> bool {
        self.authenticate(digest).ct_eq(code).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_seed_and_content_are_vouched_for() {
        let (key, digest) = (BackupKey::of(&[1; 32]), Digest32([2; 32]));
        let code = key.authenticate(digest);
        assert!(key.vouches_for(digest, &code));
        assert!(!key.vouches_for(Digest32([3; 32]), &code));
        assert!(!BackupKey::of(&[2; 32]).vouches_for(digest, &code));
        let mut bent = code;
        bent[31] ^= 1;
        assert!(!key.vouches_for(digest, &bent));
    }
}
