//! Power loss under the server: of what it wrote after the last acknowledgement, each sector is there or not, in whole or
//! torn. Its own recovery must give back what was acknowledged to us, and ours must fit to that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tallystick_app::port::journal::Journal;
use tallystick_testkit::Cluster;
use tallystick_testkit::store_suite::fixture::append;

use super::open;
use crate::powerless::{self, Dice, mixed};

/// How often the power goes.
const ROUNDS: u64 = 6;
/// Appends that are acknowledged before it goes, and that are under way then.
const ACKNOWLEDGED: u64 = 25;
const UNDER_WAY: u64 = 5;

/// Everything below a folder that changes, by its path.
fn keep(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(keep(&path)),
            // A file that goes while it is looked at was no data.
            false => files.extend(std::fs::read(&path).ok().map(|bytes| (path, bytes))),
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_loses_power_holds_what_was_acknowledged() {
    // No checkpoint in between: it would wait for the disk, and what is kept at two moments knows nothing of that.
    let cluster = Cluster::start(&["checkpoint_timeout = '1h'", "max_wal_size = '4GB'", "autovacuum = off"]);
    let address = cluster.database();
    let mut dice = Dice::new();
    let (mut facts, mut newer) = (0, 0);
    for _ in 0..ROUNDS {
        let store = open(&address).await.unwrap();
        let mut worker = powerless::worker(&store);
        for _ in 0..ACKNOWLEDGED {
            store.append(append(facts % 7, facts / 7)).await.unwrap();
            facts += 1;
        }
        worker.run_once().await.unwrap();
        let acknowledged = keep(&cluster.data());
        let promised = powerless::promised(&store, facts).await;
        for n in facts..facts + UNDER_WAY {
            store.append(append(n % 7, n / 7)).await.unwrap();
        }
        worker.run_once().await.unwrap();
        let later = keep(&cluster.data());
        store.close().await;
        tokio::task::block_in_place(|| {
            cluster.halt();
            for (path, new) in &later {
                let old = acknowledged.get(path).unwrap_or(new);
                if old != new && path.exists() {
                    std::fs::write(path, mixed(old, new, &mut dice)).unwrap();
                }
            }
            cluster.go();
        });
        let store = open(&address).await.expect("a disk that lost power is no damage");
        let found = powerless::check(&store, &promised, UNDER_WAY).await;
        newer += found - facts;
        facts = found;
        store.close().await;
    }
    assert!(
        facts >= ROUNDS * ACKNOWLEDGED && newer < ROUNDS * UNDER_WAY,
        "{newer} of those under way are there: none was lost"
    );
}
