//! Effects of which a bit has turned on the disk: what the facts ask for is done, and the damage is told.

use std::sync::{Arc, atomic::Ordering};
use tallystick_app::port::journal::PendingEffect;
use tallystick_testkit::escrow::requester;

use crate::{
    faults::{Troubled, Turning},
    node::{World, price, task},
};

/// Turns a bit of what effects of this kind say. `None` if there are fewer.
fn turn(effect: &mut PendingEffect, kind: &str, bit: usize) {
    if effect.key.starts_with(kind)
        && let Some(byte) = effect.body.get_mut(bit / 8)
    {
        *byte ^= 1 << (bit % 8);
    }
}

/// Takes a task through its life while this bit turns in each effect of a kind. Answers whether there is such a bit.
async fn lived_through(kind: &str, turning: Turning, bit: usize) -> bool {
    let world = World::new();
    let (journal, trouble) = Troubled::new(&world.store);
    let node = world.start_with(journal, Arc::new(world.rail.clone()));
    *trouble.turning.lock().unwrap() = Some(turning);
    trouble.bit.store(bit, Ordering::Release);
    let (end, gains) = match kind {
        "escrow/cancel" => {
            node.task_at(task(0), &[20_000], "held").await;
            node.cancel(task(0), requester()).await.unwrap();
            ("refunded", (0, 0, 0))
        }
        _ => {
            node.task_at(task(0), &[20_000], "submitted").await;
            node.approve(task(0)).await.unwrap();
            ("settled", price(20_000))
        }
    };
    node.settle().await;
    assert_eq!((node.state_name(task(0)).await, world.gains()), (end.to_owned(), gains), "{kind}, bit {bit}");
    assert_eq!(world.rail.held_msat(), 0, "{kind}, bit {bit}");
    world.check().await;
    let turned = trouble.turned.load(Ordering::Acquire) > 0;
    if !turned {
        assert!(node.app.is_sound());
    }
    // What depends on the time at which it was asked for cannot be compared, and does no harm.
    turned && !node.app.is_sound()
}

#[tokio::test]
async fn whatever_bit_of_an_effect_turns_the_facts_are_done() {
    let kinds: [(&str, Turning); 4] = [
        ("escrow/invoice", |effect, bit| turn(effect, "escrow/invoice", bit)),
        ("escrow/pay", |effect, bit| turn(effect, "escrow/pay", bit)),
        ("escrow/claim", |effect, bit| turn(effect, "escrow/claim", bit)),
        ("escrow/cancel", |effect, bit| turn(effect, "escrow/cancel", bit)),
    ];
    for (kind, turning) in kinds {
        let mut told = 0;
        for bit in (0..1_600).step_by(13) {
            told += usize::from(lived_through(kind, turning, bit).await);
        }
        println!("{kind}: {told} bits told");
        // A hash alone has 256.
        assert!(told >= 256 / 13, "{kind}: {told}");
    }
}

/// An effect that its task does not ask for, be there such a task or not, is not done, nor taken for done.
#[tokio::test]
async fn an_effect_of_nobody_is_not_done() {
    for is_there in [false, true] {
        an_effect_is_filed_elsewhere(is_there).await;
    }
}

async fn an_effect_is_filed_elsewhere(is_there: bool) {
    let world = World::new();
    let (journal, trouble) = Troubled::new(&world.store);
    let node = world.start_with(journal, Arc::new(world.rail.clone()));
    if is_there {
        node.task_at(task(9), &[20_000], "held").await;
        node.cancel(task(9), requester()).await.unwrap();
        node.settle().await;
    }
    node.task_at(task(0), &[20_000], "submitted").await;
    // As if its task's name had been hit.
    *trouble.turning.lock().unwrap() = Some(|effect, _| effect.stream = format!("escrow/{}", task(9)));
    node.approve(task(0)).await.unwrap();
    node.outbox.run_once().await.unwrap();
    assert!(!node.app.is_sound());
    assert_eq!((node.state_name(task(0)).await, world.gains().1), ("releasing".to_owned(), 0));
    // It is still to be done, and is, once it can be read.
    *trouble.turning.lock().unwrap() = None;
    node.settle().await;
    assert_eq!((node.state_name(task(0)).await, world.gains()), ("settled".to_owned(), price(20_000)));
    world.check().await;
}
