//! Invoices read by a replica that does not run the node.

use bitcoin::Network;
use bitcoin::secp256k1::PublicKey;
use lightning::sign::{KeysManager, NodeSigner, Recipient};
use tallystick_app::port::rail::{InvoiceError, InvoiceFacts, InvoiceReader};
use tallystick_postgres::PostgresOptions;

use super::start::blocking;
use crate::LightningError;
use crate::secret::RootKeys;
use crate::store::PaidHashes;

/// The Lightning node's public key.
pub(super) fn node_id(root: &RootKeys) -> Result<PublicKey, LightningError> {
    // Ephemeral keys are not used: the time that makes them does not matter.
    let keys = KeysManager::new(&root.ldk_seed(), 0, 0, true);
    keys.get_node_id(Recipient::Node).map_err(|()| LightningError::Config("the seed gives no key".to_owned()))
}

/// Reads payees' invoices as the running node would. It sees a payment once it is on the disk, which is before its
/// preimage can come back.
pub struct PaidReader {
    network: Network,
    own: PublicKey,
    paid: PaidHashes,
}

impl PaidReader {
    pub(super) async fn open(
        root: &RootKeys,
        network: Network,
        options: &PostgresOptions,
    ) -> Result<Self, LightningError> {
        let own = node_id(root)?;
        let options = options.clone();
        let paid = blocking(move || PaidHashes::open(&options)).await?;
        Ok(Self { network, own, paid })
    }

    /// The Lightning node's public key.
    #[must_use]
    pub fn node_id(&self) -> PublicKey {
        self.own
    }
}

impl InvoiceReader for PaidReader {
    fn read(&self, bolt11: &str) -> Result<InvoiceFacts, InvoiceError> {
        let mut facts = crate::invoice::read(bolt11, self.network, Some(&self.own))?;
        // A database that does not answer may know the hash: an invoice can be made anew, money cannot.
        facts.hash_was_paid = self.paid.contains(&facts.hash).unwrap_or(true);
        Ok(facts)
    }
}
