//! LDK's log lines, as `tracing` events.

use lightning::util::logger::{Level, Logger, Record};

/// Hands LDK's log on.
///
/// Below debug nothing passes: at trace LDK prints whole messages, and `update_fulfill_htlc` holds a preimage. From debug
/// up it prints hashes, ids and amounts.
#[derive(Debug)]
pub(crate) struct LdkLogger;

impl Logger for LdkLogger {
    fn log(&self, record: Record<'_>) {
        let Record { args, module_path, channel_id, .. } = record;
        let channel = channel_id.map(tracing::field::display);
        match record.level {
            Level::Gossip | Level::Trace => {}
            Level::Debug => tracing::debug!(target: "ldk", module_path, channel, "{args}"),
            Level::Info => tracing::info!(target: "ldk", module_path, channel, "{args}"),
            Level::Warn => tracing::warn!(target: "ldk", module_path, channel, "{args}"),
            Level::Error => tracing::error!(target: "ldk", module_path, channel, "{args}"),
        }
    }
}
