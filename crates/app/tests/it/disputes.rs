//! Disputes on the one road: the registry, draws by the chain's blocks, rulings carried out, arbitrators paid and told of.

use tallystick_app::{AppError, port::journal::Journal};
use tallystick_civics::{
    dispute::{Award, Seats, UserCommand as Act, commitment},
    registry::{Admission, Command, OperatorCommand, State as Listed, UserCommand as Own},
};
use tallystick_core::{Coded, Digest32, Id, NostrKey, Timestamp};
use tallystick_escrow::{Case, DisputeView, State, Task, UserCommand};
use tallystick_testkit::{
    asking, asking_registry,
    escrow::{key, node as operator, panel_terms, requester, salt, with_panel, worker},
    rail::InvoiceSpec,
};

use crate::node::{Node, PAYEE, World, task};

pub const FIVE: [u64; 5] = [20_000; 5];
const STATEMENT: Digest32 = Digest32([0x57; 32]);
const ARBITRATOR: &str = "arbitrator";
/// A fifth of the fees of 1,000 sat, for three, in whole msat.
const REWARD_MSAT: u64 = 66_666;

pub async fn admit(node: &Node, arbitrators: std::ops::Range<u8>) {
    for who in arbitrators.map(key) {
        let register = Command::User(Own::Register { statement_hash: STATEMENT, pay: "a@b.example".into() });
        let request = asking_registry(who, &register);
        node.app.ask_registry(register, request).await.unwrap();
        let admit = Command::Operator(OperatorCommand::Admit { arbitrator: who, statement_hash: STATEMENT });
        let request = asking_registry(operator(), &admit);
        assert!(node.app.ask_registry(admit, request).await.unwrap().0);
    }
}

/// A task with a panel whose work was handed in and refused.
pub async fn refused(node: &Node, id: Id<Task>, payouts: &[u64]) {
    node.create(id, panel_terms(payouts)).await.unwrap();
    node.accept(id, worker(), node.invoices(payouts)).await.unwrap();
    node.ask(id, requester(), UserCommand::RequestFunding).await.unwrap();
    node.outbox.run_once().await.unwrap();
    node.pay_holds(id).await;
    node.submit(id).await.unwrap();
    node.reject(id).await.unwrap();
    assert_eq!(node.state_name(id).await, "rejected");
}

pub async fn dispute(node: &Node, id: Id<Task>, by: NostrKey) {
    use tallystick_app::port::request::Action;
    let request = asking(by, id, &Action::OpenDispute { milestone: 0 });
    node.app.open_dispute(id, 0, request).await.unwrap();
    assert_eq!(node.state_name(id).await, "disputed");
}

pub async fn mined(node: &Node, blocks: u32) {
    node.world.rail.mine(blocks);
    node.deliver().await;
    node.timers.run_once().await.unwrap();
}

async fn act(node: &Node, id: Id<Task>, by: NostrKey, command: Act) -> Result<bool, AppError> {
    let answer = node.ask(id, by, UserCommand::Dispute { milestone: 0, command }).await?;
    Ok(answer.changed)
}

pub async fn view(node: &Node, id: Id<Task>) -> DisputeView {
    node.view(id).await.milestones[0].dispute.clone().expect("it is disputed")
}

async fn case(node: &Node, id: Id<Task>) -> Case {
    let State::Present(task) = node.world.state(id).await else { panic!("there is no task") };
    task.cases().last().unwrap().clone()
}

pub async fn bench(node: &Node, id: Id<Task>) -> Vec<NostrKey> {
    view(node, id).await.panel.iter().map(|seat| seat.arbitrator).collect()
}

/// All who were asked vote like this, and both sides are content.
pub async fn rule(node: &Node, id: Id<Task>, votes: &[Award]) {
    let bench = bench(node, id).await;
    for who in &bench {
        act(node, id, *who, Act::AcceptSeat).await.unwrap();
    }
    while view(node, id).await.state == "seating" {
        mined(node, 1).await;
    }
    let dispute = case(node, id).await.dispute;
    for (who, award) in bench.iter().zip(votes) {
        let commitment = commitment(dispute.opening.id, dispute.round(), *who, *award, &salt(*who));
        act(node, id, *who, Act::CommitVote { commitment }).await.unwrap();
    }
    for (who, award) in bench.iter().zip(votes) {
        act(node, id, *who, Act::RevealVote { award: *award, salt: salt(*who) }).await.unwrap();
    }
    act(node, id, requester(), Act::AcceptRuling).await.unwrap();
    act(node, id, worker(), Act::AcceptRuling).await.unwrap();
}

async fn collect(node: &Node, id: Id<Task>, by: NostrKey, invoice: &str) -> Result<bool, AppError> {
    use tallystick_app::port::request::Action;
    let action = Action::CollectReward { milestone: 0, invoice: invoice.to_owned() };
    let request = asking(by, id, &action);
    Ok(node.app.collect_reward(id, 0, invoice.to_owned(), request).await?.changed)
}

fn reward_invoice(node: &Node) -> String {
    let amount = Some(tallystick_core::Msat::try_new(REWARD_MSAT).unwrap());
    node.world.rail.invoice_with(ARBITRATOR, &InvoiceSpec { amount, ..InvoiceSpec::good(0) })
}

/// From the registry to the last satoshi: 60 to 40, everybody paid, everything found again by fsck.
#[tokio::test]
async fn a_panel_splits_what_it_was_asked_about() {
    let world = World::new();
    world.rail.add_wallet(ARBITRATOR, 0);
    let node = world.start();
    admit(&node, 10..20).await;
    refused(&node, task(0), &FIVE).await;
    dispute(&node, task(0), worker()).await;
    mined(&node, 5).await;
    assert_eq!(view(&node, task(0)).await.state, "drawing");
    mined(&node, 1).await;
    assert_eq!(view(&node, task(0)).await.state, "seating");
    rule(&node, task(0), &[Award::new(0b00001), Award::new(0b00111), Award::new(0b11111)]).await;
    node.settle().await;
    assert_eq!(node.state_name(task(0)).await, "settled");
    assert_eq!(world.gains(), (-60_600_000, 60_000_000, 600_000));

    let who = bench(&node, task(0)).await;
    let invoice = reward_invoice(&node);
    assert_eq!(collect(&node, task(0), who[0], &invoice).await, Ok(true));
    assert_eq!(collect(&node, task(0), who[0], &invoice).await, Ok(false));
    let error = collect(&node, task(0), requester(), &reward_invoice(&node)).await.unwrap_err();
    assert_eq!(error.code().0, "escrow.not_served");
    node.settle().await;
    assert_eq!(world.rail.wallet_msat(ARBITRATOR), REWARD_MSAT);
    assert_eq!(world.gains(), (-60_600_000, 60_000_000, 600_000 - i128::from(REWARD_MSAT)));
    assert_eq!(view(&node, task(0)).await.panel[0].reward.as_deref(), Some("paid"));

    // The registry has heard of them, and whoever voted with the median weighs the most now.
    let roll = node.app.roll(None).await.unwrap();
    let weight = |key| {
        let list = roll.candidates().unwrap();
        list.as_slice().iter().find(|candidate| candidate.arbitrator == key).unwrap().weight
    };
    let weights: Vec<u32> = who.iter().map(|who| weight(*who)).collect();
    assert!(weights[1] > weights[0] && weights[0] > 100, "{weights:?}");
    let other = (10..20).map(key).find(|key| !who.contains(key)).unwrap();
    assert_eq!(weight(other), 100);
    world.check().await;
}

/// What an arbitrator did is never lost between the task and the registry.
#[tokio::test]
async fn a_service_that_was_marked_as_done_and_never_told_is_found() {
    let world = World::new();
    let node = world.start();
    admit(&node, 10..20).await;
    refused(&node, task(0), &FIVE).await;
    dispute(&node, task(0), worker()).await;
    mined(&node, 6).await;
    rule(&node, task(0), &[Award::new(0b00001); 3]).await;
    world.check().await;
    let due = world.store.due_effects(Timestamp::from_millis(u64::MAX >> 1), 20).await.unwrap();
    let told = due.iter().find(|effect| effect.key.starts_with("dispute/service/")).expect("a service");
    world.store.finish_effect(&told.key).await.unwrap();
    let damage = world.fsck().run(|_| ()).await.unwrap_err().to_string();
    assert_eq!(damage, format!("the outbox: {} is marked as done, and no fact tells of its outcome", told.key));
}

/// The chain does not answer: the draw waits for it, and nothing else does.
#[tokio::test]
async fn a_draw_waits_for_the_chain() {
    let world = World::new();
    let node = world.start();
    admit(&node, 10..20).await;
    refused(&node, task(0), &[20_000]).await;
    dispute(&node, task(0), worker()).await;
    world.rail.set_available(false);
    world.rail.mine(6);
    node.deliver().await;
    let error = node.timers.run_once().await.unwrap_err();
    assert_eq!(error.code().0, "bitcoin.no_block");
    world.rail.set_available(true);
    node.timers.run_once().await.unwrap();
    assert_eq!(view(&node, task(0)).await.state, "seating");
    world.check().await;
}

/// Who was admitted after the opening is not drawn, and who has dealt with a side never is.
#[tokio::test]
async fn a_panel_is_drawn_from_the_list_of_the_opening_without_the_parties_friends() {
    let world = World::new();
    let node = world.start();
    admit(&node, 10..13).await;
    // One of them has a task with the requester.
    node.create(task(1), panel_terms(&[1_000])).await.unwrap();
    node.accept(task(1), key(10), node.invoices(&[1_000])).await.unwrap();
    refused(&node, task(0), &[20_000]).await;
    dispute(&node, task(0), worker()).await;
    admit(&node, 20..30).await;
    mined(&node, 6).await;
    let dispute = case(&node, task(0)).await.dispute;
    assert_eq!(dispute.opening.conflicts, [key(10)]);
    let mut drawn = dispute.panel.draw.unwrap().order;
    drawn.sort();
    let mut expected = vec![key(11), key(12)];
    expected.sort();
    assert_eq!(drawn, expected);
    world.check().await;
}

#[tokio::test]
async fn a_registry_of_nobody_leaves_it_to_the_terms() {
    let world = World::new();
    let node = world.start();
    refused(&node, task(0), &[20_000]).await;
    dispute(&node, task(0), worker()).await;
    mined(&node, 6).await;
    assert_eq!(view(&node, task(0)).await.state, "failed");
    assert_eq!(node.state_name(task(0)).await, "rejected");
    world.check().await;
}

#[tokio::test]
async fn the_registry_is_public_and_each_request_counts_once() {
    let world = World::new();
    let node = world.start();
    admit(&node, 10..11).await;
    let pause = Command::User(Own::Pause);
    let request = asking_registry(key(10), &pause);
    let (changed, state) = node.app.ask_registry(pause.clone(), request.clone()).await.unwrap();
    let Listed::Present(listed) = state else { panic!("registered") };
    assert!(changed && listed.paused && listed.admission == Admission::Admitted);
    assert_eq!(node.app.ask_registry(pause, request).await, Err(AppError::Replayed));
    let suspend = Command::Operator(OperatorCommand::Suspend { arbitrator: key(11) });
    let request = asking_registry(operator(), &suspend);
    let error = node.app.ask_registry(suspend, request).await.unwrap_err();
    assert_eq!(error.code().0, "arbitrator.not_found");
    let facts = world.store.facts_below("arbitrator/", 0, 100).await.unwrap();
    assert_eq!(facts.len(), 3);
    assert!(facts.iter().all(|fact| matches!(fact.body, tallystick_core::Body::Public(_))));
    world.check().await;
}

/// "Second click after settle", and a second one while the first is under way: an arbitrator's invoice is paid once.
#[tokio::test]
async fn an_arbitrator_who_asks_again_and_again_is_paid_once() {
    let world = World::new();
    world.rail.add_wallet(ARBITRATOR, 0);
    let node = world.start();
    admit(&node, 10..20).await;
    node.create(task(0), with_panel(Seats::One, panel_terms(&FIVE))).await.unwrap();
    node.accept(task(0), worker(), node.invoices(&FIVE)).await.unwrap();
    node.ask(task(0), requester(), UserCommand::RequestFunding).await.unwrap();
    node.outbox.run_once().await.unwrap();
    node.pay_holds(task(0)).await;
    dispute(&node, task(0), requester()).await;
    mined(&node, 6).await;
    rule(&node, task(0), &[Award::NOTHING; 3]).await;
    node.settle().await;
    assert_eq!(world.gains(), (0, 0, 0));
    let who = bench(&node, task(0)).await[0];
    let (first, second) = (reward_invoice(&node), reward_invoice(&node));
    collect(&node, task(0), who, &first).await.unwrap();
    let error = collect(&node, task(0), who, &second).await.unwrap_err();
    assert_eq!(error.code().0, "escrow.reward_under_way");
    // A crash between the call and its outcome.
    node.outbox.run_once().await.unwrap();
    drop(node);
    let node = world.start();
    node.settle().await;
    let error = collect(&node, task(0), who, &second).await.unwrap_err();
    assert_eq!(error.code().0, "escrow.reward_paid");
    assert_eq!(world.rail.wallet_msat(ARBITRATOR), REWARD_MSAT);
    assert_eq!(world.rail.wallet_msat(PAYEE), 0);
    world.check().await;
}
