//! Lists of tasks, page by page.

use serde_json::{Value, json};

use crate::world::{World, public, requester, stranger, worker};

const LIST: &str = "query($filter: TaskFilter, $first: Int, $after: String) {
    tasks(filter: $filter, first: $first, after: $after) {
        nodes { id } edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
}";

async fn page(world: &World, variables: Value) -> Value {
    world.client(stranger()).query(LIST, variables).await.unwrap()["tasks"].take()
}

fn ids(page: &Value) -> Vec<String> {
    page["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn pages_hold_still_while_tasks_come() {
    let world = World::start().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        world.clock.advance(tallystick_core::Duration::from_millis(2));
        made.push(world.create().await.to_string());
    }
    made.reverse();
    let first = page(&world, json!({ "first": 2 })).await;
    assert_eq!(ids(&first), made[..2]);
    assert_eq!(first["edges"][1]["cursor"], first["pageInfo"]["endCursor"]);
    assert_eq!(first["edges"][1]["node"]["id"], json!(made[1]));
    assert_eq!(first["pageInfo"]["hasNextPage"], true);
    // A task that comes in between is newer than every page to come.
    world.clock.advance(tallystick_core::Duration::from_millis(2));
    world.create().await;
    let second = page(&world, json!({ "first": 2, "after": first["pageInfo"]["endCursor"] })).await;
    assert_eq!(ids(&second), made[2..4]);
    let last = page(&world, json!({ "first": 2, "after": second["pageInfo"]["endCursor"] })).await;
    assert_eq!(ids(&last), made[4..]);
    assert_eq!(last["pageInfo"]["hasNextPage"], false);
    let beyond = page(&world, json!({ "after": last["pageInfo"]["endCursor"] })).await;
    assert_eq!((ids(&beyond), &beyond["pageInfo"]["endCursor"]), (vec![], &Value::Null));
    let exact = page(&world, json!({ "first": 6 })).await;
    assert_eq!((ids(&exact).len(), &exact["pageInfo"]["hasNextPage"]), (6, &json!(false)));
}

#[tokio::test]
async fn filters_are_joined_by_and() {
    let world = World::start().await;
    let open = world.create().await.to_string();
    let taken = world.create().await;
    world.accept(taken).await;
    let taken = taken.to_string();
    let (payer, payee, nobody) = (public(&requester()), public(&worker()), public(&stranger()));
    for (filter, expected) in [
        (json!({}), vec![&taken, &open]),
        (json!({ "states": [] }), vec![&taken, &open]),
        (json!({ "states": ["OPEN"] }), vec![&open]),
        (json!({ "states": ["ASSIGNED", "OPEN", "OPEN"] }), vec![&taken, &open]),
        (json!({ "states": ["SETTLED"] }), vec![]),
        (json!({ "requester": payer.to_string() }), vec![&taken, &open]),
        (json!({ "requester": nobody.to_string() }), vec![]),
        (json!({ "worker": payee.to_string() }), vec![&taken]),
        (json!({ "worker": payee.to_string(), "states": ["OPEN"] }), vec![]),
    ] {
        let found = ids(&page(&world, json!({ "filter": filter })).await);
        let mut found: Vec<_> = found.iter().collect();
        let mut expected = expected;
        // Two ids of one millisecond have no order that a test could know.
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{filter}");
    }
}
