//! Roles, second factors and second admins, as clients use them.

use serde_json::{Value, json};
use std::sync::Arc;
use tallystick_app::{cause::Trusted, fsck::Fsck, port::journal::Journal, standing::KEPT};
use tallystick_core::Body;
use tallystick_graphql::Requests;
use tallystick_log::WitnessPolicy;

use crate::world::{World, chief, code, keys, operator, public, stranger};

/// An answer's data, or its error's code.
async fn ask(world: &World, by: &nostr::key::Keys, query: &str) -> Result<Value, String> {
    let (_, mut answer) = world.ask(by, query).await;
    if answer.get("errors").is_some() { Err(code(&answer).into()) } else { Ok(answer["data"].take()) }
}

/// The operator gets an authenticator: what it reads.
async fn enrolled(world: &World) -> String {
    let proposal = world.proposed(&format!("enrol: \"{}\"", public(&operator()))).await;
    let enrol = format!("mutation {{ enrol(secondFactor: {{ confirms: {proposal} }}) {{ uri }} }}");
    let uri = ask(world, &operator(), &enrol).await.unwrap()["enrol"]["uri"].as_str().unwrap().to_owned();
    let complete = format!("mutation {{ completeEnrolment(code: \"{}\") }}", world.code(&uri));
    assert_eq!(ask(world, &operator(), &complete).await, Ok(json!({ "completeEnrolment": true })));
    world.wait(30);
    uri
}

fn grant(role: &str, n: u8, factor: &str) -> String {
    format!("mutation {{ grantRole(role: {role}, key: \"{}\", secondFactor: {{ {factor} }}) }}", public(&keys(n)))
}

#[tokio::test]
async fn an_admin_grants_with_a_code_that_counts_once() {
    let world = World::start().await;
    let uri = enrolled(&world).await;
    let with = |code: &str| grant("OPERATOR", 3, &format!("code: \"{code}\""));
    let right = world.code(&uri);
    let balances = "{ node { balances { channelsMsat } } }";
    assert_eq!(ask(&world, &stranger(), balances).await, Err("auth.not_operator".into()));
    assert_eq!(ask(&world, &operator(), &with(&right)).await, Ok(json!({ "grantRole": true })));
    assert!(ask(&world, &stranger(), balances).await.is_ok(), "at once");
    let again = grant("OPERATOR", 6, &format!("code: \"{right}\""));
    assert_eq!(ask(&world, &operator(), &again).await, Err("roles.code_used".into()));
    world.wait(30);
    let withdraw = format!(
        "mutation {{ withdrawRole(role: OPERATOR, key: \"{}\", secondFactor: {{ code: \"{}\" }}) }}",
        public(&stranger()),
        world.code(&uri)
    );
    assert_eq!(ask(&world, &operator(), &withdraw).await, Ok(json!({ "withdrawRole": true })));
    assert_eq!(ask(&world, &stranger(), balances).await, Err("auth.not_operator".into()), "at once");
}

#[tokio::test]
async fn wrong_codes_are_counted_by_every_process() {
    let world = World::start().await;
    let uri = enrolled(&world).await;
    let wrong = grant("OPERATOR", 3, "code: \"000000\"");
    for _ in 0..3 {
        assert_eq!(ask(&world, &operator(), &wrong).await, Err("roles.wrong_code".into()));
    }
    let right = |world: &World| grant("OPERATOR", 3, &format!("code: \"{}\"", world.code(&uri)));
    assert_eq!(ask(&world, &operator(), &right(&world)).await, Err("roles.paused".into()));
    let roles = ask(&world, &chief(), "{ roles { admins { key hasAuthenticator wrongCodes } operators } }").await;
    let admins = roles.unwrap()["roles"]["admins"].take();
    let own = |admin: &&Value| admin["key"] == public(&operator()).to_string();
    let shown = admins.as_array().unwrap().iter().find(own).unwrap();
    assert_eq!((&shown["hasAuthenticator"], &shown["wrongCodes"]), (&json!(true), &json!(3)));
    world.wait(30);
    assert_eq!(ask(&world, &operator(), &right(&world)).await, Ok(json!({ "grantRole": true })));
}

#[tokio::test]
async fn two_admins_pay_together_and_the_very_same() {
    let world = World::start().await;
    let invoice = world.rail.invoice("payee", 1_000);
    let arguments = |fee: u32| format!("invoice: \"{invoice}\", feeLimitMsat: \"{fee}\"");
    let proposal = world.proposed(&format!("nodePay: {{ {} }}", arguments(1_000))).await;
    let pay = |fee| {
        format!("mutation {{ nodePay({}, secondFactor: {{ confirms: {proposal} }}) {{ status }} }}", arguments(fee))
    };
    let shown = "{ proposals { number by until action { operation digest invoice feeLimitMsat role } } }";
    let shown = ask(&world, &operator(), shown).await.unwrap()["proposals"][0].take();
    assert_eq!((&shown["number"], &shown["by"]), (&json!(proposal), &json!(public(&chief()).to_string())));
    let action = &shown["action"];
    assert_eq!((&action["operation"], &action["invoice"]), (&json!("nodePay"), &json!(invoice)));
    assert_eq!((&action["feeLimitMsat"], &action["role"]), (&json!("1000"), &Value::Null));
    for (by, fee, refused) in [
        (chief(), 1_000, "roles.own_proposal"),
        (operator(), 1_001, "roles.other_action"),
        (stranger(), 1_000, "auth.not_admin"),
    ] {
        assert_eq!(ask(&world, &by, &pay(fee)).await, Err(refused.into()));
    }
    let alone = format!("mutation {{ nodePay({}) {{ status }} }}", arguments(1_000));
    assert_eq!(ask(&world, &operator(), &alone).await, Err("roles.second_factor".into()));
    assert_eq!(world.node.told(), Vec::<String>::new());
    assert!(ask(&world, &operator(), &pay(1_000)).await.is_ok());
    assert_eq!(world.node.told(), [format!("pay {invoice} 1000 msat 20 s")]);
    assert_eq!(ask(&world, &operator(), &pay(1_000)).await, Err("roles.no_proposal".into()), "once");
    let facts = world.store.facts(0, 1_000).await.unwrap();
    let mut signed = Vec::new();
    for fact in facts.iter().filter(|fact| ["roles.proposed", "roles.authorised"].contains(&fact.kind.as_str())) {
        assert!(matches!(fact.body, Body::Private { .. }), "whom the node pays is nobody else's to know");
        signed.push(world.store.authority(fact.authority).await.unwrap().unwrap().author());
    }
    assert_eq!(signed, [public(&chief()), public(&operator())], "both signatures stay");
}

#[tokio::test]
async fn a_channel_is_closed_by_two() {
    let world = World::start().await;
    let proposal = world.proposed("nodeCloseChannel: { channelId: \"aa\" }").await;
    let close = |more: &str| {
        format!("mutation {{ nodeCloseChannel(channelId: \"aa\"{more}, secondFactor: {{ confirms: {proposal} }}) }}")
    };
    assert_eq!(ask(&world, &operator(), &close(", force: true")).await, Err("roles.other_action".into()));
    assert_eq!(ask(&world, &operator(), &close("")).await, Ok(json!({ "nodeCloseChannel": true })));
    assert_eq!(world.node.told(), ["close aa false"]);
}

/// A secret is shown once: no fact, no query and no later answer has it.
#[tokio::test]
async fn an_authenticators_secret_is_shown_once_and_kept_nowhere() {
    let world = World::start().await;
    let uri = enrolled(&world).await;
    let secret = uri.split("secret=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let bytes = totp_rs::Secret::try_from_base32(&secret).ok().unwrap().as_bytes().to_vec();
    for fact in world.store.facts(0, 1_000).await.unwrap() {
        let authority = world.store.authority(fact.authority).await.unwrap();
        let kept = [
            fact.entry(),
            fact.body.content().unwrap_or_default().to_vec(),
            tallystick_core::canonical::encode(&authority),
        ];
        for kept in kept {
            assert!(!kept.windows(secret.len()).any(|part| part == secret.as_bytes()), "fact {}", fact.seq);
            assert!(!kept.windows(bytes.len()).any(|part| part == bytes), "fact {}", fact.seq);
        }
    }
    assert_eq!(ask(&world, &operator(), "mutation { enrol { uri } }").await, Err("roles.second_factor".into()));
}

/// Whatever admins do, fsck finds asked for, and decides again.
#[tokio::test]
async fn what_admins_write_is_sound() {
    let world = World::start().await;
    world.app.refresh_tasks(&*world.store).await.unwrap();
    let uri = enrolled(&world).await;
    ask(&world, &operator(), &grant("ADMIN", 6, "code: \"000000\"")).await.unwrap_err();
    ask(&world, &operator(), &grant("ADMIN", 6, &format!("code: \"{}\"", world.code(&uri)))).await.unwrap();
    let id = world.create().await;
    world.accept(id).await;
    world.fund(id).await;
    world.until(id, "HELD").await;
    let cancel = format!("mutation {{ cancelTask(id: \"{id}\") {{ changed }} }}");
    ask(&world, &crate::world::worker(), &cancel).await.unwrap();
    world.until(id, "REFUNDED").await;
    let erased = world.store.stream(&format!("escrow/{id}"), 0).await.unwrap().len() as u64;
    world.wait(30);
    let erase = |code: &str| format!("mutation {{ eraseTask(id: \"{id}\", secondFactor: {{ code: \"{code}\" }}) }}");
    assert!(ask(&world, &operator(), &erase(&world.code(&uri))).await.unwrap()["eraseTask"].is_u64());
    // Once more, to have the store scrubbed again: it takes another code, and tells of nothing new.
    world.wait(30);
    assert_eq!(ask(&world, &operator(), &erase(&world.code(&uri))).await, Ok(json!({ "eraseTask": null })));
    tallystick_testkit::publish(&world.store).await;
    let fsck = Fsck {
        store: Arc::clone(&world.store) as _,
        requests: Arc::new(Requests),
        invoices: Arc::new(world.rail.clone()),
        trusted: Trusted { node: Some(world.app.key()), ..Trusted::default() },
        key: None,
        policy: WitnessPolicy::none(),
        checkpoints: Vec::new(),
        published: None,
        now: tallystick_app::Clock::now(&*world.clock),
    };
    let sound = fsck.run(|_| ()).await.unwrap();
    assert_eq!(sound.erased, erased);
    // What was let be done, the deal that stays, and that the rest is gone stand on one request.
    let facts = world.store.facts(0, 1_000).await.unwrap();
    let kept = facts.iter().position(|fact| fact.kind == KEPT).unwrap();
    assert_eq!(facts[kept - 1].authority, facts[kept].authority);
    assert_eq!(facts[kept + 1].authority, facts[kept].authority);
}
