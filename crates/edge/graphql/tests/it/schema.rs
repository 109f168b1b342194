//! The schema and the table of codes as committed.

use std::collections::BTreeSet;

use crate::world::{World, requester};

#[tokio::test]
async fn the_schema_is_as_committed_and_as_served() {
    // At run time: two checkouts may share one folder of built tests.
    let path = format!("{}/schema.graphql", std::env::var("CARGO_MANIFEST_DIR").unwrap());
    let sdl = tallystick_graphql::sdl();
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &sdl).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(sdl == committed, "the schema changed; if that is wanted, run this test with UPDATE_SNAPSHOTS=1");
    let world = World::start().await;
    let served = reqwest::get(world.url.replace("/graphql", "/schema.graphql")).await.unwrap();
    assert_eq!((served.status().as_u16(), served.text().await.unwrap()), (200, sdl));
}

#[test]
fn codes_are_unique_and_have_a_sentence() {
    let codes = tallystick_graphql::codes();
    let names: BTreeSet<_> = codes.iter().map(|(code, _)| code.0).collect();
    assert_eq!(names.len(), codes.len());
    for (code, sentence) in &codes {
        let room = code.0.split_once('.').map(|(room, _)| room);
        assert!(matches!(room, Some("auth" | "request" | "graphql")), "{code}");
        assert!(sentence.len() > 10, "{code}: {sentence}");
    }
}

/// What the usual tools ask for when they are opened.
const INTROSPECTION: &str = "
query IntrospectionQuery {
  __schema {
    queryType { name kind } mutationType { name kind } subscriptionType { name kind }
    types { ...FullType }
    directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } }
  }
}
fragment FullType on __Type {
  kind name description specifiedByURL
  fields(includeDeprecated: true) {
    name description args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason
  }
  inputFields(includeDeprecated: true) { ...InputValue }
  interfaces { ...TypeRef }
  enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
  possibleTypes { ...TypeRef }
}
fragment InputValue on __InputValue {
  name description type { ...TypeRef } defaultValue isDeprecated deprecationReason
}
fragment TypeRef on __Type {
  kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
  ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } }
}";

#[tokio::test]
async fn the_usual_introspection_fits_the_limits() {
    let world = World::start().await;
    let (status, answer) = world.ask(&requester(), INTROSPECTION).await;
    assert_eq!((status, answer.get("errors")), (200, None));
    assert!(answer["data"]["__schema"]["types"].as_array().unwrap().len() > 20);
}

#[tokio::test]
async fn a_client_fetches_what_everybody_may_see() {
    const BYTES_MAX: usize = 1 << 20;
    let world = World::start().await;
    let client = world.client(requester());
    let schema = client.file("/schema.graphql", BYTES_MAX).await.unwrap();
    assert_eq!(schema, Some(tallystick_graphql::sdl().into_bytes()));
    for bytes_max in [BYTES_MAX, 1] {
        assert_eq!(client.file("/nothing/here", bytes_max).await, Ok(None));
    }
    assert_eq!(client.file("/schema.graphql", 1).await.unwrap_err().code, "client.answer");
    // It is there, for WebSockets.
    assert_eq!(client.file("/graphql", BYTES_MAX).await.unwrap_err().code, "client.file");
    assert_eq!(client.file("no path", BYTES_MAX).await.unwrap_err().code, "client.url");
}
