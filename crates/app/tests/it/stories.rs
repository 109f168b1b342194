//! The five stories, from beginning to end, as steps that a crash may interrupt.

use tallystick_core::{Duration, Id, NostrKey};
use tallystick_escrow::{Task, UserCommand};
use tallystick_testkit::{
    escrow::{requester, terms, worker},
    rail::Presence,
};

use crate::node::{Node, PAYEE, World, price, task};

/// One step of a story. A step that was interrupted is done again; it must find what it did the first time.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Create,
    Accept,
    Fund,
    Lock,
    Submit,
    Approve,
    Reject,
    Cancel(fn() -> NostrKey),
    Payee(Presence),
    Mine(u32),
    Later(u64),
    /// Stop the node and start it again.
    Restart,
    /// A few turns, though something is left to do.
    Turn(u32),
    /// Turn until nothing is left to do.
    Settle,
}

/// A story and its end.
pub struct Story {
    pub name: &'static str,
    pub payouts: &'static [u64],
    pub steps: &'static [Step],
    pub end: &'static str,
    pub reason: &'static str,
    /// How many of the tranches are paid out; the rest goes back.
    pub paid: usize,
}

use Step::*;

/// Blocks until the last height for a payout, when the money is locked at once.
const TO_LAST_HEIGHT: u32 = 190;

pub const STORIES: &[Story] = &[
    Story {
        name: "paid out",
        payouts: &[20_000],
        steps: &[Create, Accept, Fund, Lock, Submit, Approve, Settle],
        end: "settled",
        reason: "approved",
        paid: 1,
    },
    Story {
        name: "paid out in three tranches",
        payouts: &[1_000, 2_500, 40_000],
        steps: &[Create, Accept, Fund, Lock, Submit, Approve, Settle],
        end: "settled",
        reason: "approved",
        paid: 3,
    },
    Story {
        name: "cancelled and refunded",
        payouts: &[20_000, 5],
        steps: &[Create, Accept, Fund, Lock, Cancel(requester), Settle],
        end: "refunded",
        reason: "cancelled_by_requester",
        paid: 0,
    },
    Story {
        name: "killed while money is held, then paid out",
        payouts: &[20_000],
        steps: &[Create, Accept, Fund, Lock, Restart, Mine(10), Turn(1), Submit, Restart, Approve, Restart, Settle],
        end: "settled",
        reason: "approved",
        paid: 1,
    },
    Story {
        name: "worker offline at approval, then paid out",
        payouts: &[20_000],
        steps: &[
            Create,
            Accept,
            Fund,
            Lock,
            Submit,
            Payee(Presence::Offline),
            Approve,
            Turn(2),
            Later(2),
            Turn(2),
            Later(5),
            Mine(1),
            Turn(2),
            Payee(Presence::Online),
            Settle,
        ],
        end: "settled",
        reason: "approved",
        paid: 1,
    },
    Story {
        name: "payment stuck on its way over a restart, then paid out",
        payouts: &[20_000],
        steps: &[
            Create,
            Accept,
            Fund,
            Lock,
            Submit,
            Payee(Presence::Stalling),
            Approve,
            Turn(1),
            Restart,
            Later(40),
            Turn(1),
            Mine(200),
            Turn(1),
            Payee(Presence::Online),
            Settle,
        ],
        end: "settled",
        reason: "approved",
        paid: 1,
    },
    Story {
        name: "deadline near: the node refunds by itself",
        payouts: &[20_000, 700],
        steps: &[Create, Accept, Fund, Lock, Mine(TO_LAST_HEIGHT - 10), Turn(1), Mine(10), Settle],
        end: "refunded",
        reason: "blocks_ran_out",
        paid: 0,
    },
    Story {
        name: "rejected and refunded",
        payouts: &[20_000],
        steps: &[Create, Accept, Fund, Lock, Submit, Reject, Settle],
        end: "refunded",
        reason: "rejected",
        paid: 0,
    },
    Story {
        name: "worker never back: given back when the blocks are spent",
        payouts: &[20_000],
        steps: &[
            Create,
            Accept,
            Fund,
            Lock,
            Submit,
            Payee(Presence::Offline),
            Approve,
            Turn(2),
            Later(60),
            Mine(TO_LAST_HEIGHT + 1),
            Settle,
        ],
        end: "refunded",
        reason: "payout_failed",
        paid: 0,
    },
];

/// Does one step. The story's task is number 0.
pub async fn walk(node: &Node, story: &Story, step: Step) {
    let id: Id<Task> = task(0);
    let rail = &node.world.rail;
    match step {
        Create => drop(node.create(id, terms(story.payouts)).await.unwrap()),
        Accept => {
            // A worker whose request was cut off hands in the same invoices again.
            let known: Vec<String> = match node.app.task(id).await.unwrap() {
                Some(view) => view.tranches().cloned().filter_map(|part| part.payout_invoice).collect(),
                None => Vec::new(),
            };
            let invoices = if known.is_empty() { node.invoices(story.payouts) } else { known };
            node.accept(id, worker(), invoices).await.unwrap();
        }
        Fund => {
            node.ask(id, requester(), UserCommand::RequestFunding).await.unwrap();
            for _ in 0..20 {
                node.outbox.run_once().await.unwrap();
                if node.view(id).await.tranches().all(|part| part.funding_invoice.is_some()) {
                    return;
                }
                node.later(Duration::from_millis(250));
            }
            panic!("the funding invoices never come");
        }
        Lock => node.pay_holds(id).await,
        Submit => drop(node.submit(id).await.unwrap()),
        Approve => drop(node.approve(id).await.unwrap()),
        Reject => drop(node.reject(id).await.unwrap()),
        Cancel(by) => drop(node.cancel(id, by()).await.unwrap()),
        Payee(presence) => rail.set_presence(PAYEE, presence),
        Mine(blocks) => rail.mine(blocks),
        Later(secs) => node.later(Duration::from_secs(secs)),
        Restart => {}
        Turn(turns) => {
            for _ in 0..turns {
                node.turn().await;
            }
        }
        Settle => node.settle().await,
    }
}

/// What a story must come to, whatever happened on the way.
pub async fn check_end(world: &World, node: &Node, story: &Story) {
    let view = node.view(task(0)).await;
    assert_eq!((view.state.as_str(), view.reason.as_deref()), (story.end, Some(story.reason)), "{}", story.name);
    assert_eq!(node.next_effect_due().await, None, "something is left to do");
    assert_eq!(world.rail.held_msat(), 0, "money stays locked");
    let mut gains = (0, 0, 0);
    for (i, (part, payout)) in view.tranches().zip(story.payouts).enumerate() {
        let hash = part.hash.unwrap();
        let (_, arrived) = world.rail.payouts(hash);
        let paid = i < story.paid;
        assert_eq!(part.state, if paid { "claimed" } else { "returned" });
        assert_eq!(arrived, usize::from(paid), "tranche {i} was paid {arrived} times");
        if paid {
            let (payer, payee, platform) = price(*payout);
            gains = (gains.0 + payer, gains.1 + payee, gains.2 + platform);
        }
    }
    assert_eq!(world.gains(), gains, "payer, payee and platform");
    world.check().await;
}

#[tokio::test]
async fn every_story_comes_to_its_end() {
    for story in STORIES {
        let world = World::new();
        let mut node = world.start();
        for step in story.steps {
            if matches!(step, Restart) {
                node = world.start();
            }
            walk(&node, story, *step).await;
        }
        check_end(&world, &node, story).await;
        let kinds: Vec<String> = world.facts().await.into_iter().map(|fact| fact.kind).collect();
        assert!(!kinds.iter().any(|kind| kind == "escrow.hold_lost"), "{}: the rail had to give back", story.name);
    }
}

#[tokio::test]
async fn routing_costs_come_out_of_the_fee() {
    let world = World::new();
    let node = world.start();
    world.rail.set_route_fee(tallystick_testkit::escrow::msat(1_234));
    node.task_at(task(0), &[20_000], "releasing").await;
    node.settle().await;
    assert_eq!(world.gains(), (-20_200_000, 20_000_000, 200_000 - 1_234));
    assert_eq!(world.rail.routed_msat(), 1_234);
    assert_eq!(node.view(task(0)).await.milestones[0].tranches[0].routing_fee_msat, Some(1_234));
    world.check().await;
}

#[tokio::test]
async fn a_route_dearer_than_the_fee_is_not_taken() {
    let world = World::new();
    let node = world.start();
    world.rail.set_route_fee(tallystick_testkit::escrow::msat(200_001));
    node.task_at(task(0), &[20_000], "releasing").await;
    node.turn().await;
    assert_eq!(node.state_name(task(0)).await, "releasing");
    world.rail.mine(TO_LAST_HEIGHT + 1);
    node.settle().await;
    assert_eq!(node.state_name(task(0)).await, "refunded");
    assert_eq!(world.gains(), (0, 0, 0));
    world.check().await;
}
