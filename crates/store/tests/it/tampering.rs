//! Whatever is changed in a database that holds a journal, its log and its read model: fsck finds it.

use std::sync::Arc;
use tallystick_app::fsck::{Damage, Fsck, Sound};
use tallystick_app::log::{LogConfig, LogWorker};
use tallystick_app::port::journal::Journal;
use tallystick_app::port::{
    log::LogStore,
    tasks::{TaskReader, TaskRebuild},
};
use tallystick_app::{App, Parts};
use tallystick_core::{Duration, Id, NodeKey};
use tallystick_escrow::{Policy, UserCommand};
use tallystick_log::{KeyKind, KeyName, SigningKey, WitnessPolicy};
use tallystick_testkit::{ManualClock, SimRail, escrow, signed_request};

/// Everything that a node keeps in one database.
pub trait Whole: Journal + LogStore + TaskReader + TaskRebuild + Clone + 'static {}
impl<S: Journal + LogStore + TaskReader + TaskRebuild + Clone + 'static> Whole for S {}

fn log_key() -> SigningKey {
    SigningKey::try_from_seed(KeyName::try_new("node.example/log").unwrap(), KeyKind::Note, &[7; 32]).unwrap()
}

/// A small life: tasks that are open, taken, cancelled and erased, all under a published checkpoint.
pub async fn live<S: Whole>(store: &S) {
    let clock = ManualClock::new(escrow::NOW);
    let rail = Arc::new(SimRail::new(Arc::clone(&clock)));
    rail.add_wallet("payee", 0);
    let journal = Arc::new(store.clone());
    let app = App::new(Parts {
        journal: Arc::clone(&journal) as _,
        log: Arc::clone(&journal) as _,
        tasks: journal,
        clock,
        key: NodeKey::try_new(&[8; 32]).unwrap(),
        policy: Policy::default(),
    });
    app.connect(Arc::clone(&rail) as _, Arc::clone(&rail) as _);
    app.refresh_tasks(store).await.unwrap();
    let id = |n| Id::from_parts(escrow::NOW.as_millis() + n, [9; 10]);
    for n in 0..4 {
        let request = signed_request(1, format!("create {n}").as_bytes());
        app.create(id(n), escrow::terms(&[20_000]), request).await.unwrap();
    }
    for n in 0..2 {
        let request = signed_request(2, format!("accept {n}").as_bytes());
        app.accept(id(n), vec![rail.invoice("payee", 20_000)], request).await.unwrap();
    }
    for n in 1..3 {
        app.ask(id(n), UserCommand::CancelTask, signed_request(1, format!("cancel {n}").as_bytes())).await.unwrap();
    }
    app.erase(id(2), signed_request(3, b"erase 2")).await.unwrap().expect("erased");
    let config =
        LogConfig { key: log_key(), interval: Duration::from_secs(1), witnesses: Vec::new(), witnesses_needed: 0 };
    let store = Arc::new(store.clone());
    let mut worker = LogWorker::try_new(Arc::clone(&store) as _, store, config).unwrap();
    assert_eq!(worker.run_once().await, Ok(true));
}

/// What fsck says.
pub async fn fsck<S: Whole>(store: &S) -> Result<Sound, Damage> {
    let store = Arc::new(store.clone());
    let fsck = Fsck {
        journal: Arc::clone(&store) as _,
        log: Arc::clone(&store) as _,
        rows: store,
        key: Some(log_key().verifier().clone()),
        policy: WitnessPolicy::none(),
    };
    fsck.run(|_| ()).await
}

/// What is found in [`live`].
pub const SOUND: Sound = Sound { facts: 9, erased: 2, signatures: 7, logged: 9, published: 9, tasks: 3 };

/// Tables and what tells their rows apart.
pub const TABLES: [(&str, &str); 6] = [
    ("facts", "true"),
    ("authorities", "bytes IS NOT NULL"),
    ("tasks", "true"),
    ("log_tiles", "true"),
    ("log_state", "true"),
    ("read_models", "true"),
];

/// What a database is told, and what fsck must say of it then: in SQL that both databases speak.
pub const LIES: [(&str, &str); 4] = [
    (
        "UPDATE facts SET body = NULL, salt = NULL WHERE seq = 1; UPDATE authorities SET bytes = NULL
            WHERE digest = (SELECT authority FROM facts WHERE seq = 1)",
        "fact 1 lost its body, and no fact tells that it was erased",
    ),
    ("DELETE FROM tasks WHERE version = 2", "the read model: task"),
    ("DELETE FROM reservations", "fact 5 names a payment hash that is not reserved for its task"),
    ("DELETE FROM log_tiles", "the log: tile/0/000 is not what the facts make"),
];
