//! Bugs that others had, each by its name: what happened to them does not happen here. `docs/field-bugs.md` is the list, with
//! where it was told and why it cannot happen here; a test below holds list and tests together.

use std::{collections::BTreeSet, fs, path::Path};
use tallystick_app::{
    AppError,
    away::{AWAY, LastThere},
    port::{
        journal::Journal,
        rail::{HoldRail, RailNotice},
        request::Action,
    },
};
use tallystick_civics::dispute::Award;
use tallystick_core::{BlockHeight, Coded, Digest32, Duration, Msat, PaymentHash};
use tallystick_escrow::{OnSilence, PayFailure, Terms, UserCommand};
use tallystick_testkit::{
    asking_at,
    escrow::{DEADLINE, approve, requester, submit, terms, worker},
    rail::{HoldState, Outgoing, Presence},
};

use crate::{
    bonds,
    crash::{self, Side, Wire},
    disputes::{admit, dispute, mined, refused, rule, view as dispute_view},
    node::{Node, PAYEE, PAYER, World, price, task},
};

/// Turns after which a story is over.
const TURNS: u32 = 12;

/// Whoever has taken the payer's money has paid the payee, whatever moment one looks at.
fn check_nothing_is_taken_unpaid(world: &World) {
    let payments = world.rail.seen_payments();
    for (hash, hold) in world.rail.seen_holds() {
        let is_taken = matches!(hold.state, HoldState::Claiming | HoldState::Claimed);
        let is_paid = payments.values().any(|payment| payment.hash == hash && payment.state == Outgoing::Paid);
        assert!(!is_taken || is_paid, "the hold on {hash} is taken, and its payee has nothing");
    }
}

/// Mostro settled the payer's hold first and paid the payee afterwards: whatever stopped it in between (M#873, and no intent
/// was written down) left a hold that was taken, and a payee with nothing. Here the process is stopped at each call to journal
/// and rail from the approval on, before and after it.
#[tokio::test]
async fn settled_but_unpaid() {
    let mut stops = 0;
    'calls: for call in 1.. {
        for side in [Side::Before, Side::After] {
            let world = World::new();
            world.start().task_at(task(0), &[20_000, 700], "submitted").await;
            let wire = Wire::set_at(Some((call, side)));
            let node = crash::start(&world, &wire);
            let story = async {
                node.approve(task(0)).await.unwrap();
                for _ in 0..TURNS {
                    node.turn().await;
                    check_nothing_is_taken_unpaid(&world);
                }
            };
            tokio::select! {
                biased;
                () = wire.crossed.notified() => stops += 1,
                () = story => break 'calls,
            }
            check_nothing_is_taken_unpaid(&world);
            let node = world.start();
            node.approve(task(0)).await.unwrap();
            node.settle().await;
            let both = (price(20_000), price(700));
            let sum = (both.0.0 + both.1.0, both.0.1 + both.1.1, both.0.2 + both.1.2);
            assert_eq!((node.state_name(task(0)).await.as_str(), world.gains()), ("settled", sum), "{call} {side:?}");
            world.check().await;
        }
    }
    assert!(stops >= 20, "{stops} stops only: the wire is in the wrong place");
}

/// What the worker is paid once for, with two invoices about.
async fn check_paid_once(node: &Node, hashes: &[PaymentHash]) {
    node.settle().await;
    assert_eq!(node.state_name(task(0)).await, "settled");
    let arrived: usize = hashes.iter().map(|hash| node.world.rail.payouts(*hash).1).sum();
    assert_eq!((arrived, node.world.gains(), node.world.rail.held_msat()), (1, price(20_000), 0));
    node.world.check().await;
}

async fn offer(node: &Node, invoice: &str) -> Result<bool, AppError> {
    let action = Action::OfferRenewal { milestone: 0, invoices: vec![invoice.to_owned()] };
    let request = asking_at(node.app.clock().now(), worker(), task(0), &action);
    Ok(node.app.offer_renewal(task(0), 0, vec![invoice.to_owned()], request).await?.changed)
}

/// A task whose holds can be renewed, locked.
async fn held_renewable(node: &Node) {
    let renewable = Terms { renewal: Some(OnSilence::Refund), ..terms(&[20_000]) };
    node.create(task(0), renewable).await.unwrap();
    node.accept(task(0), worker(), node.invoices(&[20_000])).await.unwrap();
    node.ask(task(0), requester(), UserCommand::RequestFunding).await.unwrap();
    node.outbox.run_once().await.unwrap();
    node.pay_holds(task(0)).await;
    assert_eq!(node.state_name(task(0)).await, "held");
}

fn hash_of(node: &Node, invoice: &str) -> PaymentHash {
    use tallystick_app::port::rail::InvoiceReader;
    node.world.rail.read(invoice).unwrap().hash
}

/// RoboSats paid twice when an invoice was replaced while the first one was being paid (R#2528). Here another invoice is another
/// hold, and a payout that has begun keeps its invoice.
#[tokio::test]
async fn double_payout_on_a_replaced_invoice() {
    // Replaced before the payout: the new one is paid, and the old one never.
    let world = World::new();
    let node = world.start();
    held_renewable(&node).await;
    let (old, next) = (node.hashes(task(0)).await[0], world.rail.invoice(PAYEE, 20_000));
    assert_eq!(offer(&node, &next).await, Ok(true));
    node.outbox.run_once().await.unwrap();
    let renewal = node.view(task(0)).await.milestones[0].tranches[0].renewal.clone().unwrap();
    assert!(world.rail.pay_hold(PAYER, &renewal.funding_invoice.unwrap()));
    node.deliver().await;
    node.submit(task(0)).await.unwrap();
    node.approve(task(0)).await.unwrap();
    check_paid_once(&node, &[old, hash_of(&node, &next)]).await;
    assert_eq!(world.rail.payouts(old), (0, 0));

    // Offered before, and locked while the payout is stuck on its way, over a restart: the late hold goes back.
    let world = World::new();
    let node = world.start();
    held_renewable(&node).await;
    let old = node.hashes(task(0)).await[0];
    let next = world.rail.invoice(PAYEE, 20_000);
    assert_eq!(offer(&node, &next).await, Ok(true));
    node.outbox.run_once().await.unwrap();
    let renewal = node.view(task(0)).await.milestones[0].tranches[0].renewal.clone().unwrap();
    node.submit(task(0)).await.unwrap();
    world.rail.set_presence(PAYEE, Presence::Stalling);
    node.approve(task(0)).await.unwrap();
    node.turn().await;
    assert!(world.rail.pay_hold(PAYER, &renewal.funding_invoice.unwrap()));
    drop(node);
    let node = world.start();
    node.turn().await;
    let other = world.rail.invoice(PAYEE, 20_000);
    assert_eq!(offer(&node, &other).await.unwrap_err().code().0, "escrow.not_held");
    // It is asked after again and again meanwhile, and begins once.
    for _ in 0..3 {
        node.later(Duration::from_secs(600));
        node.turn().await;
    }
    assert_eq!(world.rail.payouts(old), (1, 0));
    world.rail.set_presence(PAYEE, Presence::Online);
    check_paid_once(&node, &[old, hash_of(&node, &next), hash_of(&node, &other)]).await;
}

/// RoboSats looked at locked holds only after 48 hours, so that one which had gone before was not seen, and Mostro only logged that
/// its node had cancelled one (M#862). Here the rail tells at once, also of what went while the node was down, and a payout
/// without a hold is not begun even if it has not told yet.
#[tokio::test]
async fn early_cancel_unseen() {
    for state in ["held", "submitted", "releasing"] {
        for (is_down, is_told_late) in [(false, false), (true, false), (false, true), (true, true)] {
            let world = World::new();
            let mut node = world.start();
            node.task_at(task(0), &[20_000], state).await;
            let hash = node.hashes(task(0)).await[0];
            if is_down {
                drop(node);
                assert!(world.rail.lose_hold(hash));
                node = world.start();
            } else {
                assert!(world.rail.lose_hold(hash));
            }
            if is_told_late {
                // All that can be wanted is wanted before the node has heard of it.
                let _ = node.submit(task(0)).await;
                let _ = node.approve(task(0)).await;
                node.outbox.run_once().await.unwrap();
            }
            node.deliver().await;
            let shown = node.view(task(0)).await.milestones[0].tranches[0].clone();
            assert_ne!(shown.state, "held", "{state}: it is shown at once");
            node.settle().await;
            let view = node.view(task(0)).await;
            assert_eq!((view.state.as_str(), world.rail.payouts(hash).1), ("refunded", 0), "{state}");
            assert_eq!((world.gains(), world.rail.held_msat()), ((0, 0, 0), 0));
            world.check().await;
        }
    }
}

/// Mostro gave up what was held while a dispute ran (M#862, M#488): its guard left disputed orders alone until the node had
/// cancelled their holds. Here the dispute goes on about what is left, and pays nothing that no hold covers.
#[tokio::test]
async fn hold_gone_while_a_dispute_runs() {
    let world = World::new();
    let node = world.start();
    admit(&node, 10..20).await;
    refused(&node, task(0), &[20_000, 700]).await;
    dispute(&node, task(0), worker()).await;
    let hashes = node.hashes(task(0)).await;
    drop(node);
    assert!(world.rail.lose_hold(hashes[0]));
    let node = world.start();
    mined(&node, 6).await;
    let view = dispute_view(&node, task(0)).await;
    assert_eq!(
        (view.state.as_str(), node.view(task(0)).await.milestones[0].tranches[0].state.as_str()),
        ("seating", "returned")
    );
    // Long before the hold that is left would end: see `restart_skipping_disputed_tasks` for a panel that is late.
    assert!(node.app.height() < view.rule_by);
    rule(&node, task(0), &[Award::new(0b11); 3]).await;
    node.settle().await;
    assert_eq!(node.state_name(task(0)).await, "settled");
    assert_eq!([0, 1].map(|at: usize| world.rail.payouts(hashes[at]).1), [0, 1]);
    assert_eq!((world.gains(), world.rail.held_msat()), (price(700), 0));
    world.check().await;
}

/// Mostro's guardian left out orders in dispute, also after a restart ("restart skipping disputed tasks"): here each step of
/// a dispute is woken by whatever process is there.
#[tokio::test]
async fn restart_skipping_disputed_tasks() {
    let world = World::new();
    let node = world.start();
    admit(&node, 10..20).await;
    refused(&node, task(0), &[20_000]).await;
    dispute(&node, task(0), worker()).await;
    drop(node);
    // The draw's block is buried while nobody is there.
    world.rail.mine(8);
    let node = world.start();
    node.deliver().await;
    node.timers.run_once().await.unwrap();
    assert_eq!(dispute_view(&node, task(0)).await.state, "seating");
    drop(node);
    // The whole panel is silent, and so is the next; the node is started again and again, always late.
    let mut node = world.start();
    for _ in 0..200 {
        if node.state_name(task(0)).await != "disputed" {
            break;
        }
        drop(node);
        world.rail.mine(7);
        node = world.start();
        node.deliver().await;
        node.timers.run_once().await.unwrap();
    }
    let view = dispute_view(&node, task(0)).await;
    assert_eq!((view.state.as_str(), view.round), ("failed", 2));
    // What the terms say of refused work, before the hold is lost.
    node.later(Duration::from_secs(86_400));
    node.settle().await;
    let after = node.view(task(0)).await;
    assert_eq!((after.state.as_str(), after.reason.as_deref()), ("refunded", Some("rejected")));
    assert!(node.app.height() < view.rule_by.after(tallystick_core::Blocks(8)));
    world.check().await;
}

/// What a user asks for on the way from nothing to a payout, with the state that it leads to.
const COMMANDS: [(&str, &str); 5] =
    [("", "open"), ("open", "assigned"), ("assigned", "funding"), ("held", "submitted"), ("submitted", "releasing")];

/// Asks for what leads to a state, as a client that got no answer does it again.
async fn command(node: &Node, leads_to: &str, invoices: &[String]) -> Result<bool, AppError> {
    let answer = match leads_to {
        "open" => node.create(task(0), terms(&[20_000])).await,
        "assigned" => node.accept(task(0), worker(), invoices.to_vec()).await,
        "funding" => node.ask(task(0), requester(), UserCommand::RequestFunding).await,
        "submitted" => node.ask(task(0), worker(), submit()).await,
        other => {
            assert_eq!(other, "releasing");
            node.ask(task(0), requester(), approve()).await
        }
    };
    Ok(answer?.changed)
}

/// Mostro subscribed to nothing older than ten seconds, so that what was sent while it was down was dropped, and what it had
/// to say itself was in memory. Here a command that was answered is in the journal whenever the process stops after it, one
/// that was not can be given again, and what the network had to tell meanwhile is told later.
#[tokio::test]
async fn commands_lost() {
    for (before, after) in COMMANDS {
        let mut stops = 0;
        'calls: for call in 1.. {
            for side in [Side::Before, Side::After] {
                let world = World::new();
                let node = world.start();
                let invoices = node.invoices(&[20_000]);
                match before {
                    "" => {}
                    "open" => drop(node.create(task(0), terms(&[20_000])).await.unwrap()),
                    state => node.task_at(task(0), &[20_000], state).await,
                }
                drop(node);
                let wire = Wire::set_at(Some((call, side)));
                let node = crash::start(&world, &wire);
                let answered = tokio::select! {
                    biased;
                    () = wire.crossed.notified() => false,
                    answer = command(&node, after, &invoices) => answer.unwrap(),
                };
                // Whatever was under way is gone with the process.
                let node = world.start();
                assert!(!answered || node.state_name(task(0)).await == after, "{after}: answered, and lost");
                command(&node, after, &invoices).await.unwrap();
                assert_eq!(node.state_name(task(0)).await, after);
                world.check().await;
                if answered {
                    break 'calls;
                }
                stops += 1;
            }
        }
        assert!(stops >= 4, "{after}: {stops} stops only: the wire is in the wrong place");
    }
    // Money that came while nobody was there, and a payout that arrived.
    let world = World::new();
    world.start().task_at(task(0), &[20_000], "funding").await;
    let invoice = world.start().view(task(0)).await.milestones[0].tranches[0].funding_invoice.clone().unwrap();
    assert!(world.rail.pay_hold(PAYER, &invoice));
    let node = world.start();
    node.deliver().await;
    node.submit(task(0)).await.unwrap();
    node.approve(task(0)).await.unwrap();
    node.outbox.run_once().await.unwrap();
    drop(node);
    while world.rail.step() {}
    let node = world.start();
    node.settle().await;
    assert_eq!((node.state_name(task(0)).await.as_str(), world.gains()), ("settled", price(20_000)));
    world.check().await;
}

/// What a rail that has gone mad could tell of a hash.
fn mad_notices(hash: PaymentHash, id: Digest32) -> Vec<RailNotice> {
    let amount = Msat::try_new(1).unwrap();
    vec![
        RailNotice::PayoutPaid { id, hash, fee: Msat::ZERO },
        RailNotice::PayoutFailed { id, hash, reason: PayFailure::Other },
        RailNotice::HoldClaimed { hash, amount },
        RailNotice::HoldLost { hash },
        RailNotice::HoldLocked { hash, amount, claim_deadline: BlockHeight(u32::MAX) },
    ]
}

/// A malformed preimage stopped Mostro's daemon (M#804). No preimage ever comes into the app: a user can send none, and the rail
/// tells of hashes. Those may be as strange as they like, and so may invoices, which name one: nothing stops, nothing is written,
/// and the task goes on. What the rail itself keeps of a preimage is looked at where it is kept.
#[tokio::test]
async fn malformed_preimage() {
    let world = World::new();
    let node = world.start();
    node.create(task(0), terms(&[20_000])).await.unwrap();
    let (facts, good) = (world.count().await, world.rail.invoice(PAYEE, 20_000));
    let hash = hash_of(&node, &good).to_string();
    let garbage = ["", "00", &hash[..62], &(hash.clone() + "00"), &"zz".repeat(32), &"é".repeat(32), &"a:".repeat(32)];
    let renamed = garbage.iter().map(|other| good.replace(&hash, other));
    let cut = (0..good.len()).filter(|at| good.is_char_boundary(*at)).map(|at| good[..at].to_owned());
    for bad in renamed.chain(cut).chain(["f".repeat(64), "\u{0}".repeat(64), "x".repeat(100_000)]) {
        let error = node.accept(task(0), worker(), vec![bad.clone()]).await.unwrap_err();
        assert!(error.code().0.starts_with("invoice."), "{error}: {}", &bad[..bad.len().min(80)]);
    }
    for hash in [[0; 32], [0xff; 32], [0x20; 32]].map(PaymentHash) {
        for notice in mad_notices(hash, Digest32(hash.0)) {
            // Whether it is heard or not, it changes nothing.
            world.rail.tell(&node.app, notice).await;
        }
    }
    assert_eq!(world.count().await, facts);
    // Of a task's own hash, before any payout: money that did not move is told of to be believed, and no more is paid for it.
    node.accept(task(0), worker(), vec![good]).await.unwrap();
    node.ask(task(0), requester(), UserCommand::RequestFunding).await.unwrap();
    node.outbox.run_once().await.unwrap();
    node.pay_holds(task(0)).await;
    let hash = node.hashes(task(0)).await[0];
    world
        .rail
        .tell(&node.app, RailNotice::PayoutFailed { id: Digest32([1; 32]), hash, reason: PayFailure::Other })
        .await;
    // The rail has no preimage: it refuses to claim.
    assert_eq!(world.rail.claim_hold(PaymentHash([7; 32])).await.unwrap_err().code().0, "lightning.no_preimage");
    node.submit(task(0)).await.unwrap();
    node.approve(task(0)).await.unwrap();
    node.settle().await;
    assert_eq!((node.state_name(task(0)).await.as_str(), world.gains()), ("settled", price(20_000)));
}

/// RoboSats took a bond while its own coordinator was down (R#2632), and Mostro one by mistake (M#879). Here the node was down when the deadline passed: it tells so at its start, before any timer runs, and takes no bond.
#[tokio::test]
async fn bond_slashed_during_our_outage() {
    let world = bonds::world();
    let node = world.start();
    bonds::held(&node, task(0)).await;
    drop(node);
    let there = tallystick_core::Timestamp::from_millis(DEADLINE.as_millis() - 600_000);
    let now = DEADLINE.after(Duration::from_secs(600));
    world.clock.set(now);
    let node = world.start();
    let kept = LastThere { at: Some(there), ..LastThere::default() };
    node.app.attend_from(kept.starting(None, now)).await.unwrap();
    node.settle().await;
    let view = node.view(task(0)).await;
    assert_eq!((view.state.as_str(), view.bonds[0].hold.reason.as_deref()), ("refunded", Some("bond_kept")));
    assert_eq!(bonds::gains(&world), (0, 0, 0));
    let told = world.store.facts_below("node/", 0, 10).await.unwrap();
    assert_eq!(told.iter().map(|fact| fact.kind.as_str()).collect::<Vec<_>>(), [AWAY]);
    bonds::check(&world).await;
}

/// RoboSats' second click after a settlement ran into "wrong state: settled" (R#593). Here whoever asks for what is so
/// already is told so, in every state on the way and after the end, over a restart, and nothing moves twice.
#[tokio::test]
async fn second_click_after_settle() {
    let world = World::new();
    let mut node = world.start();
    node.task_at(task(0), &[20_000], "submitted").await;
    assert!(node.approve(task(0)).await.unwrap().changed);
    let hash = node.hashes(task(0)).await[0];
    for turn in 0..TURNS {
        let again = node.approve(task(0)).await.unwrap();
        assert!(!again.changed, "turn {turn}");
        let error = node.reject(task(0)).await.unwrap_err();
        assert_eq!(error.code().0, "escrow.not_submitted", "turn {turn}");
        let error = node.cancel(task(0), worker()).await.unwrap_err();
        assert!(["escrow.not_cancellable", "escrow.ended"].contains(&error.code().0), "{error}");
        node.turn().await;
        node = world.start();
    }
    let facts = world.count().await;
    assert_eq!(node.state_name(task(0)).await, "settled");
    assert!(!node.approve(task(0)).await.unwrap().changed);
    node.settle().await;
    assert_eq!((world.count().await, world.rail.payouts(hash)), (facts, (1, 1)));
    assert_eq!(world.gains(), price(20_000));
    world.check().await;
}

/// Each line of the list names tests that there are, and each test of this file is in the list.
#[test]
fn the_list_and_the_tests_belong_together() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let list = fs::read_to_string(root.join("docs/field-bugs.md")).unwrap();
    let named: BTreeSet<(&str, &str)> = list.split('`').filter_map(|code| code.split_once("::")).collect();
    for (file, name) in &named {
        let source = fs::read_to_string(root.join(file)).unwrap_or_else(|_| panic!("{file} is not there"));
        let heads = ["#[test]", "#[tokio::test]"];
        let is_there = source.match_indices(&format!("fn {name}()")).any(|(at, _)| {
            let before = source[..at].trim_end().trim_end_matches("async").trim_end();
            heads.iter().any(|head| before.ends_with(head))
        });
        assert!(is_there, "{file} has no test {name}");
    }
    let own = "crates/app/tests/it/field_bugs.rs";
    let source = fs::read_to_string(root.join(own)).unwrap();
    for part in source.split("#[tokio::test]\nasync fn ").skip(1) {
        let name = part.split('(').next().unwrap();
        assert!(named.contains(&(own, name)), "{name} is not in the list");
    }
    assert!(named.len() >= 9);
}
