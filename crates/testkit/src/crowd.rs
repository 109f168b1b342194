//! A journal of many facts: tasks between a crowd of people, each settled and all of its effects done, as benches want them.

use std::ops::Range;

use tallystick_app::port::journal::{Append, Journal, NewEffect, NewFact};
use tallystick_core::{Authority, Body, Duration, Id, NodeKey, NostrKey, Signature, canonical};
use tallystick_escrow::{Effect, Event};
use tokio::task::JoinSet;

use crate::escrow;

/// Tasks written at once.
pub const WRITERS: u64 = 256;

/// People, and what they do: every task pays 1,000 to 300,000 sat from one to another.
#[derive(Clone)]
pub struct Crowd {
    keys: Vec<NostrKey>,
    story: Vec<Event>,
    effects: Vec<Effect>,
}

impl Crowd {
    /// So many people, two at least.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn new(people: u64) -> Self {
        assert!(people > 1, "nobody settles a task alone");
        let settled = escrow::settled(&[1_000]);
        Self { keys: (0..people).map(key).collect(), story: settled.facts, effects: settled.effects }
    }

    /// Everybody.
    pub fn keys(&self) -> &[NostrKey] {
        &self.keys
    }

    /// The facts of one task.
    pub fn facts_per_task(&self) -> u64 {
        self.story.len() as u64
    }

    /// Writes these tasks, [`WRITERS`] at once, each in one append. Nobody signed them: fsck would say so.
    ///
    /// # Panics
    /// If the journal refuses one.
    pub async fn fill(&self, journal: &(impl Journal + Clone + 'static), tasks: Range<u64>) {
        let mut set = JoinSet::new();
        for writer in 0..WRITERS {
            let (journal, crowd, tasks) = (journal.clone(), self.clone(), tasks.clone());
            set.spawn(async move {
                let step = usize::try_from(WRITERS).expect("it fits");
                for task in (tasks.start + writer..tasks.end).step_by(step) {
                    journal.append(crowd.settled(task)).await.expect("a new stream");
                }
            });
        }
        while let Some(ended) = set.join_next().await {
            ended.expect("a writer");
        }
    }

    /// A settled task, all of its facts at once.
    fn settled(&self, task: u64) -> Append {
        let id = Id::from_parts(escrow::NOW.as_millis() + task, [7; 10]);
        let people = self.keys.len() as u64;
        let payer = pick(task) % people;
        let payee = (payer + 1 + pick(task + 1) % (people - 1)) % people;
        let of = |n: u64| self.keys[usize::try_from(n).expect("it fits")];
        let paid = escrow::sat(1_000 + pick(task + 2) % 299_000);
        let facts = self.story.iter().cloned().map(|mut event| {
            match &mut event {
                Event::TaskCreated { id: own, requester, terms, .. } => {
                    (*own, *requester) = (id, of(payer));
                    terms.milestones[0].payouts = vec![paid];
                }
                Event::TaskAccepted { worker, .. } => *worker = of(payee),
                _ => {}
            }
            NewFact { kind: event.kind(), body: Body::private([5; 32], canonical::encode(&event)) }
        });
        let effect = |effect: &Effect| NewEffect {
            key: format!("{}/{task}", effect.key()),
            body: canonical::encode(effect),
            due: escrow::NOW,
        };
        let effects: Vec<NewEffect> = self.effects.iter().map(effect).collect();
        Append {
            stream: format!("escrow/{id}"),
            expected_version: 0,
            facts: facts.collect(),
            authority: Authority::Node {
                author: of(0),
                command: task.to_le_bytes().to_vec(),
                signature: Signature([6; 64]),
            },
            recorded_at: escrow::NOW.after(Duration::from_secs(task)),
            height: escrow::HEIGHT,
            finishes: effects.iter().map(|effect| effect.key.clone()).collect(),
            effects,
            reservations: Vec::new(),
            row: None,
            erases: None,
        }
    }
}

/// Numbers that jump about (Knuth's multiplicative hash).
fn pick(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
}

fn key(n: u64) -> NostrKey {
    let mut secret = [1; 32];
    secret[24..].copy_from_slice(&n.to_be_bytes());
    NodeKey::try_new(&secret).expect("far below the curve's order").public()
}
