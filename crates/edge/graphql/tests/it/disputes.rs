//! A dispute from its opening to the last payment, over the API.

use futures::StreamExt;
use nostr::key::Keys;
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};
use tallystick_app::port::evidence::{EvidenceStore, Matter};
use tallystick_civics::{
    dispute::{Award, Seats, commitment},
    draw::{Candidate, Candidates, draw},
};
use tallystick_core::{Digest32, Id, NostrKey, canonical::sha256};
use tallystick_escrow::Task;
use tallystick_testkit::rail::InvoiceSpec;

use crate::world::{PATIENCE, World, keys, operator, public, requester, stranger, worker};

const DISPUTE: &str = "id state openedBy tranches partsSat ruleBy until blocksLeft secondsLeft then round seats drawBlock \
    rewardMsat ruling { toWorker workerSat requesterSat } readers \
    panel { arbitrator round state commitment vote { toWorker } reward } evidence { hash bytes by kept key withoutKey }";
const PAYOUTS: [u64; 5] = [1_000; 5];

/// Arbitrators of these tests.
fn arbitrators() -> impl Iterator<Item = Keys> {
    (10..20).map(keys)
}

async fn field(world: &World, by: &Keys, query: &str, variables: Value) -> Result<Value, String> {
    world.client(by.clone()).query(query, variables).await.map_err(|error| error.code)
}

/// The hash of every arbitrator's statement.
pub const STATEMENT: &str = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd";
/// The salt of every vote.
pub const SALT: &str = "0707070707070707070707070707070707070707070707070707070707070707";

/// Somebody offers to sit on panels.
pub async fn register(world: &World, one: &Keys) {
    let arguments = format!("statementHash: \"{STATEMENT}\", pay: \"a@b.example\"");
    field(world, one, &format!("mutation {{ registerArbitrator({arguments}) {{ changed }} }}"), json!({}))
        .await
        .unwrap();
}

/// Somebody may be drawn.
pub async fn admit(world: &World, one: &Keys) {
    register(world, one).await;
    let admit = "mutation($key: NostrKey!, $hash: Hex32!) { admitArbitrator(arbitrator: $key, statementHash: $hash) { \
        changed } }";
    let variables = json!({ "key": public(one).to_string(), "hash": STATEMENT });
    field(world, &operator(), admit, variables).await.unwrap();
}

async fn admit_all(world: &World) {
    let hash = STATEMENT;
    let admit = "mutation($key: NostrKey!, $hash: Hex32!) { admitArbitrator(arbitrator: $key, statementHash: $hash) { \
        changed arbitrator { eligible } } }";
    for one in arbitrators() {
        register(world, &one).await;
        let variables = json!({ "key": public(&one).to_string(), "hash": hash });
        assert_eq!(field(world, &one, admit, variables.clone()).await, Err("auth.not_operator".into()));
        let admitted = field(world, &operator(), admit, variables).await.unwrap();
        assert_eq!(admitted["admitArbitrator"], json!({ "changed": true, "arbitrator": { "eligible": true } }));
    }
    let listed = field(world, &stranger(), "{ arbitrators { key eligible served pay } }", json!({})).await.unwrap();
    assert_eq!(listed["arbitrators"].as_array().unwrap().len(), 10);
}

/// A task with a panel of three, whose work was handed in and refused.
async fn refused(world: &World) -> Id<Task> {
    refused_with(world, "THREE", &PAYOUTS).await
}

async fn refused_with(world: &World, panel: &str, payouts: &[u64]) -> Id<Task> {
    let id = world.new_id();
    let mut input = world.input(id);
    input["panel"] = json!(panel);
    input["milestones"][0]["payoutsSat"] = json!(payouts);
    let (requester, worker) = (requester(), worker());
    let create = "mutation($input: CreateTaskInput!) { createTask(input: $input) { changed } }";
    field(world, &requester, create, json!({ "input": input })).await.unwrap();
    let invoices: Vec<_> = payouts.iter().map(|sat| world.rail.invoice("payee", *sat)).collect();
    let declared = ", $invoices: [String!]!";
    let take = json!({ "invoices": invoices });
    world.act(&worker, id, "acceptTask(id: $id, invoices: $invoices)", declared, take).await.unwrap();
    let funding = world.act(&requester, id, "fundingInvoice(id: $id)", "", json!({})).await.unwrap();
    for tranche in funding["task"]["milestones"][0]["tranches"].as_array().unwrap() {
        assert!(world.rail.pay_hold("payer", tranche["fundingInvoice"].as_str().unwrap()));
    }
    world.until(id, "HELD").await;
    let hash = json!({ "hash": "cd".repeat(32) });
    let declared = ", $hash: Hex32!";
    world.act(&worker, id, "submitWork(id: $id, workHash: $hash)", declared, hash.clone()).await.unwrap();
    world.act(&requester, id, "rejectWork(id: $id, reasonHash: $hash)", declared, hash).await.unwrap();
    world.until(id, "REJECTED").await;
    id
}

/// Follows a dispute until this is so, and shows it as somebody sees it.
async fn until(world: &World, by: &Keys, id: Id<Task>, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let query =
        format!("subscription($id: UUID) {{ taskUpdates(id: $id) {{ milestones {{ dispute {{ {DISPUTE} }} }} }} }}");
    let client = world.client(by.clone());
    let mut updates = client.subscribe(&query, json!({ "id": id.to_string() })).await.unwrap();
    let reached = async {
        while let Some(update) = updates.next().await {
            let dispute = update.unwrap()["taskUpdates"]["milestones"][0]["dispute"].take();
            if is_so(&dispute) {
                return dispute;
            }
        }
        panic!("the updates ended before {what}")
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("never {what}"))
}

pub async fn in_state(world: &World, by: &Keys, id: Id<Task>, state: &str) -> Value {
    until(world, by, id, state, |dispute| dispute["state"] == state).await
}

async fn act(world: &World, by: &Keys, id: Id<Task>, field: &str) -> Result<bool, String> {
    Ok(world.act(by, id, field, "", json!({})).await?["changed"] == true)
}

fn panel(dispute: &Value) -> Vec<Keys> {
    let seats = dispute["panel"].as_array().unwrap().iter();
    seats.map(|seat| arbitrators().find(|keys| seat["arbitrator"] == public(keys).to_string()).unwrap()).collect()
}

/// The draw follows from what the API tells, by nothing but the rule.
fn is_drawn(shown: &Value) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = |name: &str| -> Vec<NostrKey> {
        shown[name].as_array().unwrap().iter().map(|key| text(key).parse().unwrap()).collect()
    };
    let list = shown["candidates"].as_array().unwrap().iter().map(|candidate| Candidate {
        arbitrator: text(&candidate["arbitrator"]).parse().unwrap(),
        weight: candidate["weight"].as_u64().unwrap().try_into().unwrap(),
    });
    let list = Candidates::try_new(list.collect()).unwrap();
    assert_eq!(text(&shown["candidatesDigest"]), list.digest().to_string());
    let excluded: BTreeSet<_> = all("excluded").into_iter().collect();
    assert!(excluded.contains(&public(&requester())) && excluded.contains(&public(&worker())));
    let (hash, dispute) = (text(&shown["blockHash"]).parse().unwrap(), text(&shown["dispute"]).parse().unwrap());
    let order = draw(&hash, dispute, 1, &list.without(&excluded), Seats::Three);
    assert_eq!(all("order"), order);
}

/// What somebody counts in a draw is told with what it is made of, now and as of any fact.
async fn is_explained(world: &World, one: &Keys) {
    let query = "query($key: NostrKey!, $asOf: Int) { drawWeight(arbitrator: $key, asOf: $asOf) { seq at weight terms { \
        name points facts } } }";
    let ask = async |key: NostrKey, as_of: Option<u64>| {
        let variables = json!({ "key": key.to_string(), "asOf": as_of });
        field(world, &stranger(), query, variables).await.unwrap()["drawWeight"].take()
    };
    let weight = ask(public(one), None).await;
    assert_eq!(weight["terms"], json!([{ "name": "newcomer", "points": 100, "facts": [] }]));
    assert_eq!(weight["weight"], 100);
    assert_eq!(ask(public(one), weight["seq"].as_u64()).await, weight);
    assert_eq!(ask(public(one), Some(1)).await, Value::Null, "nobody could be drawn then");
    assert_eq!(ask(public(&stranger()), None).await, Value::Null);
}

/// An arbitrator's invoice over what a dispute pays.
pub fn reward_invoice(world: &World, dispute: &Value) -> String {
    let amount = tallystick_core::Msat::try_new(dispute["rewardMsat"].as_str().unwrap().parse().unwrap()).unwrap();
    world.rail.add_wallet("arbitrator", 0);
    world.rail.invoice_with("arbitrator", &InvoiceSpec { amount: Some(amount), ..InvoiceSpec::good(0) })
}

/// A piece that somebody has uploaded, and not filed.
pub async fn uploaded(world: &World, by: &Keys, id: Id<Task>, dispute: &Value) -> Digest32 {
    let matter = Matter { task: id, dispute: dispute["id"].as_str().unwrap().parse().unwrap() };
    world.client(by.clone()).upload_evidence(matter, b"abc".to_vec(), Arc::new(|_| ())).await.unwrap()
}

/// A task whose dispute, about one tranche, stands so. Its panel is this one arbitrator.
pub async fn at(world: &World, arbitrator: &Keys, state: &str) -> (Id<Task>, Value) {
    admit(world, arbitrator).await;
    let id = refused_with(world, "ONE", &[1_000]).await;
    let mut dispute = Value::Null;
    let steps = ["DRAWING", "SEATING", "COMMITTING", "REVEALING", "RULED", "DECIDED"];
    let last = if state == "WITHDRAWN" { "DRAWING" } else { state };
    let count = steps.iter().position(|step| *step == last).map_or(0, |at| at + 1);
    for step in steps.iter().take(count) {
        go_on(world, arbitrator, (id, &dispute), step).await;
        dispute = in_state(world, &worker(), id, step).await;
    }
    if state == "WITHDRAWN" {
        act(world, &worker(), id, "withdrawDispute(id: $id)").await.unwrap();
        dispute = in_state(world, &worker(), id, state).await;
    }
    (id, dispute)
}

/// What leads to this state from the one before.
async fn go_on(world: &World, arbitrator: &Keys, (id, dispute): (Id<Task>, &Value), to: &str) {
    match to {
        "DRAWING" => assert_eq!(act(world, &worker(), id, "openDispute(id: $id)").await, Ok(true)),
        "SEATING" => world.rail.mine(6),
        "COMMITTING" => {
            act(world, arbitrator, id, "acceptSeat(id: $id)").await.unwrap();
            world.rail.mine(18);
        }
        "REVEALING" => {
            let about = dispute["id"].as_str().unwrap().parse().unwrap();
            let hidden = commitment(about, 1, public(arbitrator), Award::new(1), &[7; 32]);
            act(world, arbitrator, id, &format!("commitVote(id: $id, commitment: \"{hidden}\")")).await.unwrap();
        }
        "RULED" => {
            let show = format!("revealVote(id: $id, toWorker: [0], salt: \"{SALT}\")");
            act(world, arbitrator, id, &show).await.unwrap();
        }
        _ => {
            for side in [requester(), worker()] {
                act(world, &side, id, "acceptRuling(id: $id)").await.unwrap();
            }
        }
    }
}

/// Uploads, shares and files a piece as its author; who may not is told so.
async fn file(world: &World, by: &Keys, id: Id<Task>, dispute: &Value, content: &[u8]) -> Digest32 {
    let about = dispute["id"].as_str().unwrap();
    let matter = Matter { task: id, dispute: about.parse().unwrap() };
    let hash = sha256(content);
    let submit = format!("submitEvidence(id: $id, hash: \"{hash}\", bytes: {})", content.len());
    assert_eq!(act(world, by, id, &submit).await, Err("evidence.no_piece".into()));
    world.client(by.clone()).upload_evidence(matter, content.to_vec(), Arc::new(|_| ())).await.unwrap();
    let share = "mutation($id: UUID!, $dispute: UUID!, $hash: Hex32!, $keys: [WrappedKeyInput!]!) { \
        shareEvidence(id: $id, dispute: $dispute, hash: $hash, keys: $keys) }";
    let keys_for = |reader: &Value| json!({ "reader": reader, "key": format!("for-{}", reader.as_str().unwrap()) });
    let readers: Vec<Value> = dispute["readers"].as_array().unwrap().iter().map(keys_for).collect();
    let to = |keys: Value| json!({ "id": id.to_string(), "dispute": about, "hash": hash.to_string(), "keys": keys });
    field(world, by, share, to(json!(readers))).await.unwrap();
    let nobody = json!([keys_for(&json!(public(&stranger()).to_string()))]);
    assert_eq!(field(world, by, share, to(nobody)).await, Err("evidence.not_reader".into()));
    let wrong = format!("submitEvidence(id: $id, hash: \"{hash}\", bytes: {})", content.len() + 1);
    assert_eq!(act(world, by, id, &wrong).await, Err("evidence.other_length".into()));
    assert_eq!(act(world, by, id, &submit).await, Ok(true));
    assert_eq!(act(world, by, id, &submit).await, Ok(false));
    hash
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_of_five_tranches() {
    let world = World::start().await;
    world.app.refresh_tasks(&*world.store).await.unwrap();
    let (requester, worker) = (requester(), worker());
    admit_all(&world).await;
    let id = refused(&world).await;
    assert!(act(&world, &stranger(), id, "openDispute(id: $id)").await.is_err());
    assert_eq!(act(&world, &worker, id, "openDispute(id: $id)").await, Ok(true));
    assert_eq!(act(&world, &worker, id, "openDispute(id: $id)").await, Ok(false));
    let opened = in_state(&world, &worker, id, "DRAWING").await;
    assert_eq!(
        (&opened["openedBy"], &opened["then"], &opened["seats"]),
        (&json!("WORKER"), &json!("PANEL_FAILS"), &json!(3))
    );
    assert_eq!(opened["partsSat"], json!(PAYOUTS));
    assert!(opened["blocksLeft"].as_u64().unwrap() * 600 == opened["secondsLeft"].as_u64().unwrap());
    let hash = file(&world, &worker, id, &opened, b"what the worker shows").await;

    world.rail.mine(6);
    let seating = in_state(&world, &worker, id, "SEATING").await;
    let bench = panel(&seating);
    for one in &bench {
        assert_eq!(in_state(&world, one, id, "SEATING").await["evidence"], json!([]), "nothing before a seat is taken");
        assert_eq!(act(&world, one, id, "acceptSeat(id: $id)").await, Ok(true));
    }
    is_explained(&world, &bench[0]).await;
    let query = "query($id: UUID!) { task(id: $id) { milestones { dispute { draws { dispute round block blockHash \
        registrySeq candidatesDigest candidates { arbitrator weight } excluded seats order } } } } }";
    let draws = field(&world, &stranger(), query, json!({ "id": id.to_string() })).await.unwrap();
    is_drawn(&draws["task"]["milestones"][0]["dispute"]["draws"][0]);

    // The panel sees what was filed, and that it has no key yet; strangers see neither that nor who reads.
    let seen = in_state(&world, &bench[0], id, "SEATING").await;
    let piece = &seen["evidence"][0];
    assert_eq!((&piece["hash"], &piece["kept"], &piece["key"]), (&json!(hash.to_string()), &json!(true), &Value::Null));
    assert_eq!(piece["withoutKey"].as_array().unwrap().len(), 3);
    let own = &in_state(&world, &requester, id, "SEATING").await["evidence"][0];
    assert_eq!(own["key"], format!("for-{}", public(&requester)));
    let strange = in_state(&world, &stranger(), id, "SEATING").await;
    assert_eq!((&strange["evidence"], &strange["readers"]), (&json!([]), &json!([])));

    world.rail.mine(18);
    let voting = in_state(&world, &worker, id, "COMMITTING").await;
    let dispute = voting["id"].as_str().unwrap().parse().unwrap();
    for (one, award) in bench.iter().zip([0b00001, 0b00111, 0b11111]) {
        let hidden = commitment(dispute, 1, public(one), Award::new(award), &[7; 32]);
        let vote = format!("commitVote(id: $id, commitment: \"{hidden}\")");
        assert_eq!(act(&world, &stranger(), id, &vote).await, Err("dispute.not_seated".into()));
        assert_eq!(act(&world, one, id, &vote).await, Ok(true));
    }
    in_state(&world, &worker, id, "REVEALING").await;
    let salt = "07".repeat(32);
    let twice = format!("revealVote(id: $id, toWorker: [0, 0], salt: \"{salt}\")");
    assert_eq!(act(&world, &bench[0], id, &twice).await, Err("request.bad_award".into()));
    for (one, to_worker) in bench.iter().zip(["[0]", "[0, 1, 2]", "[4, 3, 2, 1, 0]"]) {
        let vote = format!("revealVote(id: $id, toWorker: {to_worker}, salt: \"{salt}\")");
        assert_eq!(act(&world, one, id, &vote).await, Ok(true));
    }
    let ruled = in_state(&world, &worker, id, "RULED").await;
    let ruling = json!({ "toWorker": [0, 1, 2], "workerSat": 3_000, "requesterSat": 2_000 });
    assert_eq!((&ruled["ruling"], &ruled["then"]), (&ruling, &json!("RULING_STANDS")));
    for side in [&requester, &worker] {
        assert_eq!(act(&world, side, id, "acceptRuling(id: $id)").await, Ok(true));
    }
    world.until(id, "SETTLED").await;
    assert_eq!(world.rail.wallet_msat("payee"), 3_000_000);

    let reward: u64 = ruled["rewardMsat"].as_str().unwrap().parse().unwrap();
    let invoice = reward_invoice(&world, &ruled);
    let collect = format!("collectReward(id: $id, invoice: \"{invoice}\")");
    assert_eq!(act(&world, &bench[2], id, &collect).await, Ok(true));
    let paid = |dispute: &Value| dispute["panel"][2]["reward"] == "PAID";
    until(&world, &worker, id, "the arbitrator is paid", paid).await;
    assert_eq!(world.rail.wallet_msat("arbitrator"), reward);

    erase(&world, &worker, id, &ruled).await;
}

/// Two admins erase what was filed; the hash stays, and its bytes do not.
async fn erase(world: &World, worker: &Keys, id: Id<Task>, ruled: &Value) {
    let erase = "mutation($id: UUID!, $dispute: UUID!, $factor: SecondFactor) { eraseEvidence(id: $id, dispute: $dispute, \
        secondFactor: $factor) }";
    let variables = |factor: Value| json!({ "id": id.to_string(), "dispute": ruled["id"], "factor": factor });
    assert_eq!(field(world, worker, erase, variables(Value::Null)).await, Err("auth.not_admin".into()));
    assert_eq!(field(world, &operator(), erase, variables(Value::Null)).await, Err("roles.second_factor".into()));
    let other = world.proposed(&format!("eraseEvidence: {{ id: \"{id}\", dispute: \"{id}\" }}")).await;
    let other = variables(json!({ "confirms": other }));
    assert_eq!(field(world, &operator(), erase, other).await, Err("roles.other_action".into()));
    let proposal = world.proposed(&format!("eraseEvidence: {{ id: \"{id}\", dispute: {} }}", ruled["id"])).await;
    let shown = "{ proposals { number action { operation id dispute } } }";
    let shown = field(world, &operator(), shown, json!({})).await.unwrap();
    let action = json!({ "operation": "eraseEvidence", "id": id.to_string(), "dispute": ruled["id"] });
    assert!(shown["proposals"].as_array().unwrap().contains(&json!({ "number": proposal, "action": action })));
    let both = variables(json!({ "confirms": proposal }));
    assert_eq!(field(world, &operator(), erase, both).await.unwrap()["eraseEvidence"], 1);
    let matter = Matter { task: id, dispute: ruled["id"].as_str().unwrap().parse().unwrap() };
    assert_eq!(world.store.pieces(matter).await.unwrap(), []);
    assert_eq!(in_state(world, worker, id, "DECIDED").await["evidence"][0]["kept"], false);
    assert_eq!(world.fsck().await.unwrap().evidence, 0);
}

/// Evidence that facts name and that is gone, or is somebody else's, is found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fsck_misses_evidence_that_is_gone() {
    let world = World::start().await;
    world.app.refresh_tasks(&*world.store).await.unwrap();
    admit_all(&world).await;
    let id = refused(&world).await;
    assert_eq!(act(&world, &worker(), id, "openDispute(id: $id)").await, Ok(true));
    let opened = in_state(&world, &worker(), id, "DRAWING").await;
    file(&world, &worker(), id, &opened, b"what the worker shows").await;
    assert_eq!(world.fsck().await.unwrap().evidence, 1);
    let matter = Matter { task: id, dispute: opened["id"].as_str().unwrap().parse().unwrap() };
    world.store.erase(matter).await.unwrap();
    let damage = world.fsck().await.unwrap_err().to_string();
    assert!(damage.contains("was filed and is not kept"), "{damage}");
}

/// Who gives up its work gives the money back; who opened a dispute can give that up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disputes_and_work_are_given_up() {
    let world = World::start().await;
    admit_all(&world).await;
    let id = refused(&world).await;
    assert_eq!(act(&world, &worker(), id, "openDispute(id: $id)").await, Ok(true));
    assert_eq!(act(&world, &requester(), id, "withdrawDispute(id: $id)").await, Err("dispute.not_opener".into()));
    assert_eq!(act(&world, &worker(), id, "withdrawDispute(id: $id)").await, Ok(true));
    in_state(&world, &worker(), id, "WITHDRAWN").await;
    assert_eq!(act(&world, &worker(), id, "concedeWork(id: $id)").await, Ok(true));
    assert_eq!(world.until(id, "REFUNDED").await["reason"], "CONCEDED");
}
