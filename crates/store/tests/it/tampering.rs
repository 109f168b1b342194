//! Whatever is changed in a database that holds a journal, its log and its read model: fsck finds it.

use std::sync::Arc;
use tallystick_app::cause::Trusted;
use tallystick_app::fsck::{Behind, ClockSet, Damage, Fsck, Sound};
use tallystick_app::log::TreeError;
use tallystick_app::outbox::Outbox;
use tallystick_app::port::journal::{Journal, StoreError};
use tallystick_app::port::{
    evidence::{EvidenceStore, Matter, Room, Wrapped, WrappedKey},
    log::LogStore,
    request::Action,
    snapshot::Snapshot,
    tasks::{TaskReader, TaskRebuild},
};
use tallystick_app::rebuild::rebuild_tree;
use tallystick_app::{App, AppError, Clock, Parts};
use tallystick_civics::dispute::UserCommand as Act;
use tallystick_core::canonical::sha256;
use tallystick_core::{Coded, Duration, Id, NodeKey, Timestamp};
use tallystick_escrow::{Policy, Terms, UserCommand};
use tallystick_log::{Checkpoint, LogError, WitnessPolicy};
use tallystick_testkit::escrow::{self, requester, stranger, worker};
use tallystick_testkit::published::log_key;
use tallystick_testkit::store_suite::evidence::content;
use tallystick_testkit::{ManualClock, Requests, SimRail, asking_at, publish};

/// Everything that a node keeps in one database.
pub trait Whole: Journal + LogStore + TaskReader + TaskRebuild + EvidenceStore + Clone + 'static {}
impl<S: Journal + LogStore + TaskReader + TaskRebuild + EvidenceStore + Clone + 'static> Whole for S {}

/// The node's own key.
fn node_key() -> NodeKey {
    NodeKey::try_new(&[8; 32]).unwrap()
}

/// A node on this store at some time, and its rail.
pub fn node<S: Whole>(store: &S, clock: &Arc<ManualClock>) -> (App, Arc<SimRail>) {
    let clock = Arc::clone(clock);
    let rail = Arc::new(SimRail::new(Arc::clone(&clock)));
    let journal = Arc::new(store.clone());
    let app = App::new(Parts {
        journal: Arc::clone(&journal) as _,
        log: Arc::clone(&journal) as _,
        tasks: journal,
        clock,
        key: node_key(),
        policy: Policy::default(),
    });
    app.connect(Arc::clone(&rail) as _, Arc::clone(&rail) as _);
    (app, rail)
}

/// When all is over: later than the requests of the beginning are remembered.
pub const AFTER: Timestamp = escrow::NOW.after(Duration::from_secs(601));

/// A small life: tasks that are open, taken, cancelled, waiting for money and erased, all under a published checkpoint.
/// What the erased one's requests left is forgotten, so that each one that is remembered has a fact.
pub async fn live<S: Whole>(store: &S) {
    let clock = ManualClock::new(escrow::NOW);
    let (app, rail) = node(store, &clock);
    rail.add_wallet("payee", 0);
    app.refresh_tasks(store).await.unwrap();
    let id = |n| Id::from_parts(escrow::NOW.as_millis() + n, [9; 10]);
    for n in 0..5 {
        let terms = Terms { title: format!("title of {n}"), ..escrow::terms(&[20_000]) };
        let request = asking_at(clock.now(), requester(), id(n), &Action::Create(terms.clone()));
        app.create(id(n), terms, request).await.unwrap();
    }
    let cancel = async |n| {
        app.ask(id(n), UserCommand::CancelTask, asking_at(clock.now(), requester(), id(n), &Action::Cancel))
            .await
            .unwrap();
    };
    cancel(2).await;
    clock.set(AFTER);
    for n in [0, 1, 4] {
        let invoices = vec![rail.invoice("payee", 20_000)];
        let request = asking_at(clock.now(), worker(), id(n), &Action::Accept(invoices.clone()));
        app.accept(id(n), invoices, request).await.unwrap();
    }
    cancel(1).await;
    for n in [0, 4] {
        app.ask(id(n), UserCommand::RequestFunding, asking_at(clock.now(), requester(), id(n), &Action::Fund))
            .await
            .unwrap();
        // Of the last one the invoice is still to be made.
        if n == 0 {
            Outbox::new(app.clone()).run_once().await.unwrap();
        }
    }
    app.erase(id(2), asking_at(clock.now(), stranger(), id(2), &Action::Erase)).await.unwrap().expect("erased");
    publish(&Arc::new(store.clone())).await;
}

/// An argument: a disputed task, and two pieces of evidence of so many bytes each. The worker's is filed; the requester's is
/// not, yet. Each party has a key to each. Answers what it is about.
pub async fn argue<S: Whole>(store: &S, bytes: usize) -> Matter {
    let (app, rail) = node(store, &ManualClock::new(AFTER));
    rail.add_wallet("payee", 0);
    rail.add_wallet("payer", 1_000_000);
    app.refresh_tasks(store).await.unwrap();
    let id = Id::from_parts(escrow::NOW.as_millis() + 500, [9; 10]);
    let ask = |by, action: &Action| asking_at(AFTER, by, id, action);
    let terms = escrow::panel_terms(&[20_000]);
    app.create(id, terms.clone(), ask(requester(), &Action::Create(terms))).await.unwrap();
    // Another one than any before.
    let invoices: Vec<String> = (0..9).map(|_| rail.invoice("payee", 20_000)).skip(8).collect();
    app.accept(id, invoices.clone(), ask(worker(), &Action::Accept(invoices))).await.unwrap();
    app.ask(id, UserCommand::RequestFunding, ask(requester(), &Action::Fund)).await.unwrap();
    Outbox::new(app.clone()).run_once().await.unwrap();
    for part in app.task(id).await.unwrap().unwrap().tranches() {
        assert!(rail.pay_hold("payer", part.funding_invoice.as_deref().unwrap()));
    }
    rail.deliver(&app).await;
    let work = Action::Submit { milestone: 0, work_hash: escrow::WORK };
    app.ask(id, escrow::submit(), ask(worker(), &work)).await.unwrap();
    let (reject, reason_hash) =
        (UserCommand::RejectWork { milestone: 0, reason_hash: escrow::REASONS }, escrow::REASONS);
    app.ask(id, reject, ask(requester(), &Action::Reject { milestone: 0, reason_hash })).await.unwrap();
    app.open_dispute(id, 0, ask(requester(), &Action::OpenDispute { milestone: 0 })).await.unwrap();
    let dispute = app.task(id).await.unwrap().unwrap().milestones[0].dispute.as_ref().unwrap().id;
    let matter = Matter { task: id, dispute };
    for (n, by) in [(1, worker()), (2, requester())] {
        let content = content(n, bytes);
        let hash = sha256(&content);
        store.keep(matter, by, content, AFTER, Room::SIDE).await.unwrap();
        let wrapped = |reader, to| WrappedKey { reader, wrapped: format!("wrapped-by-{n}-to-{to}") };
        assert_eq!(store.wrap(matter, hash, vec![wrapped(worker(), "worker")]).await, Ok(Wrapped::Kept));
        assert_eq!(store.wrap(matter, hash, vec![wrapped(requester(), "requester")]).await, Ok(Wrapped::Kept));
        if by == worker() {
            let command = Act::FileEvidence { hash, bytes: u64::try_from(bytes).unwrap() };
            let act = UserCommand::Dispute { milestone: 0, command: command.clone() };
            app.ask(id, act, ask(by, &Action::Dispute { milestone: 0, command })).await.unwrap();
            store.set_filed(matter, hash).await.unwrap();
        }
    }
    publish(&Arc::new(store.clone())).await;
    matter
}

/// What checks a store at one moment.
pub fn checker(store: Arc<dyn Snapshot>) -> Fsck {
    Fsck {
        store,
        requests: Arc::new(Requests),
        invoices: Arc::new(SimRail::new(ManualClock::new(escrow::NOW))),
        trusted: Trusted { node: Some(node_key().public()), operators: [stranger()].into() },
        key: Some(log_key().verifier().clone()),
        policy: WitnessPolicy::none(),
        checkpoints: Vec::new(),
        published: None,
        now: AFTER,
    }
}

/// What fsck says.
pub async fn fsck(store: Arc<dyn Snapshot>) -> Result<Sound, Damage> {
    checker(store).run(|_| ()).await
}

/// Checkpoints that somebody kept: of this history, of a longer one, and of another one.
pub async fn kept_checkpoints_are_compared<S: Whole>(store: &S, snapshot: Arc<dyn Snapshot>) {
    let note = store.log_state().await.unwrap().published.unwrap().note;
    let kept = tallystick_log::SignedCheckpoint::parse(&note).unwrap().unverified().clone();
    let longer = Checkpoint::try_new(kept.origin(), kept.size() + 1, *kept.root()).unwrap();
    let other = Checkpoint::try_new(kept.origin(), 3, [7; 32]).unwrap();
    let mut checker = checker(snapshot);
    for (checkpoint, code) in [(kept, None), (longer, Some("fsck.rollback")), (other, Some("fsck.fork"))] {
        checker.checkpoints = vec![("a client".into(), checkpoint)];
        let found = checker.run(|_| ()).await.err();
        assert_eq!(found.as_ref().map(|damage| damage.code().0), code, "{found:?}");
    }
}

/// A log that has not begun, or not gone on, is told once some fact is much older than the newest, and is no damage: nobody may
/// have been there to publish. It is damage if a key is named whose checkpoint is not there.
pub async fn a_log_that_is_behind_is_told<S: Whole>(
    store: &S,
    now: impl AsyncFn() -> Arc<dyn Snapshot>,
    sql: impl AsyncFn(&'static str),
) {
    let fsck = async || Fsck { key: None, ..checker(now().await) }.run(|_| ()).await;
    let clock = ManualClock::new(escrow::NOW);
    let (app, _) = node(store, &clock);
    app.refresh_tasks(store).await.unwrap();
    let create = async |n| {
        let (id, terms) = (Id::from_parts(escrow::NOW.as_millis() + n, [9; 10]), escrow::terms(&[20_000]));
        let request = asking_at(clock.now(), requester(), id, &Action::Create(terms.clone()));
        app.create(id, terms, request).await.unwrap();
    };
    create(1).await;
    clock.set(escrow::NOW.after(Duration::from_secs(600)));
    create(2).await;
    assert!(
        fsck().await.is_ok_and(|sound| (sound.facts, sound.logged, sound.published, sound.behind) == (2, 0, 0, None))
    );
    clock.set(AFTER);
    create(3).await;
    assert_eq!(fsck().await.map(|sound| sound.behind), Ok(Some(Behind::Tree(1))));
    publish(&Arc::new(store.clone())).await;
    assert!(fsck().await.is_ok_and(|sound| (sound.logged, sound.published, sound.behind) == (3, 3, None)));
    let note = store.log_state().await.unwrap().published.unwrap().note;
    let published = tallystick_log::SignedCheckpoint::parse(&note).unwrap().unverified().clone();
    sql("UPDATE log_state SET published = NULL, published_size = NULL").await;
    assert_eq!(fsck().await.map(|sound| sound.behind), Ok(Some(Behind::Checkpoint)));
    let found = checker(now().await).run(|_| ()).await.unwrap_err().to_string();
    assert_eq!(found, "the log: no checkpoint is published");
    // Or if the node's directory holds one that was.
    let kept = |published| async { Fsck { key: None, published, ..checker(now().await) }.run(|_| ()).await };
    let found = kept(Some(published.clone())).await.unwrap_err().to_string();
    assert_eq!(found, "the log: 0 facts are under its published checkpoint, and this node published one of 3");
    let other = Checkpoint::try_new(published.origin(), 3, [7; 32]).unwrap();
    let found = kept(Some(other)).await.unwrap_err();
    assert_eq!(found.code().0, "fsck.fork", "{found}");
}

/// Nothing that is written, erased or published meanwhile is seen, and all of it afterwards.
pub async fn a_snapshot_stands_still<S: Whole>(store: &S, snapshot: Arc<dyn Snapshot>) {
    assert_eq!(fsck(Arc::clone(&snapshot)).await, Ok(SOUND));
    let id = Id::from_parts(escrow::NOW.as_millis() + 77, [9; 10]);
    let (app, _) = node(store, &ManualClock::new(AFTER));
    let terms = escrow::terms(&[20_000]);
    app.create(id, terms.clone(), asking_at(AFTER, requester(), id, &Action::Create(terms))).await.unwrap();
    let cancelled = Id::from_parts(escrow::NOW.as_millis() + 1, [9; 10]);
    let erased = app.erase(cancelled, asking_at(AFTER, stranger(), cancelled, &Action::Erase)).await;
    // On SQLite the write-ahead log cannot be cut while it is read: that is told, and the erasure stands.
    assert!(matches!(erased, Ok(Some(_)) | Err(AppError::Store(StoreError::ErasingWaits(_)))), "{erased:?}");
    publish(&Arc::new(store.clone())).await;
    assert_eq!(fsck(Arc::clone(&snapshot)).await, Ok(SOUND));
    drop(snapshot);
    // Given again once nobody reads, it has nothing left to erase, and its bytes go.
    assert_eq!(app.erase(cancelled, asking_at(AFTER, stranger(), cancelled, &Action::Erase)).await, Ok(None));
}

/// Damaged tiles are made again. Of damaged facts, or under a checkpoint that is not theirs, none is.
pub async fn tiles_are_made_again<S: Whole>(
    store: &S,
    now: impl AsyncFn() -> Arc<dyn Snapshot>,
    sql: impl AsyncFn(&'static str),
) {
    let rebuild = async || rebuild_tree(&*now().await, store).await;
    assert_eq!(rebuild().await, Ok(0));
    sql("UPDATE log_tiles SET hashes = substr(hashes, 33)").await;
    sql("INSERT INTO log_tiles (level, idx, hashes) SELECT level, idx + 1, hashes FROM log_tiles").await;
    assert_eq!(rebuild().await, Ok(2));
    assert_eq!(fsck(now().await).await, Ok(SOUND));
    sql("DELETE FROM log_tiles").await;
    sql("UPDATE log_state SET published_size = 13").await;
    assert_eq!(rebuild().await, Err(TreeError::Tree(LogError::RootMismatch)));
    sql("UPDATE log_state SET published_size = 14").await;
    sql("UPDATE facts SET kind = 'escrow.else' WHERE seq = 2").await;
    assert!(matches!(rebuild().await, Err(TreeError::Store(StoreError::Corrupt(_)))));
    assert_eq!(store.log_tile(0, 0).await, Ok(None), "nothing was written");
}

/// What could only have been made while a clock was set wrongly, for longer than from now, or older than what is forgotten: it
/// is told. With a request that is missing it is damage all the same, unless it was so late that this one was forgotten.
pub async fn what_a_clock_may_have_made_is_told(now: impl AsyncFn() -> Arc<dyn Snapshot>, sql: impl AsyncFn(&str)) {
    for (until, is_ahead) in [(1_900_000_000_000_u64, true), (1_800_000_599_999, false)] {
        sql(&format!("INSERT INTO seen_requests SELECT hash, {until} FROM facts WHERE seq = 1")).await;
        let sound = fsck(now().await).await.unwrap();
        let told =
            matches!((sound.clock, is_ahead), (Some(ClockSet::Ahead(_)), true) | (Some(ClockSet::Back(_)), false));
        assert!(told && Sound { clock: None, ..sound } == SOUND, "{until}: {sound:?}");
        sql(&format!("DELETE FROM seen_requests WHERE forget_after = {until}")).await;
    }
    assert_eq!(fsck(now().await).await, Ok(SOUND));
    sql("DELETE FROM seen_requests WHERE id = (SELECT id FROM seen_requests ORDER BY id DESC LIMIT 1)").await;
    sql("INSERT INTO seen_requests SELECT hash, 1800000599999 FROM facts WHERE seq = 1").await;
    let found = fsck(now().await).await.unwrap_err().to_string();
    assert!(found.contains("is not remembered, and could be given again"), "{found}");
}

/// What is found in [`live`].
pub const SOUND: Sound = Sound {
    facts: 14,
    erased: 2,
    signatures: 12,
    logged: 14,
    published: 14,
    behind: None,
    tasks: 4,
    effects: 2,
    evidence: 0,
    clock: None,
};

/// Where evidence is.
pub const EVIDENCE: [(&str, &str); 3] = [("evidence", "true"), ("evidence_parts", "true"), ("evidence_keys", "true")];

/// What the vault of [`argue`] is told, and what fsck says of it then.
pub const EVIDENCE_LIES: [(&str, &str); 11] = [
    ("DELETE FROM evidence_keys", OTHER_KEYS),
    (
        "DELETE FROM evidence_keys WHERE hash = (SELECT hash FROM evidence_keys ORDER BY hash LIMIT 1)
            AND reader = (SELECT reader FROM evidence_keys ORDER BY reader LIMIT 1)",
        OTHER_KEYS,
    ),
    ("UPDATE evidence_keys SET wrapped = wrapped || 'x'", OTHER_KEYS),
    // Swapped among the readers.
    (
        "UPDATE evidence_keys SET wrapped = (SELECT other.wrapped FROM evidence_keys AS other
            WHERE other.hash = evidence_keys.hash AND other.reader <> evidence_keys.reader)",
        OTHER_KEYS,
    ),
    (
        "INSERT INTO evidence_keys (task, dispute, hash, reader, wrapped)
            SELECT dispute, task, hash, reader, wrapped FROM evidence_keys",
        ORPHAN,
    ),
    (
        "INSERT INTO evidence_parts (task, dispute, hash, part, content)
            SELECT dispute, task, hash, part, content FROM evidence_parts",
        ORPHAN,
    ),
    ("DELETE FROM evidence WHERE NOT filed", ORPHAN),
    (
        "DELETE FROM evidence_parts; DELETE FROM evidence_keys; DELETE FROM evidence",
        "was filed and is not kept, and no fact tells that it was erased",
    ),
    ("UPDATE evidence SET filed = NOT filed", "is marked as filed, as no fact says"),
    (
        "UPDATE evidence_parts SET dispute = task WHERE hash = (SELECT hash FROM evidence WHERE NOT filed);
            UPDATE evidence_keys SET dispute = task WHERE hash = (SELECT hash FROM evidence WHERE NOT filed);
            UPDATE evidence SET dispute = task WHERE NOT filed",
        "is kept, and there is no such dispute",
    ),
    (
        "UPDATE evidence_parts SET task = dispute WHERE hash = (SELECT hash FROM evidence WHERE NOT filed);
            UPDATE evidence_keys SET task = dispute WHERE hash = (SELECT hash FROM evidence WHERE NOT filed);
            UPDATE evidence SET task = dispute WHERE NOT filed",
        "is kept, and there is no such task",
    ),
];
const OTHER_KEYS: &str = "has other keys than were given";
const ORPHAN: &str = "a part of evidence, or a key, is there without its piece";

/// Tables and what tells their rows apart.
pub const TABLES: [(&str, &str); 10] = [
    ("facts", "true"),
    ("authorities", "true"),
    ("head", "true"),
    ("outbox", "true"),
    ("tasks", "true"),
    ("log_tiles", "true"),
    ("log_state", "true"),
    ("read_models", "true"),
    ("reservations", "true"),
    ("seen_requests", "true"),
];
/// What is said of changes in each table, and nothing else. A change that the database's own constraints forbid, or that breaks a
/// reference, is told as the database's.
pub const SAID: [(&str, &[&str]); 13] = [
    ("authorities", &["fsck.authorities", "fsck.fact", "store.corrupt"]),
    ("evidence", &["fsck.database", "fsck.evidence", "store.corrupt"]),
    ("evidence_keys", &["fsck.database", "fsck.evidence"]),
    ("evidence_parts", &["fsck.database", "fsck.evidence"]),
    ("facts", &["fsck.fact"]),
    ("head", &["fsck.fact"]),
    ("log_state", &["fsck.log"]),
    ("log_tiles", &["fsck.log"]),
    ("outbox", &["fsck.outbox"]),
    ("read_models", &["fsck.rows"]),
    ("reservations", &["fsck.fact", "fsck.names"]),
    ("seen_requests", &["fsck.requests"]),
    ("tasks", &["fsck.rows", "store.corrupt"]),
];

/// Checks that a change in a table was told as one.
#[track_caller]
pub fn is_said_of(table: &str, found: Result<Sound, Damage>, change: &str) {
    let (_, codes) = SAID.iter().find(|(name, _)| *name == table).expect("a table that is known");
    let found = found.err().unwrap_or_else(|| panic!("{change}: is not found"));
    // What a column of it can never hold, SQLite finds by itself.
    let is_refused = found.to_string().contains(&format!("CHECK constraint failed in {table}"));
    assert!(is_refused || codes.contains(&found.code().0), "{change}: {found} ({})", found.code());
}

/// Columns that facts do not make. (An effect that is done again does no harm, by its key; one that is marked as done too
/// soon is among the [`LIES`].)
/// So does a piece that was looked at as filed too late, and one whose time to be filed is counted anew; of the number of a
/// part its order alone is read.
pub const FREE: [(&str, &str); 10] = [
    ("evidence", "touched_at"),
    ("evidence", "filed"),
    ("evidence_parts", "part"),
    ("head", "one"),
    ("outbox", "id"),
    ("outbox", "due"),
    ("outbox", "attempts"),
    ("outbox", "finished"),
    ("outbox", "claim_epoch"),
    ("outbox", "claimed_until"),
];

/// What a database is told, and what fsck must say of it then: in SQL that both databases speak.
pub const LIES: [(&str, &str); 24] = [
    (
        "UPDATE facts SET body = NULL, salt = NULL WHERE seq = 1; UPDATE authorities SET bytes = NULL
            WHERE digest = (SELECT authority FROM facts WHERE seq = 1)",
        "fact 1 lost its body, and no fact tells that it was erased",
    ),
    (
        "DELETE FROM authorities WHERE digest = (SELECT authority FROM facts WHERE body IS NULL ORDER BY seq LIMIT 1)",
        "fact 3 has nobody behind it",
    ),
    ("INSERT INTO authorities SELECT hash, NULL FROM facts WHERE seq = 1", "the authorities: "),
    ("UPDATE log_state SET published = NULL, published_size = NULL", "the log: no checkpoint is published"),
    (
        "UPDATE log_state SET published = NULL, published_size = NULL, size = 0; DELETE FROM log_tiles",
        "the log: no checkpoint is published",
    ),
    ("DELETE FROM log_state", "the log: how far the log has come is missing"),
    ("DELETE FROM tasks WHERE version = 4", "the read model: task"),
    ("DELETE FROM reservations", "fact 7 names a payment hash that is not reserved for its task"),
    (
        "INSERT INTO reservations (space, name, stream) SELECT space, digest, stream FROM authorities
            CROSS JOIN (SELECT * FROM reservations LIMIT 1) AS held",
        "the reserved names: payment_hash ",
    ),
    (
        "INSERT INTO reservations (space, name, stream) SELECT 'another', name, stream FROM reservations",
        "the reserved names: another ",
    ),
    // Of a task that is erased, and took none.
    (
        "INSERT INTO reservations (space, name, stream) SELECT 'payment_hash', hash, stream FROM facts
            WHERE kind = 'escrow.task_cancelled' AND body IS NULL",
        "the reserved names: payment_hash ",
    ),
    (
        "UPDATE reservations SET stream = (SELECT stream FROM facts WHERE seq = 1)",
        "fact 8 names a payment hash that is not reserved for its task",
    ),
    ("DELETE FROM seen_requests", "the remembered requests: "),
    (
        "DELETE FROM seen_requests WHERE id = (SELECT id FROM seen_requests ORDER BY id DESC LIMIT 1)",
        "the remembered requests: ",
    ),
    ("UPDATE seen_requests SET forget_after = forget_after + 1", "the remembered requests: "),
    ("DELETE FROM log_tiles", "the log: tile/0/000 is not what the facts make"),
    (
        "INSERT INTO log_tiles (level, idx, hashes) SELECT level, idx + 1, hashes FROM log_tiles",
        "the log: tile/0/001 is beyond its tree",
    ),
    (
        "INSERT INTO log_tiles (level, idx, hashes) SELECT level + 1, idx, hashes FROM log_tiles",
        "the log: tile/1/000 is beyond its tree",
    ),
    ("DELETE FROM outbox WHERE NOT finished", "the outbox: escrow/invoice/"),
    ("DELETE FROM facts WHERE seq = 14", "fact 14 is missing, and so are all after it"),
    ("UPDATE outbox SET finished = NOT finished", "the outbox: escrow/invoice/"),
    (
        "INSERT INTO outbox (key, stream, body, due, attempts, finished)
            SELECT key || 'x', stream, body, due, attempts, finished FROM outbox WHERE finished",
        "the outbox: escrow/invoice/",
    ),
    (
        "UPDATE outbox SET stream = (SELECT stream FROM facts WHERE seq = 1) WHERE NOT finished",
        "the outbox: escrow/invoice/",
    ),
    ("UPDATE head SET seq = 15", "fact 15 is missing, and so are all after it"),
];

/// Numbers by which the outbox is worked, and that no program writes.
const NONE_SUCH: [&str; 5] =
    ["attempts = -123", "attempts = 4294967296", "due = -5", "claim_epoch = -1", "claimed_until = -1"];

/// Facts do not make the numbers by which the outbox is worked: those that can be none are found, and keep nothing from being
/// done, neither the effect that has one nor others.
pub async fn outbox_numbers<S: Whole>(store: &S, now: impl AsyncFn() -> Arc<dyn Snapshot>, run: impl AsyncFn(&str)) {
    let set = async |what: &str| run(&format!("UPDATE outbox SET {what} WHERE NOT finished")).await;
    let (due, mut epoch) = (store.due_effects(AFTER, 10).await.unwrap().remove(0), 1);
    for what in NONE_SUCH {
        set(what).await;
        let found = fsck(now().await).await.unwrap_err().to_string();
        assert!(found.contains("outbox") || found.contains(&format!("the effect {} has {what}", due.key)), "{found}");
        epoch += 1;
        assert!(store.next_effect_due().await.is_ok(), "{what}");
        let given = store.claim_effects(AFTER, AFTER.after(Duration::from_secs(60)), epoch, 10).await.unwrap();
        let keys: Vec<_> = given.iter().map(|effect| effect.key.as_str()).collect();
        assert_eq!(keys, [due.key.as_str()], "{what}");
        store.defer_effect(&due.key, Timestamp::from_millis(0)).await.unwrap();
        assert_eq!(fsck(now().await).await, Ok(SOUND), "{what}");
    }
}
