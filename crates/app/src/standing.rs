//! How much somebody may have open at once, by standing: how many tasks, and how much money in them.
//!
//! Standing is somebody else's to compute ([`Standings`]); without it nothing is limited. What is open is read from the tasks'
//! read model, and a task counts whole until it ends. Two requests at the same moment may both find room for one: the limit
//! keeps somebody from having ten times as much open, not from having one more.

use async_trait::async_trait;
use std::sync::{Arc, OnceLock};
use tallystick_civics::reputation::{Role, Tier};
use tallystick_core::{Id, NostrKey, Sat};
use tallystick_escrow::Task;

use crate::{
    app::App,
    error::AppError,
    port::{journal::StoreError, tasks::TaskQuery},
};

/// States of tasks that have not ended.
const OPEN: [&str; 7] = ["open", "assigned", "funding", "held", "submitted", "releasing", "refunding"];

/// What a standing allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The tier.
    pub tier: Tier,
    /// The most that may be open in this role, in sat.
    pub open_limit: Sat,
}

/// Tells standings.
#[async_trait]
pub trait Standings: Send + Sync {
    /// What somebody's standing in a role allows now.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be told: the command is refused then.
    async fn allowance(&self, key: NostrKey, role: Role) -> Result<Allowance, StoreError>;
}

/// How many tasks may be open in one role, by tier, the lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenTasks(pub [u32; 4]);

impl Default for OpenTasks {
    /// 5, 20, 100 and 500.
    fn default() -> Self {
        Self([5, 20, 100, 500])
    }
}

/// What limits by standing need, once there is somebody who tells it.
#[derive(Default)]
pub(crate) struct Limits(OnceLock<(Arc<dyn Standings>, OpenTasks)>);

impl App {
    /// Limits what somebody may have open by standing, from now on. A second call changes nothing.
    pub fn limit_by(&self, standings: Arc<dyn Standings>, tasks: OpenTasks) {
        // The first one is as good.
        let _ = self.0.limits.0.set((standings, tasks));
    }

    /// Whether somebody may have one more task open in this role, with so much in it. One that is open already is no more.
    pub(crate) async fn may_open(&self, key: NostrKey, role: Role, id: Id<Task>, amount: u64) -> Result<(), AppError> {
        let Some((standings, tasks)) = self.0.limits.0.get() else { return Ok(()) };
        let Allowance { tier, open_limit } = standings.allowance(key, role).await?;
        let OpenTasks(by_tier) = tasks;
        let limit = by_tier[tier as usize];
        let (requester, worker) = match role {
            Role::Requester => (Some(key), None),
            Role::Worker => (None, Some(key)),
        };
        let states = OPEN.map(str::to_owned).to_vec();
        let query = TaskQuery { states, requester, worker, before: None, limit: limit.saturating_add(1) };
        let open = self.tasks(&query).await?;
        if open.iter().any(|task| task.id == id) {
            return Ok(());
        }
        if open.len() >= limit as usize {
            return Err(AppError::OpenTasks { tier, limit });
        }
        let payouts = open.iter().flat_map(|task| task.tranches()).map(|tranche| tranche.payout.get());
        let total = payouts.fold(amount, u64::saturating_add);
        if total > open_limit.get() { Err(AppError::OpenAmount { tier, limit: open_limit }) } else { Ok(()) }
    }
}
