//! How often one key, and one address, may ask.

use std::num::NonZeroU32;
use tallystick_graphql::{EdgeConfig, Rate};

use crate::world::{World, code, keys, stranger, worker};

fn rate(per_minute: u32, burst: u32) -> Rate {
    Rate::new(NonZeroU32::new(per_minute).unwrap(), NonZeroU32::new(burst).unwrap())
}

/// The loopback is the proxy: what it forwards is counted.
fn proxied(change: impl FnOnce(&mut EdgeConfig)) -> impl FnOnce(&mut EdgeConfig) {
    move |config| {
        config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        change(config);
    }
}

/// Status, code and `Retry-After` of a request that came through the proxy.
async fn through(world: &World, from: &str, by: &nostr::key::Keys, query: &str) -> (u16, String, Option<u64>) {
    let body = serde_json::json!({ "query": query }).to_string();
    let request = reqwest::Client::new()
        .post(&world.url)
        .header("authorization", world.signature(by, &body))
        .header("x-forwarded-for", from);
    let response = request.body(body).send().await.unwrap();
    let retry = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    let (status, answer) = crate::world::read(response).await;
    let code = if answer.get("errors").is_some() { code(&answer).to_owned() } else { String::new() };
    (status, code, retry)
}

const READ: &str = "{ node { height } }";

#[tokio::test]
async fn a_key_that_asks_too_often_is_told_when_to_come_again() {
    let world = World::with(proxied(|config| config.rates.key = rate(1, 2))).await;
    let ask = async |from: &str, by: nostr::key::Keys| through(&world, from, &by, READ).await;
    for n in 0..2 {
        assert_eq!(ask(&format!("192.0.2.{n}"), stranger()).await.0, 200);
    }
    let (status, code, retry) = ask("192.0.2.9", stranger()).await;
    assert_eq!((status, code.as_str()), (429, "request.too_often"));
    assert!(retry.is_some_and(|secs| (1..=60).contains(&secs)), "{retry:?}");
    assert_eq!(ask("192.0.2.9", worker()).await.0, 200, "another key is not held to it");
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_refused_whatever_key_it_has() {
    let world = World::with(proxied(|config| config.rates.address = rate(1, 3))).await;
    for n in 0..3 {
        assert_eq!(through(&world, "192.0.2.1", &keys(20 + n), READ).await.0, 200);
    }
    assert_eq!(through(&world, "198.51.100.1, 192.0.2.1", &keys(30), READ).await.0, 429);
    assert_eq!(through(&world, "198.51.100.1", &keys(30), READ).await.0, 200);
}

#[tokio::test]
async fn commands_with_invoices_have_a_stricter_rate() {
    let world = World::with(proxied(|config| config.rates.key_invoices = rate(1, 1))).await;
    let id = world.create().await;
    for field in [
        format!("fundingInvoice(id: \"{id}\") {{ changed }}"),
        format!("acceptTask(id: \"{id}\", invoices: []) {{ changed }}"),
        format!("collectReward(id: \"{id}\", invoice: \"\") {{ changed }}"),
        format!("... {{ offerRenewal(id: \"{id}\", invoices: []) {{ changed }} }}"),
    ] {
        let by = keys(40 + u8::try_from(field.len()).unwrap());
        let command = format!("mutation {{ {field} }}");
        assert_eq!(through(&world, "192.0.2.1", &by, &command).await.0, 200, "{field}");
        assert_eq!(through(&world, "192.0.2.1", &by, &command).await.1, "request.too_often", "{field}");
        assert_eq!(through(&world, "192.0.2.1", &by, READ).await.0, 200, "reads go on");
    }
}

#[tokio::test]
async fn this_machine_itself_is_not_held_to_any_rate() {
    let tight = |config: &mut EdgeConfig| {
        (config.rates.key, config.rates.address) = (rate(1, 1), rate(1, 1));
    };
    let world = World::with(tight).await;
    for _ in 0..5 {
        assert_eq!(through(&world, "192.0.2.1", &stranger(), READ).await.0, 200);
    }
}
