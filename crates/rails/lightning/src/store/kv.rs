//! LDK's key-value store on ours. The manager is not taken from LDK: a flush encodes a fresher one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use lightning::io;
use lightning::util::persist::{CHANNEL_MANAGER_PERSISTENCE_KEY, KVStore};

use super::{KvAddress, Store, Write, lock_of};
use crate::LightningError;

type Answer<T> = Pin<Box<dyn Future<Output = Result<T, io::Error>> + Send + 'static>>;

/// The store as LDK's background processor and sweeper see it.
pub(crate) struct LdkStore(pub(crate) Arc<Store>);

impl Store {
    /// A value from one of LDK's namespaces.
    pub(crate) fn kv(&self, primary: &str, secondary: &str, key: &str) -> Result<Option<Vec<u8>>, LightningError> {
        lock_of(&self.reader).kv(primary, secondary, key)
    }

    /// The keys in one of LDK's namespaces.
    pub(crate) fn kv_keys(&self, primary: &str, secondary: &str) -> Result<Vec<String>, LightningError> {
        lock_of(&self.reader).kv_keys(primary, secondary)
    }
}

impl LdkStore {
    fn put(&self, address: KvAddress, value: Option<Vec<u8>>) -> Answer<()> {
        let store = Arc::clone(&self.0);
        // Queued now, not when the future is first polled: LDK counts on the order of its calls.
        if !is_manager(&address) {
            store.write(Write::Kv { address, value });
        }
        Box::pin(
            async move { store.flush().await.map_err(|down| io::Error::new(io::ErrorKind::Other, down.to_string())) },
        )
    }
}

fn is_manager(address: &KvAddress) -> bool {
    address.primary.is_empty() && address.key == CHANNEL_MANAGER_PERSISTENCE_KEY
}

fn failed(error: &LightningError) -> io::Error {
    io::Error::new(io::ErrorKind::Other, error.to_string())
}

fn address(primary: &str, secondary: &str, key: &str) -> KvAddress {
    KvAddress { primary: primary.to_owned(), secondary: secondary.to_owned(), key: key.to_owned() }
}

impl KVStore for LdkStore {
    fn read(&self, primary: &str, secondary: &str, key: &str) -> Answer<Vec<u8>> {
        let found = self.0.kv(primary, secondary, key);
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such key");
        Box::pin(async move { found.map_err(|error| failed(&error))?.ok_or_else(missing) })
    }

    fn write(&self, primary: &str, secondary: &str, key: &str, value: Vec<u8>) -> Answer<()> {
        self.put(address(primary, secondary, key), Some(value))
    }

    fn remove(&self, primary: &str, secondary: &str, key: &str, _lazy: bool) -> Answer<()> {
        self.put(address(primary, secondary, key), None)
    }

    fn list(&self, primary: &str, secondary: &str) -> Answer<Vec<String>> {
        let found = self.0.kv_keys(primary, secondary);
        Box::pin(async move { found.map_err(|error| failed(&error)) })
    }
}
