//! Power loss under the server: of what it wrote and did not sync, each sector is there or not, in whole or torn. Its own
//! recovery must give back what was acknowledged to us, and ours must fit to that.

use tallystick_testkit::power::{Disk, database, server_outages};

use super::open;
use crate::powerless::{self, Promised};

#[test]
fn a_server_that_loses_power_holds_what_was_acknowledged() {
    run("postgres::power::a_server_that_loses_power_holds_what_was_acknowledged", |disk| disk);
}

/// The test of the test: the same on a disk whose syncs do nothing.
#[test]
#[should_panic(expected = "an acknowledged fact is gone")]
fn a_disk_that_drops_what_it_was_told_to_keep_is_found_out() {
    run("postgres::power::a_disk_that_drops_what_it_was_told_to_keep_is_found_out", Disk::that_lies);
}

fn run(test: &str, make: impl FnOnce(Disk) -> Disk) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Some(address) = database() {
        return runtime.block_on(async { powerless::child(open(&address).await.unwrap()).await });
    }
    let check = |address: &str, acks: &[String]| runtime.block_on(check(address, &Promised::by(acks)));
    let outages = server_outages(test, make, check);
    assert!(outages.lossy > 0, "the power never went in the middle of anything");
    assert!(Promised::by(&outages.acks).is_much());
}

/// Opens a disk that lost power. Answers how many facts there are.
async fn check(address: &str, promised: &Promised) -> u64 {
    let store = open(address).await.expect("a disk that lost power is no damage");
    let count = store.verify_chain().await.expect("an unbroken chain");
    powerless::check(&store, count, promised).await;
    store.close().await;
    count
}
