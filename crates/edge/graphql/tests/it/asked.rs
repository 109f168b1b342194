//! What signed requests ask for, read afterwards by whoever checks the journal.

use serde_json::{Value, json};
use std::sync::Arc;
use tallystick_app::{
    cause::Trusted,
    fsck::Fsck,
    port::{
        journal::Journal,
        request::{Action, Asked, RequestReader},
    },
};
use tallystick_core::{Authority, Digest32, Id, SignedRequest};
use tallystick_graphql::Requests;
use tallystick_log::WitnessPolicy;

use crate::world::{World, operator, public, requester, worker};

const ID: &str = "0193b1f4-7c3e-7000-8000-0123456789ab";

fn asked(query: &str, variables: Value) -> Option<Asked> {
    let body = json!({ "query": query, "variables": variables }).to_string().into_bytes();
    Requests.read(&SignedRequest { author: public(&requester()), id: Digest32([7; 32]), event: "{}".into(), body })
}

#[test]
fn every_mutation_of_a_task_is_read() {
    let task: Id<_> = ID.parse().unwrap();
    let hash = "cd".repeat(32);
    let digest: Digest32 = hash.parse().unwrap();
    for (field, action) in [
        ("acceptTask(id: $id, invoices: [\"a\", \"b\"])".to_owned(), Action::Accept(vec!["a".into(), "b".into()])),
        ("acceptTask(id: $id, invoices: \"a\")".to_owned(), Action::Accept(vec!["a".into()])),
        ("fundingInvoice(id: $id)".to_owned(), Action::Fund),
        (format!("submitWork(id: $id, workHash: \"{hash}\")"), Action::Submit { milestone: 0, work_hash: digest }),
        (
            format!("submitWork(id: $id, milestone: 2, workHash: \"{hash}\")"),
            Action::Submit { milestone: 2, work_hash: digest },
        ),
        (
            "offerRenewal(id: $id, milestone: 1, invoices: [\"a\", \"b\"])".to_owned(),
            Action::OfferRenewal { milestone: 1, invoices: vec!["a".into(), "b".into()] },
        ),
        ("approveWork(id: $id)".to_owned(), Action::Approve { milestone: 0, tranches: None }),
        ("cancelTask: approveWork(id: $id)".to_owned(), Action::Approve { milestone: 0, tranches: None }),
        (
            "approveWork(id: $id, milestone: 1, tranches: [0, 2])".to_owned(),
            Action::Approve { milestone: 1, tranches: Some(vec![0, 2]) },
        ),
        (
            "approveWork(id: $id, milestone: null, tranches: null)".to_owned(),
            Action::Approve { milestone: 0, tranches: None },
        ),
        (format!("rejectWork(id: $id, reasonHash: \"{hash}\")"), Action::Reject { milestone: 0, reason_hash: digest }),
        ("cancelTask(id: $id)".to_owned(), Action::Cancel),
        ("eraseTask(id: $id)".to_owned(), Action::Erase),
    ] {
        let query = format!("mutation($id: UUID!) {{ {field} {{ changed }} }}");
        assert_eq!(asked(&query, json!({ "id": ID })), Some(Asked::Task { task, action }), "{field}");
    }
}

#[test]
fn what_asks_for_nothing_is_not_read() {
    let cancel = |more: &str| format!("mutation($id: UUID!, $yes: Boolean = true) {{ cancelTask(id: $id) {more} }}");
    let read = |query: &str| match asked(query, json!({ "id": ID })) {
        Some(Asked::Task { action, .. }) => Some(action),
        Some(Asked::Registry(_)) | None => None,
    };
    // Directives are obeyed as the node obeys them.
    for (more, is_run) in [
        ("@skip(if: false) { changed }", true),
        ("@include(if: $yes) { changed }", true),
        ("@skip(if: $yes) { changed }", false),
        ("@include(if: false) { changed }", false),
        ("@include(if: true) @skip(if: true) { changed }", false),
        ("@include { changed }", false),
        ("@other(if: true) { changed }", false),
    ] {
        assert_eq!(read(&cancel(more)), is_run.then_some(Action::Cancel), "{more}");
    }
    for query in [
        "{ task(id: \"0193b1f4-7c3e-7000-8000-0123456789ab\") { id } }",
        "mutation($id: UUID!) { nodeConnect(peer: \"a\", address: \"b\") }",
        "mutation { cancelTask(id: \"x\") { changed } }",
        "mutation { cancelTask { changed } }",
        "mutation($id: UUID!) { submitWork(id: $id) { changed } }",
        "mutation($id: UUID!) { createTask(input: { id: $id }) { changed } }",
        "mutation($id: UUID!) { cancelTask(id: $id) { changed } approveWork(id: $id) { changed } }",
        "cancelTask",
    ] {
        assert_eq!(read(query), None, "{query}");
    }
}

/// Whatever the API makes facts of, fsck finds asked for, and decides again.
#[tokio::test]
async fn what_the_api_writes_is_sound() {
    let world = World::start().await;
    world.app.refresh_tasks(&*world.store).await.unwrap();
    let (requester, worker, operator) = (requester(), worker(), operator());
    let act = async |by, id, field: &str, variables, values| world.act(by, id, field, variables, values).await.unwrap();
    let hash = json!({ "hash": "cd".repeat(32) });
    let paid = world.create().await;
    let rejected = world.create().await;
    for id in [paid, rejected] {
        world.accept(id).await;
        world.fund(id).await;
        world.until(id, "HELD").await;
        act(&worker, id, "submitWork(id: $id, workHash: $hash)", ", $hash: Hex32!", hash.clone()).await;
    }
    act(&requester, paid, "approveWork(id: $id)", "", json!({})).await;
    act(&requester, rejected, "rejectWork(id: $id, reasonHash: $hash)", ", $hash: Hex32!", hash).await;
    let cancelled = world.create().await;
    let skip = "cancelTask(id: $id) @include(if: $yes)";
    act(&requester, cancelled, skip, ", $yes: Boolean!", json!({ "yes": true })).await;
    // Without an id the request itself is what names the task.
    let mut input = world.input(world.new_id());
    input.as_object_mut().unwrap().remove("id");
    let body = json!({ "query": "mutation($input: CreateTaskInput!) { createTask(input: $input) { changed } }",
        "variables": { "input": input } });
    assert_eq!(world.signed(&requester, &body.to_string()).await.1["data"]["createTask"]["changed"], true);
    world.until(paid, "SETTLED").await;
    world.until(rejected, "REFUNDED").await;
    let proposal = world.proposed(&format!("eraseTask: \"{cancelled}\"")).await;
    let erase = format!("mutation {{ eraseTask(id: \"{cancelled}\", secondFactor: {{ confirms: {proposal} }}) }}");
    assert!(world.ask(&operator, &erase).await.1["data"]["eraseTask"].is_u64());

    tallystick_testkit::publish(&world.store).await;
    let fsck = |operators: &[_]| Fsck {
        store: Arc::clone(&world.store) as _,
        requests: Arc::new(Requests),
        invoices: Arc::new(world.rail.clone()),
        trusted: Trusted { node: Some(world.app.key()), operators: operators.iter().map(public).collect() },
        key: None,
        policy: WitnessPolicy::none(),
        checkpoints: Vec::new(),
        now: tallystick_app::Clock::now(&*world.clock),
    };
    let sound = fsck(std::slice::from_ref(&operator)).run(|_| ()).await.unwrap();
    assert_eq!((sound.tasks, sound.erased), (3, 2));
    let last = world.store.facts(0, 1_000).await.unwrap().pop().unwrap();
    assert!(matches!(world.store.authority(last.authority).await, Ok(Some(Authority::Request(_)))));
    let found = fsck(std::slice::from_ref(&worker)).run(|_| ()).await.unwrap_err().to_string();
    assert!(found.starts_with(&format!("fact {} is not proven", last.seq)) && found.contains("no operator"), "{found}");
}
