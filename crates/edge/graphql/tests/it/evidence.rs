//! Evidence, up and down over HTTP.

use nostr::key::Keys;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tallystick_app::port::evidence::{EvidenceStore, Matter};
use tallystick_core::{Digest32, Id, canonical::sha256};
use tallystick_graphql::{client::ClientError, sign};
use tallystick_testkit::same_table;

use crate::disputes;
use crate::matrix::{ROLES, Stage, key_of};
use crate::world::{World, keys, operator, public, requester, stranger, worker};

/// A node with a dispute.
async fn disputed() -> (World, Matter) {
    let world = World::start().await;
    let matter = Matter {
        task: Id::from_parts(1_700_000_000_000, [1; 10]),
        dispute: Id::from_parts(1_700_000_000_001, [2; 10]),
    };
    world.disputes.open(matter, (public(&requester()), public(&worker())), world.app.height());
    (world, matter)
}

async fn upload(world: &World, matter: Matter, by: Keys, content: &[u8]) -> Result<Digest32, ClientError> {
    world.client(by).upload_evidence(matter, content.to_vec(), Arc::new(|_| ())).await
}

fn refused<T: std::fmt::Debug>(result: Result<T, ClientError>) -> String {
    result.unwrap_err().code
}

#[tokio::test]
async fn a_piece_goes_up_and_comes_down_to_its_readers() {
    let (world, matter) = disputed().await;
    let content: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).take(10 << 20).collect();
    let gone = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&gone);
    let progress = Arc::new(move |bytes| assert!(told.fetch_max(bytes, Ordering::AcqRel) < bytes));
    let hash = world.client(worker()).upload_evidence(matter, content.clone(), progress).await.unwrap();
    assert_eq!(gone.load(Ordering::Acquire), 10 << 20);
    assert_eq!(refused(world.client(requester()).fetch_evidence(matter, hash).await), "evidence.no_piece");
    world.disputes.file(matter, public(&worker()), hash, 10 << 20);
    let arbitrators = [keys(11), keys(12), keys(13)];
    assert_eq!(refused(world.client(keys(11)).fetch_evidence(matter, hash).await), "evidence.not_reader");
    world.disputes.seat(matter, &arbitrators.each_ref().map(public));
    for reader in [requester(), worker()].into_iter().chain(arbitrators) {
        assert!(world.client(reader).fetch_evidence(matter, hash).await.unwrap() == content);
    }
    for other in [stranger(), operator()] {
        assert_eq!(refused(world.client(other).fetch_evidence(matter, hash).await), "evidence.not_reader");
    }
    assert_eq!(refused(upload(&world, matter, stranger(), b"x").await), "dispute.not_party");
    let nowhere = Matter { dispute: Id::from_parts(1, [0; 10]), ..matter };
    assert_eq!(refused(upload(&world, nowhere, worker(), b"x").await), "evidence.no_dispute");
    assert_eq!(refused(upload(&world, matter, worker(), &[7; (10 << 20) + 1]).await), "request.too_large");
}

/// What a signature was made for is what it works for, and once.
#[tokio::test]
async fn a_transfer_is_signed_for_its_address_method_and_bytes() {
    let (world, matter) = disputed().await;
    let base = world.url.strip_suffix("/graphql").unwrap();
    let url = |hash: Digest32| format!("{base}/evidence/{}/{}/{hash}", matter.task, matter.dispute);
    let sign = |url: &str, method: &str, body: Option<&[u8]>| {
        sign::authorization(&worker(), url, method, body, tallystick_app::Clock::now(&*world.clock)).unwrap()
    };
    let (content, other) = (b"content".as_slice(), b"another".as_slice());
    let (here, there) = (url(sha256(content)), url(sha256(other)));
    let put = async |url: &str, authorization: Option<&str>, body: &[u8]| {
        let mut request = reqwest::Client::new().put(url).body(body.to_vec());
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let answer: serde_json::Value = response.json().await.unwrap_or_default();
        (status, answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned())
    };
    let is = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(put(&here, None, content).await, is(401, "auth.missing"));
    assert_eq!(put(&here, Some(&sign(&there, "PUT", Some(content))), content).await, is(401, "auth.wrong_url"));
    assert_eq!(put(&here, Some(&sign(&world.url, "PUT", Some(content))), content).await, is(401, "auth.wrong_url"));
    assert_eq!(put(&here, Some(&sign(&here, "POST", Some(content))), content).await, is(401, "auth.wrong_method"));
    assert_eq!(put(&here, Some(&sign(&here, "PUT", None)), content).await, is(401, "auth.wrong_payload"));
    assert_eq!(put(&here, Some(&sign(&here, "PUT", Some(other))), other).await, is(401, "auth.wrong_payload"));
    // The header is true, the body is not.
    assert_eq!(put(&here, Some(&sign(&here, "PUT", Some(content))), other).await, is(400, "evidence.other_bytes"));
    assert_eq!(world.store.pieces(matter).await.unwrap(), []);
    let good = sign(&here, "PUT", Some(content));
    assert_eq!(put(&here, Some(&good), content).await, is(204, ""));
    assert_eq!(put(&here, Some(&good), content).await, is(401, "auth.replayed"));
    assert_eq!(world.store.pieces(matter).await.unwrap().len(), 1);
    // One piece has one address.
    for wrong in [here.to_uppercase().replace("HTTP", "http").replace("EVIDENCE", "evidence"), format!("{here}/")] {
        assert_eq!(put(&wrong, Some(&sign(&wrong, "PUT", Some(content))), content).await.0, 404, "{wrong}");
    }
    // A signature over GraphQL opens no evidence, and the other way round.
    let (status, _) = world.post(Some(&sign(&here, "POST", Some(b"{}"))), "{}").await;
    assert_eq!(status, 401);
}

/// What becomes of a piece that each role files, and of one that is filed and that each role reads.
const TRANSFERS: &str = "
PUT | auth.missing | dispute.not_party   | ok | ok | dispute.not_party   | dispute.not_party | dispute.not_party   | dispute.not_party   | dispute.not_party   | dispute.not_party
GET | auth.missing | evidence.not_reader | ok | ok | evidence.not_reader | ok                | evidence.not_reader | evidence.not_reader | evidence.not_reader | evidence.not_reader
";

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_as_every_role() {
    let stage = Stage::open().await;
    let world = &stage.world;
    let (id, dispute) = disputes::at(world, &keys(8), "SEATING").await;
    let matter = Matter { task: id, dispute: dispute["id"].as_str().unwrap().parse().unwrap() };
    let filed = disputes::uploaded(world, &worker(), id, &dispute).await;
    let submit = format!("submitEvidence(id: $id, hash: \"{filed}\", bytes: 3)");
    world.act(&worker(), id, &submit, "", serde_json::json!({})).await.unwrap();
    let mut rows = Vec::new();
    for method in ["PUT", "GET"] {
        if method == "GET" {
            // Who sits on the panel reads; nothing is filed any more from then on.
            world.act(&keys(8), id, "acceptSeat(id: $id)", "", serde_json::json!({})).await.unwrap();
            world.rail.mine(18);
            disputes::in_state(world, &worker(), id, "COMMITTING").await;
        }
        let mut cells = Vec::new();
        for role in ROLES {
            let done = match (key_of(role), method) {
                (None, _) => Err(unsigned(world, matter, method, filed).await),
                (Some(key), "PUT") => upload(world, matter, key, role.as_bytes()).await.map(drop).map_err(|it| it.code),
                (Some(key), _) => world.client(key).fetch_evidence(matter, filed).await.map(drop).map_err(|it| it.code),
            };
            cells.push(done.map_or_else(|code| code, |()| "ok".to_owned()));
        }
        rows.push(format!("{method} | {}", cells.join(" | ")));
    }
    same_table(&rows, TRANSFERS);
}

/// The code of a transfer that nobody signed.
async fn unsigned(world: &World, matter: Matter, method: &str, hash: Digest32) -> String {
    let base = world.url.strip_suffix("/graphql").unwrap();
    let url = format!("{base}/evidence/{}/{}/{hash}", matter.task, matter.dispute);
    let method = method.parse().unwrap();
    let response = reqwest::Client::new().request(method, url).body("abc").send().await.unwrap();
    let answer: serde_json::Value = response.json().await.unwrap();
    answer["errors"][0]["extensions"]["code"].as_str().unwrap().to_owned()
}
