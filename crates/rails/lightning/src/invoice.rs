//! Payees' invoices, read.

use std::str::FromStr;

use bitcoin::Network;
use bitcoin::secp256k1::PublicKey;
use lightning_invoice::{Bolt11Invoice, Bolt11ParseError, Bolt11SemanticError, Currency, ParseOrSemanticError};
use tallystick_app::port::rail::{InvoiceError, InvoiceFacts, InvoiceReader};
use tallystick_core::{Blocks, Msat, PaymentHash, Timestamp};

/// BOLT 11 sets no limit; no wallet makes longer ones, and a QR code holds no more.
pub(crate) const INVOICE_BYTES_MAX: usize = 4_296;

/// Reads invoices where there is no node: whose own an invoice is, and what was paid, it does not know.
#[derive(Clone, Copy, Debug)]
pub struct PlainReader {
    /// The network that invoices must be for.
    pub network: Network,
}

impl InvoiceReader for PlainReader {
    fn read(&self, bolt11: &str) -> Result<InvoiceFacts, InvoiceError> {
        read(bolt11, self.network, None)
    }
}

/// Reads an invoice for a node on `network` with the key `own`.
pub(crate) fn read(bolt11: &str, network: Network, own: Option<&PublicKey>) -> Result<InvoiceFacts, InvoiceError> {
    if bolt11.len() > INVOICE_BYTES_MAX {
        return Err(InvoiceError::TooLong { length: bolt11.len(), limit: INVOICE_BYTES_MAX });
    }
    let invoice = Bolt11Invoice::from_str(bolt11).map_err(translate)?;
    let amount = (invoice.amount_milli_satoshis().map(Msat::try_new).transpose())
        .map_err(|error| InvoiceError::Malformed(error.to_string()))?;
    let payee = invoice.get_payee_pub_key();
    let expires_at = invoice.expires_at().map_or(u64::MAX, |since_epoch| since_epoch.as_secs());
    Ok(InvoiceFacts {
        same_network: invoice.currency() == Currency::from(network),
        hash: PaymentHash(*AsRef::<[u8; 32]>::as_ref(invoice.payment_hash())),
        amount,
        expires_at: Timestamp::from_secs(expires_at),
        final_cltv_delta: Blocks(u32::try_from(invoice.min_final_cltv_expiry_delta()).unwrap_or(u32::MAX)),
        payee_is_self: own == Some(&payee),
        hash_was_paid: false,
    })
}

fn translate(error: ParseOrSemanticError) -> InvoiceError {
    match error {
        ParseOrSemanticError::SemanticError(Bolt11SemanticError::InvalidFeatures) => InvoiceError::UnknownFeatures,
        ParseOrSemanticError::SemanticError(
            Bolt11SemanticError::NoPaymentSecret | Bolt11SemanticError::MultiplePaymentSecrets,
        ) => InvoiceError::NoSecret,
        ParseOrSemanticError::ParseError(Bolt11ParseError::Bech32Error(_)) => {
            InvoiceError::Malformed("its characters or its checksum are wrong".to_owned())
        }
        other => InvoiceError::Malformed(other.to_string()),
    }
}
