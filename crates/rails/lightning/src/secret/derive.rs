//! Keys from the seed (BIP 32). Hardened everywhere, so that no key tells anything about another.

use bitcoin::Network;
use bitcoin::bip32::{ChildNumber, Xpriv};
use bitcoin::secp256k1::SECP256K1;
use tallystick_core::NodeKey;
use zeroize::Zeroizing;

use super::{Sealer, Seed, Vault};
use crate::LightningError;
use crate::anchor::SealKey;

/// Our own branch below the root: `m/7435'`. No standard claims the number.
const PURPOSE: u32 = 7_435;
const LDK: u32 = 0;
const NODE_KEY: u32 = 1;
const SEALER: u32 = 2;
const VAULT: u32 = 3;
const LOG: u32 = 4;
const SEAL: u32 = 5;
const BACKUP: u32 = 6;

/// Derives every key that the node needs.
pub(crate) struct RootKeys(Xpriv);

impl RootKeys {
    pub(crate) fn new(seed: &Seed, network: Network) -> Self {
        let root = Xpriv::new_master(network, seed.expose()).expect("a master key exists for all but 1 in 2^127 seeds");
        Self(root)
    }

    /// The root of the on-chain wallet, which takes its own paths below it (BIP 86).
    pub(crate) fn wallet_root(&self) -> Xpriv {
        self.0
    }

    /// The 32 bytes that LDK derives all Lightning keys from.
    pub(crate) fn ldk_seed(&self) -> Zeroizing<[u8; 32]> {
        self.child(LDK)
    }

    /// The key that the node signs its own facts with.
    pub(crate) fn node_key(&self) -> NodeKey {
        NodeKey::try_new(&self.child(NODE_KEY)).expect("a BIP 32 key is a valid secret key")
    }

    /// What seals preimages.
    pub(crate) fn sealer(&self) -> Sealer {
        Sealer::new(&self.child(SEALER))
    }

    /// What seals LDK's own state, for one run.
    pub(crate) fn vault(&self) -> Result<Vault, LightningError> {
        Vault::try_new(self.child(VAULT))
    }

    /// The 32 bytes that the log's key is made from.
    pub(crate) fn log_seed(&self) -> Zeroizing<[u8; 32]> {
        self.child(LOG)
    }

    /// The key that anchors' seals are paid to.
    pub(crate) fn seal_key(&self) -> SealKey {
        SealKey::new(&self.child(SEAL))
    }

    /// The key that backups are authenticated with.
    pub(crate) fn backup_key(&self) -> Zeroizing<[u8; 32]> {
        self.child(BACKUP)
    }

    fn child(&self, index: u32) -> Zeroizing<[u8; 32]> {
        let path = [PURPOSE, index].map(|index| ChildNumber::Hardened { index });
        let mut key =
            self.0.derive_priv(SECP256K1, &path).expect("hardened children exist for all but 1 in 2^127 keys");
        let bytes = Zeroizing::new(key.private_key.secret_bytes());
        key.private_key.non_secure_erase();
        bytes
    }
}

impl Drop for RootKeys {
    fn drop(&mut self) {
        self.0.private_key.non_secure_erase();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_come_again() {
        let seed = Seed::fresh([7; 32]);
        let keys = RootKeys::new(&seed, Network::Regtest);
        assert_eq!(*keys.ldk_seed(), *RootKeys::new(&seed, Network::Regtest).ldk_seed());
        assert_ne!(*keys.ldk_seed(), *keys.child(SEALER));
        assert_ne!(*keys.ldk_seed(), *seed.expose());
        let other = RootKeys::new(&Seed::fresh([8; 32]), Network::Regtest);
        assert_ne!(keys.node_key().public(), other.node_key().public());
    }

    #[test]
    fn a_recovered_seed_gives_the_same_node() {
        // Golden: changing a path would lose every node that exists.
        let keys = RootKeys::new(&Seed::fresh([1; 32]), Network::Bitcoin);
        let digest = tallystick_core::canonical::digest(
            "test/derive",
            &[&*keys.ldk_seed(), &*keys.child(SEALER), &*keys.child(VAULT)],
        );
        assert_eq!(
            (keys.node_key().public().to_string(), digest.to_string()),
            (GOLDEN_NODE_KEY.to_owned(), GOLDEN_SECRETS.to_owned())
        );
    }

    const GOLDEN_NODE_KEY: &str = "978692bed0ebad346da43677135edc7584d44a23bf7dfdd5c53821c929ca5716";
    const GOLDEN_SECRETS: &str = "5f17356e5530ddd981fab1294d2eea575b9634b5e56daa7776cc5ef6a121fd09";
}
