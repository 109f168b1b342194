//! The tasks' read model.

use std::sync::Arc;
use tallystick_app::port::journal::{Append, StoreError};
use tallystick_app::port::limits::{PAGE_MAX, STATES_MAX};
use tallystick_app::port::tasks::TaskQuery;
use tallystick_core::{BlockHeight, Timestamp};

use super::Store;
use super::fixture::{NOW, append, key, later, row_mut, task_id};

/// Six tasks, each with `view` = its number: requesters 1 and 2 in turn, worker 3 from the fourth on.
async fn six_tasks<S: Store>(store: &S) {
    let states = ["open", "held", "open", "held", "settled", "open"];
    for (n, state) in (1u8..).zip(states) {
        let mut task = append(n.into(), 0);
        row_mut(&mut task).state = state.into();
        row_mut(&mut task).requester = key(2 - n % 2);
        row_mut(&mut task).worker = (n > 3).then(|| key(3));
        row_mut(&mut task).view = n.to_string();
        store.append(task).await.expect("a new stream");
    }
}

fn all() -> TaskQuery {
    TaskQuery { limit: 100, ..TaskQuery::default() }
}

async fn views<S: Store>(store: &S, query: TaskQuery) -> Vec<String> {
    store.tasks(&query).await.expect("views")
}

/// A row is replaced by a newer version of itself, and never by an older one.
pub async fn a_row_shows_its_newest_version<S: Store>(store: Arc<S>) {
    assert_eq!(store.task(task_id(1)).await.expect("an answer"), None);
    let with_view = |version, row_version, view: &str| {
        let mut append = append(1, version);
        row_mut(&mut append).version = row_version;
        row_mut(&mut append).view = view.to_owned();
        append
    };
    let shown = async |wanted: Append| {
        store.append(wanted).await.expect("the next version");
        store.task(task_id(1)).await.expect("an answer")
    };
    assert_eq!(shown(with_view(0, 1, "first")).await.as_deref(), Some("first"));
    assert_eq!(shown(with_view(1, 2, "second")).await.as_deref(), Some("second"));
    assert_eq!(shown(with_view(2, 2, "same version")).await.as_deref(), Some("second"));
    assert_eq!(shown(with_view(3, 1, "older")).await.as_deref(), Some("second"));
    assert_eq!(shown(with_view(4, 5, "newest")).await.as_deref(), Some("newest"));
    assert_eq!(store.task(task_id(2)).await.expect("an answer"), None);
}

/// State, requester and worker, alone and together, the newest first; a changed row moves with its change.
pub async fn queries_filter<S: Store>(store: Arc<S>) {
    assert_eq!(views(&*store, all()).await, [""; 0]);
    six_tasks(&*store).await;
    let states = |states: &[&str]| states.iter().map(|state| (*state).to_owned()).collect::<Vec<_>>();
    assert_eq!(views(&*store, all()).await, ["6", "5", "4", "3", "2", "1"]);
    let open = TaskQuery { states: states(&["open"]), ..all() };
    assert_eq!(views(&*store, open.clone()).await, ["6", "3", "1"]);
    let two = TaskQuery { states: states(&["held", "settled", "unknown", "held"]), ..all() };
    assert_eq!(views(&*store, two.clone()).await, ["5", "4", "2"]);
    assert_eq!(views(&*store, TaskQuery { requester: Some(key(1)), ..all() }).await, ["5", "3", "1"]);
    assert_eq!(views(&*store, TaskQuery { worker: Some(key(3)), ..all() }).await, ["6", "5", "4"]);
    assert_eq!(views(&*store, TaskQuery { worker: Some(key(1)), ..all() }).await, [""; 0]);
    assert_eq!(views(&*store, TaskQuery { requester: Some(key(2)), ..two.clone() }).await, ["4", "2"]);
    assert_eq!(views(&*store, TaskQuery { requester: Some(key(2)), worker: Some(key(3)), ..two }).await, ["4"]);

    let mut change = append(6, 1);
    row_mut(&mut change).state = "held".into();
    row_mut(&mut change).view = "6, held".to_owned();
    store.append(change).await.expect("the next version");
    assert_eq!(views(&*store, open).await, ["3", "1"]);
    assert_eq!(views(&*store, TaskQuery { states: states(&["held"]), ..all() }).await, ["6, held", "4", "2"]);
    assert_eq!(views(&*store, TaskQuery { worker: Some(key(3)), ..all() }).await, ["5", "4"]);
}

/// Page after page, each row once, for every kind of filter.
pub async fn queries_page<S: Store>(store: Arc<S>) {
    six_tasks(&*store).await;
    let before = |n| Some(task_id(n));
    assert_eq!(views(&*store, TaskQuery { limit: 4, ..all() }).await, ["6", "5", "4", "3"]);
    assert_eq!(views(&*store, TaskQuery { limit: 4, before: before(3), ..all() }).await, ["2", "1"]);
    assert_eq!(views(&*store, TaskQuery { limit: 4, before: before(1), ..all() }).await, [""; 0]);
    let states = vec!["open".to_owned(), "held".to_owned()];
    assert_eq!(views(&*store, TaskQuery { limit: 2, states: states.clone(), ..all() }).await, ["6", "4"]);
    let next = TaskQuery { limit: 2, states, before: before(4), ..all() };
    assert_eq!(views(&*store, next.clone()).await, ["3", "2"]);
    assert_eq!(views(&*store, TaskQuery { requester: Some(key(1)), ..next }).await, ["3", "1"]);
    let own = TaskQuery { requester: Some(key(2)), before: before(6), limit: 1, ..all() };
    assert_eq!(views(&*store, own).await, ["4"]);
    assert_eq!(views(&*store, TaskQuery { limit: 0, ..all() }).await, [""; 0]);
}

/// Too many states are refused; too large a page is cut.
pub async fn queries_have_limits<S: Store>(store: Arc<S>) {
    let wide = TaskQuery { states: vec!["open".to_owned(); STATES_MAX + 1], ..all() };
    assert!(matches!(store.tasks(&wide).await, Err(StoreError::Limit(_))));
    let widest = TaskQuery { states: vec!["open".to_owned(); STATES_MAX], ..all() };
    assert_eq!(views(&*store, widest).await, [""; 0]);
    let mut appends = tokio::task::JoinSet::new();
    for n in 0..u64::from(PAGE_MAX) + 1 {
        let store = Arc::clone(&store);
        appends.spawn(async move { store.append(append(n, 0)).await });
    }
    while let Some(appended) = appends.join_next().await {
        appended.expect("no panic").expect("a new stream");
    }
    let page = views(&*store, TaskQuery { limit: u32::MAX, ..all() }).await;
    assert_eq!(page.len(), usize::try_from(PAGE_MAX).expect("it fits"));
}

/// What is due by height comes first, each task once, the longest due first; what is no longer due is gone.
pub async fn due_by_time_and_height<S: Store>(store: Arc<S>) {
    let wakes = [(Some(20), None), (None, Some(800)), (Some(10), Some(700)), (None, None), (Some(30), Some(900))];
    for (n, (secs, height)) in (1u64..).zip(wakes) {
        let mut task = append(n, 0);
        row_mut(&mut task).wake_at = secs.map(later);
        row_mut(&mut task).wake_height = height.map(BlockHeight);
        store.append(task).await.expect("a new stream");
    }
    let after = async |secs, height, skip, limit| {
        store.due_tasks(later(secs), BlockHeight(height), skip, limit).await.expect("tasks")
    };
    let due = async |secs, height, limit| after(secs, height, 0, limit).await;
    assert_eq!(due(9, 699, 10).await, []);
    assert_eq!(due(10, 0, 10).await, [task_id(3)]);
    assert_eq!(due(0, 800, 10).await, [task_id(3), task_id(2)]);
    assert_eq!(due(30, 700, 10).await, [task_id(3), task_id(1), task_id(5)]);
    assert_eq!(due(30, 900, 10).await, [task_id(3), task_id(2), task_id(5), task_id(1)]);
    assert_eq!(due(30, 900, 2).await, [task_id(3), task_id(2)]);
    assert_eq!(after(30, 900, 1, 2).await, [task_id(2), task_id(5)]);
    assert_eq!(after(30, 900, 3, 2).await, [task_id(1)]);
    assert_eq!(after(30, 900, 4, 2).await, []);
    assert_eq!(after(30, 900, u32::MAX, u32::MAX).await, []);
    let all = store.due_tasks(Timestamp::from_millis(u64::MAX), BlockHeight(u32::MAX), 0, 10).await.expect("tasks");
    assert_eq!(all.len(), 4);

    store.append(append(3, 1)).await.expect("a version that wants no waking");
    assert_eq!(due(10, 700, 10).await, []);
}

/// The next wake-up time is the earliest of all rows, but for those whose time has come.
pub async fn the_next_wake_is_the_earliest<S: Store>(store: Arc<S>) {
    assert_eq!(store.next_wake_after(NOW).await.expect("an answer"), None);
    for (n, secs) in [(1, 30), (2, 10), (3, 20)] {
        let mut task = append(n, 0);
        row_mut(&mut task).wake_at = Some(later(secs));
        store.append(task).await.expect("a new stream");
    }
    assert_eq!(store.next_wake_after(NOW).await.expect("an answer"), Some(later(10)));
    store.append(append(2, 1)).await.expect("a version that wants no waking");
    assert_eq!(store.next_wake_after(NOW).await.expect("an answer"), Some(later(20)));
    assert_eq!(store.next_wake_after(later(19)).await.expect("an answer"), Some(later(20)));
    assert_eq!(store.next_wake_after(later(20)).await.expect("an answer"), Some(later(30)));
    assert_eq!(store.next_wake_after(later(30)).await.expect("an answer"), None);
}
