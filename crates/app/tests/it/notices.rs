//! Notices come at least once: twice, late, and in any order that one network may give.

use tallystick_app::port::rail::{Heard, RailListener, RailNotice};
use tallystick_core::{BlockHeight, Duration, Msat, PaymentHash};
use tallystick_escrow::PayFailure;
use tallystick_testkit::{
    cases,
    escrow::{hold_of, msat},
    rail::Presence,
};

use crate::node::{Node, PAYEE, PAYER, World, price, task};

/// A small generator of chance with a seed: the same run every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 33).unwrap() % sides
    }
}

/// Tells waiting notices in any order, some of them twice, and old ones once more.
async fn tell_some(node: &Node, dice: &mut Dice, told: &mut Vec<RailNotice>) {
    for _ in 0..dice.roll(4) {
        let waiting = node.world.rail.notices();
        if !waiting.is_empty() {
            let notice = waiting[dice.roll(waiting.len())].clone();
            node.world.rail.tell(&node.app, notice.clone()).await;
            told.push(notice);
        }
        if !told.is_empty() && dice.roll(2) == 0 {
            let old = told[dice.roll(told.len())].clone();
            if !matches!(old, RailNotice::Block { .. }) {
                node.app.hear(old).await.ok();
            }
        }
    }
}

#[tokio::test]
async fn order_and_repetition_change_no_end() {
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let world = World::new();
        let node = world.start();
        let payouts = [1_000, 2_000, 3_000];
        node.task_at(task(0), &payouts, "funding").await;
        for part in node.view(task(0)).await.tranches().cloned() {
            assert!(world.rail.pay_hold(PAYER, &part.funding_invoice.unwrap()));
        }
        let mut told = Vec::new();
        for _ in 0..1_000 {
            if node.state_name(task(0)).await == "held" {
                break;
            }
            tell_some(&node, &mut dice, &mut told).await;
        }
        node.submit(task(0)).await.unwrap();
        tell_some(&node, &mut dice, &mut told).await;
        let paid = dice.roll(2) == 0;
        if paid {
            node.approve(task(0)).await.unwrap()
        } else {
            node.reject(task(0)).await.unwrap()
        };
        for _ in 0..12 {
            match dice.roll(4) {
                0 => node.outbox.run_once().await.unwrap(),
                1 => drop(world.rail.step()),
                2 => world.rail.mine(1),
                _ => tell_some(&node, &mut dice, &mut told).await,
            }
        }
        node.settle().await;
        let expected = if paid { "settled" } else { "refunded" };
        assert_eq!(node.state_name(task(0)).await, expected, "seed {seed}");
        let prices = payouts.map(price);
        let sum = prices.iter().fold((0, 0, 0), |sum, price| (sum.0 + price.0, sum.1 + price.1, sum.2 + price.2));
        assert_eq!(world.gains(), if paid { sum } else { (0, 0, 0) }, "seed {seed}");
        world.check().await;
    }
}

/// Something goes wrong, or just goes on. Answers the node, which may be a new one.
async fn disturb(node: Node, dice: &mut Dice, told: &mut Vec<RailNotice>) -> Node {
    let rail = &node.world.rail;
    match dice.roll(12) {
        0 => rail.set_presence(PAYEE, [Presence::Online, Presence::Offline, Presence::Stalling][dice.roll(3)]),
        1 => {
            use PayFailure as F;
            let reasons = [F::NoRoute, F::Refused, F::InvoiceExpired, F::AttemptsExhausted, F::TooLate, F::Other];
            rail.fail_payouts(&[reasons[dice.roll(reasons.len())]]);
        }
        2 => {
            let hashes = node.hashes(task(0)).await;
            rail.lose_hold(hashes[dice.roll(hashes.len())]);
        }
        3 => rail.mine(u32::try_from(dice.roll(200)).unwrap()),
        // The dearest route that the smallest payout may take costs 10 sat.
        4 => rail.set_route_fee(msat(u64::try_from(dice.roll(12_000)).unwrap())),
        5 => return node.world.start(),
        6 => node.later(Duration::from_secs(u64::try_from(dice.roll(1_000)).unwrap())),
        7 | 8 => node.outbox.run_once().await.unwrap(),
        9 | 10 => drop(rail.step()),
        _ => tell_some(&node, dice, told).await,
    }
    node
}

#[tokio::test]
async fn whatever_goes_wrong_with_payouts_every_msat_is_told() {
    let payouts = [1_000, 2_000, 3_000];
    let (mut claimed, mut uncovered, mut returned) = (0, 0, 0);
    for seed in 0..u64::from(cases(400)) {
        let mut dice = Dice(seed);
        let world = World::new();
        let mut node = world.start();
        node.task_at(task(0), &payouts, "releasing").await;
        let mut told = Vec::new();
        for _ in 0..dice.roll(40) {
            node = disturb(node, &mut dice, &mut told).await;
        }
        // In the end the payee is there again, or the blocks run out.
        if dice.roll(2) == 0 {
            world.rail.set_presence(PAYEE, Presence::Online);
            world.rail.set_route_fee(Msat::ZERO);
        } else {
            world.rail.set_presence(PAYEE, Presence::Offline);
            world.rail.mine(200);
        }
        node.settle().await;
        let view = node.view(task(0)).await;
        let (mut payer, mut payee, mut platform) = (0, 0, 0);
        for (part, payout) in view.tranches().zip(payouts) {
            let (_, arrived) = world.rail.payouts(part.hash.unwrap());
            let (cost, gain, fee) = price(payout);
            let route = i128::from(part.routing_fee_msat.unwrap_or_default());
            let paid = match part.state.as_str() {
                "claimed" => {
                    (payer, platform, claimed) = (payer + cost, platform + fee - route, claimed + 1);
                    true
                }
                "uncovered" => {
                    (platform, uncovered) = (platform - gain - route, uncovered + 1);
                    true
                }
                "returned" => {
                    returned += 1;
                    false
                }
                other => panic!("seed {seed}: {other} is no end"),
            };
            payee += if paid { gain } else { 0 };
            assert_eq!(arrived, usize::from(paid), "seed {seed}: {arrived} payouts of one that is {}", part.state);
        }
        assert_eq!(world.gains(), (payer, payee, platform), "seed {seed}");
        assert_eq!(world.rail.held_msat(), 0, "seed {seed}: money stays locked");
        let any_paid = payee > 0;
        assert_eq!(view.state, if any_paid { "settled" } else { "refunded" }, "seed {seed}");
        world.check().await;
    }
    let seen = [claimed, uncovered, returned];
    assert!(seen.iter().all(|count| *count >= 10), "claimed, uncovered, returned: {seen:?}");
}

#[tokio::test]
async fn every_notice_twice_is_every_notice_once() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[20_000], "funding").await;
    let invoice = node.view(task(0)).await.milestones[0].tranches[0].funding_invoice.clone().unwrap();
    world.rail.pay_hold(PAYER, &invoice);
    let twice = async || {
        for notice in world.rail.notices() {
            assert_eq!(node.app.hear(notice.clone()).await, Ok(Heard::Noted));
            let facts = world.count().await;
            assert_eq!(node.app.hear(notice.clone()).await, Ok(Heard::Noted), "{notice:?}");
            assert_eq!(world.count().await, facts, "{notice:?} left a second fact");
            world.rail.tell(&node.app, notice).await;
        }
    };
    twice().await;
    node.submit(task(0)).await.unwrap();
    node.approve(task(0)).await.unwrap();
    node.outbox.run_once().await.unwrap();
    while world.rail.step() {
        twice().await;
    }
    node.settle().await;
    assert_eq!(node.state_name(task(0)).await, "settled");
    world.check().await;
}

#[tokio::test]
async fn a_claim_that_comes_before_its_payout_is_told_again() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[20_000], "releasing").await;
    node.outbox.run_once().await.unwrap();
    while world.rail.step() {}
    let [paid, claimed] = world.rail.notices().try_into().unwrap();
    assert!(matches!((&paid, &claimed), (RailNotice::PayoutPaid { .. }, RailNotice::HoldClaimed { .. })));
    assert!(!world.rail.tell(&node.app, claimed.clone()).await, "it must be told again");
    assert!(world.rail.tell(&node.app, paid).await);
    assert!(world.rail.tell(&node.app, claimed).await);
    node.settle().await;
    assert_eq!(node.state_name(task(0)).await, "settled");
    world.check().await;
}

#[tokio::test]
async fn a_notice_that_cannot_be_journaled_is_told_again() {
    let world = World::new();
    let (journal, trouble) = crate::faults::Troubled::new(&world.store);
    let node = world.start_with(journal, std::sync::Arc::new(world.rail.clone()));
    node.task_at(task(0), &[20_000], "funding").await;
    trouble.refused.store(2, std::sync::atomic::Ordering::Release);
    for state in ["funding", "funding", "held"] {
        node.pay_holds(task(0)).await;
        assert_eq!(node.state_name(task(0)).await, state);
    }
    assert_eq!(world.rail.notices(), []);
}

#[tokio::test]
async fn money_on_an_unknown_hash_goes_back() {
    let world = World::new();
    let node = world.start();
    let hash = PaymentHash([0x77; 32]);
    assert!(world.rail.lock(PAYER, hash, msat(5_000), BlockHeight(900_000)));
    let notice = world.rail.notices().remove(0);
    assert_eq!(node.app.hear(notice).await, Ok(Heard::Unknown));
    node.deliver().await;
    assert_eq!((world.rail.held_msat(), world.gains()), (0, (0, 0, 0)));
    let others = [RailNotice::HoldLost { hash }, RailNotice::HoldClaimed { hash, amount: Msat::ZERO }];
    for notice in others {
        assert_eq!(node.app.hear(notice).await, Ok(Heard::Unknown));
    }
    assert_eq!(world.count().await, 0);
}

#[tokio::test]
async fn money_that_does_not_fit_goes_back_and_the_right_money_is_taken() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[20_000], "funding").await;
    let hash = node.hashes(task(0)).await[0];
    let far = BlockHeight(801_000);
    for (amount, deadline) in
        [(msat(20_199_999), far), (msat(20_200_001), far), (hold_of(20_000), BlockHeight(800_400))]
    {
        assert!(world.rail.lock(PAYER, hash, amount, deadline));
        node.deliver().await;
        assert_eq!((node.state_name(task(0)).await.as_str(), world.rail.held_msat()), ("funding", 0));
    }
    node.pay_holds(task(0)).await;
    assert_eq!(node.state_name(task(0)).await, "held");
    world.check().await;
}

#[tokio::test]
async fn money_that_comes_too_late_goes_back() {
    for end in ["refunding", "releasing"] {
        let world = World::new();
        let node = world.start();
        node.task_at(task(0), &[20_000], end).await;
        node.settle().await;
        let facts = world.count().await;
        let invoice = node.view(task(0)).await.milestones[0].tranches[0].funding_invoice.clone().unwrap();
        let before = world.gains();
        // A settled invoice cannot be paid again in this network; one that was given back can.
        assert_eq!(world.rail.pay_hold(PAYER, &invoice), end == "refunding");
        node.settle().await;
        assert_eq!((world.gains(), world.rail.held_msat()), (before, 0));
        assert_eq!(world.count().await, facts);
        world.check().await;
    }
}
