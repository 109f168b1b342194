//! The store's rule, under load and with a failing disk. The node is played by numbers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, RwLock};

use tallystick_app::port::operator::PaymentStatus;
use tallystick_app::port::rail::PayFailure;
use tallystick_core::{BlockHeight, Digest32, Msat, PaymentHash, Timestamp};

use super::*;
use place::{Place, Snapshot};

mod place;
mod power;

/// A manager is larger than a page of the database, as the real one is.
const PADDING: usize = 10_000;

/// LDK as the store sees it: per channel the newest update that manager and monitor know, and the number of events that
/// were handled.
struct Numbers {
    /// LDK's consistency lock: held for reading by whoever changes something, for writing by the encoder.
    whole: RwLock<()>,
    manager: Mutex<BTreeMap<u8, u64>>,
    monitors: Mutex<BTreeMap<u8, u64>>,
    handled: Mutex<u64>,
    acked: Mutex<Vec<(u8, u64)>>,
    disk: Arc<Place>,
}

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
    fn watching(disk: &Arc<Place>) -> Arc<Self> {
        Arc::new(Self {
            whole: RwLock::default(),
            manager: Mutex::default(),
            monitors: Mutex::default(),
            handled: Mutex::default(),
            acked: Mutex::default(),
            disk: Arc::clone(disk),
        })
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

    /// What LDK does when an event was handled. Answers its number.
    fn handle(&self, store: &Store) -> u64 {
        let next = *self.handled.lock().unwrap() + 1;
        store.write(Write::Payment(row(next, PaymentStatus::Pending)));
        store.write(Write::Wallet(wallet_change(next)));
        store.notify(notice(next));
        let _reading = self.whole.read().unwrap();
        *self.handled.lock().unwrap() = next;
        next
    }

    fn on_disk(&self) -> OnDisk {
        let vault = vault();
        let Snapshot { manager, monitors: whole, updates, rows } = self.disk.snapshot();
        let body = manager.map(|sealed| vault.open("manager", MANAGER, &sealed).unwrap());
        let body = body.unwrap_or_else(|| br#"[0, {}, ""]"#.to_vec());
        let (handled, manager, _): (_, _, String) = serde_json::from_slice(&body).unwrap();
        let of = |name: &str| name.strip_prefix("channel ").unwrap().parse().unwrap();
        let mut monitors = BTreeMap::new();
        for (name, sealed) in whole {
            let body = vault.open("monitor", &monitor_place(&name), &sealed).unwrap();
            monitors.insert(of(&name), String::from_utf8(body).unwrap().parse().unwrap());
        }
        for (name, number, sealed) in updates {
            let number = number.unsigned_abs();
            assert!(vault.open("update", &update_place(&name, number), &sealed).is_ok());
            let newest: &mut u64 = monitors.get_mut(&of(&name)).unwrap();
            assert!(number <= *newest + 1, "{name}: update {number} after {newest}");
            *newest = number.max(*newest);
        }
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
        serde_json::to_vec(&(*self.handled.lock().unwrap(), &*self.manager.lock().unwrap(), "x".repeat(PADDING)))
            .unwrap()
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

fn notice(number: u64) -> RailNotice {
    let PaymentRow { id, hash, amount, .. } = row(number, PaymentStatus::Pending);
    RailNotice::PayoutPaid { id: Digest32(id), hash, fee: amount }
}

fn wallet_change(number: u64) -> Vec<u8> {
    number.to_be_bytes().repeat(100)
}

fn no_monitor_on_the_disk_is_newer_than_the_manager(place: Arc<Place>) {
    const UPDATES: u64 = 250;
    let (store, _notices) = place.open().unwrap();
    let numbers = Numbers::watching(&place);
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

async fn a_failing_disk_stops_everything_at_the_last_whole_state(place: Arc<Place>) {
    let (store, mut notices) = place.open().unwrap();
    let numbers = Numbers::watching(&place);
    store.attach(numbers.clone());
    numbers.update(&store, 1);
    store.flush().await.unwrap();
    // The last statement of the transaction fails, after manager and monitors were written.
    place.break_notices();
    numbers.update(&store, 1);
    store.write(Write::Payment(row(1, PaymentStatus::Pending)));
    store.notify(RailNotice::HoldLost { hash: PaymentHash([1; 32]) });
    assert_eq!(store.flush().await, Err(StoreDown));
    store.down().wait_for(|down| *down).await.unwrap();
    // It stays down, even when the disk is back.
    place.mend_notices();
    numbers.update(&store, 1);
    assert_eq!(store.flush().await, Err(StoreDown));
    let disk = numbers.on_disk();
    assert!(disk.manager[&1] < 3 && disk.monitors[&1] == disk.manager[&1].min(2));
    assert_eq!(numbers.acked.lock().unwrap().iter().filter(|(_, number)| *number == 3).count(), 0);
    assert!(notices.try_recv().is_err(), "a notice that is not durable is not told");
    store.close();
}

async fn what_is_queued_is_read_before_what_is_stored(place: Arc<Place>) {
    let (store, _notices) = place.open().unwrap();
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

async fn notices_come_again_until_they_are_heard(place: Arc<Place>) {
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
        let (store, mut notices) = place.open().unwrap();
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
    let (store, mut notices) = place.open().unwrap();
    for notice in &wanted {
        assert_eq!(notices.recv().await.as_ref(), Some(notice));
    }
    // Numbers are not used again.
    store.notify(RailNotice::HoldLost { hash });
    store.flush().await.unwrap();
    assert_eq!(notices.recv().await.map(|(number, _)| number), Some(5));
    store.close();
}

fn a_second_store_and_newer_tables_are_refused(place: Arc<Place>) {
    let (store, _notices) = place.open().unwrap();
    assert!(matches!(place.open(), Err(LightningError::Locked)));
    store.close();
    let (store, _notices) = place.open().unwrap();
    store.close();
    place.age();
    let refused = place.open().map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("newer"), "{refused}");
}

/// What only PostgreSQL can see: another process takes the lease, and nothing of the old holder is written any more.
async fn who_lost_the_lease_writes_nothing(place: Arc<Place>, lose: impl Fn(&Place)) {
    let (store, mut notices) = place.open().unwrap();
    let numbers = Numbers::watching(&place);
    store.attach(numbers.clone());
    numbers.update(&store, 1);
    store.flush().await.unwrap();
    lose(&place);
    numbers.update(&store, 1);
    store.write(Write::Payment(row(1, PaymentStatus::Pending)));
    store.notify(RailNotice::HoldLost { hash: PaymentHash([1; 32]) });
    assert_eq!(store.flush().await, Err(StoreDown));
    store.down().wait_for(|down| *down).await.unwrap();
    let disk = numbers.on_disk();
    assert_eq!((disk.manager[&1], disk.monitors[&1], disk.rows), (1, 1, 0));
    assert_eq!(*numbers.acked.lock().unwrap(), [(1, 1)]);
    assert!(notices.try_recv().is_err(), "a notice that is not durable is not told");
    store.close();
    // Nor does a node begin with a lease that is not its own.
    assert!(matches!(place.open_with_old_lease(), Err(LightningError::Store(_))));
}

mod on_sqlite {
    use super::*;

    #[test]
    fn no_monitor_on_the_disk_is_newer_than_the_manager() {
        super::no_monitor_on_the_disk_is_newer_than_the_manager(Place::sqlite());
    }

    #[tokio::test]
    async fn a_failing_disk_stops_everything_at_the_last_whole_state() {
        super::a_failing_disk_stops_everything_at_the_last_whole_state(Place::sqlite()).await;
    }

    #[tokio::test]
    async fn what_is_queued_is_read_before_what_is_stored() {
        super::what_is_queued_is_read_before_what_is_stored(Place::sqlite()).await;
    }

    #[tokio::test]
    async fn notices_come_again_until_they_are_heard() {
        super::notices_come_again_until_they_are_heard(Place::sqlite()).await;
    }

    #[test]
    fn a_second_store_and_newer_tables_are_refused() {
        super::a_second_store_and_newer_tables_are_refused(Place::sqlite());
    }
}

mod on_postgres {
    use super::*;
    use tallystick_testkit::Cluster;

    /// A flush whose COMMIT is answered before it is on all the disks that it must be on.
    #[test]
    fn a_server_that_answers_too_early_is_refused() {
        for value in ["off", "local", "remote_write"] {
            let address = Cluster::shared().database();
            let place = Place::postgres_at(&format!("{address} options='-c synchronous_commit={value}'"));
            let refused = place.open().map(|_| ()).unwrap_err().to_string();
            assert!(refused.contains(&format!("synchronous_commit = {value}")), "{refused}");
        }
    }

    /// A server whose wait for its standby is broken off answers well, and warns: that is no flush.
    #[tokio::test]
    async fn a_flush_that_the_standby_does_not_have_stops_the_node() {
        const LOOK: std::time::Duration = std::time::Duration::from_millis(10);
        let cluster = Cluster::start(&[]);
        let place = Place::postgres_at(&cluster.database());
        let (store, _notices) = place.open().unwrap();
        place.lose_standby();
        let start = std::time::Instant::now();
        // Until the server has heard of it.
        let mut broken_off = false;
        while !broken_off {
            store.notify(RailNotice::HoldLost { hash: PaymentHash([1; 32]) });
            let mut flush = std::pin::pin!(store.flush());
            let outcome = loop {
                if let Ok(outcome) = tokio::time::timeout(LOOK, &mut flush).await {
                    break outcome;
                }
                broken_off |= place.break_off();
                assert!(start.elapsed().as_secs() < 60, "nothing waits for the standby");
            };
            assert_eq!(outcome, if broken_off { Err(StoreDown) } else { Ok(()) });
        }
        store.close();
    }

    #[test]
    fn no_monitor_on_the_disk_is_newer_than_the_manager() {
        super::no_monitor_on_the_disk_is_newer_than_the_manager(Place::postgres());
    }

    #[tokio::test]
    async fn a_failing_disk_stops_everything_at_the_last_whole_state() {
        super::a_failing_disk_stops_everything_at_the_last_whole_state(Place::postgres()).await;
    }

    #[tokio::test]
    async fn what_is_queued_is_read_before_what_is_stored() {
        super::what_is_queued_is_read_before_what_is_stored(Place::postgres()).await;
    }

    #[tokio::test]
    async fn notices_come_again_until_they_are_heard() {
        super::notices_come_again_until_they_are_heard(Place::postgres()).await;
    }

    #[test]
    fn a_second_store_and_newer_tables_are_refused() {
        super::a_second_store_and_newer_tables_are_refused(Place::postgres());
    }

    #[tokio::test]
    async fn who_lost_the_lease_writes_nothing() {
        super::who_lost_the_lease_writes_nothing(Place::postgres(), Place::take_lease).await;
        // The one who has it now has the same token.
        super::who_lost_the_lease_writes_nothing(Place::postgres(), Place::go_back_and_take_lease).await;
    }
}
