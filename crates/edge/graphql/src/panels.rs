//! Who sits on panels, or is asked to: looked up only while there is no room for strangers, and then not for each request.

use std::collections::HashSet;
use tallystick_app::{App, AppError, port::tasks::TaskQuery};
use tallystick_core::{Duration, NostrKey, Timestamp};
use tokio::sync::Mutex;

/// For how long a look counts: who is drawn meanwhile is a stranger for as long.
const FRESH: Duration = Duration::from_secs(5);
/// Disputed tasks in one answer of the store.
const PAGE: u32 = 100;
/// How many pages are looked through: the newest tasks' panels.
const PAGES_MAX: usize = 100;

/// Who sat when it was last looked.
#[derive(Default)]
pub(crate) struct Panels(Mutex<Option<(Timestamp, HashSet<NostrKey>)>>);

impl Panels {
    /// Whether a key sits on a panel of a dispute that goes on, or is asked to.
    ///
    /// # Errors
    /// [`AppError`] if the tasks cannot be read.
    pub async fn include(&self, key: NostrKey, app: &App) -> Result<bool, AppError> {
        let now = app.clock().now();
        // Whoever comes while it is looked waits for that one look.
        let mut known = self.0.lock().await;
        if let Some((at, sitting)) = &*known
            && (*at..at.after(FRESH)).contains(&now)
        {
            return Ok(sitting.contains(&key));
        }
        let sitting = look(app).await?;
        let found = sitting.contains(&key);
        *known = Some((now, sitting));
        Ok(found)
    }
}

async fn look(app: &App) -> Result<HashSet<NostrKey>, AppError> {
    let mut sitting = HashSet::new();
    let mut query = TaskQuery { states: vec!["disputed".to_owned()], limit: PAGE, ..TaskQuery::default() };
    for _ in 0..PAGES_MAX {
        let page = app.tasks(&query).await?;
        let disputes = page.iter().flat_map(|task| &task.milestones).filter_map(|part| part.dispute.as_ref());
        sitting.extend(disputes.flat_map(|dispute| dispute.sitting()));
        match page.last() {
            Some(last) if page.len() >= PAGE as usize => query.before = Some(last.id),
            _ => break,
        }
    }
    Ok(sitting)
}
