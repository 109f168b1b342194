//! Signed requests: once, twice, too early, refused, and cut off.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tallystick_app::{
    AppError,
    fsck::ClockSet,
    outbox::Outbox,
    port::{rail::RailNotice, request::Action, tasks::TaskQuery},
};
use tallystick_core::{BlockHeight, Coded};
use tallystick_escrow::{Policy, Rejection, State, UserCommand};
use tallystick_testkit::{
    asking,
    escrow::{NOW, key, requester, stranger, terms, worker},
    rail::InvoiceSpec,
};
use tokio::sync::Semaphore;

use crate::{
    faults::Troubled,
    node::{PAYEE, PAYER, World, task},
};

#[tokio::test]
async fn a_signed_request_works_once() {
    let world = World::new();
    let node = world.start();
    let request = asking(requester(), task(0), &Action::Create(terms(&[20_000])));
    assert!(node.app.create(task(0), terms(&[20_000]), request.clone()).await.unwrap().changed);
    assert_eq!(node.app.create(task(0), terms(&[20_000]), request.clone()).await, Err(AppError::Replayed));
    // Not after a restart either, and not for another task.
    let node = world.start();
    assert_eq!(node.app.create(task(0), terms(&[20_000]), request.clone()).await, Err(AppError::Replayed));
    assert_eq!(node.app.ask(task(1), UserCommand::CancelTask, request).await, Err(AppError::Replayed));
    // The same command, signed anew: the same answer, and nothing new.
    let again = node.create(task(0), terms(&[20_000])).await.unwrap();
    assert!(!again.changed);
    assert_eq!(again.view.state, "open");
    assert_eq!(world.count().await, 1);
    world.check().await;
}

#[tokio::test]
async fn every_step_asked_for_twice_has_one_effect() {
    let world = World::new();
    let node = world.start();
    let id = task(0);
    let invoices = node.invoices(&[20_000]);
    for changed in [true, false] {
        assert_eq!(node.create(id, terms(&[20_000])).await.unwrap().changed, changed);
    }
    for changed in [true, false] {
        assert_eq!(node.accept(id, worker(), invoices.clone()).await.unwrap().changed, changed);
    }
    for changed in [true, false] {
        assert_eq!(node.ask(id, requester(), UserCommand::RequestFunding).await.unwrap().changed, changed);
    }
    node.outbox.run_once().await.unwrap();
    node.pay_holds(id).await;
    for changed in [true, false] {
        assert_eq!(node.submit(id).await.unwrap().changed, changed);
    }
    for changed in [true, false] {
        assert_eq!(node.approve(id).await.unwrap().changed, changed);
    }
    node.settle().await;
    assert!(!node.approve(id).await.unwrap().changed);
    assert_eq!(world.rail.payouts(node.hashes(id).await[0]), (1, 1));
    world.check().await;
}

#[tokio::test]
async fn before_the_rail_is_there_nothing_is_decided_and_no_request_is_spent() {
    let world = World::new();
    let app = world.app(Arc::clone(&world.store) as _);
    assert_eq!(app.height(), BlockHeight(0));
    let request = asking(requester(), task(0), &Action::Create(terms(&[20_000])));
    assert_eq!(app.create(task(0), terms(&[20_000]), request.clone()).await, Err(AppError::Starting));
    let invoices = vec![world.rail.invoice(PAYEE, 1)];
    let request_to_accept = asking(worker(), task(0), &Action::Accept(invoices.clone()));
    let accept = app.accept(task(0), invoices, request_to_accept).await;
    assert_eq!(accept, Err(AppError::Starting));
    assert_eq!(app.task(task(0)).await, Ok(None));
    assert_eq!(app.tasks(&TaskQuery { limit: 10, ..TaskQuery::default() }).await, Ok(Vec::new()));
    let rail = Arc::new(world.rail.clone());
    app.connect(Arc::clone(&rail) as _, Arc::clone(&rail) as _);
    assert_eq!(app.height(), tallystick_testkit::rail::HEIGHT_START);
    assert!(app.create(task(0), terms(&[20_000]), request).await.unwrap().changed);
}

#[tokio::test]
async fn a_second_connection_changes_nothing() {
    let world = World::new();
    let app = world.app(Arc::clone(&world.store) as _);
    let rail = Arc::new(world.rail.clone());
    app.connect(Arc::clone(&rail) as _, rail as _);
    let other = World::new();
    other.rail.mine(7);
    let second = Arc::new(other.rail.clone());
    app.connect(Arc::clone(&second) as _, second as _);
    assert_eq!(app.height(), tallystick_testkit::rail::HEIGHT_START);
    // Invoices are made by the first one.
    let outbox = Outbox::new(app.clone());
    let ask = |author, action: Action| asking(author, task(0), &action);
    let (terms, invoices) = (terms(&[20_000]), vec![world.rail.invoice(PAYEE, 20_000)]);
    app.create(task(0), terms.clone(), ask(requester(), Action::Create(terms))).await.unwrap();
    app.accept(task(0), invoices.clone(), ask(worker(), Action::Accept(invoices))).await.unwrap();
    app.ask(task(0), UserCommand::RequestFunding, ask(requester(), Action::Fund)).await.unwrap();
    outbox.run_once().await.unwrap();
    let invoice = app.task(task(0)).await.unwrap().unwrap().milestones[0].tranches[0].funding_invoice.clone().unwrap();
    assert!(world.rail.pay_hold(PAYER, &invoice) && !other.rail.pay_hold(PAYER, &invoice));
}

#[tokio::test]
async fn a_height_that_was_heard_before_the_connection_stays() {
    let world = World::new();
    let app = world.app(Arc::clone(&world.store) as _);
    let height = BlockHeight(800_009);
    assert!(world.rail.tell(&app, RailNotice::Block { height }).await);
    let rail = Arc::new(world.rail.clone());
    app.connect(Arc::clone(&rail) as _, rail as _);
    assert_eq!(app.height(), height);
}

#[tokio::test]
async fn tasks_are_created_under_the_nodes_policy_alone() {
    let world = World::new();
    let node = world.start();
    let policy = Policy { tranches_max: 1, ..Policy::default() };
    let create = UserCommand::CreateTask { id: task(1), terms: terms(&[20_000]), policy: Box::new(policy) };
    assert_eq!(node.ask(task(0), requester(), create).await, Err(AppError::Fault));
    assert_eq!((world.count().await, node.app.task(task(0)).await), (0, Ok(None)));
    node.create(task(0), terms(&[20_000])).await.unwrap();
    let State::Present(made) = world.state(task(0)).await else { panic!("it was created") };
    assert_eq!((made.id, &made.policy), (task(0), node.app.policy()));
}

#[tokio::test]
async fn too_many_invoices_are_not_even_read() {
    let world = World::new();
    let node = world.start();
    let many = vec!["no invoice at all".to_owned(); 3];
    assert_eq!(node.accept(task(0), worker(), many.clone()).await, Err(Rejection::NotFound.into()));
    node.create(task(0), terms(&[20_000, 5])).await.unwrap();
    let wanted = Rejection::InvoiceCount { invoices: 3, tranches: 2 };
    assert_eq!(node.accept(task(0), worker(), many.clone()).await, Err(wanted.into()));
    let two = node.accept(task(0), worker(), many[..2].to_vec()).await.unwrap_err();
    assert_eq!(two.code().0, "invoice.malformed");
}

#[tokio::test]
async fn foreign_invoices_are_refused_each_with_its_code() {
    let world = World::new();
    let node = world.start();
    node.create(task(0), terms(&[20_000])).await.unwrap();
    let good = InvoiceSpec::good(20_000);
    let spec = |change: fn(&mut InvoiceSpec)| {
        let mut spec = good.clone();
        change(&mut spec);
        world.rail.invoice_with(PAYEE, &spec)
    };
    let used = node.invoices(&[20_000]);
    node.create(task(1), terms(&[20_000])).await.unwrap();
    node.accept(task(1), worker(), used.clone()).await.unwrap();
    let tampered = world.rail.invoice(PAYEE, 20_000).replace(":20000000:", ":20000001:");
    let cases = [
        ("lnbcrt1nonsense".to_owned(), "invoice.malformed"),
        (String::new(), "invoice.malformed"),
        (tampered, "invoice.malformed"),
        ("x".repeat(100_000), "invoice.too_long"),
        (spec(|spec| spec.odd_features = true), "invoice.unknown_features"),
        (spec(|spec| spec.other_network = true), "invoice.wrong_network"),
        (spec(|spec| spec.amount = None), "invoice.amountless"),
        (world.rail.invoice(PAYEE, 19_999), "invoice.wrong_amount"),
        (spec(|spec| spec.expiry = tallystick_core::Duration::from_secs(0)), "invoice.expired"),
        (spec(|spec| spec.expiry = tallystick_core::Duration::from_secs(3_600)), "invoice.expires_soon"),
        (spec(|spec| spec.final_cltv_delta = tallystick_core::Blocks(145)), "invoice.final_cltv"),
        (spec(|spec| spec.secret = false), "invoice.no_secret"),
        (spec(|spec| spec.to_node = true), "invoice.to_self"),
        (used[0].clone(), "invoice.hash_reused"),
    ];
    let before = world.facts().await;
    for (invoice, code) in cases {
        let error = node.accept(task(0), worker(), vec![invoice]).await.unwrap_err();
        assert_eq!(error.code().0, code, "{error}");
    }
    let two = node.accept(task(0), worker(), node.invoices(&[20_000, 20_000])).await.unwrap_err();
    assert_eq!(two.code().0, "invoice.count");
    assert_eq!(world.facts().await, before, "a refused request changed something");
    assert_eq!(node.state_name(task(0)).await, "open");
    assert!(node.accept(task(0), worker(), vec![world.rail.invoice_with(PAYEE, &good)]).await.unwrap().changed);
    world.check().await;
}

#[tokio::test]
async fn refused_requests_change_nothing() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[20_000], "held").await;
    let before = world.facts().await;
    assert_eq!(node.cancel(task(0), stranger()).await, Err(Rejection::NotParty.into()));
    assert_eq!(node.approve(task(0)).await, Err(Rejection::NotSubmitted { state: "held" }.into()));
    assert_eq!(node.cancel(task(5), requester()).await, Err(Rejection::NotFound.into()));
    assert_eq!(node.create(task(0), terms(&[1])).await, Err(Rejection::IdTaken.into()));
    let another =
        node.app.create(task(0), terms(&[20_000]), asking(worker(), task(0), &Action::Create(terms(&[20_000])))).await;
    assert_eq!(another, Err(Rejection::IdTaken.into()));
    assert_eq!(world.facts().await, before);
    assert_eq!(node.next_effect_due().await, None);
}

#[tokio::test(start_paused = true)]
async fn funding_waits_for_its_invoices() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[1_000, 2_000], "assigned").await;
    let request = asking(requester(), task(0), &Action::Fund);
    let worker = async {
        // The outbox gets to it once it is asked for.
        node.until(task(0), "funding").await;
        node.outbox.run_once().await.unwrap();
    };
    let (answer, ()) = tokio::join!(node.app.request_funding(task(0), request), worker);
    let view = answer.unwrap().view;
    assert_eq!(view.state, "funding");
    assert!(view.tranches().all(|part| part.funding_invoice.is_some()));
    // Asked for again, they are there at once.
    let again = node.app.request_funding(task(0), asking(requester(), task(0), &Action::Fund)).await.unwrap();
    assert_eq!((again.changed, again.view), (false, view));
}

#[tokio::test(start_paused = true)]
async fn funding_that_takes_too_long_stands_all_the_same() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[20_000], "assigned").await;
    let answer = node.app.request_funding(task(0), asking(requester(), task(0), &Action::Fund)).await;
    assert_eq!(answer, Err(AppError::Pending));
    assert_eq!(node.state_name(task(0)).await, "funding");
    node.outbox.run_once().await.unwrap();
    assert!(node.view(task(0)).await.milestones[0].tranches[0].funding_invoice.is_some());
}

#[tokio::test(start_paused = true)]
async fn funding_that_is_cancelled_meanwhile_is_told_so() {
    let world = World::new();
    let node = world.start();
    node.task_at(task(0), &[20_000], "assigned").await;
    let (answer, cancelled) =
        tokio::join!(node.app.request_funding(task(0), asking(requester(), task(0), &Action::Fund)), async {
            node.until(task(0), "funding").await;
            node.cancel(task(0), worker()).await
        },);
    assert!(cancelled.unwrap().changed);
    assert_eq!(answer.unwrap().view.state, "cancelled");
}

#[tokio::test]
async fn a_failed_append_is_told_and_leaves_nothing() {
    let world = World::new();
    let (journal, trouble) = Troubled::new(&world.store);
    let node = world.start_with(journal, Arc::new(world.rail.clone()));
    node.create(task(0), terms(&[20_000])).await.unwrap();
    trouble.refused.store(1, Ordering::Release);
    assert_eq!(node.cancel(task(0), requester()).await.unwrap_err().code().0, "store.unavailable");
    assert_eq!(node.state_name(task(0)).await, "open");
    assert!(node.cancel(task(0), requester()).await.unwrap().changed);
    world.check().await;
}

#[tokio::test]
async fn an_append_whose_answer_was_lost_counts() {
    let world = World::new();
    let (journal, trouble) = Troubled::new(&world.store);
    let node = world.start_with(journal, Arc::new(world.rail.clone()));
    node.task_at(task(0), &[20_000], "submitted").await;
    trouble.unheard.store(1, Ordering::Release);
    assert_eq!(node.approve(task(0)).await.unwrap_err().code().0, "store.unavailable");
    assert!(!node.approve(task(0)).await.unwrap().changed);
    node.settle().await;
    assert_eq!(node.state_name(task(0)).await, "settled");
    world.check().await;
}

#[tokio::test]
async fn a_request_goes_on_when_its_client_is_gone() {
    let world = World::new();
    let (journal, trouble) = Troubled::new(&world.store);
    let node = world.start_with(journal, Arc::new(world.rail.clone()));
    node.task_at(task(0), &[20_000], "submitted").await;
    let brake = Arc::new(Semaphore::new(0));
    *trouble.brake.lock().unwrap() = Some(Arc::clone(&brake));
    let mut updates = node.app.updates();
    let before = trouble.appends.load(Ordering::Acquire);
    {
        let asked = node.approve(task(0));
        tokio::pin!(asked);
        // Until the append is under way; then the client hangs up.
        while trouble.appends.load(Ordering::Acquire) == before {
            tokio::select! {
                biased;
                answer = &mut asked => panic!("{answer:?} came past the brake"),
                () = tokio::task::yield_now() => {}
            }
        }
    }
    *trouble.brake.lock().unwrap() = None;
    brake.add_permits(1);
    let update = tokio::time::timeout(Duration::from_secs(5), updates.recv()).await.unwrap().unwrap();
    assert_eq!(update.view.state, "releasing");
    node.settle().await;
    assert_eq!(node.state_name(task(0)).await, "settled");
    world.check().await;
}

#[tokio::test]
async fn tasks_are_found_by_who_and_where() {
    let world = World::new();
    let node = world.start();
    for n in 0..5 {
        node.create(task(n), terms(&[1_000])).await.unwrap();
    }
    node.accept(task(1), worker(), node.invoices(&[1_000])).await.unwrap();
    node.accept(task(3), key(9), node.invoices(&[1_000])).await.unwrap();
    node.cancel(task(3), requester()).await.unwrap();
    let ids = async |query: TaskQuery| {
        let views = node.app.tasks(&TaskQuery { limit: 10, ..query }).await.unwrap();
        views.into_iter().map(|view| view.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(TaskQuery::default()).await, [4, 3, 2, 1, 0].map(task));
    assert_eq!(ids(TaskQuery { before: Some(task(2)), ..TaskQuery::default() }).await, [1, 0].map(task));
    assert_eq!(ids(TaskQuery { worker: Some(worker()), ..TaskQuery::default() }).await, [task(1)]);
    assert_eq!(ids(TaskQuery { states: vec!["open".into()], ..TaskQuery::default() }).await, [4, 2, 0].map(task));
    assert_eq!(ids(TaskQuery { requester: Some(stranger()), ..TaskQuery::default() }).await, []);
}

#[tokio::test]
async fn updates_tell_every_change_in_order() {
    let world = World::new();
    let node = world.start();
    let mut updates = node.app.updates();
    node.task_at(task(0), &[20_000], "releasing").await;
    node.settle().await;
    let (mut seen, mut last) = (Vec::new(), 0);
    while let Ok(update) = updates.try_recv() {
        assert!(update.seq > last);
        last = update.seq;
        seen.push(update.view.state.clone());
    }
    seen.dedup();
    assert_eq!(seen, ["open", "assigned", "funding", "held", "submitted", "releasing", "settled"]);
    assert_eq!(last, world.count().await as u64);
    assert!(world.rail.wallet_msat(PAYER) < crate::node::PAYER_SAT * 1_000);
}

/// Requests that came while a clock was ahead, or after it was set back, are remembered as no other would be. That is told, and
/// is no damage; nor is one that was forgotten and is given again.
#[tokio::test]
async fn a_clock_that_was_set_back_is_no_damage() {
    use tallystick_core::Duration;
    use tallystick_escrow::UserCommand::CancelTask;
    let (world, hour) = (World::new(), Duration::from_secs(3_600));
    let node = world.start();
    let told = async || world.fsck().run(|_| ()).await.map(|sound| sound.clock);
    let refused = async || assert!(node.ask(task(7), requester(), CancelTask).await.is_err(), "there is no such task");
    let request = asking(requester(), task(0), &Action::Create(terms(&[20_000])));
    node.app.create(task(0), terms(&[20_000]), request.clone()).await.unwrap();
    node.create(task(2), terms(&[20_000])).await.unwrap();
    world.check().await;
    assert_eq!(told().await, Ok(None));
    world.clock.set(NOW.after(hour));
    refused().await;
    assert_eq!(told().await, Ok(None));
    // The clock is right again, and what came after it was ahead is remembered for too long.
    world.clock.set(NOW.after(Duration::from_secs(1)));
    assert!(matches!(told().await, Ok(Some(ClockSet::Ahead(_)))));
    node.create(task(1), terms(&[20_000])).await.unwrap();
    // What was forgotten works again, and changes nothing.
    assert!(!node.app.create(task(0), terms(&[20_000]), request.clone()).await.unwrap().changed);
    assert_eq!(node.app.create(task(0), terms(&[20_000]), request).await, Err(AppError::Replayed));
    assert!(matches!(told().await, Ok(Some(ClockSet::Ahead(_)))));
    // Now it is behind.
    world.clock.set(tallystick_core::Timestamp::from_millis(NOW.as_millis() - hour.as_millis()));
    refused().await;
    world.clock.set(NOW.after(hour));
    assert!(matches!(told().await, Ok(Some(ClockSet::Back(_)))));
    // It goes with time.
    world.clock.set(NOW.after(hour).after(hour));
    refused().await;
    assert_eq!(told().await, Ok(None));
}
