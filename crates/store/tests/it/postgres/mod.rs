//! The store on PostgreSQL, each test in a database of its own.

mod apart;
mod contract;
mod crash;
mod damage;
mod erasing;
mod flips;
mod lost;
mod open;
pub use open::BEFORE_THE_LAST;
mod power;
mod recovery;
mod replicas;
mod several;
mod standby;
mod tampering;

use tallystick_app::port::journal::StoreError;
use tallystick_store::{PostgresOptions, PostgresStore};
use tallystick_testkit::Cluster;

async fn open(address: &str) -> Result<PostgresStore, StoreError> {
    PostgresStore::open(PostgresOptions::try_new(address)?).await
}

/// An empty store.
async fn fresh() -> (PostgresStore, String) {
    let address = Cluster::shared().database();
    (open(&address).await.expect("a new store"), address)
}

/// A connection behind the store's back.
async fn connection(address: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(address, tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}
