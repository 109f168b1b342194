//! The rules can be run again over the journal: from a fact's authority, time and height, and the facts before it, they
//! come to the same fact once more.

use std::collections::BTreeMap;
use tallystick_app::port::{journal::Journal, rail::InvoiceReader};
use tallystick_core::{Authority, BlockHeight, Ctx, Decider, Decision, Fact, NodeWord, canonical};
use tallystick_escrow::{Command, Escrow, Event, State, UserCommand};

use crate::{
    node::World,
    stories::{STORIES, Step, walk},
};

/// What a user asked, by the first fact that it led to. Through the edge it is read from the signed body.
fn asked(world: &World, event: &Event) -> UserCommand {
    match event.clone() {
        Event::TaskCreated { id, terms, policy, .. } => UserCommand::CreateTask { id, terms, policy: Box::new(policy) },
        Event::TaskAccepted { invoices, .. } => UserCommand::AcceptTask {
            invoices: invoices
                .into_iter()
                .map(|invoice| {
                    let facts = world.rail.read(&invoice.bolt11).unwrap();
                    (invoice.bolt11, facts)
                })
                .collect(),
        },
        Event::FundingRequested { .. } => UserCommand::RequestFunding,
        Event::WorkSubmitted { milestone, work_hash, .. } => UserCommand::SubmitWork { milestone, work_hash },
        Event::ReleaseBegun { milestone, tranches, .. } => {
            UserCommand::ApproveWork { milestone, tranches: Some(tranches) }
        }
        Event::WorkRejected { milestone, reason_hash } => UserCommand::RejectWork { milestone, reason_hash },
        Event::RefundBegun { .. } | Event::TaskCancelled { .. } => UserCommand::CancelTask,
        other => panic!("no user can have asked for {other:?}"),
    }
}

/// The command behind facts that were appended together; the node's word is checked.
async fn command(world: &World, facts: &[Fact], events: &[Event]) -> (Command, Ctx) {
    let first = &facts[0];
    let authority = world.store.authority(first.authority).await.unwrap().expect("an authority for each fact");
    let ctx = Ctx { now: first.recorded_at, height: first.height, author: authority.author() };
    let command = match &authority {
        Authority::Request(_) => Command::User(asked(world, &events[0])),
        Authority::Node { author, command, signature } => {
            let word = NodeWord {
                stream: &first.stream,
                expected_version: first.version - 1,
                recorded_at: first.recorded_at,
                height: first.height,
                command,
            };
            author.verify(&word.digest(), signature).expect("the node's word for this very decision");
            Command::Node(canonical::decode("node command", command).unwrap())
        }
    };
    (command, ctx)
}

/// Decides everything again. Answers how many decisions there were, and how many would have been others at another
/// height.
async fn decide_again(world: &World) -> (usize, usize) {
    let mut streams: BTreeMap<String, Vec<Fact>> = BTreeMap::new();
    for fact in world.facts().await {
        streams.entry(fact.stream.clone()).or_default().push(fact);
    }
    let (mut decisions, mut by_height) = (0, 0);
    for facts in streams.values() {
        let mut state = State::default();
        for facts in facts.chunk_by(|one, next| one.authority == next.authority) {
            let event = |fact: &Fact| canonical::decode("event", fact.body.content().unwrap()).unwrap();
            let events: Vec<Event> = facts.iter().map(event).collect();
            let (command, ctx) = command(world, facts, &events).await;
            let decide = |ctx: &Ctx| match Escrow::decide(&state, command.clone(), ctx) {
                Ok(Decision::Accept { events, .. }) => Ok(events),
                other => Err(format!("{other:?}")),
            };
            assert_eq!(decide(&ctx), Ok(events.clone()), "fact {}", facts[0].seq);
            decisions += 1;
            let others = [1, u32::MAX].map(|height| decide(&Ctx { height: BlockHeight(height), ..ctx }));
            by_height += usize::from(others.iter().any(|other| *other != Ok(events.clone())));
            state = events.iter().fold(state, Escrow::evolve);
        }
    }
    (decisions, by_height)
}

#[tokio::test]
async fn every_fact_of_every_story_is_decided_again() {
    let mut by_height = 0;
    for story in STORIES {
        let world = World::new();
        let mut node = world.start();
        for step in story.steps {
            if matches!(step, Step::Restart) {
                node = world.start();
            }
            walk(&node, story, *step).await;
        }
        let (decisions, others) = decide_again(&world).await;
        assert!(decisions >= 6, "{}: {decisions} decisions only", story.name);
        by_height += others;
    }
    assert!(by_height >= STORIES.len(), "the height decided nothing: the stories show too little");
}
