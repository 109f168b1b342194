//! What the node shows to all, and what only to its operators.

use serde_json::json;

use crate::world::{World, code, operator, requester};

#[tokio::test]
async fn everybody_sees_the_node_at_a_glance() {
    let world = World::start().await;
    let query = "{ node { key height time lightning { nodeId alias network height peers } \
                 policy { feeBasisPoints feeMinSat payoutMinSat payoutMaxSat tranchesMax finalCltvMax fundingWindowSecs } } }";
    let (status, answer) = world.ask(&requester(), query).await;
    let node = &answer["data"]["node"];
    assert_eq!((status, &node["key"]), (200, &json!(world.app.key().to_string())));
    assert_eq!(node["lightning"]["network"], "regtest");
    assert_eq!(
        node["policy"],
        json!({ "feeBasisPoints": 100, "feeMinSat": 10, "payoutMinSat": 1_000, "payoutMaxSat": 5_000_000, "tranchesMax": 8,
            "finalCltvMax": 1_000, "fundingWindowSecs": 3_600 })
    );
}

#[tokio::test]
async fn the_nodes_money_is_for_operators() {
    let world = World::start().await;
    for field in ["balances { channelsMsat }", "channels { id }", "payments { id }"] {
        let (status, answer) = world.ask(&requester(), &format!("{{ node {{ key {field} }} }}")).await;
        assert_eq!((status, code(&answer)), (200, "auth.not_operator"), "{field}");
    }
    let query = "{ node { balances { onchainConfirmedSat channelsMsat } channels { capacitySat localMsat usable } \
                 payments(first: 2) { paymentHash direction status amountMsat feeMsat updatedAt } } }";
    let (_, answer) = world.ask(&operator(), query).await;
    let node = &answer["data"]["node"];
    assert_eq!(node["balances"], json!({ "onchainConfirmedSat": 7, "channelsMsat": "8001" }));
    assert_eq!(node["channels"], json!([{ "capacitySat": 1_000_000, "localMsat": "999", "usable": false }]));
    assert_eq!(
        node["payments"][1],
        json!({ "paymentHash": "05".repeat(32), "direction": "OUTBOUND", "status": "SUCCEEDED",
            "amountMsat": "2099999999999999999", "feeMsat": "1", "updatedAt": 1_700_000_000 })
    );
    assert_eq!(node["payments"].as_array().unwrap().len(), 2);
}

/// Every command of an operator, and what the node is told to do.
fn commands() -> [(String, String); 4] {
    [
        ("nodeNewAddress", "address"),
        ("nodeConnect(peer: \"02ab\", address: \"127.0.0.1:9735\")", "connect 02ab 127.0.0.1:9735"),
        (
            "nodeOpenChannel(input: { peer: \"02ab\", capacitySat: 100000, \
                key: \"0193b1f4-7c3e-7000-8000-0123456789ab\" })",
            "open 02ab 100000 sat 0 msat false 0193b1f4-7c3e-7000-8000-0123456789ab",
        ),
        ("nodeInvoice(amountMsat: \"1000\", description: \"tea\", expirySecs: 60)", "invoice 1000 msat tea 60 s"),
    ]
    .map(|(field, told)| (field.to_owned(), told.to_owned()))
}

#[tokio::test]
async fn commands_to_the_node_are_for_operators_and_work_once() {
    let world = World::start().await;
    let commands = commands();
    for (field, _) in &commands {
        let (_, answer) = world.ask(&requester(), &format!("mutation {{ {field} }}")).await;
        assert_eq!(code(&answer), "auth.not_operator", "{field}");
    }
    assert_eq!(world.node.told(), Vec::<String>::new());
    for (field, _) in &commands {
        let (status, answer) = world.ask(&operator(), &format!("mutation {{ {field} }}")).await;
        assert!(status == 200 && answer.get("errors").is_none(), "{field}: {answer}");
    }
    assert_eq!(world.node.told(), commands.each_ref().map(|(_, told)| told.clone()));

    // The journal remembers the request, should the edge forget it in a restart.
    let body = json!({ "query": "mutation { nodeNewAddress }" }).to_string();
    let signature = world.signature(&operator(), &body);
    assert_eq!(world.post(Some(&signature), body.clone()).await.0, 200);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = format!("http://{}/graphql", listener.local_addr().unwrap());
    let config = tallystick_graphql::EdgeConfig::new([world.url.clone()]);
    let router = tallystick_graphql::router(
        config,
        world.app.clone(),
        world.vault.clone(),
        std::sync::Arc::clone(&world.node) as _,
    );
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let again = reqwest::Client::new().post(other).header("authorization", signature).body(body).send().await.unwrap();
    assert_eq!(code(&crate::world::read(again).await.1), "auth.replayed");
    assert_eq!(world.node.told().len(), commands.len() + 1);
    server.abort();
}

#[tokio::test]
async fn operators_see_what_the_node_says() {
    let world = World::start().await;
    let (_, answer) = world.ask(&operator(), "mutation { nodeConnect(peer: \"nobody\", address: \"x\") }").await;
    assert_eq!(code(&answer), "lightning.refused");
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains("no such peer"));
    for bad in [
        "nodePay(invoice: \"lnbcrt1\", feeLimitMsat: 1000) { status }",
        "nodePay(invoice: \"lnbcrt1\", feeLimitMsat: \"-1\") { status }",
        "nodePay(invoice: \"lnbcrt1\", feeLimitMsat: \"1\", timeoutSecs: 26) { status }",
        "nodeInvoice(amountMsat: \"1\", description: \"\", expirySecs: 0)",
    ] {
        let (status, answer) = world.ask(&operator(), &format!("mutation {{ {bad} }}")).await;
        assert_eq!((code(&answer), status), ("graphql.invalid", 400), "{bad}");
    }
    assert_eq!(world.node.told().len(), 1);
}

#[tokio::test]
async fn a_tasks_invoice_is_not_paid_by_hand() {
    let world = World::start().await;
    let id = world.create().await;
    let accepted = world.accept(id).await;
    let invoice = &accepted["task"]["milestones"][0]["tranches"][0]["payoutInvoice"];
    let arguments = format!("invoice: {invoice}, feeLimitMsat: \"1000\"");
    let proposal = world.proposed(&format!("nodePay: {{ {arguments} }}")).await;
    let pay = format!("mutation {{ nodePay({arguments}, secondFactor: {{ confirms: {proposal} }}) {{ status }} }}");
    let (_, answer) = world.ask(&operator(), &pay).await;
    assert_eq!(code(&answer), "invoice.hash_reused");
    assert_eq!(world.node.told(), Vec::<String>::new());
    let left = world.ask(&operator(), "{ proposals { number } }").await.1["data"]["proposals"].clone();
    assert_eq!(left, json!([{ "number": proposal }]), "what cannot be done uses no proposal up");
}
