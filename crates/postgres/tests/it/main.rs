//! On a server of our own.

mod lease;
mod parts;

use tallystick_postgres::PostgresOptions;
use tallystick_testkit::Cluster;

/// An empty database.
fn fresh() -> PostgresOptions {
    PostgresOptions::try_new(&Cluster::shared().database()).expect("an address")
}
