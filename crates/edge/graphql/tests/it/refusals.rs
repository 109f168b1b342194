//! Foreign input behind a good signature: what is refused, with which code, and that nothing happens.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tallystick_core::{Blocks, Duration, Msat};
use tallystick_testkit::rail::InvoiceSpec;

use crate::connections;
use crate::world::{World, code, requester, stranger, worker};

#[tokio::test]
async fn bodies_that_are_no_request() {
    let world = World::start().await;
    let query = "{ node { height } }";
    let deep = format!(
        "{{\"query\": \"{{ node {{ height }} }}\", \"variables\": {{\"a\": {}{}}}}}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let table = [
        ("request.bad_json", 400, String::new()),
        ("request.bad_json", 400, "{".into()),
        ("request.bad_json", 400, "\u{0}".into()),
        ("request.bad_json", 400, "\"query\"".into()),
        ("request.bad_json", 400, "{}".into()),
        ("request.bad_json", 400, json!({ "query": 1 }).to_string()),
        ("request.bad_json", 400, json!({ "query": query, "variables": [] }).to_string()),
        ("request.bad_json", 400, json!({ "query": query, "surprise": 1 }).to_string()),
        ("request.bad_json", 400, "{\"query\": \"{ node { height } }\", \"query\": \"{ node { time } }\"}".into()),
        ("request.bad_json", 400, deep),
        ("request.batch", 400, json!([{ "query": query }]).to_string()),
        ("request.batch", 400, " [".into()),
        ("request.too_large", 413, json!({ "query": query, "operationName": "x".repeat(64 * 1024) }).to_string()),
        // Only what takes a task may be larger, and a word in a comment does not make it that.
        (
            "request.too_large",
            413,
            json!({ "query": format!("{query} # acceptTask {}", "x".repeat(8_192)) }).to_string(),
        ),
        ("request.extensions", 400, json!({ "query": query, "extensions": { "pad": "x" } }).to_string()),
    ];
    for (expected, status, body) in table {
        let answer = world.signed(&requester(), &body).await;
        assert_eq!((code(&answer.1), answer.0), (expected, status), "{}", &body[..body.len().min(200)]);
    }
    for empty in [json!({}), Value::Null] {
        let body = json!({ "query": query, "extensions": empty }).to_string();
        assert_eq!(world.signed(&requester(), &body).await.0, 200);
    }
    let invalid_utf8 = [b"{\"query\": \"".as_slice(), &[0xff], b"\"}"].concat();
    let signature = tallystick_graphql::sign::authorization(
        &requester(),
        &world.url,
        "POST",
        Some(&invalid_utf8),
        tallystick_app::Clock::now(&*world.clock),
    )
    .unwrap();
    let (_, answer) = world.post(Some(&signature), invalid_utf8).await;
    assert_eq!(code(&answer), "request.bad_json");
    assert_eq!(world.facts().await, 0);
}

#[tokio::test]
async fn queries_that_are_refused() {
    let world = World::start().await;
    let nested = |levels: usize| format!("{{ a{}{} }}", "{ a ".repeat(levels), "}".repeat(levels));
    let aliases = |count: usize, field: &str| (0..count).map(|n| format!("a{n}: {field} ")).collect::<String>();
    let cancel = "cancelTask(id: \"0193b1f4-7c3e-7000-8000-0123456789ab\") { changed }";
    let bomb =
        (0..30).map(|n| format!(" fragment f{n} on Query {{ ...f{} ...f{} }}", n + 1, n + 1)).collect::<String>();
    let table = [
        ("graphql.syntax", String::new()),
        ("graphql.syntax", "{".into()),
        ("graphql.syntax", "{ task(id: \"\\".into()),
        ("graphql.syntax", "query a { node { height } } query a { node { height } }".into()),
        ("graphql.syntax", format!("{{ {}", "\u{1f600}".repeat(1_000))),
        ("graphql.invalid", "{ nothing }".into()),
        ("graphql.invalid", "{ node { height nothing } }".into()),
        ("graphql.invalid", "{ node }".into()),
        ("graphql.invalid", "{ task { id } }".into()),
        ("graphql.invalid", "{ task(id: \"x\") { id } }".into()),
        ("graphql.invalid", "{ task(id: 5) { id } }".into()),
        ("graphql.invalid", "{ task(id: \"00000000-0000-4000-8000-000000000000\") { id } }".into()),
        ("graphql.invalid", "{ tasks(first: 0) { nodes { id } } }".into()),
        ("graphql.invalid", "{ tasks(first: 101) { nodes { id } } }".into()),
        ("graphql.invalid", "{ tasks(filter: { states: [NOWHERE] }) { nodes { id } } }".into()),
        ("graphql.invalid", "{ tasks(filter: { requester: \"ab\" }) { nodes { id } } }".into()),
        ("graphql.invalid", "query($id: UUID!) { task(id: $id) { id } }".into()),
        ("graphql.invalid", "{ ...a } fragment a on Query { ...a }".into()),
        ("graphql.invalid", "query a { node { height } } query b { node { height } }".into()),
        ("graphql.invalid", "mutation { createTask(input: { title: \"x\" }) { changed } }".into()),
        ("graphql.too_deep", nested(20)),
        ("graphql.too_deep", nested(10_000)),
        ("graphql.too_deep", format!("{{ task(id: {}", "[".repeat(60_000))),
        ("graphql.too_complex", format!("{{ {} }}", aliases(2_000, "node { height }"))),
        (
            "graphql.too_complex",
            format!("{{ {} }}", aliases(60, "tasks(first: 100) { nodes { id state title height } }")),
        ),
        (
            "graphql.too_complex",
            format!("{{ {} }}", aliases(60, "tasks(first: 100) { nodes { milestones { tranches { state } } } }")),
        ),
        ("graphql.too_complex", format!("{{ __schema {{ types {{ {} }} }} }}", aliases(1_200, "name"))),
        ("graphql.too_complex", format!("{{ {} }}", aliases(400, "__schema { types { name } }"))),
        (
            "graphql.too_complex",
            format!("{{ {} }} fragment s on Query {{ __schema {{ types {{ name }} }} }}", "...s ".repeat(1_000)),
        ),
        (
            "graphql.too_deep",
            "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }".into(),
        ),
        ("graphql.too_complex", format!("{{ ...f0 }} {bomb} fragment f30 on Query {{ node {{ height }} }}")),
        ("request.one_mutation", format!("mutation {{ a: {cancel} b: {cancel} }}")),
        ("request.one_mutation", format!("mutation {{ {} }}", aliases(100, cancel))),
        ("request.one_mutation", format!("mutation {{ {cancel} ... on Mutation {{ nodeNewAddress }} }}")),
        ("request.needs_websocket", "subscription { taskUpdates { id } }".into()),
        ("request.bad_cursor", "{ tasks(after: \"x\") { nodes { id } } }".into()),
    ];
    for (expected, query) in table {
        let (status, answer) = world.ask(&requester(), &query).await;
        let start = query.chars().take(120).collect::<String>();
        assert_eq!(code(&answer), expected, "{start}");
        assert_eq!(status, if expected == "request.bad_cursor" { 200 } else { 400 }, "{start}: {answer}");
        assert!(answer.to_string().len() < 40_000, "{start}");
        assert!(answer["errors"][0]["message"].as_str().unwrap().chars().count() <= 401, "{start}");
    }
    assert_eq!(world.facts().await, 0);
    assert_eq!(world.node.told(), Vec::<String>::new());
}

#[tokio::test]
async fn terms_that_are_refused() {
    let world = World::start().await;
    let client = world.client(requester());
    let query = "mutation($input: CreateTaskInput!) { createTask(input: $input) { changed } }";
    let later =
        tallystick_app::mint_id::<()>(tallystick_app::Clock::now(&*world.clock).after(Duration::from_secs(3_600)))
            .unwrap();
    let table = [
        ("terms.title", "title", json!("")),
        ("terms.title", "title", json!("a\nb")),
        ("terms.title", "title", json!("x".repeat(201))),
        ("terms.tranches", "payoutsSat", json!([])),
        ("terms.tranches", "payoutsSat", json!(vec![1; 9])),
        ("terms.payout", "payoutsSat", json!([0])),
        ("terms.payout", "payoutsSat", json!([5_000_001])),
        ("graphql.invalid", "payoutsSat", json!([2_100_000_000_000_001u64])),
        ("graphql.invalid", "payoutsSat", json!([-1])),
        ("graphql.invalid", "payoutsSat", json!(["1"])),
        ("graphql.invalid", "payoutsSat", json!([1.5])),
        ("terms.tranches", "milestones", json!([])),
        ("graphql.invalid", "milestones", json!([{}])),
        ("graphql.invalid", "renewal", json!("LATER")),
        ("terms.deadline_past", "workDeadline", json!(1)),
        ("graphql.invalid", "workDeadline", json!("tomorrow")),
        ("escrow.hold_too_long", "workDeadline", json!(u64::MAX)),
        ("terms.review_window", "reviewWindowSecs", json!(0)),
        ("graphql.invalid", "reviewWindowSecs", json!(u64::MAX)),
        ("escrow.hold_too_short", "holdBlocks", json!(1)),
        ("escrow.hold_too_long", "holdBlocks", json!(100_000)),
        ("graphql.invalid", "onSilence", json!("release")),
        ("graphql.invalid", "descriptionHash", json!("ab")),
        ("graphql.invalid", "surprise", json!(1)),
        ("request.id_from_future", "id", json!(later.to_string())),
        ("request.id_too_old", "id", json!("0193b1f4-7c3e-7000-8000-0123456789ab")),
    ];
    for (expected, field, value) in table {
        let mut input = world.input(world.new_id());
        match field {
            "payoutsSat" | "workDeadline" => input["milestones"][0][field] = value.clone(),
            _ => input[field] = value.clone(),
        }
        let error = client.query(query, json!({ "input": input })).await.unwrap_err();
        assert_eq!(error.code, expected, "{field}: {value}: {}", error.message);
    }
    assert_eq!(world.facts().await, 0);
}

#[tokio::test]
async fn a_task_without_an_id_is_named_by_its_signature() {
    let world = World::start().await;
    let mut input = world.input(world.new_id());
    input.as_object_mut().unwrap().remove("id");
    let body = json!({ "query": "mutation($input: CreateTaskInput!) { createTask(input: $input) { task { id } } }",
        "variables": { "input": input } })
    .to_string();
    let signature = world.signature(&requester(), &body);
    let event = STANDARD.decode(signature.trim_start_matches("Nostr ")).unwrap();
    let event: Value = serde_json::from_slice(&event).unwrap();
    let (_, answer) = world.post(Some(&signature), body.clone()).await;
    let id = answer["data"]["createTask"]["task"]["id"].as_str().unwrap().to_owned();
    let millis = u64::from_str_radix(&id.replace('-', "")[..12], 16).unwrap();
    assert_eq!(millis, event["created_at"].as_u64().unwrap() * 1_000);
    assert_eq!(id[id.len() - 8..], event["id"].as_str().unwrap()[12..20]);
    let (_, answer) = world.post(Some(&signature), body.clone()).await;
    assert_eq!(code(&answer), "auth.replayed");
    assert_eq!(world.facts().await, 1);
    // Signed anew, it is another task.
    assert_eq!(world.signed(&requester(), &body).await.0, 200);
    assert_eq!(world.facts().await, 2);
}

#[tokio::test]
async fn an_old_id_still_names_the_task_that_has_it() {
    let world = World::start().await;
    let body = json!({ "query": "mutation($input: CreateTaskInput!) { createTask(input: $input) { changed } }",
        "variables": { "input": world.input(world.new_id()) } })
    .to_string();
    for changed in [true, false] {
        let (_, answer) = world.signed(&requester(), &body).await;
        assert_eq!(answer["data"]["createTask"]["changed"], changed, "{answer}");
        world.clock.advance(Duration::from_secs(7_200));
    }
}

#[tokio::test]
async fn invoices_that_are_refused() {
    let world = World::start().await;
    let id = world.create().await;
    let used = world.create().await;
    let reused = world.rail.invoice("payee", 1_000);
    let good = InvoiceSpec::good(1_000);
    let spec = |change: fn(&mut InvoiceSpec)| {
        let mut spec = good.clone();
        change(&mut spec);
        json!([world.rail.invoice_with("payee", &spec)])
    };
    let act = |id, invoices: Value| {
        let by = worker();
        let world = &world;
        async move {
            world
                .act(
                    &by,
                    id,
                    "acceptTask(id: $id, invoices: $invoices)",
                    ", $invoices: [String!]!",
                    json!({ "invoices": invoices }),
                )
                .await
        }
    };
    act(used, json!([reused])).await.unwrap();
    let before = world.facts().await;
    let table = [
        ("invoice.malformed", json!(["nonsense"])),
        ("invoice.malformed", json!([""])),
        // As many and as long as any task may have: the body is not too large, but this task has one tranche.
        ("invoice.count", json!(vec!["l".repeat(4_296); 8])),
        ("invoice.too_long", json!(["l".repeat(60_000)])),
        ("invoice.count", json!([])),
        ("invoice.count", json!([world.rail.invoice("payee", 1_000), world.rail.invoice("payee", 1_000)])),
        ("invoice.wrong_amount", json!([world.rail.invoice("payee", 1_001)])),
        ("invoice.amountless", spec(|spec| spec.amount = None)),
        ("invoice.wrong_network", spec(|spec| spec.other_network = true)),
        ("invoice.expired", spec(|spec| spec.expiry = Duration::from_secs(0))),
        ("invoice.expires_soon", spec(|spec| spec.expiry = Duration::from_secs(3_600))),
        ("invoice.final_cltv", spec(|spec| spec.final_cltv_delta = Blocks(145))),
        ("invoice.no_secret", spec(|spec| spec.secret = false)),
        ("invoice.unknown_features", spec(|spec| spec.odd_features = true)),
        ("invoice.to_self", spec(|spec| spec.to_node = true)),
        ("invoice.hash_reused", json!([reused])),
        ("invoice.wrong_amount", spec(|spec| spec.amount = Some(Msat::MAX))),
    ];
    for (expected, invoices) in table {
        assert_eq!(
            act(id, invoices.clone()).await.unwrap_err(),
            expected,
            "{}",
            invoices.to_string().chars().take(100).collect::<String>()
        );
    }
    assert_eq!(world.facts().await, before);
}

#[tokio::test]
async fn anothers_task_is_not_touched() {
    let world = World::start().await;
    let id = world.create().await;
    world.accept(id).await;
    world.fund(id).await;
    let before = world.facts().await;
    let hash = json!({ "hash": "cd".repeat(32) });
    let table = [
        ("escrow.not_requester", "fundingInvoice(id: $id)", false),
        ("escrow.not_worker", "submitWork(id: $id, workHash: $hash)", true),
        ("escrow.not_worker", "offerRenewal(id: $id, invoices: [])", false),
        ("escrow.not_requester", "approveWork(id: $id)", false),
        ("escrow.not_requester", "rejectWork(id: $id, reasonHash: $hash)", true),
        ("escrow.not_party", "cancelTask(id: $id)", false),
    ];
    for (expected, field, hashed) in table {
        let (more, variables) = if hashed { (", $hash: Hex32!", hash.clone()) } else { ("", json!({})) };
        assert_eq!(world.act(&stranger(), id, field, more, variables).await, Err(expected.into()), "{field}");
    }
    assert_eq!(world.facts().await, before);
}

#[tokio::test]
async fn other_addresses_and_methods_are_not_there() {
    let world = World::start().await;
    let base = world.url.trim_end_matches("/graphql").to_owned();
    let http = reqwest::Client::new();
    for (expected, status, request) in [
        ("request.no_such_page", 404, http.get(&base)),
        ("request.no_such_page", 404, http.get(format!("{base}/graphql/"))),
        ("request.no_such_page", 404, http.put(&world.url)),
        ("request.no_such_page", 404, http.post(format!("{base}/health"))),
        ("request.needs_websocket", 400, http.get(&world.url)),
        ("auth.missing", 401, http.post(&world.url)),
    ] {
        let (found, answer) = crate::world::read(request.send().await.unwrap()).await;
        assert_eq!((code(&answer), found), (expected, status));
    }
}

#[tokio::test]
async fn pages_of_other_origins_need_to_be_named() {
    let origin = "https://app.example.com";
    let allowed = async |world: &World, origin: &str| {
        let request = reqwest::Client::new()
            .request(reqwest::Method::OPTIONS, &world.url)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization");
        let answer = request.send().await.unwrap();
        answer.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(allowed(&World::start().await, origin).await, None);
    let open = World::with(|config| config.cors_origins = vec![origin.parse().unwrap()]).await;
    assert_eq!(allowed(&open, origin).await.as_deref(), Some(origin));
    assert_eq!(allowed(&open, "https://other.example.com").await, None);
}

#[tokio::test]
async fn there_is_a_limit_to_work_at_once_and_to_time() {
    let none = World::with(|config| config.requests_max = 0).await;
    let (status, answer) = none.ask(&requester(), "{ node { height } }").await;
    assert_eq!((code(&answer), status), ("request.busy", 503));

    let world = World::start().await;
    // Only what is to take too long is asked of the hasty one; that the request gets as far as the command, it has time for.
    let hasty = connections::small(&world, std::time::Duration::from_secs(2)).await;
    world.rail.set_available(false);
    let id = world.create().await;
    world.accept(id).await;
    let query = format!("mutation {{ fundingInvoice(id: \"{id}\") {{ changed }} }}");
    let late = world.client_at(&hasty, requester()).query(&query, json!({})).await.unwrap_err();
    assert_eq!(late.code, "request.timeout");
    // The command itself went its way.
    world.rail.set_available(true);
    let task = world.until(id, "FUNDING").await;
    assert_eq!(task["state"], "FUNDING");
}
