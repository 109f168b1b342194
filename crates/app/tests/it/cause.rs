//! Signatures that are good, behind facts that they do not ask for.

use tallystick_app::{
    anchor::event::{AnchorEvent, Dropped, Made, STREAM as ANCHORS},
    erase::{ERASED, Erased},
    fsck::Damage,
    port::{
        evidence::Matter,
        journal::{Append, Journal, NewFact},
        request::Action,
    },
    vault::{ERASED as EVIDENCE_ERASED, EvidenceErased},
};
use tallystick_core::{Authority, BlockHeight, Body, Digest32, Id, Msat, NodeKey, NodeWord, Timestamp, canonical};
use tallystick_escrow::{Event, NodeCommand, ReleaseReason};
use tallystick_log::Checkpoint;
use tallystick_testkit::{
    asking, asking_at,
    escrow::{self, release_begun, requester, stranger, worker},
};

use crate::node::{World, task};

const HEIGHT: BlockHeight = BlockHeight(800_000);
const NODE: [u8; 32] = [8; 32];

fn stream(n: u64) -> String {
    format!("escrow/{}", task(n))
}

fn word(key: [u8; 32], stream: &str, version: u64, command: &[u8]) -> Authority {
    let word = NodeWord { stream, expected_version: version, recorded_at: escrow::NOW, height: HEIGHT, command };
    NodeKey::try_new(&key).unwrap().authorise(&word)
}

/// What a node that lies would write: facts of its own choice, behind somebody's good signature.
async fn forge(world: &World, stream: &str, facts: Vec<NewFact>, authority: impl FnOnce(u64) -> Authority) {
    let version = world.store.stream(stream, 0).await.unwrap().len() as u64;
    let append = Append {
        stream: stream.to_owned(),
        expected_version: version,
        facts,
        authority: authority(version),
        recorded_at: escrow::NOW,
        height: HEIGHT,
        effects: Vec::new(),
        finishes: Vec::new(),
        reservations: Vec::new(),
        row: None,
        erases: None,
    };
    world.store.append(append).await.unwrap();
}

fn told(event: &Event) -> NewFact {
    NewFact { kind: event.kind(), body: Body::private([3; 32], canonical::encode(event)) }
}

/// Two tasks, one of them submitted; what fsck says once this fact is there too.
async fn found(stream: &str, facts: Vec<NewFact>, authority: impl FnOnce(u64) -> Authority) -> String {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[20_000], "submitted").await;
    node.task_at(task(1), &[20_000], "open").await;
    world.check().await;
    let last = world.count().await as u64;
    forge(&world, stream, facts, authority).await;
    match world.fsck().run(|_| ()).await {
        Err(Damage::Fact { seq, what }) if seq == last + 1 => what,
        other => panic!("{other:?}"),
    }
}

const OTHER_REQUEST: &str = "is not proven: the signed request behind the fact asks for something else";
const OTHER_WORD: &str = "is not proven: the node's word behind the fact is for something else";

#[tokio::test]
async fn a_request_stands_behind_no_fact_that_it_does_not_ask_for() {
    let cancelled = Event::TaskCancelled { by: requester() };
    let asked = |by, n, action| move |_| Authority::Request(asking(by, task(n), &action));
    let other_work = Event::WorkSubmitted { milestone: 0, work_hash: Digest32([1; 32]), review_until: escrow::NOW };
    for (n, event, author, of, action) in [
        // To approve one task, behind the end of another; or of the same.
        (1, cancelled.clone(), requester(), 0, Action::Approve { milestone: 0, tranches: None }),
        (1, cancelled.clone(), requester(), 0, Action::Cancel),
        (1, cancelled.clone(), requester(), 1, Action::Approve { milestone: 0, tranches: None }),
        (1, cancelled.clone(), requester(), 1, Action::Erase),
        // In somebody else's name, with other words, for another reason.
        (1, cancelled.clone(), worker(), 1, Action::Cancel),
        (1, other_work, worker(), 1, Action::Submit { milestone: 0, work_hash: Digest32([2; 32]) }),
        (0, release_begun(1, ReleaseReason::Silence), requester(), 0, Action::Approve { milestone: 0, tranches: None }),
        (
            0,
            Event::WorkRejected { milestone: 0, reason_hash: Digest32([1; 32]) },
            requester(),
            0,
            Action::Reject { milestone: 0, reason_hash: Digest32([2; 32]) },
        ),
        (0, Event::TaskSettled, requester(), 0, Action::Approve { milestone: 0, tranches: None }),
    ] {
        let name = format!("{event:?} by {action:?}");
        assert_eq!(found(&stream(n), vec![told(&event)], asked(author, of, action)).await, OTHER_REQUEST, "{name}");
    }
    // A body of one kind under the name of another.
    let mislabelled = NewFact { kind: "escrow.task_cancelled", ..told(&Event::TaskExpired) };
    let what = found(&stream(1), vec![mislabelled], asked(requester(), 1, Action::Cancel)).await;
    assert_eq!(what, "is not proven: this program knows no such fact");
}

/// As `tally verify` has it: a node that lies cannot keep a good request for later.
#[tokio::test]
async fn a_request_stands_behind_no_fact_of_another_time() {
    let now = escrow::NOW.as_millis();
    for (millis, fits) in [(now - 120_000, true), (now - 121_000, false), (now + 30_000, true), (now + 31_000, false)] {
        let world = World::new();
        let node = world.start();
        node.create(task(1), escrow::terms(&[20_000])).await.unwrap();
        let request = asking_at(Timestamp::from_millis(millis), requester(), task(1), &Action::Cancel);
        let cancelled = told(&Event::TaskCancelled { by: requester() });
        forge(&world, &stream(1), vec![cancelled], |_| Authority::Request(request)).await;
        let found = world.fsck().run(|_| ()).await.unwrap_err().to_string();
        let untimely = found.starts_with("fact 2 is not proven: the request behind the fact was signed at ");
        assert_eq!(untimely, !fits, "{millis}: {found}");
    }
}

/// A log that is behind may have had nobody to publish it; but not if a fact tells that it was published.
#[tokio::test]
async fn a_checkpoint_that_was_anchored_is_missed() {
    let world = World::new();
    let node = world.start();
    node.create(task(0), escrow::terms(&[20_000])).await.unwrap();
    world.check().await;
    let checkpoint = Checkpoint::try_new("node.example/log", 9, [7; 32]).unwrap().to_string();
    let made = AnchorEvent::Made(Made { number: 1, checkpoint, tx: Vec::new(), seal_sat: 1, fee_sat: 1 });
    let fact = NewFact { kind: made.kind(), body: Body::Public(made.body()) };
    forge(&world, ANCHORS, vec![fact], |version| word(NODE, ANCHORS, version, &canonical::encode(&made))).await;
    let damage = world.fsck().run(|_| ()).await.unwrap_err().to_string();
    assert_eq!(damage, "the log: 1 facts are under its published checkpoint, and fact 2 anchors one of 9");
}

#[tokio::test]
async fn the_nodes_word_is_its_own_and_says_what_is_recorded() {
    let wake = canonical::encode(&NodeCommand::Wake);
    let expired = || vec![told(&Event::TaskExpired)];
    let hash = tallystick_core::PaymentHash([5; 32]);
    let paid = canonical::encode(&NodeCommand::RecordPayoutPaid { hash, id: Digest32([1; 32]), fee: Msat::ZERO });
    let one = stream(1);
    let what = found(&one, expired(), |version| word([9; 32], &one, version, &wake)).await;
    assert!(what.contains("which is not the node's key"), "{what}");
    for command in [paid.as_slice(), b"nonsense"] {
        assert_eq!(found(&one, expired(), |version| word(NODE, &one, version, command)).await, OTHER_WORD);
    }
    let fee = Event::PayoutPaid { tranche: 0, fee: escrow::msat(7) };
    assert_eq!(found(&one, vec![told(&fee)], |version| word(NODE, &one, version, &paid)).await, OTHER_WORD);
    // Of two keys, one is not the node's, whichever it is.
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[20_000], "held").await;
    node.create(task(1), escrow::terms(&[1_000])).await.unwrap();
    forge(&world, &one, expired(), |version| word([9; 32], &one, version, &wake)).await;
    let mut fsck = world.fsck();
    fsck.trusted.node = None;
    let damage = fsck.run(|_| ()).await.unwrap_err().to_string();
    assert!(damage.contains("which is not the node's key"), "{damage}");
}

#[tokio::test]
async fn an_erasure_is_asked_for_by_an_operator() {
    let fact = |n| {
        let body = canonical::encode(&Erased { stream: stream(n), version: 1 });
        vec![NewFact { kind: ERASED, body: Body::Public(body) }]
    };
    let request = |action, n| move |_| Authority::Request(asking(stranger(), task(n), &action));
    let wake = canonical::encode(&NodeCommand::Wake);
    let by_node = |version| word(NODE, "journal", version, &wake);
    for what in [
        found("journal", fact(1), by_node).await,
        found("journal", fact(1), request(Action::Cancel, 1)).await,
        found("journal", fact(1), request(Action::Erase, 0)).await,
    ] {
        assert_eq!(what, OTHER_REQUEST);
    }
    // A real one counts for those who trust whoever asked.
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[20_000], "open").await;
    node.cancel(task(0), requester()).await.unwrap();
    node.app.erase(task(0), asking(stranger(), task(0), &Action::Erase)).await.unwrap().expect("erased");
    world.check().await;
    let mut fsck = world.fsck();
    fsck.trusted.operators = [stranger(), worker()].into();
    assert_eq!(fsck.run(|_| ()).await.map(|sound| sound.erased), Ok(2));
    fsck.trusted.operators = [worker()].into();
    let damage = fsck.run(|_| ()).await.unwrap_err().to_string();
    assert!(damage.contains("asked to erase, and is no operator"), "{damage}");
}

#[tokio::test]
async fn an_anchors_fact_is_the_nodes_word_for_it() {
    let dropped = |number| AnchorEvent::Dropped(Dropped { number, block: [1; 32], height: 7 });
    let fact = vec![NewFact { kind: "anchor.dropped", body: Body::Public(dropped(1).body()) }];
    let other = canonical::encode(&dropped(2));
    assert_eq!(found("anchor", fact.clone(), |version| word(NODE, "anchor", version, &other)).await, OTHER_WORD);
    let asked = |_: u64| Authority::Request(asking(stranger(), task(0), &Action::Cancel));
    assert_eq!(found("anchor", fact, asked).await, OTHER_REQUEST);
    let unknown = vec![NewFact { kind: "else.noted", body: Body::Public(Vec::new()) }];
    let what = found("else", unknown, |version| word(NODE, "else", version, b"")).await;
    assert_eq!(what, "is not proven: this program knows no such fact");
}

#[tokio::test]
async fn an_erasure_of_evidence_is_asked_for_or_the_nodes_word_for_it() {
    let dispute = Id::from_parts(1, [1; 10]);
    let stream = format!("evidence/{dispute}");
    let erased = |n: u8| {
        let matter = Matter { task: task(0), dispute };
        canonical::encode(&EvidenceErased { matter, hashes: vec![Digest32([n; 32])] })
    };
    let fact = || vec![NewFact { kind: EVIDENCE_ERASED, body: Body::Public(erased(1)) }];
    let request = |action, n| move |_| Authority::Request(asking(stranger(), task(n), &action));
    for (n, action) in [
        (0, Action::Erase),
        (1, Action::EraseEvidence { dispute }),
        (0, Action::EraseEvidence { dispute: Id::from_parts(2, [1; 10]) }),
    ] {
        assert_eq!(found(&stream, fact(), request(action, n)).await, OTHER_REQUEST);
    }
    assert_eq!(found(&stream, fact(), |version| word(NODE, &stream, version, &erased(2))).await, OTHER_WORD);
    let elsewhere = "evidence/0193b1f4-7c3e-7000-8000-0123456789ab";
    let what = found(elsewhere, fact(), |version| word(NODE, elsewhere, version, &erased(1))).await;
    assert_eq!(what, "is not proven: this program knows no such fact");
}

/// A good signature, that asks for the fact: but the rules do not allow it.
#[tokio::test]
async fn every_decision_is_made_again() {
    let asked = |by, n, action| move |_| Authority::Request(asking(by, task(n), &action));
    let released = release_begun(1, ReleaseReason::Approved);
    let begun = |attempt| Event::PayoutBegun { tranche: 0, attempt, not_before: escrow::NOW };
    for (n, events, by, action) in [
        // Approved by somebody who is not its requester; too early; without a payout; with two.
        (0, vec![released.clone(), begun(1)], stranger(), Action::Approve { milestone: 0, tranches: None }),
        (1, vec![released.clone(), begun(1)], requester(), Action::Approve { milestone: 0, tranches: None }),
        (0, vec![released.clone()], requester(), Action::Approve { milestone: 0, tranches: None }),
        (0, vec![released.clone(), begun(1), begun(1)], requester(), Action::Approve { milestone: 0, tranches: None }),
        (1, vec![Event::TaskCancelled { by: worker() }], worker(), Action::Cancel),
    ] {
        let name = format!("{events:?}");
        let what = found(&stream(n), events.iter().map(told).collect(), asked(by, n, action)).await;
        assert!(what.starts_with("is not what the rules decide"), "{name}: {what}");
    }
    // Time has not passed, whatever the node says.
    let one = stream(1);
    let wake = canonical::encode(&NodeCommand::Wake);
    let what = found(&one, vec![told(&Event::TaskExpired)], |version| word(NODE, &one, version, &wake)).await;
    assert!(what.starts_with("is not what the rules decide"), "{what}");
}

/// Effects that the facts do not ask for, or that are done too soon, are found with no database at all.
#[tokio::test]
async fn a_payout_that_was_marked_as_done_is_found() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[20_000], "releasing").await;
    world.check().await;
    let due = world.store.due_effects(Timestamp::from_millis(u64::MAX >> 1), 10).await.unwrap();
    let pay = due.iter().find(|effect| effect.key.starts_with("escrow/pay/")).expect("a payout");
    world.store.finish_effect(&pay.key).await.unwrap();
    let damage = world.fsck().run(|_| ()).await.unwrap_err().to_string();
    assert_eq!(damage, format!("the outbox: {} is marked as done, and no fact tells of its outcome", pay.key));
}
