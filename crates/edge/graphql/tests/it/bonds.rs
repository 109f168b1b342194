//! Bonds over the API: from the terms to where each of them goes.

use futures::StreamExt;
use nostr::key::Keys;
use serde_json::{Value, json};
use tallystick_civics::dispute::{Award, commitment};
use tallystick_core::Id;
use tallystick_escrow::Task;
use tallystick_graphql::BondOffer;

use crate::disputes::{admit, in_state};
use crate::world::{PATIENCE, World, keys, public, requester, stranger, worker};

/// What the two put up, in sat.
const BONDS: (u64, u64) = (3_000, 2_000);
const VIEW: &str = "id state reason bonds { of promisedBy returnBy blocksLeft secondsLeft then \
    hold { payoutSat feeSat holdSat state reason paymentHash payoutInvoice fundingInvoice } } \
    milestones { workDeadline decideBy tranches { fundingInvoice } }";

async fn world() -> World {
    let world = World::start().await;
    world.app.refresh_tasks(&*world.store).await.unwrap();
    world.rail.add_wallet("payee", 10_000);
    world
}

/// One mutation: whether it changed something, and the task.
async fn act(world: &World, by: &Keys, declared: &str, field: &str, variables: Value) -> Result<(bool, Value), String> {
    let query = format!("mutation({declared}) {{ it: {field} {{ changed task {{ {VIEW} }} }} }}");
    let data = world.client(by.clone()).query(&query, variables).await.map_err(|error| error.code)?;
    Ok((data["it"]["changed"] == true, data["it"]["task"].clone()))
}

async fn of(world: &World, by: &Keys, id: Id<Task>, field: &str) -> Result<(bool, Value), String> {
    act(world, by, "$id: UUID!", field, json!({ "id": id.to_string() })).await
}

async fn shown(world: &World, by: &Keys, id: Id<Task>, fields: &str) -> Value {
    let query = format!("{{ task(id: \"{id}\") {{ {fields} }} }}");
    world.client(by.clone()).query(&query, json!({})).await.unwrap()["task"].take()
}

/// Follows a task until this is so.
async fn until(world: &World, id: Id<Task>, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let client = world.client(requester());
    let query = format!("subscription {{ taskUpdates(id: \"{id}\") {{ {VIEW} }} }}");
    let mut updates = client.subscribe(&query, json!({})).await.unwrap();
    let reached = async {
        while let Some(update) = updates.next().await {
            let task = update.unwrap()["taskUpdates"].take();
            if is_so(&task) {
                return task;
            }
        }
        panic!("the updates ended before {what}")
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("never {what}"))
}

/// Where a side's bond stands, and why.
fn hold<'a>(task: &'a Value, of: &str) -> (&'a str, &'a Value) {
    let bond = task["bonds"].as_array().unwrap().iter().find(|bond| bond["of"] == of).unwrap();
    (bond["hold"]["state"].as_str().unwrap(), &bond["hold"]["reason"])
}

/// A task with both bonds that the worker has taken.
async fn taken(world: &World) -> Id<Task> {
    let id = world.new_id();
    let mut input = world.input(id);
    (input["panel"], input["onSilence"]) = (json!("ONE"), json!("REFUND"));
    (input["requesterBondSat"], input["workerBondSat"]) = (json!(BONDS.0), json!(BONDS.1));
    let create = ("$input: CreateTaskInput!", "createTask(input: $input)");
    assert!(act(world, &requester(), create.0, create.1, json!({ "input": input })).await.unwrap().0);
    assert!(
        !act(world, &requester(), create.0, create.1, json!({ "input": input })).await.unwrap().0,
        "the same again"
    );
    let take = async |invoices: &[String]| {
        let variables = json!({ "id": id.to_string(), "invoices": invoices });
        act(
            world,
            &worker(),
            "$id: UUID!, $invoices: [String!]!",
            "acceptTask(id: $id, invoices: $invoices)",
            variables,
        )
        .await
    };
    let invoices = [1_000, BONDS.0].map(|sat| world.rail.invoice("payee", sat));
    assert_eq!(take(&invoices[..1]).await.unwrap_err(), "invoice.count");
    assert!(take(&invoices).await.unwrap().0);
    assert!(!take(&invoices).await.unwrap().0);
    assert!(shown(world, &requester(), id, "invoiceExpiryNeeded").await["invoiceExpiryNeeded"].is_u64());
    id
}

/// The same with all money locked, each side its own.
pub async fn held(world: &World) -> Id<Task> {
    let id = taken(world).await;
    assert_eq!(of(world, &requester(), id, "fundingInvoice(id: $id)").await.unwrap_err(), "invoice.count");
    let invoice = world.rail.invoice("payer", BONDS.1);
    let ask = format!("fundingInvoice(id: $id, bondInvoice: \"{invoice}\")");
    assert_eq!(of(world, &worker(), id, &ask).await.unwrap_err(), "escrow.not_requester");
    let (changed, task) = of(world, &requester(), id, &ask).await.unwrap();
    assert!(changed && !of(world, &requester(), id, &ask).await.unwrap().0);
    let other = format!("fundingInvoice(id: $id, bondInvoice: \"{}\")", world.rail.invoice("payer", BONDS.1));
    assert_eq!(of(world, &requester(), id, &other).await.unwrap_err(), "escrow.bond_already_offered");
    assert!(
        !of(world, &requester(), id, "fundingInvoice(id: $id)").await.unwrap().0,
        "the same bond, without its text"
    );
    pay(world, "payer", &task["milestones"][0]["tranches"][0]);
    pay(world, "payer", &task["bonds"][0]["hold"]);
    let waiting = until(world, id, "the requester's bond is locked", |task| hold(task, "REQUESTER").0 == "HELD").await;
    assert_eq!((&waiting["state"], hold(&waiting, "WORKER").0), (&json!("FUNDING"), "UNFUNDED"));
    pay(world, "payee", &task["bonds"][1]["hold"]);
    world.until(id, "HELD").await;
    id
}

fn pay(world: &World, wallet: &str, hold: &Value) {
    assert!(world.rail.pay_hold(wallet, hold["fundingInvoice"].as_str().unwrap()));
}

async fn submit(world: &World, id: Id<Task>) {
    let hash = "cd".repeat(32);
    assert!(of(world, &worker(), id, &format!("submitWork(id: $id, workHash: \"{hash}\")")).await.unwrap().0);
}

async fn is_sound(world: &World) {
    assert_eq!(world.rail.violations(), Vec::<String>::new());
    world.fsck().await.unwrap();
}

#[tokio::test]
async fn both_see_what_is_put_up_and_get_it_back() {
    let world = world().await;
    let id = held(&world).await;
    let task = shown(&world, &worker(), id, VIEW).await;
    let (of_requester, of_worker) = (&task["bonds"][0], &task["bonds"][1]);
    assert_eq!((&of_requester["of"], &of_worker["of"]), (&json!("REQUESTER"), &json!("WORKER")));
    // A hundredth, and at least 10 sat.
    let amounts = |bond: &Value| ["payoutSat", "feeSat", "holdSat"].map(|name| bond["hold"][name].as_u64().unwrap());
    assert_eq!([amounts(of_requester), amounts(of_worker)], [[3_000, 30, 3_030], [2_000, 20, 2_020]]);
    // What happens next, and when.
    assert_eq!((&of_requester["then"], &of_worker["then"]), (&json!("GIVEN_BACK"), &json!("TAKEN")));
    // Work is taken for three more minutes after the deadline.
    let deadline = task["milestones"][0]["workDeadline"].as_u64().unwrap();
    assert_eq!((&of_requester["promisedBy"], &of_worker["promisedBy"]), (&Value::Null, &json!(deadline + 180)));
    for bond in [of_requester, of_worker] {
        assert!(bond["returnBy"].as_u64() >= task["milestones"][0]["decideBy"].as_u64());
        assert_eq!(bond["blocksLeft"].as_u64().unwrap() * 600, bond["secondsLeft"].as_u64().unwrap());
    }
    // Strangers see how much, and nothing that could be paid.
    let strange = shown(&world, &stranger(), id, VIEW).await;
    for name in ["paymentHash", "payoutInvoice", "fundingInvoice"] {
        assert!(strange["bonds"][1]["hold"][name].is_null() && task["bonds"][1]["hold"][name].is_string(), "{name}");
    }
    // The worker checks to whom its bond would go.
    let signed = shown(&world, &worker(), id, "bondOffer { event body }").await["bondOffer"].take();
    let offer = BondOffer::try_new(signed["event"].as_str().unwrap(), signed["body"].as_str().unwrap()).unwrap();
    let invoice = of_worker["hold"]["payoutInvoice"].as_str().unwrap().to_owned();
    assert_eq!(offer, BondOffer { requester: public(&requester()), task: id, invoice });
    assert!(shown(&world, &stranger(), id, "bondOffer { event }").await["bondOffer"].is_null());

    submit(&world, id).await;
    let submitted = shown(&world, &worker(), id, VIEW).await;
    assert_eq!(
        (&submitted["bonds"][1]["then"], &submitted["bonds"][1]["promisedBy"]),
        (&json!("GIVEN_BACK"), &Value::Null)
    );
    of(&world, &requester(), id, "approveWork(id: $id)").await.unwrap();
    let ended = until(&world, id, "it is settled", |task| task["state"] == "SETTLED").await;
    for side in ["REQUESTER", "WORKER"] {
        assert_eq!(hold(&ended, side), ("RETURNED", &json!("BOND_KEPT")));
    }
    assert_eq!((&ended["bonds"][1]["then"], &ended["bonds"][1]["returnBy"]), (&Value::Null, &Value::Null));
    assert_eq!((world.rail.wallet_msat("payer"), world.rail.wallet_msat("payee")), (998_990_000, 11_000_000));
    is_sound(&world).await;
}

#[tokio::test]
async fn a_worker_who_hands_in_nothing_loses_its_bond_to_the_requester() {
    let world = world().await;
    let id = held(&world).await;
    world.wait(86_400 + 180);
    world.rail.mine(1);
    let ended = until(&world, id, "it is refunded", |task| task["state"] == "REFUNDED").await;
    assert_eq!(ended["reason"], "WORK_DEADLINE");
    assert_eq!(hold(&ended, "WORKER"), ("CLAIMED", &json!("BROKEN_PROMISE")));
    assert_eq!(hold(&ended, "REQUESTER"), ("RETURNED", &json!("BOND_KEPT")));
    assert_eq!((world.rail.wallet_msat("payer"), world.rail.wallet_msat("payee")), (1_002_000_000, 7_980_000));
    is_sound(&world).await;
}

#[tokio::test]
async fn an_arbitrator_sees_which_parts_are_bonds_and_takes_one() {
    let world = world().await;
    let one = keys(8);
    admit(&world, &one).await;
    let id = held(&world).await;
    submit(&world, id).await;
    let hash = "ef".repeat(32);
    of(&world, &requester(), id, &format!("rejectWork(id: $id, reasonHash: \"{hash}\")")).await.unwrap();
    of(&world, &worker(), id, "openDispute(id: $id)").await.unwrap();
    let parts = "milestones { dispute { tranches partsSat parts } }";
    let dispute = shown(&world, &stranger(), id, parts).await["milestones"][0]["dispute"].take();
    let expected = json!({ "tranches": [0, 1, 2], "partsSat": [1_000, 3_000, 2_000],
        "parts": ["WORK", "REQUESTER_BOND", "WORKER_BOND"] });
    assert_eq!(dispute, expected);
    world.rail.mine(6);
    in_state(&world, &worker(), id, "SEATING").await;
    of(&world, &one, id, "acceptSeat(id: $id)").await.unwrap();
    world.rail.mine(18);
    let voting = in_state(&world, &worker(), id, "COMMITTING").await;
    // The work is paid for, and the requester's bond taken; the worker keeps its own.
    let about = voting["id"].as_str().unwrap().parse().unwrap();
    // Whoever forgets a bond, or names one that is not taken, takes none.
    let salt = "07".repeat(32);
    for (to_worker, take_bonds) in
        [("0", ""), ("0", "REQUESTER"), ("0, 1, 2", ""), ("0, 1", "WORKER"), ("0, 2", "WORKER"), ("0, 2", "REQUESTER")]
    {
        let vote = format!("revealVote(id: $id, toWorker: [{to_worker}], takeBonds: [{take_bonds}], salt: \"{salt}\")");
        assert_eq!(of(&world, &one, id, &vote).await.unwrap_err(), "request.bonds_unnamed", "{vote}");
    }
    let hidden = commitment(about, 1, public(&one), Award::new(0b111), &[7; 32]);
    of(&world, &one, id, &format!("commitVote(id: $id, commitment: \"{hidden}\")")).await.unwrap();
    in_state(&world, &worker(), id, "REVEALING").await;
    let vote = format!("revealVote(id: $id, toWorker: [0, 1, 2], takeBonds: [REQUESTER], salt: \"{salt}\")");
    of(&world, &one, id, &vote).await.unwrap();
    in_state(&world, &worker(), id, "RULED").await;
    let award = "toWorker workerSat requesterSat bondsTaken";
    let query = format!("milestones {{ dispute {{ ruling {{ {award} }} panel {{ vote {{ {award} }} }} }} }}");
    let ruled = shown(&world, &worker(), id, &query).await["milestones"][0]["dispute"].take();
    let expected = json!({ "toWorker": [0, 1, 2], "workerSat": 4_000, "requesterSat": 0, "bondsTaken": ["REQUESTER"] });
    assert_eq!((&ruled["ruling"], &ruled["panel"][0]["vote"]), (&expected, &expected));
    for side in [requester(), worker()] {
        of(&world, &side, id, "acceptRuling(id: $id)").await.unwrap();
    }
    let ended = until(&world, id, "it is settled", |task| task["state"] == "SETTLED").await;
    assert_eq!(hold(&ended, "REQUESTER"), ("CLAIMED", &json!("RULED")));
    assert_eq!(hold(&ended, "WORKER"), ("RETURNED", &json!("BOND_KEPT")));
    assert_eq!((world.rail.wallet_msat("payer"), world.rail.wallet_msat("payee")), (995_960_000, 14_000_000));
    is_sound(&world).await;
}

#[tokio::test]
async fn what_is_told_of_a_bond_is_what_will_become_of_it() {
    // Blocks that decide before the deadline give it back.
    let hasty = world().await;
    let id = held(&hasty).await;
    let task = shown(&hasty, &worker(), id, VIEW).await;
    assert_eq!(task["bonds"][1]["then"], "TAKEN");
    let left = task["bonds"][1]["blocksLeft"].as_u64().unwrap();
    hasty.rail.mine(u32::try_from(left).unwrap() - 100);
    let task = until(&hasty, id, "100 blocks are left", |task| task["bonds"][1]["blocksLeft"] == 100).await;
    assert_eq!((&task["state"], &task["bonds"][1]["then"]), (&json!("HELD"), &json!("GIVEN_BACK")));
    // So does an absence of the node.
    let away = world().await;
    let id = held(&away).await;
    let from = tallystick_app::Clock::now(&*away.clock);
    away.wait(121);
    assert!(away.app.note_outage(from).await.unwrap());
    let task = shown(&away, &worker(), id, VIEW).await;
    assert_eq!((&task["bonds"][1]["then"], task["bonds"][1]["promisedBy"].is_null()), (&json!("GIVEN_BACK"), false));
}

#[tokio::test]
async fn bonds_have_terms_of_their_own() {
    let world = world().await;
    let refused = async |change: &dyn Fn(&mut Value)| {
        let mut input = world.input(world.new_id());
        change(&mut input);
        act(&world, &requester(), "$input: CreateTaskInput!", "createTask(input: $input)", json!({ "input": input }))
            .await
            .unwrap_err()
    };
    assert_eq!(refused(&|input| input["requesterBondSat"] = json!(3_000)).await, "terms.bond_without_panel");
    let renewable = |input: &mut Value| (input["workerBondSat"], input["renewal"]) = (json!(2_000), json!("REFUND"));
    assert_eq!(refused(&renewable).await, "terms.bond_with_renewal");
    assert_eq!(refused(&|input| input["workerBondSat"] = json!(100_001)).await, "terms.bond");
    // Nobody asked for one.
    let id = world.create().await;
    world.accept(id).await;
    assert!(shown(&world, &requester(), id, "invoiceExpiryNeeded").await["invoiceExpiryNeeded"].is_null());
    let invoice = world.rail.invoice("payer", 2_000);
    let ask = format!("fundingInvoice(id: $id, bondInvoice: \"{invoice}\")");
    assert_eq!(of(&world, &requester(), id, &ask).await.unwrap_err(), "invoice.count");
    let task = of(&world, &requester(), id, "fundingInvoice(id: $id)").await.unwrap().1;
    assert_eq!((&task["state"], &task["bonds"]), (&json!("FUNDING"), &json!([])));
}
