//! Every operation, asked twice: somebody who lost the answer signs the same once more.

use serde_json::Value;
use std::collections::BTreeMap;
use tallystick_app::port::journal::Journal;
use tallystick_core::Authority;
use tallystick_testkit::same_table;

use crate::matrix::{ROLES, Stage, TABLE, key_of, operations};
use crate::world::code;

/// What the second answer is. `unchanged`: it tells that nothing changed. `same`: the first answer. `done`: that it is so
/// already. Else a refusal's code, of what is over with the first. None of it adds a fact.
const AGAIN: &str = "
acceptRuling | unchanged
acceptSeat | unchanged
acceptTask | unchanged
admitArbitrator | unchanged
appeal | unchanged
approveWork | unchanged
cancelTask | unchanged
collectReward | unchanged
commitVote | unchanged
completeEnrolment | roles.not_enrolling
concedeWork | unchanged
createTask | unchanged
enrol | roles.no_proposal
eraseEvidence | same
eraseTask | done
fundingInvoice | unchanged
grantRole | done
offerRenewal | unchanged
openDispute | unchanged
pauseArbitrator | unchanged
propose | same
refuseSeat | unchanged
registerArbitrator | unchanged
rejectWork | unchanged
resumeArbitrator | same
revealVote | unchanged
shareEvidence | same
submitEvidence | unchanged
submitWork | unchanged
suspendArbitrator | unchanged
withdrawArbitrator | unchanged
withdrawDispute | unchanged
withdrawRole | done
";

/// The Lightning node's own to answer twice: see `one_key_opens_one_channel` and `the_operator_pays_and_is_paid` there.
/// A second address, invoice or connection costs nothing.
const OF_THE_NODE: [&str; 6] =
    ["nodeCloseChannel", "nodeConnect", "nodeInvoice", "nodeNewAddress", "nodeOpenChannel", "nodePay"];

/// Who may do it, by the table of roles.
fn may() -> BTreeMap<&'static str, &'static str> {
    let rows = TABLE.lines().filter_map(|row| {
        let mut cells = row.split('|').map(str::trim);
        let name = cells.next()?;
        let role = cells.position(|cell| cell == "ok")?;
        Some((name, ROLES[role]))
    });
    rows.collect()
}

/// The facts that people asked for; what the node does by itself goes on meanwhile. That an admin showed a second factor is a
/// fact each time, and is not counted where nothing came of it.
async fn facts(stage: &Stage, operation: &str) -> usize {
    let store = &stage.world.store;
    let mut count = 0;
    for fact in store.facts(0, 1_000).await.unwrap() {
        let asked = matches!(store.authority(fact.authority).await.unwrap(), Some(Authority::Request(_)));
        let idle = operation.starts_with("erase") && fact.kind == "roles.authorised";
        count += usize::from(asked && !idle);
    }
    count
}

async fn asked_twice(operation: &str, role: &str) -> String {
    let stage = Stage::open().await;
    let (mut query, variables) = stage.asked(operation, role).await;
    let mut answers = Vec::new();
    let mut before = 0;
    for _ in 0..2 {
        before = facts(&stage, operation).await;
        let body = serde_json::json!({ "query": query, "variables": variables }).to_string();
        let (_, answer) = stage.world.signed(&key_of(role).expect("somebody"), &body).await;
        answers.push(answer);
        // A code counts once: whoever asks again shows the next one.
        if let Some((head, rest)) = query.split_once("code: \"") {
            query = format!("{head}code: \"{}{}", stage.code(), &rest[6..]);
        }
    }
    assert!(answers[0].get("errors").is_none(), "{operation}: {}", answers[0]);
    assert_eq!(facts(&stage, operation).await, before, "{operation}: the second adds no fact");
    let [first, second] = [&answers[0], &answers[1]].map(|answer| &answer["data"][operation]);
    match (&first["changed"], &second["changed"]) {
        _ if answers[1].get("errors").is_some() => code(&answers[1]).to_owned(),
        (Value::Bool(true), Value::Bool(false)) => "unchanged".into(),
        _ if first == second => "same".into(),
        _ if *first == true && *second == false || second.is_null() => "done".into(),
        _ => format!("{first} and then {second}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_is_asked_for_again_happens_once() {
    let may = may();
    let sdl = tallystick_graphql::sdl();
    let mutations = sdl.split("\ntype Mutation {\n").nth(1).unwrap().split("\n}").next().unwrap();
    let mut rows = Vec::new();
    for operation in operations() {
        let is_field = |end| mutations.contains(&format!("\t{operation}{end}"));
        let Some(role) = may.get(operation.as_str()) else { continue };
        if (is_field("(") || is_field(":")) && !OF_THE_NODE.contains(&operation.as_str()) {
            rows.push(format!("{operation} | {}", asked_twice(&operation, role).await));
        }
    }
    assert!(rows.len() > 30, "the test looks in the wrong place");
    same_table(&rows, AGAIN);
}
