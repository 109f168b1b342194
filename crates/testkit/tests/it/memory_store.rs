//! The store in memory runs the store's contract suite.

use tallystick_testkit::MemoryStore;

async fn make() -> (MemoryStore, ()) {
    (MemoryStore::new(), ())
}

tallystick_testkit::store_suite!(super::make);
