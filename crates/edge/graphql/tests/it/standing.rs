//! Standing for everybody, flags for operators, and a refusal that tells how to mend it.

use serde_json::json;
use tallystick_app::port::journal::Journal;
use tallystick_civics::reputation::Limits;

use crate::world::{World, code, operator, public, requester, worker};

#[tokio::test]
async fn anybody_sees_a_standing_and_what_it_is_made_of() {
    let world = World::start().await;
    let id = world.new_id();
    world.app.limit_open(Limits::default());
    let client = world.client(requester());
    client
        .query(
            "mutation($input: CreateTaskInput!) { createTask(input: $input) { changed } }",
            json!({ "input": world.input(id) }),
        )
        .await
        .unwrap();
    let query = |role: &str| {
        let key = public(&requester());
        format!(
            "{{ standing(key: \"{key}\", role: {role}) {{ key role seq score terms {{ name points why facts }} tier cutBy \
                 endedWellSat openLimitSat tasksLimit isLimited openSat openTasks badges {{ name facts }} }} }}"
        )
    };
    let (status, answer) = world.ask(&worker(), &query("REQUESTER")).await;
    assert_eq!(status, 200);
    let key = public(&requester());
    let seq = world.store.facts(0, 1_000).await.unwrap().len();
    let nothing = json!({ "key": key, "role": "REQUESTER", "seq": seq, "score": 0, "terms": [], "tier": "NOVICE", "cutBy": [],
        "endedWellSat": 0, "openLimitSat": 200_000, "tasksLimit": 10, "isLimited": true, "openSat": 1_000, "openTasks": 1,
        "badges": [] });
    assert_eq!(answer["data"]["standing"], nothing);
    let (_, other) = world.ask(&worker(), &query("WORKER")).await;
    assert_eq!(other["data"]["standing"]["openTasks"], 0);
}

#[tokio::test]
async fn flags_are_for_operators() {
    let world = World::start().await;
    let query = "{ anomalies { kind who evidence sentence strength } }";
    let (_, answer) = world.ask(&requester(), query).await;
    assert_eq!(code(&answer), "auth.not_operator");
    let (_, answer) = world.ask(&operator(), query).await;
    assert_eq!(answer["data"]["anomalies"], json!([]));
}

#[tokio::test]
async fn more_than_may_be_open_is_refused_with_its_numbers() {
    let world = World::start().await;
    world.app.limit_open(Limits { tasks: [1; 4], ..Limits::default() });
    let client = world.client(requester());
    let create = "mutation($input: CreateTaskInput!) { createTask(input: $input) { changed } }";
    client.query(create, json!({ "input": world.input(world.new_id()) })).await.unwrap();
    let refused = client.query(create, json!({ "input": world.input(world.new_id()) })).await.unwrap_err();
    assert_eq!(refused.code, "reputation.open_tasks");
    assert!(refused.to_string().contains("1 tasks open at once (novice), and 1 are open"), "{refused}");
    assert_eq!(world.facts().await, 1);
}
