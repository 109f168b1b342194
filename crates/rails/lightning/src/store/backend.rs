//! What a database must do for the store: write a flush in one transaction, and read.

use tallystick_app::port::rail::RailNotice;
use tallystick_core::PaymentHash;

use super::Write;
use super::rows::{PaymentKey, PaymentRow};
use crate::LightningError;

/// All that one flush writes, sealed: in one transaction, or not at all.
pub(super) struct Flush {
    /// The channel manager, encoded after everything else that is in here.
    pub(super) manager: Option<Vec<u8>>,
    pub(super) whole: Vec<WholeMonitor>,
    pub(super) updates: Vec<MonitorUpdate>,
    pub(super) writes: Vec<Write>,
}

/// A monitor that is written whole.
pub(super) struct WholeMonitor {
    pub(super) name: String,
    pub(super) body: Vec<u8>,
    /// Updates up to this one are in it.
    pub(super) newest: u64,
}

/// An update of a monitor.
pub(super) struct MonitorUpdate {
    pub(super) name: String,
    pub(super) number: u64,
    pub(super) body: Vec<u8>,
}

/// A monitor as it is stored, with its later updates in order. All sealed.
pub(super) struct SealedMonitor {
    pub(super) name: String,
    pub(super) body: Vec<u8>,
    pub(super) updates: Vec<(u64, Vec<u8>)>,
}

/// The one connection that writes. Used by one thread.
pub(super) trait Writer: Send {
    /// Writes in one transaction; answers when it is on the disk.
    fn write(&mut self, flush: &Flush) -> Result<(), LightningError>;
}

/// Which payments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Everything that was paid on this hash.
    OutboundOn(PaymentHash),
    /// Payments to us that are not done.
    InboundPending,
    /// Payments of ours that are not done.
    OutboundPending,
}

impl Which {
    /// Whether a payment is one of them.
    pub(super) fn holds(self, row: &PaymentRow) -> bool {
        match self {
            Self::OutboundOn(hash) => row.is_outbound() && row.hash == hash,
            Self::InboundPending => !row.is_outbound() && row.is_pending(),
            Self::OutboundPending => row.is_outbound() && row.is_pending(),
        }
    }
}

/// An open database: who writes, and who reads.
pub(super) type Pair = (Box<dyn Writer>, Box<dyn Reader>);

/// A connection that reads what is written. It may block for as long as a query takes.
pub(super) trait Reader: Send {
    fn manager(&mut self) -> Result<Option<Vec<u8>>, LightningError>;
    /// All monitors that are not archived, by name.
    fn monitors(&mut self) -> Result<Vec<SealedMonitor>, LightningError>;
    fn kv(&mut self, primary: &str, secondary: &str, key: &str) -> Result<Option<Vec<u8>>, LightningError>;
    fn kv_keys(&mut self, primary: &str, secondary: &str) -> Result<Vec<String>, LightningError>;
    fn payment(&mut self, key: PaymentKey) -> Result<Option<PaymentRow>, LightningError>;
    fn payments(&mut self, which: Which) -> Result<Vec<PaymentRow>, LightningError>;
    /// The newest first.
    fn newest_payments(&mut self, limit: u32) -> Result<Vec<PaymentRow>, LightningError>;
    /// Notices that were not heard, oldest first.
    fn notices(&mut self) -> Result<Vec<(u64, RailNotice)>, LightningError>;
    /// The wallet's changes, oldest first.
    fn wallet_changes(&mut self) -> Result<Vec<Vec<u8>>, LightningError>;
}
