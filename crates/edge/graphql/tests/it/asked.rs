//! What signed requests ask for, read afterwards by whoever checks the journal.

use serde_json::{Value, json};
use tallystick_app::port::{
    journal::Journal,
    request::{Action, Asked, RequestReader},
};
use tallystick_civics::{
    dispute::{Award, UserCommand},
    registry::{self, Command, OperatorCommand},
};
use tallystick_core::{Authority, Digest32, Id, SignedRequest};
use tallystick_graphql::Requests;

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
        ("fundingInvoice(id: $id, bondInvoice: null)".to_owned(), Action::Fund),
        ("fundingInvoice(id: $id, bondInvoice: \"b\")".to_owned(), Action::FundWithBond("b".into())),
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
        ("concedeWork(id: $id)".to_owned(), Action::Concede { milestone: 0 }),
        ("openDispute(id: $id, milestone: 1)".to_owned(), Action::OpenDispute { milestone: 1 }),
        (
            "collectReward(id: $id, invoice: \"a\")".to_owned(),
            Action::CollectReward { milestone: 0, invoice: "a".into() },
        ),
        ("withdrawDispute(id: $id)".to_owned(), in_dispute(0, UserCommand::Withdraw)),
        (
            format!("submitEvidence(id: $id, hash: \"{hash}\", bytes: 7)"),
            in_dispute(0, UserCommand::FileEvidence { hash: digest, bytes: 7 }),
        ),
        ("acceptSeat(id: $id, milestone: 2)".to_owned(), in_dispute(2, UserCommand::AcceptSeat)),
        ("refuseSeat(id: $id)".to_owned(), in_dispute(0, UserCommand::RefuseSeat)),
        (
            format!("commitVote(id: $id, commitment: \"{hash}\")"),
            in_dispute(0, UserCommand::CommitVote { commitment: digest }),
        ),
        (
            format!("revealVote(id: $id, toWorker: [2, 0], salt: \"{hash}\")"),
            in_dispute(0, UserCommand::RevealVote { award: Award::new(0b101), salt: digest.0 }),
        ),
        ("appeal(id: $id)".to_owned(), in_dispute(0, UserCommand::Appeal)),
        ("acceptRuling(id: $id)".to_owned(), in_dispute(0, UserCommand::AcceptRuling)),
        ("eraseTask(id: $id)".to_owned(), Action::Erase),
        (format!("eraseEvidence(id: $id, dispute: \"{ID}\")"), Action::EraseEvidence { dispute: ID.parse().unwrap() }),
    ] {
        let query = format!("mutation($id: UUID!) {{ {field} {{ changed }} }}");
        assert_eq!(asked(&query, json!({ "id": ID })), Some(Asked::Task { task, action }), "{field}");
    }
}

fn in_dispute(milestone: u32, command: UserCommand) -> Action {
    Action::Dispute { milestone, command }
}

#[test]
fn every_mutation_of_the_registry_is_read() {
    let (hash, key) = ("cd".repeat(32), public(&worker()));
    let statement_hash = Digest32([0xcd; 32]);
    for (field, command) in [
        (
            format!("registerArbitrator(statementHash: \"{hash}\", pay: \"a@b.example\")"),
            Command::User(registry::UserCommand::Register { statement_hash, pay: "a@b.example".into() }),
        ),
        ("pauseArbitrator".to_owned(), Command::User(registry::UserCommand::Pause)),
        ("resumeArbitrator".to_owned(), Command::User(registry::UserCommand::Resume)),
        ("withdrawArbitrator".to_owned(), Command::User(registry::UserCommand::Withdraw)),
        (
            format!("admitArbitrator(arbitrator: \"{key}\", statementHash: \"{hash}\")"),
            Command::Operator(OperatorCommand::Admit { arbitrator: key, statement_hash }),
        ),
        (
            format!("suspendArbitrator(arbitrator: \"{key}\")"),
            Command::Operator(OperatorCommand::Suspend { arbitrator: key }),
        ),
    ] {
        let query = format!("mutation {{ {field} {{ changed }} }}");
        assert_eq!(asked(&query, json!({})), Some(Asked::Registry(command)), "{field}");
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

    let sound = world.fsck().await.unwrap();
    assert_eq!((sound.tasks, sound.erased), (3, 2));
    let last = world.store.facts(0, 1_000).await.unwrap().pop().unwrap();
    assert!(matches!(world.store.authority(last.authority).await, Ok(Some(Authority::Request(_)))));
}
