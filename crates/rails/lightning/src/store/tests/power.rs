//! Power loss: what was acknowledged is on the disk, and the store's rule holds, whatever the disk has of the rest.

use std::io::Write as _;
use std::path::Path;

use tallystick_testkit::power::{Disk, Outages, database, folder, outages, server_outages};

use super::*;

/// Where the power goes: in a commit, and while the write-ahead log is written into the database.
const CUTS: [&str; 4] = ["-wal", "", "-wal", SQLITE_FILE];
const CHANNELS: [u8; 3] = [1, 2, 3];
/// How lines begin that acknowledge a monitor's update, by its channel and number, and all that belongs to an event.
const UPDATE: &str = "ack update ";
const EVENT: &str = "ack event ";

#[test]
fn a_disk_that_loses_power_holds_what_was_acknowledged() {
    run("store::tests::power::a_disk_that_loses_power_holds_what_was_acknowledged", |disk| disk);
}

/// The test of the test: the same on a disk whose syncs do nothing.
#[test]
#[should_panic(expected = "an acknowledged update is gone")]
fn a_disk_that_drops_what_it_was_told_to_keep_is_found_out() {
    run("store::tests::power::a_disk_that_drops_what_it_was_told_to_keep_is_found_out", Disk::that_lies);
}

fn run(test: &str, make: impl FnOnce(Disk) -> Disk) {
    if let Some(folder) = folder() {
        return child(Place::sqlite_in(folder));
    }
    let outages = outages(test, make, &CUTS, |disk: &Path, lines: &[String]| {
        let place = Place::sqlite_in(disk.to_owned());
        let found = check(&place, &Promised::by(lines));
        assert_eq!(place.integrity(), "ok");
        found
    });
    much(&outages, 2);
}

#[test]
fn a_server_that_loses_power_holds_what_was_acknowledged() {
    run_server("store::tests::power::a_server_that_loses_power_holds_what_was_acknowledged", |disk| disk);
}

/// The test of the test.
#[test]
#[should_panic(expected = "an acknowledged update is gone")]
fn a_servers_disk_that_drops_what_it_was_told_to_keep_is_found_out() {
    run_server("store::tests::power::a_servers_disk_that_drops_what_it_was_told_to_keep_is_found_out", Disk::that_lies);
}

fn run_server(test: &str, make: impl FnOnce(Disk) -> Disk) {
    if let Some(address) = database() {
        return child(Place::postgres_at(&address));
    }
    much(&server_outages(test, make, |address, lines| check(&Place::postgres_at(address), &Promised::by(lines))), 1);
}

/// So much was acknowledged, and something else lost so often, that the test means something.
fn much(outages: &Outages, least: usize) {
    let Promised { updates, event } = Promised::by(&outages.acks);
    assert!(updates.values().sum::<u64>() > 200 && event > 50);
    assert!(outages.lossy >= least, "{} lost something", outages.lossy);
}

/// What was acknowledged: per channel the newest update, and the newest event.
struct Promised {
    updates: BTreeMap<u8, u64>,
    event: u64,
}

impl Promised {
    fn by(lines: &[String]) -> Self {
        let mut promised = Self { updates: BTreeMap::new(), event: 0 };
        for line in lines {
            if let Some((of, number)) = line.strip_prefix(UPDATE).and_then(|words| words.split_once(' ')) {
                let newest = promised.updates.entry(of.parse().unwrap()).or_default();
                *newest = number.parse::<u64>().unwrap().max(*newest);
            } else if let Some(number) = line.strip_prefix(EVENT) {
                promised.event = number.parse::<u64>().unwrap().max(promised.event);
            }
        }
        promised
    }
}

/// The node of [`Numbers`], which tells of each acknowledgement.
struct Telling(Arc<Numbers>);

impl NodeState for Telling {
    fn manager(&self) -> Vec<u8> {
        self.0.manager()
    }

    fn monitor(&self, channel: ChannelId) -> Option<(Vec<u8>, u64)> {
        self.0.monitor(channel)
    }

    fn durable(&self, updates: &[(ChannelId, u64)]) {
        updates.iter().for_each(|(channel, number)| tell(&format!("{UPDATE}{} {number}\n", channel.0[0])));
    }
}

fn tell(line: &str) {
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// Goes on from what is on the disk, until the power goes.
fn child(place: Arc<Place>) {
    let (store, _notices) = place.open().unwrap();
    let numbers = Numbers::watching(&place);
    let OnDisk { manager, handled, .. } = numbers.on_disk();
    // As LDK does at a start: monitors that are older than the manager are brought up to it, and events come again.
    numbers.manager.lock().unwrap().clone_from(&manager);
    numbers.monitors.lock().unwrap().clone_from(&manager);
    *numbers.handled.lock().unwrap() = handled;
    store.attach(Arc::new(Telling(numbers.clone())));
    for of in manager.keys() {
        store.monitor_changed(channel(*of), format!("channel {of}"), MonitorChange::Whole { ack: None });
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    std::thread::scope(|scope| {
        for of in CHANNELS {
            let (store, numbers, runtime) = (&store, &numbers, &runtime);
            scope.spawn(move || {
                loop {
                    numbers.update(store, of);
                    let event = (of == CHANNELS[0]).then(|| numbers.handle(store));
                    runtime.block_on(store.flush()).unwrap();
                    event.inspect(|event| tell(&format!("{EVENT}{event}\n")));
                }
            });
        }
    });
}

/// Opens a disk that lost power. Answers what it holds.
fn check(place: &Arc<Place>, promised: &Promised) -> (BTreeMap<u8, u64>, u64) {
    let (store, mut notices) = place.open().expect("a disk that lost power is no damage");
    let numbers = Numbers::watching(place);
    numbers.check();
    let OnDisk { manager, handled, monitors, rows } = numbers.on_disk();
    for (of, number) in &promised.updates {
        assert!(monitors.get(of) >= Some(number), "an acknowledged update is gone");
    }
    assert!(handled >= promised.event, "an acknowledged event is gone");
    for number in 1..=rows {
        let row = row(number, PaymentStatus::Pending);
        assert!(store.outbound(&Digest32(row.id)).unwrap() == Some(row));
    }
    let changes = store.wallet_changes().unwrap();
    let told: Vec<_> = std::iter::from_fn(|| notices.try_recv().ok()).map(|(_, notice)| notice).collect();
    for number in 1..=handled {
        assert!(changes.contains(&wallet_change(number)) && told.contains(&notice(number)), "half an event");
    }
    store.close();
    (manager, handled)
}
