//! How much a key may have open at once. Off until the host sets it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tallystick_civics::reputation::{Limits, Role, Tier};
use tallystick_core::{Code, Coded, Ctx, Id, NostrKey};
use tallystick_escrow::{State, Task, UserCommand};

use super::deal::payouts_sat;
use crate::{
    app::App,
    error::AppError,
    road::{Errand, Order},
};

/// More than a key may have open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// Too many sat.
    #[error(
        "as {role} you may have {limit} sat open at once ({tier}); {open} sat are open, and this would add {more}: ask for \
         less, or wait until something ends. `tally standing` tells what the limit is made of"
    )]
    Sat {
        /// In which role.
        role: Role,
        /// The tier.
        tier: Tier,
        /// The most, in sat.
        limit: u64,
        /// What is open, in sat.
        open: u64,
        /// What it would add, in sat.
        more: u64,
    },
    /// Too many tasks.
    #[error(
        "as {role} you may have {limit} tasks open at once ({tier}), and {open} are open: wait until one ends, or cancel one"
    )]
    Tasks {
        /// In which role.
        role: Role,
        /// The tier.
        tier: Tier,
        /// The most.
        limit: u32,
        /// How many are open.
        open: usize,
    },
}

impl Coded for LimitError {
    fn code(&self) -> Code {
        Code(match self {
            Self::Sat { .. } => "reputation.open_sat",
            Self::Tasks { .. } => "reputation.open_tasks",
        })
    }
}

type Entries = BTreeMap<(NostrKey, Role, Id<Task>), u64>;

/// What is about to be opened: decided, and perhaps not in the journal yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Beginning(Arc<Mutex<Entries>>);

impl Beginning {
    fn of(&self, key: NostrKey, role: Role) -> BTreeMap<Id<Task>, u64> {
        let entries = self.entries();
        let own = entries.iter().filter(|((of, in_role, _), _)| (*of, *in_role) == (key, role));
        own.map(|((_, _, id), sat)| (*id, *sat)).collect()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // A panic between two lines of map code leaves the map whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room for what a command opens, taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Room(Beginning, (NostrKey, Role, Id<Task>));

impl Drop for Room {
    fn drop(&mut self) {
        self.0.entries().remove(&self.1);
    }
}

/// What a command opens.
struct More {
    key: NostrKey,
    role: Role,
    sat: u64,
}

impl App {
    /// Limits what each key may have open at once, from now on. A second call changes nothing.
    pub fn limit_open(&self, limits: Limits) {
        // The first one stands.
        let _ = self.0.standing.limits.set(limits);
    }

    /// Takes room for what a command opens that the rules have accepted; hold it until the command's facts are in the
    /// journal. Nothing if it opens nothing, or nothing is limited.
    ///
    /// Two replicas that ask at the same moment may each let one task pass.
    ///
    /// # Errors
    /// [`AppError::Limit`].
    pub(crate) async fn room_for(&self, errand: &Errand, before: &State) -> Result<Option<Room>, AppError> {
        let Some(limits) = self.0.standing.limits.get() else { return Ok(None) };
        let Order::User(command, _) = &errand.order else { return Ok(None) };
        let Some(More { key, role, sat }) = opens(command, before, &errand.ctx) else { return Ok(None) };
        let beginning = self.0.standing.beginning.clone();
        let mut book = self.0.standing.book.lock().await;
        // Before the journal is read: what leaves this list meanwhile is in the journal then.
        let mut open = beginning.of(key, role);
        self.catch_up(&mut book).await?;
        open.extend(book.open(key, role));
        let counted = open.remove(&errand.id);
        let (tasks, sats) = (open.len(), open.values().sum::<u64>());
        let more = counted.unwrap_or(sat);
        let fits = |limit: u64, most: u32| {
            sats.saturating_add(more) <= limit && tasks < usize::try_from(most).unwrap_or(usize::MAX)
        };
        // Everybody has this much: most need no more, and no standing is looked at for it.
        if !fits(limits.open[0].get(), limits.tasks[0]) {
            let about = book.about(key, role, errand.ctx.now);
            let standing = about.standing(limits)?.standing;
            let (tier, limit, most) = (standing.tier, standing.open_limit.get(), standing.tasks_limit);
            if !fits(limit, u32::MAX) {
                return Err(LimitError::Sat { role, tier, limit, open: sats, more }.into());
            }
            if !fits(limit, most) {
                return Err(LimitError::Tasks { role, tier, limit: most, open: tasks }.into());
            }
        }
        let entry = (key, role, errand.id);
        beginning.entries().insert(entry, more);
        Ok(Some(Room(beginning, entry)))
    }
}

/// What a command opens, and in whose name. Funding opens nothing new, and is looked at again: a standing may be worse by
/// then.
fn opens(command: &UserCommand, before: &State, ctx: &Ctx) -> Option<More> {
    match (command, before) {
        (UserCommand::CreateTask { terms, .. }, _) => {
            let sat = terms.payouts().map(tallystick_core::Sat::get).sum();
            Some(More { key: ctx.author, role: Role::Requester, sat })
        }
        (UserCommand::AcceptTask { .. }, State::Present(task)) => {
            Some(More { key: ctx.author, role: Role::Worker, sat: payouts_sat(task) })
        }
        (UserCommand::RequestFunding | UserCommand::FundWithBond { .. }, State::Present(task)) => {
            Some(More { key: task.requester, role: Role::Requester, sat: payouts_sat(task) })
        }
        // What has begun may go on.
        (
            UserCommand::AcceptTask { .. }
            | UserCommand::RequestFunding
            | UserCommand::FundWithBond { .. }
            | UserCommand::SubmitWork { .. }
            | UserCommand::OfferRenewal { .. }
            | UserCommand::ApproveWork { .. }
            | UserCommand::RejectWork { .. }
            | UserCommand::CancelTask
            | UserCommand::ConcedeWork { .. }
            | UserCommand::OpenDispute { .. }
            | UserCommand::Dispute { .. }
            | UserCommand::CollectReward { .. },
            _,
        ) => None,
    }
}
