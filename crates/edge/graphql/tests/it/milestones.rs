//! Milestones, work that is accepted in parts, and holds that are renewed, as a client asks for them.

use serde_json::{Value, json};
use tallystick_core::Id;
use tallystick_escrow::Task;
use tallystick_graphql::RenewalOffer;

use crate::world::{TASK, World, public, requester, stranger, worker};

/// A task of two milestones, with two tranches and one, funded; its holds can be renewed.
pub async fn funded(world: &World) -> Id<Task> {
    let id = world.new_id();
    let mut input = world.input(id);
    let due = input["milestones"][0]["workDeadline"].clone();
    input["milestones"] = json!([
        { "title": "First", "payoutsSat": [1_000, 2_000], "workDeadline": due },
        { "title": "Second", "payoutsSat": [3_000], "workDeadline": due },
    ]);
    (input["renewal"], input["holdBlocks"]) = (json!("REFUND"), json!(200));
    let query = format!("mutation($input: CreateTaskInput!) {{ createTask(input: $input) {{ task {{ {TASK} }} }} }}");
    world.client(requester()).query(&query, json!({ "input": input })).await.unwrap();
    let invoices: Vec<String> = [1_000, 2_000, 3_000].map(|sat| world.rail.invoice("payee", sat)).into();
    let accept = ("acceptTask(id: $id, invoices: $invoices)", ", $invoices: [String!]!");
    world.act(&worker(), id, accept.0, accept.1, json!({ "invoices": invoices })).await.unwrap();
    let funding = world.act(&requester(), id, "fundingInvoice(id: $id)", "", json!({})).await.unwrap();
    let tranches = tranches(&funding["task"]);
    assert_eq!(tranches.len(), 3, "one call gives all invoices");
    for tranche in tranches {
        assert!(world.rail.pay_hold("payer", tranche["fundingInvoice"].as_str().unwrap()));
    }
    world.until(id, "HELD").await;
    id
}

fn tranches(task: &Value) -> Vec<Value> {
    let milestones = task["milestones"].as_array().unwrap().iter();
    milestones.flat_map(|part| part["tranches"].as_array().unwrap().clone()).collect()
}

fn states(task: &Value) -> Vec<&str> {
    task["milestones"].as_array().unwrap().iter().map(|part| part["state"].as_str().unwrap()).collect()
}

async fn submit(world: &World, id: Id<Task>, milestone: u32) -> Value {
    let field = "submitWork(id: $id, milestone: $milestone, workHash: $hash)";
    let variables = json!({ "milestone": milestone, "hash": "cd".repeat(32) });
    world.act(&worker(), id, field, ", $milestone: Int, $hash: Hex32!", variables).await.unwrap()
}

#[tokio::test]
async fn each_milestone_is_decided_on_and_a_part_of_one_can_be() {
    let world = World::start().await;
    let id = funded(&world).await;
    let submitted = submit(&world, id, 0).await;
    assert_eq!(states(&submitted["task"]), ["SUBMITTED", "HELD"]);
    let some = json!({ "tranches": [1] });
    let approve = "approveWork(id: $id, milestone: 0, tranches: $tranches)";
    let approved = world.act(&requester(), id, approve, ", $tranches: [Int!]", some.clone()).await.unwrap();
    assert_eq!(approved["changed"], true);
    let again = world.act(&requester(), id, approve, ", $tranches: [Int!]", some).await.unwrap();
    assert_eq!(again["changed"], false, "the same again");
    assert_eq!(tranches(&again["task"])[0]["state"], "HELD", "the other one is undecided");
    let none = world.act(&requester(), id, approve, ", $tranches: [Int!]", json!({ "tranches": [2] })).await;
    assert_eq!(none, Err("escrow.no_tranche".into()));
    let reject = "rejectWork(id: $id, milestone: 0, reasonHash: $hash)";
    let reason = json!({ "hash": "ef".repeat(32) });
    world.act(&requester(), id, reject, ", $hash: Hex32!", reason).await.unwrap();
    submit(&world, id, 1).await;
    world.act(&requester(), id, "approveWork(id: $id, milestone: 1)", "", json!({})).await.unwrap();
    let ended = world.until(id, "SETTLED").await;
    assert_eq!(states(&ended), ["SETTLED", "SETTLED"]);
    let parts = tranches(&ended);
    let told: Vec<_> = parts.iter().map(|part| (&part["state"], &part["reason"])).collect();
    let (claimed, approved) = (json!("CLAIMED"), json!("APPROVED"));
    assert_eq!(told, [(&json!("RETURNED"), &json!("REJECTED")), (&claimed, &approved), (&claimed, &approved)]);
    assert_eq!(world.rail.wallet_msat("payee"), 5_000_000);
    assert_eq!(world.rail.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn the_next_holds_are_locked_before_the_ones_before_go_back() {
    let world = World::start().await;
    let id = funded(&world).await;
    let invoices: Vec<String> = [1_000, 2_000].map(|sat| world.rail.invoice("payee", sat)).into();
    let offer = "offerRenewal(id: $id, invoices: $invoices)";
    let variables = json!({ "invoices": invoices });
    let refused = world.act(&stranger(), id, offer, ", $invoices: [String!]!", variables.clone()).await;
    assert_eq!(refused, Err("escrow.not_worker".into()));
    let again = variables.clone();
    world.act(&worker(), id, offer, ", $invoices: [String!]!", variables).await.unwrap();
    let made = |task: &Value| tranches(task)[..2].iter().all(|part| part["renewal"]["fundingInvoice"].is_string());
    let task = eventually(&world, id, made).await;
    assert!(tranches(&task)[2]["renewal"].is_null(), "the other milestone's hold stays as it is");
    let facts = world.facts().await;
    world.act(&worker(), id, offer, ", $invoices: [String!]!", again).await.unwrap();
    assert_eq!(world.facts().await, facts, "the same offer again changes nothing");

    // The requester checks what the worker signed; nobody else is shown it.
    let query = format!("{{ task(id: \"{id}\") {{ milestones {{ renewalOffer {{ event body }} }} }} }}");
    let shown = world.client(requester()).query(&query, json!({})).await.unwrap();
    let signed = &shown["task"]["milestones"][0]["renewalOffer"];
    let offer = RenewalOffer::try_new(signed["event"].as_str().unwrap(), signed["body"].as_str().unwrap()).unwrap();
    let expected = RenewalOffer { worker: public(&worker()), task: id, milestone: 0, invoices: invoices.clone() };
    assert_eq!(offer, expected);
    assert!(shown["task"]["milestones"][1]["renewalOffer"].is_null(), "nothing was offered for it");
    let hidden = world.client(stranger()).query(&query, json!({})).await.unwrap();
    assert!(hidden["task"]["milestones"][0]["renewalOffer"].is_null());

    for part in &tranches(&task)[..2] {
        let (next, until) = (part["renewal"]["fundingInvoice"].as_str().unwrap(), &part["renewal"]["fundUntil"]);
        assert!(until.as_u64() > Some(tallystick_app::Clock::now(&*world.clock).as_secs()));
        assert!(world.rail.pay_hold("payer", next));
    }
    let renewed = eventually(&world, id, |task| tranches(task)[..2].iter().all(|part| part["renewals"] == 1)).await;
    let shown: Vec<_> = tranches(&renewed)[..2].iter().map(|part| part["payoutInvoice"].clone()).collect();
    assert_eq!(shown, invoices.iter().map(|text| json!(text)).collect::<Vec<_>>());
    for milestone in [0, 1] {
        submit(&world, id, milestone).await;
        let field = format!("approveWork(id: $id, milestone: {milestone})");
        world.act(&requester(), id, &field, "", json!({})).await.unwrap();
    }
    world.until(id, "SETTLED").await;
    assert_eq!(world.rail.wallet_msat("payee"), 6_000_000);
    // Payouts and fees of 10, 20 and 30 sat, once each: the first holds are back.
    assert_eq!(world.rail.wallet_msat("payer"), 1_000_000_000 - 6_060_000);
    assert_eq!(world.rail.violations(), Vec::<String>::new());
}

/// The task as the requester sees it, once it is so.
async fn eventually(world: &World, id: Id<Task>, is_so: impl Fn(&Value) -> bool) -> Value {
    use futures::StreamExt;
    let query = format!("subscription($id: UUID) {{ taskUpdates(id: $id) {{ {TASK} }} }}");
    let client = world.client(requester());
    let mut updates = client.subscribe(&query, json!({ "id": id.to_string() })).await.unwrap();
    let reached = async {
        while let Some(update) = updates.next().await {
            let task = update.unwrap()["taskUpdates"].take();
            if is_so(&task) {
                return task;
            }
        }
        panic!("the updates ended")
    };
    tokio::time::timeout(crate::world::PATIENCE, reached).await.expect("it never was so")
}
