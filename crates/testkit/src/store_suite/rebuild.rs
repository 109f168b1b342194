//! The read model thrown away and made again.

use std::sync::Arc;
use tallystick_app::port::journal::StoreError;
use tallystick_app::port::limits::ITEMS_MAX;
use tallystick_app::port::tasks::{TaskQuery, TaskRow};
use tallystick_app::{App, Parts};
use tallystick_core::{BlockHeight, Duration, Id, NodeKey, NostrKey, SignedRequest, canonical};
use tallystick_escrow::{Policy, Task, UserCommand};

use super::Store;
use super::fixture::{append, later, row, row_mut, task_id};
use crate::escrow::{self, requester, worker};
use crate::{ManualClock, SimRail};

fn all() -> TaskQuery {
    TaskQuery { limit: 100, ..TaskQuery::default() }
}

/// Rows go and come without facts; the format is 0 while they are not complete.
pub async fn rows_are_cleared_and_shown_again<S: Store>(store: Arc<S>) {
    assert_eq!(store.rows_format().await, Ok(0));
    store.set_rows_format(7).await.expect("a format");
    for n in 1..=3 {
        let mut task = append(n, 0);
        row_mut(&mut task).wake_at = Some(later(n));
        store.append(task).await.expect("a new stream");
    }
    assert_eq!(store.rows_format().await, Ok(7));
    store.clear_rows().await.expect("cleared");
    assert_eq!(store.rows_format().await, Ok(0));
    assert_eq!(store.tasks(&all()).await.expect("views"), [""; 0]);
    assert_eq!((store.task(task_id(1)).await, store.next_wake_after(escrow::NOW).await), (Ok(None), Ok(None)));
    assert_eq!(store.facts(0, 10).await.expect("facts").len(), 3, "facts stay");

    // A fact that comes meanwhile is newer than what is shown.
    store.append(append(2, 1)).await.expect("the next version");
    store.show_rows(vec![row(1, 0), row(2, 0)]).await.expect("shown");
    let views = store.tasks(&all()).await.expect("views");
    assert_eq!(views, [row(2, 1).view, row(1, 0).view]);
    store.show_rows(Vec::new()).await.expect("nothing to show");
    let many = vec![row(1, 0); ITEMS_MAX + 1];
    assert!(matches!(store.show_rows(many).await, Err(StoreError::Limit(_))));
}

/// Rows that are missing, wrong or of nobody's task are as before after a rebuild; and it runs once.
pub async fn the_read_model_is_made_again_from_the_facts<S: Store>(store: Arc<S>) {
    let clock = ManualClock::new(escrow::NOW);
    let rail = SimRail::new(Arc::clone(&clock));
    rail.add_wallet("payee", 0);
    let app = App::new(Parts {
        journal: Arc::clone(&store) as _,
        log: Arc::clone(&store) as _,
        tasks: Arc::clone(&store) as _,
        clock: Arc::clone(&clock) as _,
        key: NodeKey::try_new(&[8; 32]).expect("a valid key"),
        policy: Policy::default(),
    });
    app.connect(Arc::new(rail.clone()), Arc::new(rail.clone()));
    let id = |n: u8| Id::<Task>::from_parts(escrow::NOW.as_millis() + u64::from(n), [9; 10]);
    for n in 0..5 {
        app.create(id(n), escrow::terms(&[1_000]), signed(requester(), n)).await.expect("a new task");
    }
    app.accept(id(1), vec![rail.invoice("payee", 1_000)], signed(worker(), 5)).await.expect("taken");
    app.ask(id(2), UserCommand::CancelTask, signed(requester(), 6)).await.expect("cancelled");
    assert_eq!(app.refresh_tasks(&*store).await, Ok(true), "a new store has no format");
    let before = shown(&*store).await;
    assert_eq!(before.0.len(), 5);

    store.clear_rows().await.expect("cleared");
    let wrong = TaskRow { id: id(3), state: "held".into(), version: 99, ..row(1, 0) };
    store.show_rows(vec![row(9, 0), wrong]).await.expect("shown");
    assert_ne!(shown(&*store).await, before);
    assert_eq!(app.refresh_tasks(&*store).await, Ok(true));
    assert_eq!(shown(&*store).await, before);
    assert_eq!(app.refresh_tasks(&*store).await, Ok(false), "it is complete");
    assert_eq!(app.rebuild_tasks(&*store).await, Ok(5), "asked for, it is made again all the same");
    assert_eq!(shown(&*store).await, before);
}

/// Everything that the read model answers.
async fn shown<S: Store>(store: &S) -> (Vec<String>, Vec<String>, Vec<Id<Task>>, Vec<Id<Task>>) {
    let far = escrow::NOW.after(Duration::from_secs(1_000_000));
    let assigned = TaskQuery { states: vec!["assigned".to_owned()], worker: Some(worker()), ..all() };
    (
        store.tasks(&all()).await.expect("views"),
        store.tasks(&assigned).await.expect("views"),
        store.due_tasks(far, BlockHeight(0), 0, 100).await.expect("tasks"),
        store.due_tasks(escrow::NOW, BlockHeight(u32::MAX), 0, 100).await.expect("tasks"),
    )
}

fn signed(author: NostrKey, n: u8) -> SignedRequest {
    let id = canonical::sha256(&[n]);
    SignedRequest { author, id, event: format!("request {n}"), body: Vec::new() }
}
