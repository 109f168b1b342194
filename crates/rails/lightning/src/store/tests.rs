//! The store's rule, under load and with a failing disk. The node is played by numbers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, RwLock};

use tallystick_app::port::operator::PaymentStatus;
use tallystick_app::port::rail::PayFailure;
use tallystick_core::{BlockHeight, Digest32, Msat, PaymentHash, Timestamp};

use super::*;

/// LDK as the store sees it: per channel the newest update that manager and monitor know, and the number of events that
/// were handled.
#[derive(Default)]
struct Numbers {
    /// LDK's consistency lock: held for reading by whoever changes something, for writing by the encoder.
    whole: RwLock<()>,
    manager: Mutex<BTreeMap<u8, u64>>,
    monitors: Mutex<BTreeMap<u8, u64>>,
    handled: Mutex<u64>,
    acked: Mutex<Vec<(u8, u64)>>,
    disk: OnceLock<Mutex<Connection>>,
}

use std::sync::OnceLock;

/// What is on the disk: manager's and monitors' numbers, and the rows of handled events.
struct OnDisk {
    manager: BTreeMap<u8, u64>,
    handled: u64,
    monitors: BTreeMap<u8, u64>,
    rows: u64,
}

fn channel(number: u8) -> ChannelId {
    ChannelId([number; 32])
}

impl Numbers {
    fn watching(dir: &Path) -> Arc<Self> {
        let numbers = Self::default();
        assert!(numbers.disk.set(Mutex::new(open_reader(&dir.join(FILE_NAME)).unwrap())).is_ok());
        Arc::new(numbers)
    }

    /// What LDK does when a channel moves.
    fn update(&self, store: &Store, of: u8) -> u64 {
        let _reading = self.whole.read().unwrap();
        let mut manager = self.manager.lock().unwrap();
        let number = manager.entry(of).and_modify(|number| *number += 1).or_insert(1);
        self.monitors.lock().unwrap().insert(of, *number);
        let change = if *number == 1 {
            MonitorChange::Whole { ack: Some(1) }
        } else {
            MonitorChange::Update { number: *number, body: vec![of] }
        };
        store.monitor_changed(channel(of), format!("channel {of}"), change);
        *number
    }

    /// What LDK does when an event was handled.
    fn handle(&self, store: &Store) {
        let next = *self.handled.lock().unwrap() + 1;
        store.write(Write::Payment(row(next, PaymentStatus::Pending)));
        let _reading = self.whole.read().unwrap();
        *self.handled.lock().unwrap() = next;
    }

    fn on_disk(&self) -> OnDisk {
        let mut disk = self.disk.get().unwrap().lock().unwrap();
        // One snapshot.
        let snapshot = disk.transaction().unwrap();
        let vault = vault();
        let sealed: Option<Vec<u8>> =
            rusqlite::OptionalExtension::optional(snapshot.query_row("SELECT body FROM manager", [], |row| row.get(0)))
                .unwrap();
        let body = sealed.map(|sealed| vault.open("manager", MANAGER, &sealed).unwrap());
        let (handled, manager) = serde_json::from_slice(&body.unwrap_or_else(|| b"[0, {}]".to_vec())).unwrap();
        let mut monitors = BTreeMap::new();
        let mut newest = |name: &str, number: u64| {
            let of = name.strip_prefix("channel ").unwrap().parse().unwrap();
            monitors.entry(of).and_modify(|known: &mut u64| *known = number.max(*known)).or_insert(number);
        };
        let mut whole = snapshot.prepare("SELECT name, body FROM monitors").unwrap();
        let mut rows = whole.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let (name, sealed): (String, Vec<u8>) = (row.get(0).unwrap(), row.get(1).unwrap());
            let body = vault.open("monitor", &monitor_place(&name), &sealed).unwrap();
            newest(&name, String::from_utf8(body).unwrap().parse().unwrap());
        }
        let mut updates = snapshot.prepare("SELECT name, number, body FROM monitor_updates").unwrap();
        let mut rows = updates.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let (name, number, sealed): (String, u64, Vec<u8>) =
                (row.get(0).unwrap(), rows::unsigned(row, 1).unwrap(), row.get(2).unwrap());
            assert!(vault.open("update", &update_place(&name, number), &sealed).is_ok());
            newest(&name, number);
        }
        let rows: i64 = snapshot.query_row("SELECT COUNT(*) FROM payments", [], |row| row.get(0)).unwrap();
        OnDisk { manager, handled, monitors, rows: rows.unsigned_abs() }
    }

    fn check(&self) {
        let disk = self.on_disk();
        for (of, number) in &disk.monitors {
            let manager = disk.manager.get(of).copied().unwrap_or_default();
            assert!(manager >= *number, "channel {of}: monitor {number}, manager {manager}");
        }
        assert!(disk.rows >= disk.handled, "{} events handled, {} rows", disk.handled, disk.rows);
    }
}

impl NodeState for Numbers {
    fn manager(&self) -> Vec<u8> {
        let _writing = self.whole.write().unwrap();
        serde_json::to_vec(&(*self.handled.lock().unwrap(), &*self.manager.lock().unwrap())).unwrap()
    }

    fn monitor(&self, channel: ChannelId) -> Option<(Vec<u8>, u64)> {
        let number = *self.monitors.lock().unwrap().get(&channel.0[0])?;
        Some((number.to_string().into_bytes(), number))
    }

    fn durable(&self, updates: &[(ChannelId, u64)]) {
        let disk = self.on_disk();
        for (channel, number) in updates {
            let of = channel.0[0];
            assert!(disk.monitors[&of] >= *number && disk.manager[&of] >= *number, "acknowledged before it is durable");
            self.acked.lock().unwrap().push((of, *number));
        }
    }
}

fn vault() -> Vault {
    Vault::try_new(zeroize::Zeroizing::new([1; 32])).unwrap()
}

fn row(number: u64, status: PaymentStatus) -> PaymentRow {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    PaymentRow {
        id,
        kind: Kind::Payout,
        hash: PaymentHash(id),
        amount: Msat::try_new(number).unwrap(),
        fee: None,
        status,
        reason: None,
        height: Some(BlockHeight(7)),
        sealed: None,
        updated_at: Timestamp::from_millis(number),
    }
}

#[test]
fn no_monitor_on_the_disk_is_newer_than_the_manager() {
    const UPDATES: u64 = 250;
    let dir = tempfile::tempdir().unwrap();
    let (store, _notices) = Store::open(dir.path(), vault()).unwrap();
    let numbers = Numbers::watching(dir.path());
    store.attach(numbers.clone());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (1..=3)
            .map(|of| {
                let (store, numbers) = (&store, &numbers);
                scope.spawn(move || {
                    for _ in 0..UPDATES {
                        numbers.update(store, of);
                        if of == 1 {
                            numbers.handle(store);
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                numbers.check();
            }
        });
        for worker in workers {
            worker.join().unwrap();
        }
        store.close();
        done.store(true, Ordering::SeqCst);
    });
    numbers.check();
    let disk = numbers.on_disk();
    assert_eq!(disk.monitors, BTreeMap::from([(1, UPDATES), (2, UPDATES), (3, UPDATES)]));
    assert_eq!((disk.handled, disk.rows), (UPDATES, UPDATES));
    let mut acked = numbers.acked.lock().unwrap().clone();
    acked.sort_unstable();
    let wanted: Vec<_> = (1..=3).flat_map(|of| (1..=UPDATES).map(move |number| (of, number))).collect();
    assert_eq!(acked, wanted, "each update is acknowledged once");
}

#[tokio::test]
async fn a_failing_disk_stops_everything_at_the_last_whole_state() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut notices) = Store::open(dir.path(), vault()).unwrap();
    let numbers = Numbers::watching(dir.path());
    store.attach(numbers.clone());
    numbers.update(&store, 1);
    store.flush().await.unwrap();
    // The last statement of the transaction fails, after manager and monitors were written.
    let saboteur = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    saboteur
        .execute_batch("CREATE TRIGGER broken BEFORE INSERT ON notices BEGIN SELECT RAISE(ABORT, 'broken'); END")
        .unwrap();
    numbers.update(&store, 1);
    store.write(Write::Payment(row(1, PaymentStatus::Pending)));
    store.notify(RailNotice::HoldLost { hash: PaymentHash([1; 32]) });
    assert_eq!(store.flush().await, Err(StoreDown));
    store.down().wait_for(|down| *down).await.unwrap();
    // It stays down, even when the disk is back.
    saboteur.execute_batch("DROP TRIGGER broken").unwrap();
    numbers.update(&store, 1);
    assert_eq!(store.flush().await, Err(StoreDown));
    let disk = numbers.on_disk();
    assert!(disk.manager[&1] < 3 && disk.monitors[&1] == disk.manager[&1].min(2));
    assert_eq!(numbers.acked.lock().unwrap().iter().filter(|(_, number)| *number == 3).count(), 0);
    assert!(notices.try_recv().is_err(), "a notice that is not durable is not told");
    store.close();
}

#[tokio::test]
async fn what_is_queued_is_read_before_what_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _notices) = Store::open(dir.path(), vault()).unwrap();
    let (one, two) = (row(1, PaymentStatus::Pending), row(2, PaymentStatus::Pending));
    store.write(Write::Payment(one.clone()));
    store.flush().await.unwrap();
    store.write_lazily(Write::Payment(two.clone()));
    let failed = PaymentRow { status: PaymentStatus::Failed, reason: Some(PayFailure::TooLate), ..one.clone() };
    store.write_lazily(Write::Payment(failed.clone()));
    for durable in [false, true] {
        if durable {
            store.flush().await.unwrap();
        }
        assert!(store.outbound(&Digest32(one.id)).unwrap() == Some(failed.clone()));
        assert!(store.outbound_pending().unwrap() == [two.clone()]);
        assert!(store.outbound_on(&one.hash).unwrap() == [failed.clone()]);
        assert!(store.newest_payments(10).unwrap() == [two.clone(), failed.clone()]);
        assert!(store.newest_payments(1).unwrap() == [two.clone()]);
        assert!(store.inbound(&one.hash).unwrap().is_none());
    }
    store.close();
}

#[tokio::test]
async fn notices_come_again_until_they_are_heard() {
    let dir = tempfile::tempdir().unwrap();
    let hash = PaymentHash([1; 32]);
    let amount = Msat::try_new(5).unwrap();
    let id = Digest32([2; 32]);
    let all = [
        RailNotice::HoldLocked { hash, amount, claim_deadline: BlockHeight(9) },
        RailNotice::PayoutFailed { id, hash, reason: PayFailure::AttemptsExhausted },
        RailNotice::PayoutPaid { id, hash, fee: amount },
        RailNotice::HoldClaimed { hash, amount },
        RailNotice::HoldLost { hash },
    ];
    let mut wanted: Vec<_> = (0..).zip(all.clone()).collect();
    {
        let (store, mut notices) = Store::open(dir.path(), vault()).unwrap();
        for notice in all {
            store.notify(notice);
        }
        store.flush().await.unwrap();
        for notice in &wanted {
            assert_eq!(notices.recv().await.as_ref(), Some(notice));
        }
        store.write_lazily(Write::Heard(1));
        store.close();
    }
    wanted.remove(1);
    let (store, mut notices) = Store::open(dir.path(), vault()).unwrap();
    for notice in &wanted {
        assert_eq!(notices.recv().await.as_ref(), Some(notice));
    }
    // Numbers are not used again.
    store.notify(RailNotice::HoldLost { hash });
    store.flush().await.unwrap();
    assert_eq!(notices.recv().await.map(|(number, _)| number), Some(5));
    store.close();
}

#[test]
fn a_second_store_and_newer_tables_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _notices) = Store::open(dir.path(), vault()).unwrap();
    assert!(matches!(Store::open(dir.path(), vault()), Err(LightningError::Locked)));
    store.close();
    let (store, _notices) = Store::open(dir.path(), vault()).unwrap();
    store.close();
    let connection = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    connection.pragma_update(None, "user_version", 1_000).unwrap();
    assert!(matches!(Store::open(dir.path(), vault()), Err(LightningError::Corrupt(_))));
}
