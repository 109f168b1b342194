//! Many requests about one log at once.

use axum::{body::Body, http::Request};
use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};
use tallystick_app::port::witness::{Witness as _, WitnessError};
use tallystick_log::{AddCheckpoint, Checkpoint, KeyKind, SignedCheckpoint};
use tallystick_witness::{Folder, Record, Refusal, TrustedLog, Witness, WitnessLimits, router};
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::{
    disk::Disk,
    support::{Log, Post, Server, ask, key},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A disk that stops in the middle of a write until it is told to go on.
#[derive(Default)]
struct Gate {
    disk: Arc<Disk>,
    /// 0: nobody has come; 1: somebody waits; 2: go on.
    stage: Mutex<u8>,
    changed: Condvar,
}

impl Gate {
    fn wait_for(&self, stage: u8) {
        let held = self.stage.lock().unwrap();
        let (held, late) = self.changed.wait_timeout_while(held, PATIENCE, |now| *now < stage).unwrap();
        drop(held);
        assert!(!late.timed_out(), "stage {stage} did not come");
    }

    fn tell(&self, stage: u8) {
        let mut now = self.stage.lock().unwrap();
        *now = stage.max(*now);
        drop(now);
        self.changed.notify_all();
    }
}

impl Folder for Gate {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.disk.read(name)
    }
    fn names(&self) -> io::Result<Vec<String>> {
        self.disk.names()
    }
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.tell(1);
        self.wait_for(2);
        self.disk.write(name, bytes)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn sync_names(&self) -> io::Result<()> {
        self.disk.sync_names()
    }
}

#[test]
fn a_request_that_is_checked_while_another_is_written_waits_for_it() {
    let (log, post) = (Log::new(9), Post::new(2));
    ask(&post.open(), &log.body(0, 1)).unwrap();
    let gate = Arc::new(Gate { disk: post.records.clone(), ..Gate::default() });
    let witness = Arc::new(post.open_on(gate.clone()).unwrap());
    let (first, second) = (Arc::clone(&witness), Arc::clone(&witness));
    let (slow, quick) = (log.body(1, 3), log.body(1, 5));
    let slow = thread::spawn(move || ask(&first, &slow));
    gate.wait_for(1);
    // Were it not to wait, it would find the old size and be cosigned.
    let quick = thread::spawn(move || ask(&second, &quick));
    gate.tell(2);
    assert!(slow.join().unwrap().is_ok());
    assert_eq!(quick.join().unwrap(), Err(Refusal::OldSize { known: 3 }));
    assert_eq!(post.head().size, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_from_one_size_one_wins_and_nothing_goes_back() {
    const LAST: u64 = 60;
    let (log, post) = (Log::new(LAST), Post::new(2));
    let server = Server::start(post.open(), "", WitnessLimits::default()).await;
    let client = Arc::new(server.client("", post.key().verifier()));
    let (mut size, mut won) = (0, BTreeSet::new());
    while size < LAST {
        let mut asking = JoinSet::new();
        for step in 1..=12 {
            let (client, request) = (Arc::clone(&client), log.request(size, (size + step).min(LAST)));
            asking.spawn(
                async move { (request.checkpoint().unverified().size(), client.add_checkpoint(&request).await) },
            );
        }
        let answers = asking.join_all().await;
        let cosigned: BTreeSet<u64> =
            answers.iter().filter(|(_, answer)| answer.is_ok()).map(|(size, _)| *size).collect();
        let [winner] = Vec::from_iter(cosigned)[..] else { panic!("one winner: {answers:?}") };
        for (asked, answer) in answers {
            match answer {
                Ok(_) => assert_eq!(asked, winner),
                Err(error) => assert_eq!(error, WitnessError::Behind { size: winner }),
            }
        }
        assert!(winner > size && won.insert(winner));
        assert_eq!(post.head().size, winner);
        size = winner;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_histories_at_once_one_is_cosigned() {
    for round in 0..20 {
        let (log, post) = (Log::new(9), Post::new(2));
        let server = Server::start(post.open(), "/w/1", WitnessLimits::default()).await;
        let client = server.client("/w/1", post.key().verifier());
        let (one, other) = (log.request(0, 9), log.forked(4).request(0, 9));
        let (one, other) = tokio::join!(client.add_checkpoint(&one), client.add_checkpoint(&other));
        assert_eq!([&one, &other].into_iter().filter(|answer| answer.is_ok()).count(), 1, "round {round}");
        let refused = one.and(other).unwrap_err();
        assert_eq!(refused, WitnessError::Behind { size: 9 });
        assert_eq!(post.evidence.files().len(), 1);
    }
}

/// However many ask about one log whose record is being written, another log's request is worked on.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_at_one_log_leaves_room_for_another() {
    let (log, post) = (Log::new(9), Post::new(2));
    let other = key("log.example/other", KeyKind::Note, 9);
    let trusted = TrustedLog::try_new("log.example/other", vec![other.verifier().clone()]).unwrap();
    assert!(Record::begin(post.records.as_ref(), &trusted).unwrap());
    let gate = Arc::new(Gate { disk: post.records.clone(), ..Gate::default() });
    let logs = vec![Log::trusted(), trusted];
    let witness = Witness::open(post.key(), logs, gate.clone(), post.evidence.clone(), post.clock.clone()).unwrap();
    let limits = WitnessLimits { cosigning_max: 6, ..WitnessLimits::default() };
    let router = router(Arc::new(witness), "", limits);
    let post = async |body: Vec<u8>| {
        let request = Request::post("/add-checkpoint").body(Body::from(body)).unwrap();
        router.clone().oneshot(request).await.unwrap().status().as_u16()
    };
    let mut crowd: Vec<_> = (0..20).map(|_| Box::pin(post(log.body(0, 5)))).collect();
    for one in &mut crowd {
        // Polled once, each has come as far as it can.
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(one.as_mut().poll(&mut context).is_pending());
    }
    let checkpoint = Checkpoint::try_new("log.example/other", 9, [3; 32]).unwrap();
    let request = AddCheckpoint::try_new(3, vec![], SignedCheckpoint::sign(checkpoint, &other).unwrap()).unwrap();
    let answered = tokio::time::timeout(PATIENCE, post(request.to_string().into_bytes())).await;
    assert_eq!(answered, Ok(409), "its record tells of nothing yet");
    gate.tell(2);
    let mut answers = Vec::new();
    for one in crowd {
        answers.push(one.await);
    }
    answers.sort_unstable();
    assert_eq!((answers[0], answers[1..].iter().all(|status| *status == 409)), (200, true), "{answers:?}");
}
