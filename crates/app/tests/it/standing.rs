//! How much somebody may have open at once.

use async_trait::async_trait;
use std::sync::Arc;
use tallystick_app::{
    AppError,
    port::journal::StoreError,
    standing::{Allowance, OpenTasks, Standings},
};
use tallystick_civics::reputation::{Role, Tier};
use tallystick_core::NostrKey;
use tallystick_testkit::escrow::{requester, sat, terms, worker};

use crate::node::{Node, PAYEE, World, task};

/// The requester is a novice; everybody else's standing cannot be told.
struct Told;

#[async_trait]
impl Standings for Told {
    async fn allowance(&self, key: NostrKey, role: Role) -> Result<Allowance, StoreError> {
        match role {
            Role::Requester if key == requester() => Ok(Allowance { tier: Tier::Novice, open_limit: sat(50_000) }),
            Role::Worker if key == worker() => Ok(Allowance { tier: Tier::Intermediate, open_limit: sat(30_000) }),
            _ => Err(StoreError::Unavailable("no standing".into())),
        }
    }
}

fn start(world: &World) -> Node {
    let node = world.start();
    node.app.limit_by(Arc::new(Told), OpenTasks([2, 2, 2, 2]));
    node
}

#[tokio::test]
async fn as_many_tasks_as_the_tier_allows_and_again_once_one_ends() {
    let world = World::new();
    let node = start(&world);
    for n in 0..2 {
        node.create(task(n), terms(&[10_000])).await.unwrap();
    }
    let full = AppError::OpenTasks { tier: Tier::Novice, limit: 2 };
    assert_eq!(node.create(task(2), terms(&[10_000])).await, Err(full));
    assert!(!node.create(task(1), terms(&[10_000])).await.unwrap().changed, "what is there is no more");
    node.cancel(task(0), requester()).await.unwrap();
    node.create(task(2), terms(&[10_000])).await.unwrap();
    world.check().await;
}

#[tokio::test]
async fn no_more_money_than_the_standing_allows_in_either_role() {
    let world = World::new();
    let node = start(&world);
    node.create(task(0), terms(&[20_000, 20_000])).await.unwrap();
    let full = AppError::OpenAmount { tier: Tier::Novice, limit: sat(50_000) };
    assert_eq!(node.create(task(1), terms(&[10_001])).await, Err(full));
    node.create(task(1), terms(&[10_000])).await.unwrap();
    let full = AppError::OpenAmount { tier: Tier::Intermediate, limit: sat(30_000) };
    let invoices = |payouts: &[u64]| payouts.iter().map(|payout| world.rail.invoice(PAYEE, *payout)).collect();
    assert_eq!(node.accept(task(0), worker(), invoices(&[20_000, 20_000])).await, Err(full));
    node.accept(task(1), worker(), invoices(&[10_000])).await.unwrap();
    world.check().await;
}
