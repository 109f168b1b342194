//! Proofs of payment: the preimages that payees revealed, for whoever holds data directory and passphrase.

use std::fmt;
use std::path::Path;

use bitcoin::Network;
use tallystick_core::PaymentHash;
use zeroize::Zeroizing;

use super::{RootKeys, open};
use crate::LightningError;
use crate::store::sealed_preimages;

/// The proof that a payment was made: the preimage of its hash (BOLT 11). Not printable.
pub struct PaymentProof {
    /// The payment's hash.
    pub hash: PaymentHash,
    /// What hashes to it.
    pub preimage: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for PaymentProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PaymentProof({})", self.hash)
    }
}

/// Opens the proofs in a data directory: those of the operator's own payments, which are kept, and those of payouts whose
/// hold is not settled yet. The node may be running. Blocks.
///
/// # Errors
/// [`LightningError::WrongPassphrase`] and the others of opening a node.
pub fn payment_proofs(data_dir: &Path, passphrase: &str) -> Result<Vec<PaymentProof>, LightningError> {
    // The network is only in the text form of keys, never in their secrets.
    let sealer = RootKeys::new(&open(data_dir, passphrase)?, Network::Bitcoin).sealer();
    let open_one = |(hash, sealed): (PaymentHash, Vec<u8>)| {
        let preimage = sealer.open(&hash, &sealed)?;
        Ok(PaymentProof { hash, preimage })
    };
    sealed_preimages(data_dir)?.into_iter().map(open_one).collect()
}
