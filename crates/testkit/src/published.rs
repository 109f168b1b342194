//! A log that is published.

use std::sync::Arc;
use tallystick_app::log::{LogConfig, LogWorker};
use tallystick_app::port::{journal::Journal, log::LogStore};
use tallystick_core::Duration;
use tallystick_log::{KeyKind, KeyName, SigningKey};

/// The key of the log that [`publish`] signs.
///
/// # Panics
/// Never: the key is a valid one.
pub fn log_key() -> SigningKey {
    let name = KeyName::try_new("node.example/log").expect("a valid name");
    SigningKey::try_from_seed(name, KeyKind::Note, &[7; 32]).expect("a valid key")
}

/// Makes the tree of all facts, and publishes a checkpoint of it, without witnesses.
///
/// # Panics
/// If the store fails.
pub async fn publish<S: Journal + LogStore + 'static>(store: &Arc<S>) {
    let (key, interval) = (log_key(), Duration::from_secs(1));
    let config = LogConfig { key, interval, witnesses: Vec::new(), witnesses_needed: 0 };
    let worker = LogWorker::try_new(Arc::clone(store) as _, Arc::clone(store) as _, config);
    assert_eq!(worker.expect("a worker").run_once().await, Ok(true));
}
