//! NIP-98, from the outside: what is refused, with which code, and that nothing happens.

use base64::{Engine, engine::general_purpose::STANDARD};
use nostr::{
    event::{Event, EventBuilder, FinalizeEvent, Kind, Tag},
    types::Timestamp as NostrTime,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tallystick_app::Clock;
use tallystick_core::{Duration, Timestamp};
use tallystick_graphql::sign;

use crate::disputes;
use crate::world::{World, code, keys, operator, requester, stranger, worker};

/// A good event in parts, each of which a test may change.
struct Draft {
    kind: u16,
    at: u64,
    tags: Vec<(&'static str, String)>,
}

impl Draft {
    fn new(world: &World, body: &str) -> Self {
        let tags =
            vec![("u", world.url.clone()), ("method", "POST".into()), ("payload", hex::encode(Sha256::digest(body)))];
        Self { kind: 27_235, at: world.clock.now().as_secs(), tags }
    }

    fn tag(mut self, name: &str, value: &str) -> Self {
        let tag = self.tags.iter_mut().find(|(tag, _)| *tag == name).unwrap();
        tag.1 = value.into();
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.tags.retain(|(tag, _)| *tag != name);
        self
    }

    fn twice(mut self, name: &str) -> Self {
        let tag = self.tags.iter().find(|(tag, _)| *tag == name).unwrap().clone();
        self.tags.push(tag);
        self
    }

    fn event(&self) -> Event {
        EventBuilder::new(Kind::from(self.kind), "")
            .tags(self.tags.iter().map(|(name, value)| Tag::custom(*name, [value.clone()])))
            .custom_created_at(NostrTime::from_secs(self.at))
            .finalize(&requester())
            .unwrap()
    }

    fn header(&self) -> String {
        header(&self.event().as_json())
    }
}

fn header(json: &str) -> String {
    format!("Nostr {}", STANDARD.encode(json))
}

/// The event as JSON with one field changed after it was signed.
fn tampered(draft: &Draft, field: &str, value: Value) -> String {
    let mut event: Value = serde_json::from_str(&draft.event().as_json()).unwrap();
    event[field] = value;
    header(&event.to_string())
}

#[tokio::test]
async fn every_fault_has_its_code_and_changes_nothing() {
    let world = World::start().await;
    let body = json!({ "query": "mutation($input: CreateTaskInput!) { createTask(input: $input) { changed } }",
        "variables": { "input": world.input(world.new_id()) } })
    .to_string();
    let draft = || Draft::new(&world, &body);
    let at = |secs: i64| Draft { at: draft().at.strict_add_signed(secs), ..draft() }.header();
    let good = draft().header();
    let other_method = draft().tag("method", "GET").header();
    let sig = draft().event().sig.to_string();
    let table = [
        ("auth.missing", None),
        ("auth.malformed", Some(String::new())),
        ("auth.malformed", Some("Nostr".into())),
        ("auth.malformed", Some("Bearer abc".into())),
        ("auth.malformed", Some("Nostr !!!".into())),
        ("auth.malformed", Some(header("no json"))),
        ("auth.malformed", Some(header("{}"))),
        ("auth.malformed", Some(format!("Nostr {}", "A".repeat(8_192)))),
        ("auth.malformed", Some(format!("Nostr {}", STANDARD.encode([0xff, 0xfe])))),
        ("auth.malformed", Some(Draft { kind: 1, ..draft() }.header())),
        ("auth.malformed", Some(draft().without("u").header())),
        ("auth.malformed", Some(draft().without("method").header())),
        ("auth.malformed", Some(draft().twice("u").header())),
        ("auth.malformed", Some(draft().twice("method").header())),
        ("auth.malformed", Some(draft().twice("payload").header())),
        (
            "auth.malformed",
            Some(
                (0..14)
                    .fold(draft(), |mut draft, _| {
                        draft.tags.push(("x", String::new()));
                        draft
                    })
                    .header(),
            ),
        ),
        ("auth.wrong_url", Some(draft().tag("u", "http://example.com/graphql").header())),
        ("auth.wrong_url", Some(draft().tag("u", &format!("{}/", world.url)).header())),
        ("auth.wrong_method", Some(other_method)),
        ("auth.wrong_method", Some(draft().tag("method", "post").header())),
        ("auth.wrong_payload", Some(draft().without("payload").header())),
        ("auth.wrong_payload", Some(draft().tag("payload", &"00".repeat(32)).header())),
        ("auth.wrong_payload", Some(draft().tag("payload", "zz").header())),
        ("auth.expired", Some(at(-62))),
        ("auth.expired", Some(at(12))),
        ("auth.expired", Some(Draft { at: 0, ..draft() }.header())),
        ("auth.bad_signature", Some(tampered(&draft(), "sig", json!("00".repeat(64))))),
        ("auth.bad_signature", Some(tampered(&draft(), "id", json!("00".repeat(32))))),
        ("auth.bad_signature", Some(tampered(&draft(), "content", json!("more")))),
        ("auth.bad_signature", Some(tampered(&draft(), "pubkey", json!(stranger().public_key().to_hex())))),
        ("auth.bad_signature", Some(tampered(&draft(), "created_at", json!(draft().at + 1)))),
        ("auth.bad_signature", Some(tampered(&draft(), "sig", json!(format!("{}{}", &sig[64..], &sig[..64]))))),
    ];
    for (expected, authorization) in table {
        let (status, answer) = world.post(authorization.as_deref(), body.clone()).await;
        assert_eq!((code(&answer), status), (expected, 401), "{authorization:?}");
        assert!(answer["errors"][0]["message"].as_str().unwrap().len() > 20);
    }
    // Another body under a good signature.
    let (status, answer) = world.post(Some(&good), body.replace("RELEASE", "REFUND")).await;
    assert_eq!((code(&answer), status), ("auth.wrong_payload", 401));
    assert_eq!(world.facts().await, 0);
    // None of these used the good one up.
    let (status, answer) = world.post(Some(&good), body.clone()).await;
    assert_eq!((status, &answer["data"]["createTask"]["changed"]), (200, &json!(true)), "{answer}");
    // A command is remembered by the journal, so it gets as far as GraphQL.
    let (status, answer) = world.post(Some(&good), body.clone()).await;
    assert_eq!((code(&answer), status), ("auth.replayed", 200));
    assert_eq!(world.facts().await, 1);
    // A clock that is a little ahead is none of these faults.
    assert_eq!(world.post(Some(&Draft { at: draft().at + 8, ..draft() }.header()), body).await.0, 200);
}

#[tokio::test]
async fn who_does_not_sign_is_not_listened_to() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let world = World::start().await;
    let address = world.url.trim_start_matches("http://").trim_end_matches("/graphql");
    let head = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\nauthorization: ";
    let wrong = Draft::new(&world, "").tag("u", "http://example.com/graphql").header();
    for authorization in ["Nostr x", wrong.as_str()] {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        // The body never comes, and is not waited for.
        socket.write_all(format!("{head}{authorization}\r\n\r\n").as_bytes()).await.unwrap();
        let mut start = [0; 12];
        let read = socket.read_exact(&mut start);
        tokio::time::timeout(crate::world::PATIENCE / 2, read).await.unwrap().unwrap();
        assert_eq!(start, *b"HTTP/1.1 401");
    }
}

#[tokio::test]
async fn two_authorizations_are_none() {
    let world = World::start().await;
    let body = json!({ "query": "{ node { height } }" }).to_string();
    let (one, two) = (world.signature(&requester(), &body), world.signature(&stranger(), &body));
    let request = reqwest::Client::new().post(&world.url).header("authorization", one).header("authorization", two);
    let (status, answer) = crate::world::read(request.body(body).send().await.unwrap()).await;
    assert_eq!((code(&answer), status), ("auth.malformed", 401));
}

#[tokio::test]
async fn a_client_can_send_one_signature_twice() {
    let world = World::start().await;
    let document = "mutation($input: CreateTaskInput!) { createTask(input: $input) { changed } }";
    let variables = json!({ "input": world.input(world.new_id()) });
    let [first, second] = world.client(requester()).query_twice(document, variables).await.unwrap();
    assert_eq!(first.unwrap()["createTask"]["changed"], true);
    assert_eq!(second.unwrap_err().code, "auth.replayed");
    assert_eq!(world.facts().await, 1);
}

#[tokio::test]
async fn queries_are_not_replayed_either() {
    let world = World::start().await;
    let body = json!({ "query": "{ node { height } }" }).to_string();
    let signature = world.signature(&requester(), &body);
    assert_eq!(world.post(Some(&signature), body.clone()).await.0, 200);
    let (status, answer) = world.post(Some(&signature), body.clone()).await;
    assert_eq!((code(&answer), status), ("auth.replayed", 401));
    // Two signatures in one second are two events.
    let signature = || world.signature(&requester(), &body);
    assert_ne!(signature(), signature());
    // Once its time is over, it is refused for that.
    world.clock.advance(Duration::from_secs(62));
    let (_, answer) = world
        .post(
            Some(
                &sign::authorization(
                    &requester(),
                    &world.url,
                    "POST",
                    Some(body.as_bytes()),
                    Timestamp::from_secs(world.clock.now().as_secs() - 62),
                )
                .unwrap(),
            ),
            body.clone(),
        )
        .await;
    assert_eq!(code(&answer), "auth.expired");
}

#[tokio::test]
async fn a_replay_after_a_restart_of_the_edge_is_refused() {
    let world = World::start().await;
    let body = json!({ "query": "mutation($input: CreateTaskInput!) { createTask(input: $input) { changed } }",
        "variables": { "input": world.input(world.new_id()) } })
    .to_string();
    let query = json!({ "query": "{ node { height } }" }).to_string();
    let (command, read) = (world.signature(&requester(), &body), world.signature(&requester(), &query));
    assert_eq!(world.post(Some(&command), body.clone()).await.0, 200);
    assert_eq!(world.post(Some(&read), query.clone()).await.0, 200);

    world.clock.advance(Duration::from_secs(1));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = format!("http://{}/graphql", listener.local_addr().unwrap());
    let config = tallystick_graphql::EdgeConfig::new([world.url.clone()]);
    let router = tallystick_graphql::router(
        config,
        world.app.clone(),
        world.vault.clone(),
        std::sync::Arc::clone(&world.node) as _,
    );
    let limits = tallystick_graphql::ServeLimits::default();
    let server = tokio::spawn(tallystick_graphql::serve(listener, router, std::future::pending(), limits));
    let post = async |signature: String, body: &str| {
        let request = reqwest::Client::new().post(&other).header("authorization", signature).body(body.to_owned());
        crate::world::read(request.send().await.unwrap()).await
    };
    // The journal knows the command. Nobody knows the read, so it is refused by its time.
    let (status, answer) = post(command, &body).await;
    assert_eq!((code(&answer), status), ("auth.replayed", 200));
    let (status, answer) = post(read, &query).await;
    assert_eq!((code(&answer), status), ("auth.before_start", 401));
    assert_eq!(post(world.signature(&requester(), &query), &query).await.0, 200);
    assert_eq!(world.facts().await, 1);
    server.abort();
}

#[tokio::test]
async fn a_full_memory_refuses_rather_than_forgets() {
    let world = World::with(|config| config.replay_memory_max = 4).await;
    let query = "{ node { height } }";
    assert_eq!(world.ask(&requester(), query).await.0, 200);
    assert_eq!(world.ask(&requester(), query).await.0, 200);
    let (status, answer) = world.ask(&requester(), query).await;
    assert_eq!((code(&answer), status), ("request.busy", 503));
    world.clock.advance(Duration::from_secs(62));
    assert_eq!(world.ask(&requester(), query).await.0, 200);
}

/// A crowd of keys that cost nothing must not keep those out whose money is at stake.
#[tokio::test]
async fn strangers_do_not_lock_parties_out() {
    let world = World::with(|config| {
        config.replay_memory_max = 12;
        config.replay_memory_per_key_max = 3;
    })
    .await;
    let query = "{ node { height } }";
    let ask = async |keys: &nostr::key::Keys| match world.ask(keys, query).await {
        (200, _) => "ok".to_owned(),
        (_, answer) => code(&answer).to_owned(),
    };
    let id = world.create().await;
    world.accept(id).await;
    world.fund(id).await;
    // One key gets no more than its share,
    let mut flood = Vec::new();
    for _ in 0..5 {
        flood.push(ask(&stranger()).await);
    }
    assert_eq!(flood, ["ok", "ok", "ok", "request.too_many", "request.too_many"]);
    // many keys no more than half,
    let mut n = 10;
    while ask(&keys(n)).await == "ok" {
        n += 1;
    }
    assert_eq!(ask(&keys(n)).await, "request.busy");
    // and an open task, which costs nothing, is no way around.
    let theirs = world.client(keys(n));
    let create = "mutation($input: CreateTaskInput!) { createTask(input: $input) { changed } }";
    theirs.query(create, json!({ "input": world.input(world.new_id()) })).await.unwrap();
    assert_eq!(ask(&keys(n)).await, "request.busy");
    for party in [requester(), worker(), operator()] {
        assert_eq!(ask(&party).await, "ok");
    }
    // Whoever fills the memory, commands need no room in it.
    while ask(&worker()).await == "ok" {}
    while ask(&operator()).await == "ok" {}
    let submitted = "submitWork(id: $id, workHash: $hash)";
    let hash = json!({ "hash": "ab".repeat(32) });
    world.act(&worker(), id, submitted, ", $hash: Hex32!", hash).await.unwrap();
    world.act(&requester(), id, "approveWork(id: $id)", "", json!({})).await.unwrap();
}

/// Nor whoever was drawn for a panel, and has to answer and to vote in time.
#[tokio::test]
async fn strangers_do_not_lock_a_panel_out() {
    let world = World::with(|config| config.replay_memory_max = 16).await;
    let (seated, admitted) = (keys(8), keys(9));
    let ask = async |keys: &nostr::key::Keys| match world.ask(keys, "{ node { height } }").await {
        (200, _) => "ok".to_owned(),
        (_, answer) => code(&answer).to_owned(),
    };
    disputes::admit(&world, &seated).await;
    let mut n = 10;
    while ask(&keys(n)).await == "ok" {
        n += 1;
    }
    assert_eq!(ask(&seated).await, "request.busy", "who may be drawn, and was not, is a stranger");
    disputes::at(&world, &seated, "SEATING").await;
    disputes::admit(&world, &admitted).await;
    // It is not looked up for each request of a crowd.
    world.clock.advance(Duration::from_secs(6));
    assert_eq!([ask(&admitted).await, ask(&keys(n)).await], ["request.busy", "request.busy"]);
    assert_eq!(ask(&seated).await, "ok");
}
