//! A task from its creation to its end, through the API alone.

use serde_json::{Value, json};
use tallystick_graphql::{Acceptance, EdgeError, Posting};

use crate::world::{TASK, World, code, operator, public, requester, stranger, worker};

#[tokio::test]
async fn a_task_is_paid_out() {
    let world = World::start().await;
    let id = world.create().await;
    let open = world.until(id, "OPEN").await;
    assert!(!open["invoiceExpiryNeeded"].is_null());
    assert_eq!(open["expiresAt"], open["milestones"][0]["workDeadline"]);
    assert!(open["secondsToExpire"].as_u64().is_some_and(|left| left > 0), "{open}");
    let accepted = world.accept(id).await;
    assert_eq!(accepted["task"]["state"], "ASSIGNED");
    assert_eq!(accepted["task"]["expiresAt"], open["expiresAt"]);
    assert!(accepted["task"]["invoiceExpiryNeeded"].is_null(), "it was handed in");
    world.fund(id).await;

    let mut held = world.until(id, "HELD").await;
    assert!(held["expiresAt"].is_null() && held["secondsToExpire"].is_null(), "{held}");
    let held = held["milestones"][0].take();
    assert_eq!(held["atDeadline"], "REFUND", "nothing was submitted");
    assert!(held["submitBy"].as_u64().unwrap() < held["decideBy"].as_u64().unwrap(), "{held}");
    let blocks = held["blocksToDecide"].as_u64().unwrap();
    assert_eq!(held["decideBy"].as_u64().unwrap() - blocks, 800_000);
    assert_eq!(held["secondsToDecide"], json!(blocks * 600));

    let work = json!({ "workHash": "cd".repeat(32) });
    let submit = |by, work: &Value| {
        world.act(by, id, "submitWork(id: $id, workHash: $workHash)", ", $workHash: Hex32!", work.clone())
    };
    let (requester, worker, stranger) = (requester(), worker(), stranger());
    assert_eq!(submit(&stranger, &work).await, Err("escrow.not_worker".into()));
    let submitted = submit(&worker, &work).await.unwrap();
    assert_eq!(submitted["task"]["milestones"][0]["atDeadline"], "RELEASE", "as the terms say");
    assert_eq!(submitted["task"]["milestones"][0]["workHash"], json!("cd".repeat(32)));

    assert_eq!(world.act(&worker, id, "approveWork(id: $id)", "", json!({})).await, Err("escrow.not_requester".into()));
    world.act(&requester, id, "approveWork(id: $id)", "", json!({})).await.unwrap();
    let settled = world.until(id, "SETTLED").await;
    assert_eq!(settled["reason"], "APPROVED");
    assert_eq!(settled["milestones"][0]["tranches"][0]["payoutSat"], 1_000);
    assert_eq!(settled["milestones"][0]["tranches"][0]["feeSat"], 10);
    assert_eq!(settled["milestones"][0]["tranches"][0]["holdSat"], 1_010);
    assert!(settled["milestones"][0]["tranches"][0]["routingFeeMsat"].is_string());
    assert_eq!(world.rail.wallet_msat("payee"), 1_000_000);
    assert_eq!(world.rail.wallet_msat("payer"), 1_000_000_000 - 1_010_000);
    assert_eq!(world.rail.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn rejected_and_cancelled_tasks_are_refunded() {
    let world = World::start().await;
    let (requester, worker) = (requester(), worker());
    let rejected = world.create().await;
    world.accept(rejected).await;
    world.fund(rejected).await;
    let work = json!({ "workHash": "cd".repeat(32) });
    world
        .act(&worker, rejected, "submitWork(id: $id, workHash: $workHash)", ", $workHash: Hex32!", work)
        .await
        .unwrap();
    let reason = json!({ "hash": "ef".repeat(32) });
    world.act(&requester, rejected, "rejectWork(id: $id, reasonHash: $hash)", ", $hash: Hex32!", reason).await.unwrap();
    let refunded = world.until(rejected, "REFUNDED").await;
    assert_eq!(refunded["reason"], "REJECTED");
    let part = &refunded["milestones"][0];
    assert_eq!((&part["workHash"], &part["reasonHash"]), (&json!("cd".repeat(32)), &json!("ef".repeat(32))));

    let cancelled = world.create().await;
    world.accept(cancelled).await;
    world.fund(cancelled).await;
    world.act(&worker, cancelled, "cancelTask(id: $id)", "", json!({})).await.unwrap();
    assert_eq!(world.until(cancelled, "REFUNDED").await["reason"], "CANCELLED_BY_WORKER");
    assert_eq!(world.rail.wallet_msat("payer"), 1_000_000_000);
}

#[tokio::test]
async fn the_same_command_twice_has_one_effect() {
    let world = World::start().await;
    let input = world.input(world.new_id());
    let query =
        format!("mutation($input: CreateTaskInput!) {{ createTask(input: $input) {{ changed task {{ {TASK} }} }} }}");
    let client = world.client(requester());
    let first = client.query(&query, json!({ "input": input })).await.unwrap();
    let second = client.query(&query, json!({ "input": input })).await.unwrap();
    assert_eq!((&first["createTask"]["changed"], &second["createTask"]["changed"]), (&json!(true), &json!(false)));
    assert_eq!(first["createTask"]["task"], second["createTask"]["task"]);
    assert_eq!(world.facts().await, 1);

    let mut other = input.clone();
    other["title"] = json!("Something else");
    let error = client.query(&query, json!({ "input": other })).await.unwrap_err();
    assert_eq!(error.code, "escrow.id_taken");
    let error = world.client(stranger()).query(&query, json!({ "input": input })).await.unwrap_err();
    assert_eq!(error.code, "escrow.id_taken");
    assert_eq!(world.facts().await, 1);

    let mut fresh = input.clone();
    fresh.as_object_mut().unwrap().remove("id");
    for expected in [2, 3] {
        let made = client.query(&query, json!({ "input": fresh })).await.unwrap();
        assert_eq!(made["createTask"]["changed"], true);
        assert_eq!(world.facts().await, expected);
    }
}

#[tokio::test]
async fn two_workers_at_once_and_one_wins() {
    let world = World::start().await;
    let id = world.create().await;
    let (worker, stranger) = (worker(), stranger());
    let accept = |by| {
        let invoices = json!({ "invoices": [world.rail.invoice("payee", 1_000)] });
        world.act(by, id, "acceptTask(id: $id, invoices: $invoices)", ", $invoices: [String!]!", invoices)
    };
    let (one, two) = tokio::join!(accept(&worker), accept(&stranger));
    let lost = [one, two].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert_eq!(lost, ["escrow.already_assigned"]);
    assert_eq!(world.facts().await, 2);
}

#[tokio::test]
async fn invoices_are_for_the_parties_alone() {
    let world = World::start().await;
    let id = world.create().await;
    world.accept(id).await;
    world.fund(id).await;
    let query = format!("{{ task(id: \"{id}\") {{ {TASK} }} }}");
    for (keys, sees) in [(requester(), true), (worker(), true), (stranger(), false), (operator(), false)] {
        let seen = world.client(keys).query(&query, json!({})).await.unwrap();
        let tranche = &seen["task"]["milestones"][0]["tranches"][0];
        assert_eq!(tranche["payoutInvoice"].is_string(), sees, "{tranche}");
        assert_eq!(tranche["fundingInvoice"].is_string(), sees, "{tranche}");
    }
    let list = "{ tasks { nodes { milestones { tranches { payoutInvoice fundingInvoice } } } \
                edges { node { milestones { tranches { payoutInvoice } } } } } }";
    let (_, seen) = world.ask(&stranger(), list).await;
    assert!(!seen.to_string().contains("sim"), "{seen}");
    let updates = format!(
        "subscription {{ taskUpdates(id: \"{id}\") {{ milestones {{ tranches {{ payoutInvoice fundingInvoice }} }} }} }}"
    );
    let mut updates = world.client(stranger()).subscribe(&updates, json!({})).await.unwrap();
    let first = futures::StreamExt::next(&mut updates).await.unwrap().unwrap();
    assert_eq!(
        first["taskUpdates"]["milestones"][0]["tranches"][0],
        json!({ "payoutInvoice": null, "fundingInvoice": null })
    );
}

#[tokio::test]
async fn the_parties_see_what_the_worker_signed() {
    let world = World::start().await;
    let id = world.create().await;
    let query = format!("{{ task(id: \"{id}\") {{ acceptance {{ event body }} }} }}");
    let seen = async |keys| world.client(keys).query(&query, json!({})).await.unwrap()["task"]["acceptance"].take();
    assert!(seen(requester()).await.is_null(), "nobody took it");
    let accepted = world.accept(id).await;
    assert!(seen(stranger()).await.is_null() && seen(operator()).await.is_null());
    assert_eq!(seen(requester()).await, seen(worker()).await);
    let shown = seen(requester()).await;
    let (event, body) = (shown["event"].as_str().unwrap(), shown["body"].as_str().unwrap());
    let invoices = vec![accepted["task"]["milestones"][0]["tranches"][0]["payoutInvoice"].as_str().unwrap().to_owned()];
    let expected = Acceptance { worker: public(&worker()), task: id, invoices };
    assert_eq!(Acceptance::try_new(event, body), Ok(expected));
    assert_eq!(Acceptance::try_new(event, &body.replace("sim", "sin")), Err(EdgeError::WrongPayload));
}

#[tokio::test]
async fn everybody_sees_what_the_requester_signed() {
    let world = World::start().await;
    let mut unnamed = world.input(world.new_id());
    unnamed.as_object_mut().unwrap().remove("id");
    for input in [world.input(world.new_id()), unnamed] {
        let post = "mutation($input: CreateTaskInput!) { createTask(input: $input) { task { id } } }";
        let made = world.client(requester()).query(post, json!({ "input": input })).await.unwrap();
        let id = made["createTask"]["task"]["id"].as_str().unwrap();
        let query = format!("{{ task(id: \"{id}\") {{ posting {{ event body }} }} }}");
        let seen = async |keys| world.client(keys).query(&query, json!({})).await.unwrap()["task"]["posting"].take();
        let shown = seen(stranger()).await;
        assert_eq!(shown, seen(requester()).await);
        let (event, body) = (shown["event"].as_str().unwrap(), shown["body"].as_str().unwrap());
        let posting = Posting::try_new(event, body).unwrap();
        assert_eq!((posting.requester, posting.task), (public(&requester()), id.parse().unwrap()));
        assert_eq!(posting.terms.payouts().map(|sat| sat.get()).collect::<Vec<_>>(), [1_000]);
        assert_eq!(Posting::try_new(event, &body.replace("1000", "1001")), Err(EdgeError::WrongPayload));
    }
}

#[tokio::test]
async fn the_request_is_kept_with_the_fact() {
    use tallystick_app::port::journal::Journal;
    use tallystick_core::Authority;
    let world = World::start().await;
    let body = json!({ "query": "mutation($input: CreateTaskInput!) { createTask(input: $input) { changed } }",
        "variables": { "input": world.input(world.new_id()) } })
    .to_string();
    let (status, answer) = world.signed(&requester(), &body).await;
    assert_eq!((status, &answer["data"]["createTask"]["changed"]), (200, &json!(true)), "{answer}");
    let fact = world.store.facts(0, 10).await.unwrap().pop().unwrap();
    let Some(Authority::Request(request)) = world.store.authority(fact.authority).await.unwrap() else {
        panic!("a user caused this fact")
    };
    assert_eq!(request.body, body.as_bytes());
    let event = nostr::event::Event::from_json(&request.event).unwrap();
    event.verify().unwrap();
    assert_eq!(event.pubkey, requester().public_key());
    assert_eq!(event.id.to_bytes(), request.id.0);
}

#[tokio::test]
async fn a_starting_node_says_so() {
    let world = World::starting(|_| {}).await;
    let health = world.url.replace("/graphql", "/health");
    let answer = crate::world::read(reqwest::get(&health).await.unwrap()).await;
    assert_eq!(answer, (503, json!({ "status": "starting", "height": 0 })));
    let input = world.input(world.new_id());
    let error = world
        .client(requester())
        .query(
            "mutation($input: CreateTaskInput!) { createTask(input: $input) { changed } }",
            json!({ "input": input }),
        )
        .await
        .unwrap_err();
    assert_eq!(error.code, "app.starting");
    let (status, answer) = world.ask(&requester(), "{ node { height lightning { network } } }").await;
    assert_eq!((status, &answer["data"]["node"]["height"]), (200, &json!(0)), "{answer}");

    let ready = World::start().await;
    let health = ready.url.replace("/graphql", "/health");
    let answer = crate::world::read(reqwest::get(&health).await.unwrap()).await;
    assert_eq!(answer, (200, json!({ "status": "ok", "height": 800_000 })));
    let (_, answer) = ready.ask(&requester(), "{ task(id: \"0193b1f4-7c3e-7000-8000-0123456789ab\") { id } }").await;
    assert_eq!(answer["data"]["task"], Value::Null);
    assert!(answer.get("errors").is_none());
    let (_, answer) = ready
        .ask(&requester(), "mutation { approveWork(id: \"0193b1f4-7c3e-7000-8000-0123456789ab\") { changed } }")
        .await;
    assert_eq!(code(&answer), "escrow.not_found");
}

#[tokio::test]
async fn a_payment_hash_is_for_the_parties_until_the_end() {
    let world = World::start().await;
    let id = world.create().await;
    world.accept(id).await;
    world.fund(id).await;
    let query = format!("{{ task(id: \"{id}\") {{ milestones {{ tranches {{ paymentHash }} }} }} }}");
    let shown = async |keys| {
        let (_, answer) = world.ask(&keys, &query).await;
        answer["data"]["task"]["milestones"][0]["tranches"][0]["paymentHash"].is_string()
    };
    assert!(shown(requester()).await);
    assert!(shown(worker()).await);
    assert!(!shown(stranger()).await);
    world.act(&requester(), id, "cancelTask(id: $id)", "", json!({})).await.unwrap();
    world.until(id, "REFUNDED").await;
    assert!(shown(stranger()).await);
}
