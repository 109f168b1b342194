//! The contract suite.

use tallystick_store::PostgresStore;

async fn make() -> (PostgresStore, String) {
    super::fresh().await
}

tallystick_testkit::store_suite!(super::make);
