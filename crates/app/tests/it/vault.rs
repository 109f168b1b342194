//! Evidence: who may keep and read it, for how long, and what tells that it is gone.

use std::sync::{Arc, atomic::Ordering};
use tallystick_app::{
    App, AppError,
    fsck::Damage,
    port::{
        evidence::{EvidenceStore, Matter, Piece, WrappedKey},
        journal::{Journal, StoreError},
        request::Action,
    },
    vault::{Disputes, ERASED, EvidenceErased, Retention, Vault, VaultError, readers},
};
use tallystick_civics::dispute::{
    Duty, EVIDENCE_BYTES_MAX, EVIDENCE_FILES_MAX, EVIDENCE_TOTAL_MAX, Rejection, SeatState, UserCommand as Act,
};
use tallystick_core::{Authority, BlockHeight, Coded, Digest32, Duration, Id, NostrKey, canonical};
use tallystick_escrow::UserCommand;
use tallystick_testkit::{
    FixedDisputes, asking,
    escrow::{key, requester, stranger, worker},
    store_suite::evidence::content,
};

use crate::{
    disputes::{FIVE, admit, dispute, refused},
    faults::Troubled,
    node::{World, task},
};

const KEPT: Duration = Duration::from_secs(90 * 86_400);
const UNFILED: Duration = Duration::from_secs(3_600);

/// A vault with one dispute, which has been opened.
struct Room {
    world: World,
    disputes: Arc<FixedDisputes>,
    vault: Vault,
    matter: Matter,
}

impl Room {
    fn new() -> Self {
        let world = World::new();
        let disputes = Arc::new(FixedDisputes::default());
        let matter = Matter { task: task(0), dispute: Id::from_parts(1_800_000_000_000, [1; 10]) };
        let node = world.start();
        disputes.open(matter, (requester(), worker()), node.app.height());
        let vault = vault(&world, Arc::clone(&world.store) as _, &disputes);
        Self { world, disputes, vault, matter }
    }

    async fn upload(&self, by: NostrKey, content: &[u8]) -> Result<Digest32, VaultError> {
        let hash = canonical::sha256(content);
        self.vault.upload(by, self.matter, hash, content.to_vec()).await.map(|()| hash)
    }

    /// Uploads and files.
    async fn filed(&self, by: NostrKey, content: &[u8]) -> Digest32 {
        let hash = self.upload(by, content).await.unwrap();
        let bytes = content.len() as u64;
        self.vault.begin_filing(by, self.matter, hash, bytes).await.unwrap();
        self.disputes.file(self.matter, by, hash, bytes);
        hash
    }

    async fn kept(&self) -> Vec<Piece> {
        self.world.store.pieces(self.matter).await.unwrap()
    }

    async fn erasures(&self) -> Vec<EvidenceErased> {
        self.world.facts().await.iter().filter_map(EvidenceErased::of).collect()
    }
}

fn vault(world: &World, journal: Arc<dyn Journal>, disputes: &Arc<FixedDisputes>) -> Vault {
    let node = world.start_with(journal, Arc::new(world.rail.clone()));
    let store = Arc::clone(&world.store) as _;
    Vault::new(node.app, store, Arc::clone(disputes) as _, Retention { filed: KEPT, unfiled: UNFILED })
}

fn code(result: &Result<impl Sized, VaultError>) -> &'static str {
    result.as_ref().err().map_or("ok", |error| error.code().0)
}

#[tokio::test]
async fn only_parties_keep_evidence_and_only_while_it_can_be_filed() {
    let room = Room::new();
    assert_eq!(code(&room.upload(stranger(), b"x").await), "dispute.not_party");
    let other = Matter { dispute: Id::from_parts(1, [0; 10]), ..room.matter };
    let hash = canonical::sha256(b"x");
    assert_eq!(code(&room.vault.upload(worker(), other, hash, b"x".to_vec()).await), "evidence.no_dispute");
    assert_eq!(code(&room.vault.upload(worker(), room.matter, hash, b"y".to_vec()).await), "evidence.other_bytes");
    assert_eq!(room.kept().await, []);
    room.upload(worker(), b"x").await.unwrap();
    // The other side cannot take it for its own.
    assert_eq!(code(&room.upload(requester(), b"x").await), "dispute.evidence_known");
    room.disputes.file(room.matter, worker(), hash, 1);
    room.upload(worker(), b"x").await.expect("it is filed already");
    room.disputes.withdraw(room.matter);
    assert_eq!(code(&room.upload(worker(), b"z").await), "dispute.evidence_closed");
    assert_eq!(code(&room.upload(worker(), b"x").await), "dispute.evidence_closed", "it is filed, and over");
    assert_eq!(room.kept().await.len(), 1);
}

#[tokio::test]
async fn what_is_not_filed_counts_against_the_limits_like_what_is() {
    let room = Room::new();
    let admit = async |bytes| code(&room.vault.admit(worker(), room.matter, Digest32([1; 32]), bytes).await);
    assert_eq!(admit(0).await, "dispute.evidence_size");
    assert_eq!(admit(EVIDENCE_BYTES_MAX + 1).await, "dispute.evidence_size");
    assert_eq!(admit(EVIDENCE_BYTES_MAX).await, "ok");
    let largest = usize::try_from(EVIDENCE_BYTES_MAX).unwrap();
    for n in 0..5 {
        room.upload(worker(), &content(n + 1, largest)).await.unwrap();
    }
    assert_eq!(EVIDENCE_TOTAL_MAX, 5 * EVIDENCE_BYTES_MAX);
    let refused = room.upload(worker(), b"one byte more").await;
    assert_eq!(refused, Err(Rejection::EvidenceTotal { bytes: 13, left: 0 }.into()));
    for n in 0..EVIDENCE_FILES_MAX {
        room.upload(requester(), format!("piece {n}").as_bytes()).await.unwrap();
    }
    assert_eq!(room.upload(requester(), b"one more").await, Err(Rejection::EvidenceCount.into()));
    room.upload(requester(), b"piece 7").await.expect("it is there already");
}

#[tokio::test]
async fn parties_and_panel_read_and_nobody_else() {
    let room = Room::new();
    let (first, second, third, asked) = (key(11), key(12), key(13), key(14));
    let hash = room.upload(worker(), b"sealed").await.unwrap();
    let read = async |by| code(&room.vault.fetch(by, room.matter, hash).await);
    assert_eq!(read(worker()).await, "ok");
    assert_eq!(read(requester()).await, "evidence.no_piece", "before it is filed it is its uploader's alone");
    room.disputes.file(room.matter, worker(), hash, 6);
    assert_eq!((read(requester()).await, read(stranger()).await), ("ok", "evidence.not_reader"));
    assert_eq!(read(first).await, "evidence.not_reader");

    let wrapped = |reader| WrappedKey { reader, wrapped: "payload".into() };
    let share = async |by, reader| code(&room.vault.share(by, room.matter, hash, vec![wrapped(reader)]).await);
    assert_eq!(share(worker(), first).await, "evidence.not_reader");
    assert_eq!(share(requester(), requester()).await, "evidence.no_piece", "only who filed it has its key");
    assert_eq!(share(worker(), requester()).await, "ok");
    room.disputes.seat(room.matter, &[first, second, third]);
    let dispute = room.disputes.get(room.matter);
    assert_eq!(readers(&dispute).len(), 5);
    assert_eq!((share(worker(), first).await, share(worker(), asked).await), ("ok", "evidence.not_reader"));
    for reader in [first, second, third] {
        assert_eq!(read(reader).await, "ok");
    }
    assert_eq!((read(asked).await, read(stranger()).await), ("evidence.not_reader", "evidence.not_reader"));
    let mut keys = vec![wrapped(requester()), wrapped(first)];
    keys.sort_by_key(|key| key.reader);
    assert_eq!(room.vault.wrapped(second, room.matter, hash).await, Ok(keys));
    assert_eq!(code(&room.vault.wrapped(stranger(), room.matter, hash).await), "evidence.not_reader");
    // Who read it can read it again once it is over.
    assert_eq!(room.vault.fetch(first, room.matter, hash).await, Ok(b"sealed".to_vec()));
}

/// Who was asked and has not answered, and who let go of a seat, reads nothing.
#[test]
fn only_who_took_a_seat_reads() {
    let room = Room::new();
    room.disputes.seat(room.matter, &[key(11), key(12), key(13)]);
    let mut dispute = room.disputes.get(room.matter);
    let [first, second] = [0, 1].map(|seat: usize| dispute.panel.bench[seat].arbitrator);
    let commitment = Digest32([1; 32]);
    let sits = [SeatState::Accepted, SeatState::Committed { commitment }];
    let does_not = [SeatState::Asked, SeatState::Refused, SeatState::Missed(Duty::Answer)];
    for (state, reads) in sits.map(|state| (state, true)).into_iter().chain(does_not.map(|state| (state, false))) {
        dispute.panel.bench[0].state = state;
        assert_eq!(readers(&dispute).contains(&first), reads, "{state:?}");
        assert!(readers(&dispute).contains(&second));
    }
}

#[tokio::test]
async fn what_nobody_files_is_dropped_and_what_is_being_filed_stays() {
    let room = Room::new();
    let orphan = room.upload(worker(), b"orphan").await.unwrap();
    let filed = room.filed(requester(), b"filed").await;
    let slow = room.upload(worker(), b"slow").await.unwrap();
    room.world.clock.advance(Duration::from_millis(UNFILED.as_millis() - 1));
    room.vault.tidy().await.unwrap();
    assert_eq!(room.kept().await.len(), 3);
    assert!(room.kept().await.iter().any(|piece| piece.hash == filed && piece.filed));
    // Its filing begins at the last moment.
    let other = room.vault.begin_filing(worker(), room.matter, slow, 5).await;
    assert_eq!(code(&other), "evidence.other_length");
    room.vault.begin_filing(worker(), room.matter, slow, 4).await.unwrap();
    room.world.clock.advance(Duration::from_millis(1));
    room.vault.tidy().await.unwrap();
    let kept: Vec<_> = room.kept().await.iter().map(|piece| piece.hash).collect();
    assert!(kept.len() == 2 && !kept.contains(&orphan), "{kept:?}");
    assert_eq!(code(&room.vault.begin_filing(worker(), room.matter, orphan, 6).await), "evidence.no_piece");
    // A client that crashed between upload and fact begins again.
    assert_eq!(room.filed(worker(), b"orphan").await, orphan);
    room.world.clock.advance(KEPT);
    room.vault.tidy().await.unwrap();
    assert_eq!(room.kept().await.len(), 2, "what is filed stays as long as its dispute runs");
    assert_eq!(room.erasures().await, []);
}

/// A piece that was touched while the clock was ahead does not stay until then.
#[tokio::test]
async fn a_clock_that_was_ahead_keeps_no_evidence() {
    let room = Room::new();
    let then = tallystick_app::Clock::now(&*room.world.clock);
    room.world.clock.advance(Duration::from_millis(KEPT.as_millis() * 10));
    room.filed(worker(), b"one").await;
    room.disputes.withdraw(room.matter);
    room.world.clock.set(then.after(KEPT));
    room.vault.tidy().await.unwrap();
    assert_eq!(room.kept().await, []);
}

#[tokio::test]
async fn evidence_is_erased_when_its_time_is_over_and_a_fact_tells_so() {
    let room = Room::new();
    let mut hashes = vec![room.filed(worker(), b"one").await, room.filed(requester(), b"two").await];
    hashes.sort();
    room.disputes.withdraw(room.matter);
    room.vault.tidy().await.unwrap();
    room.world.clock.advance(Duration::from_millis(KEPT.as_millis() - 1));
    room.vault.tidy().await.unwrap();
    assert_eq!(room.kept().await.len(), 2);
    assert_eq!(room.disputes.asked_since(), 0, "a look costs no reading of a task's facts before it can matter");
    room.world.clock.advance(Duration::from_millis(1));
    room.vault.tidy().await.unwrap();
    room.vault.tidy().await.unwrap();
    assert_eq!(room.kept().await, []);
    assert_eq!(room.erasures().await, [EvidenceErased { matter: room.matter, hashes: hashes.clone() }]);
    let fact = room.world.facts().await.into_iter().find(|fact| fact.kind == ERASED).unwrap();
    let authority = room.world.store.authority(fact.authority).await.unwrap().unwrap();
    assert!(matches!(authority, Authority::Node { .. }));
    assert_eq!(code(&room.vault.fetch(worker(), room.matter, hashes[0]).await), "evidence.no_piece");
    room.world.check().await;
}

#[tokio::test]
async fn a_host_without_roles_erases_before_that_and_only_what_is_over() {
    let room = Room::new();
    let hash = room.filed(worker(), b"one").await;
    let Matter { task, dispute } = room.matter;
    let erase =
        async || room.vault.erase(room.matter, asking(stranger(), task, &Action::EraseEvidence { dispute })).await;
    assert_eq!(erase().await, Err(VaultError::Running));
    room.disputes.withdraw(room.matter);
    let request = asking(stranger(), task, &Action::EraseEvidence { dispute });
    assert_eq!(room.vault.erase(room.matter, request.clone()).await, Ok(1));
    assert_eq!(room.vault.erase(room.matter, request).await, Err(AppError::Replayed.into()));
    assert_eq!(erase().await, Ok(0));
    assert_eq!(room.erasures().await, [EvidenceErased { matter: room.matter, hashes: vec![hash] }]);
    room.world.check().await;
    // Somebody else's request does not stand behind it.
    let mut fsck = room.world.fsck();
    fsck.trusted.operators.insert(requester());
    let found = fsck.run(|_| ()).await.unwrap_err();
    assert!(matches!(&found, Damage::Fact { what, .. } if what.contains("no operator")), "{found}");
}

/// The process ends after the fact, before the bytes are gone: the next look erases them, and tells nothing twice.
#[tokio::test]
async fn a_crash_between_fact_and_erasure_is_gone_on_from() {
    let room = Room::new();
    room.filed(worker(), b"one").await;
    room.disputes.withdraw(room.matter);
    room.vault.tidy().await.unwrap();
    room.world.clock.advance(KEPT);
    let (journal, trouble) = Troubled::new(&room.world.store);
    trouble.unheard.store(1, Ordering::Release);
    let crashing = vault(&room.world, journal, &room.disputes);
    let lost = crashing.tidy().await;
    assert!(matches!(lost, Err(VaultError::App(AppError::Store(StoreError::Unavailable(_))))), "{lost:?}");
    assert_eq!((room.erasures().await.len(), room.kept().await.len()), (1, 1));
    room.vault.tidy().await.unwrap();
    assert_eq!((room.erasures().await.len(), room.kept().await.len()), (1, 0));
    room.world.check().await;
}

#[tokio::test]
async fn evidence_of_an_erased_task_goes_with_it() {
    let room = Room::new();
    room.filed(worker(), b"one").await;
    room.disputes.forget(room.matter);
    room.vault.tidy().await.unwrap();
    assert_eq!(room.kept().await, []);
    assert_eq!(room.erasures().await, [], "the erasure of its task tells of it");
}

/// How long it is kept counts from the fact that ended its dispute, whenever somebody looks first.
#[tokio::test]
async fn it_is_kept_from_the_fact_that_ended_its_dispute_on() {
    let world = World::new();
    let node = world.start();
    admit(&node, 10..20).await;
    refused(&node, task(0), &FIVE).await;
    dispute(&node, task(0), requester()).await;
    let id = node.view(task(0)).await.milestones[0].dispute.as_ref().expect("it is disputed").id;
    let matter = Matter { task: task(0), dispute: id };
    let (store, disputes) = (Arc::clone(&world.store) as _, Arc::new(node.app.clone()));
    let retention = Retention { filed: KEPT, unfiled: UNFILED };
    let vault = Vault::new(node.app.clone(), store, Arc::clone(&disputes) as _, retention);
    let hash = canonical::sha256(b"sealed");
    vault.upload(requester(), matter, hash, b"sealed".to_vec()).await.unwrap();
    let act = async |command| {
        node.ask(task(0), requester(), UserCommand::Dispute { milestone: 0, command }).await.unwrap();
    };
    act(Act::FileEvidence { hash, bytes: 6 }).await;
    assert_eq!(disputes.over_since(matter).await, Ok(None));
    world.clock.advance(Duration::from_secs(60));
    act(Act::Withdraw).await;
    assert_eq!(disputes.over_since(matter).await, Ok(Some(tallystick_app::Clock::now(&*world.clock))));
    world.check().await;
    let kept = async || world.store.pieces(matter).await.unwrap().len();
    world.clock.advance(Duration::from_millis(KEPT.as_millis() - 1));
    vault.tidy().await.unwrap();
    assert_eq!(kept().await, 1);
    world.clock.advance(Duration::from_millis(1));
    vault.tidy().await.unwrap();
    assert_eq!(kept().await, 0);
    let other = Matter { dispute: Id::from_parts(1, [0; 10]), ..matter };
    assert_eq!(disputes.over_since(other).await, Ok(None));
}

/// A disk that is almost full takes no evidence; what is kept can be read and erased. A dispute that runs on a damaged log goes on.
#[tokio::test]
async fn without_room_nothing_is_uploaded() {
    let room = Room::new();
    let hash = room.filed(worker(), b"one").await;
    let uploaded = async |app: &App| {
        let store = Arc::clone(&room.world.store) as _;
        let vault = Vault::new(app.clone(), store, Arc::clone(&room.disputes) as _, Retention::default());
        let two = canonical::sha256(b"two");
        assert!(vault.fetch(requester(), room.matter, hash).await.is_ok());
        vault.upload(worker(), room.matter, two, b"two".to_vec()).await
    };
    let full = room.world.start();
    full.app.set_room(false);
    assert_eq!(uploaded(&full.app).await.unwrap_err(), AppError::Full.into());
    assert_eq!(room.kept().await.len(), 1);
    let damaged = room.world.start();
    damaged.app.begin_nothing();
    uploaded(&damaged.app).await.unwrap();
    assert_eq!(room.kept().await.len(), 2);
}

/// Whatever is erased or dropped leaves the store's own files as well; and nothing is scrubbed for nothing.
#[tokio::test]
async fn what_is_gone_is_scrubbed() {
    let room = Room::new();
    let (journal, trouble) = Troubled::new(&room.world.store);
    let vault = vault(&room.world, journal, &room.disputes);
    let scrubs = || trouble.scrubs.load(Ordering::Acquire);
    vault.tidy().await.unwrap();
    vault.forget(room.matter.task).await.unwrap();
    assert_eq!(scrubs(), 0);
    room.upload(worker(), b"orphan").await.unwrap();
    room.world.clock.advance(UNFILED);
    vault.tidy().await.unwrap();
    assert_eq!((scrubs(), room.kept().await.len()), (1, 0), "what nobody filed");
    room.filed(worker(), b"one").await;
    room.disputes.withdraw(room.matter);
    let Matter { task, dispute } = room.matter;
    let request = asking(stranger(), task, &Action::EraseEvidence { dispute });
    assert_eq!(vault.erase(room.matter, request).await, Ok(1));
    assert_eq!(scrubs(), 2, "what an operator erased");
}

/// The evidence of one task goes, with all of its disputes, and no other task's.
#[tokio::test]
async fn a_task_is_forgotten_and_no_other() {
    let room = Room::new();
    let (journal, trouble) = Troubled::new(&room.world.store);
    let vault = vault(&room.world, journal, &room.disputes);
    let matter = |n, of: u8| Matter { task: task(n), dispute: Id::from_parts(1_800_000_000_000, [of; 10]) };
    let others = [matter(1, 3), matter(2, 4)];
    for (text, matter) in (0u8..).zip([matter(0, 2)].into_iter().chain(others)) {
        room.disputes.open(matter, (requester(), worker()), BlockHeight(800_000));
        vault.upload(worker(), matter, canonical::sha256(&[text]), vec![text]).await.unwrap();
    }
    room.upload(worker(), b"x").await.unwrap();
    vault.forget(task(0)).await.unwrap();
    assert_eq!(room.world.store.matters(None, 10).await.unwrap(), others);
    assert_eq!(trouble.scrubs.load(Ordering::Acquire), 1);
}

/// More disputes than the store tells of at once.
#[tokio::test]
async fn every_matter_is_tidied_up() {
    let room = Room::new();
    for n in 0..150 {
        let matter = Matter { task: task(n), dispute: Id::from_parts(n, [1; 10]) };
        room.disputes.open(matter, (requester(), worker()), BlockHeight(800_000));
        room.vault.upload(worker(), matter, canonical::sha256(b"x"), b"x".to_vec()).await.unwrap();
    }
    room.world.clock.advance(UNFILED);
    room.vault.tidy().await.unwrap();
    assert_eq!(room.world.store.matters(None, 200).await.unwrap(), []);
}
