//! Updates over a WebSocket.

use futures::{SinkExt, Stream, StreamExt};
use nostr::key::Keys;
use serde_json::{Value, json};
use std::time::Duration;
use tallystick_app::Clock;
use tallystick_graphql::{client::ClientError, sign};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::world::{PATIENCE, World, requester, stranger, worker};

async fn next(updates: &mut (impl Stream<Item = Result<Value, ClientError>> + Unpin)) -> Value {
    let update = tokio::time::timeout(PATIENCE, updates.next()).await.unwrap().unwrap();
    update.unwrap()["taskUpdates"].take()
}

#[tokio::test]
async fn a_task_is_shown_as_it_stands_and_then_as_it_changes() {
    let world = World::start().await;
    let id = world.create().await;
    world.create().await;
    let query = "subscription($id: UUID) { taskUpdates(id: $id) { id state worker } }";
    let client = world.client(stranger());
    let mut updates = client.subscribe(query, json!({ "id": id.to_string() })).await.unwrap();
    let open = next(&mut updates).await;
    assert_eq!(open, json!({ "id": id.to_string(), "state": "OPEN", "worker": null }));
    world.create().await;
    world.accept(id).await;
    let assigned = next(&mut updates).await;
    assert_eq!((&assigned["state"], &assigned["worker"]), (&json!("ASSIGNED"), &json!(worker().public_key().to_hex())));
    world.act(&worker(), id, "cancelTask(id: $id)", "", json!({})).await.unwrap();
    assert_eq!(next(&mut updates).await["state"], "CANCELLED");
}

#[tokio::test]
async fn without_an_id_every_change_of_every_task_is_told() {
    let world = World::start().await;
    world.create().await;
    let client = world.client(stranger());
    let mut updates = client.subscribe("subscription { taskUpdates { id state } }", json!({})).await.unwrap();
    // The subscription stands once its first update comes; until then tasks are posted.
    let first = loop {
        world.create().await;
        if let Ok(update) = tokio::time::timeout(Duration::from_millis(100), updates.next()).await {
            break update.unwrap().unwrap();
        }
    };
    assert_eq!(first["taskUpdates"]["state"], "OPEN");
    let id = world.create().await;
    world.accept(id).await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let update = next(&mut updates).await;
        if update["id"] == json!(id.to_string()) {
            seen.push(update["state"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(seen, ["OPEN", "ASSIGNED"]);
}

#[tokio::test]
async fn what_cannot_be_subscribed_to_is_told() {
    let world = World::start().await;
    let client = world.client(stranger());
    for (expected, query) in [
        ("escrow.not_found", "subscription { taskUpdates(id: \"0193b1f4-7c3e-7000-8000-0123456789ab\") { id } }"),
        ("graphql.invalid", "subscription { taskUpdates(id: \"x\") { id } }"),
        ("graphql.invalid", "subscription { taskUpdates { id } two: taskUpdates { id } }"),
        ("graphql.invalid", "subscription { nothing }"),
        ("graphql.syntax", "subscription {"),
        ("graphql.too_deep", &format!("subscription {{ {}", "a {".repeat(2_000))),
        ("request.only_subscriptions", "{ node { height } }"),
        (
            "request.only_subscriptions",
            "mutation { cancelTask(id: \"0193b1f4-7c3e-7000-8000-0123456789ab\") { changed } }",
        ),
    ] {
        let mut updates = client.subscribe(query, json!({})).await.unwrap();
        let error = tokio::time::timeout(PATIENCE, updates.next()).await.unwrap().unwrap().unwrap_err();
        assert_eq!(error.code, expected, "{query}");
    }
    assert_eq!(world.facts().await, 0);
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn open(world: &World) -> Result<Socket, u16> {
    let mut request = world.url.replacen("http", "ws", 1).into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("graphql-transport-ws"));
    match tokio_tungstenite::connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn send(socket: &mut Socket, message: &str) {
    socket.send(Message::text(message)).await.unwrap();
}

/// The next text or close frame: what it says, and the code if it closes.
async fn receive(socket: &mut Socket) -> (u16, String) {
    loop {
        let frame = tokio::time::timeout(PATIENCE, socket.next()).await.unwrap();
        match frame {
            Some(Ok(Message::Text(text))) => return (0, text.to_string()),
            Some(Ok(Message::Close(Some(frame)))) => return (frame.code.into(), frame.reason.to_string()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => return (1, format!("{other:?}")),
        }
    }
}

/// A connection that has said who it is.
async fn introduced(world: &World, keys: &Keys) -> Socket {
    let mut socket = open(world).await.unwrap();
    introduce(&mut socket, world, keys).await;
    assert_eq!(receive(&mut socket).await, (0, "{\"type\":\"connection_ack\"}".into()));
    socket
}

async fn introduce(socket: &mut Socket, world: &World, keys: &Keys) {
    let authorization = sign::authorization(keys, &world.url, "GET", None, world.clock.now()).unwrap();
    send(socket, &init(&authorization)).await;
}

fn subscribe(id: &str, query: &str) -> String {
    json!({ "type": "subscribe", "id": id, "payload": { "query": query } }).to_string()
}

const ALL: &str = "subscription { taskUpdates { id } }";

fn init(authorization: &str) -> String {
    json!({ "type": "connection_init", "payload": { "authorization": authorization } }).to_string()
}

#[tokio::test]
async fn who_does_not_say_who_it_is_is_let_go() {
    let world = World::start().await;
    let now = world.clock.now();
    let signed =
        |url: &str, method, body: Option<&[u8]>| sign::authorization(&requester(), url, method, body, now).unwrap();
    let good = signed(&world.url, "GET", None);
    for (expected, reason, first) in [
        (4403, "auth.missing", "{\"type\": \"connection_init\"}".to_owned()),
        (4403, "auth.malformed", "{\"type\": \"connection_init\", \"payload\": {\"authorization\": 5}}".to_owned()),
        (4403, "auth.malformed", init("Nostr x")),
        (4403, "auth.wrong_url", init(&signed("http://example.com/graphql", "GET", None))),
        (4403, "auth.wrong_method", init(&signed(&world.url, "POST", None))),
        (4403, "auth.wrong_payload", init(&signed(&world.url, "GET", Some(b"body")))),
        (4400, "this is no", "no json".to_owned()),
        (4400, "this is no", json!({ "type": "x".repeat(1_000) }).to_string()),
        (
            1011,
            "The handshake",
            json!({ "type": "subscribe", "id": "1", "payload": { "query": "subscription { taskUpdates { id } }" } })
                .to_string(),
        ),
        (0, "{\"type\":\"connection_ack\"}", init(&good)),
        (4403, "auth.replayed", init(&good)),
    ] {
        let mut socket = open(&world).await.unwrap();
        send(&mut socket, &first).await;
        let (code, said) = receive(&mut socket).await;
        assert_eq!(code, expected, "{first}: {said}");
        assert!(said.starts_with(reason), "{first}: {said}");
    }
}

#[tokio::test]
async fn silent_and_oversized_connections_are_closed() {
    let world = World::with(|config| {
        config.init_timeout = Duration::from_millis(200);
        config.idle_timeout = Duration::from_secs(10);
    })
    .await;
    let mut silent = open(&world).await.unwrap();
    assert_eq!(receive(&mut silent).await.0, 4408);
    let mut chatty = open(&world).await.unwrap();
    let chat = async {
        while chatty.send(Message::text("{\"type\": \"ping\"}")).await.is_ok() {
            if let (4408, _) = receive(&mut chatty).await {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, chat).await.expect("pings do not say who one is");
    // One that may take its time to say who it is.
    let world = World::start().await;
    let mut large = introduced(&world, &requester()).await;
    let long = format!("subscription {{ taskUpdates {{ id }} }} # {}", "x".repeat(17 * 1024));
    send(&mut large, &json!({ "type": "subscribe", "id": "1", "payload": { "query": long } }).to_string()).await;
    world.create().await;
    let (code, said) = receive(&mut large).await;
    assert_ne!(code, 0, "a text came: {said}");
}

#[tokio::test]
async fn a_connection_without_a_sign_of_life_is_closed() {
    // A slow machine may need a second to answer a ping.
    let world = World::with(|config| config.idle_timeout = Duration::from_secs(2)).await;
    let mut socket = open(&world).await.unwrap();
    let authorization = sign::authorization(&requester(), &world.url, "GET", None, world.clock.now()).unwrap();
    send(&mut socket, &init(&authorization)).await;
    assert_eq!(receive(&mut socket).await, (0, "{\"type\":\"connection_ack\"}".into()));
    // Reading answers the edge's pings: that is life enough.
    let alive = tokio::time::timeout(Duration::from_secs(3), receive(&mut socket)).await;
    assert!(alive.is_err(), "{alive:?}");
    // A peer that answers nothing: raw TCP behind the same handshake.
    let MaybeTlsStream::Plain(tcp) = socket.get_mut() else { panic!("no TLS here") };
    let mut ended = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(tcp, &mut ended);
    tokio::time::timeout(PATIENCE, read).await.expect("closed after the idle timeout").unwrap();
    assert!(String::from_utf8_lossy(&ended).contains("no word from you"));
}

#[tokio::test]
async fn connections_and_subscriptions_are_counted() {
    let world = World::with(|config| {
        config.websockets_unnamed_max = 1;
        config.subscriptions_max = 1;
    })
    .await;
    let mut first = open(&world).await.unwrap();
    let mut socket = open(&world).await.unwrap();
    let (code, said) = receive(&mut first).await;
    assert!(code == 4403 && said.starts_with("request.busy: "), "the oldest gives way: {code} {said}");
    introduce(&mut socket, &world, &requester()).await;
    receive(&mut socket).await;
    // Who has said who it is takes no room from others.
    drop(open(&world).await.unwrap());
    let none = World::with(|config| config.websockets_unnamed_max = 0).await;
    assert_eq!(open(&none).await.err(), Some(503));
    send(&mut socket, &subscribe("1", ALL)).await;
    send(&mut socket, &subscribe("2", ALL)).await;
    let (_, refused) = receive(&mut socket).await;
    let refused: Value = serde_json::from_str(&refused).unwrap();
    assert_eq!(refused["id"], "2");
    assert_eq!(crate::world::code(&refused["payload"]), "request.too_many_subscriptions");
    // The end of one makes room for the next.
    send(&mut socket, &json!({ "type": "complete", "id": "1" }).to_string()).await;
    send(&mut socket, &subscribe("3", ALL)).await;
    let id = world.create().await;
    let told = async {
        loop {
            let (_, text) = receive(&mut socket).await;
            let message: Value = serde_json::from_str(&text).unwrap();
            if message["type"] == "next" {
                return message;
            }
        }
    };
    let told = tokio::time::timeout(PATIENCE, told).await.unwrap();
    assert_eq!((&told["id"], &told["payload"]["data"]["taskUpdates"]["id"]), (&json!("3"), &json!(id.to_string())));
    drop(socket);
}

#[tokio::test]
async fn one_key_has_its_share_of_connections() {
    let world = World::with(|config| config.websockets_per_key_max = 1).await;
    let first = introduced(&world, &requester()).await;
    let mut second = open(&world).await.unwrap();
    introduce(&mut second, &world, &requester()).await;
    let (code, said) = receive(&mut second).await;
    assert_eq!(code, 4403, "{said}");
    assert!(said.starts_with("request.too_many: "), "{said}");
    introduced(&world, &stranger()).await;
    drop(first);
    let again = async {
        loop {
            let mut socket = open(&world).await.unwrap();
            introduce(&mut socket, &world, &requester()).await;
            if receive(&mut socket).await.0 == 0 {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("a closed connection gives its place back");
}

#[tokio::test]
async fn ids_of_subscriptions_are_checked() {
    let world = World::start().await;
    let mut twice = introduced(&world, &requester()).await;
    send(&mut twice, &subscribe("1", ALL)).await;
    send(&mut twice, &subscribe("1", ALL)).await;
    let (code, said) = receive(&mut twice).await;
    assert_eq!(code, 4409, "{said}");

    let mut long = introduced(&world, &requester()).await;
    send(&mut long, &subscribe(&"x".repeat(129), ALL)).await;
    let (code, said) = receive(&mut long).await;
    assert_eq!(code, 4403, "{said}");
    assert!(said.starts_with("request.long_subscription_id"), "{said}");

    // An id is free again once its subscription has ended.
    let mut again = introduced(&world, &requester()).await;
    for _ in 0..3 {
        send(&mut again, &subscribe("1", ALL)).await;
        send(&mut again, &json!({ "type": "complete", "id": "1" }).to_string()).await;
        let (code, said) = receive(&mut again).await;
        assert_eq!((code, said.contains("complete")), (0, true), "{said}");
    }
}

#[tokio::test]
async fn who_is_refused_too_often_is_let_go() {
    let world = World::with(|config| {
        config.refusals_max = 3;
        config.subscription_selections_max = 5;
    })
    .await;
    let mut socket = introduced(&world, &requester()).await;
    let large = format!("subscription {{ taskUpdates {{ {} }} }}", "id ".repeat(6));
    let nothing = "subscription { taskUpdates(id: \"0193b1f4-7c3e-7000-8000-0123456789ab\") { id } }";
    for (n, query, expected) in [
        (1, "{ node { height } }", "request.only_subscriptions"),
        (2, large.as_str(), "graphql.too_complex"),
        (3, nothing, "escrow.not_found"),
    ] {
        send(&mut socket, &subscribe(&n.to_string(), query)).await;
        let (_, told) = receive(&mut socket).await;
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!((crate::world::code(&told["payload"]), &told["type"]), (expected, &json!("next")));
        let (_, complete) = receive(&mut socket).await;
        assert!(complete.contains("complete"), "{complete}");
    }
    send(&mut socket, &subscribe("4", ALL)).await;
    let (code, said) = receive(&mut socket).await;
    assert_eq!(code, 4403, "{said}");
    assert!(said.starts_with("request.too_many_refused"), "{said}");
}
