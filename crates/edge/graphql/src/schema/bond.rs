//! Bonds as clients see them.

use async_graphql::{Context, Enum, Object};
use tallystick_core::{self as core, BlockHeight, Blocks};
use tallystick_escrow::{BondView, TaskView, plan};

use super::{Result, app, milestone::Tranche, scalar::Timestamp, standing::TaskRole};
use crate::error::Failure;

/// What a look at the node's absences is counted as in a query's complexity.
const OUTAGES_COST: usize = 5;

/// What becomes of a bond when nobody does anything more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum BondTurn {
    /// It goes to the other side at `promisedBy`, unless this node is away in the time until then, or blocks come so fast that
    /// nothing can be handed in any more before.
    Taken,
    /// It goes back once all else is over, and at the height `returnBy` at the latest.
    GivenBack,
}

/// A bond, seen by somebody at some height.
pub(crate) struct Bond<'a> {
    pub(super) view: &'a BondView,
    pub(super) task: &'a TaskView,
    pub(super) height: BlockHeight,
    pub(super) is_party: bool,
    pub(super) has_ended: bool,
}

impl Bond<'_> {
    /// The worker's first promise that blocks let it keep: the deadline, and the last height at which that can be.
    fn promise(&self) -> Option<(core::Timestamp, BlockHeight)> {
        self.view.promises.iter().copied().find(|(_, last)| self.height <= *last)
    }

    fn left(&self) -> Option<Blocks> {
        self.view.return_by.map(|height| self.height.until(height))
    }
}

/// What a side puts up: locked with all else on the other side's own payment hash, so that it goes back, or to that side. The
/// platform gets nothing of it but its fee, `feeSat` of the hold, for paying out one that is taken. It goes back unless a ruling takes it, or a worker hands nothing in and did not step back.
#[Object]
impl Bond<'_> {
    /// Whose it is: who pays its funding invoice.
    async fn of(&self) -> TaskRole {
        if self.view.of_worker { TaskRole::Worker } else { TaskRole::Requester }
    }

    /// Its hold, and what becomes of it. If it is paid out, it is taken.
    async fn hold(&self) -> Tranche<'_> {
        Tranche { view: &self.view.hold, is_party: self.is_party, has_ended: self.has_ended }
    }

    /// While it is at stake, the worker's alone: until when something can be handed in, three minutes after a milestone's deadline.
    /// Null while there is none, and once so many blocks came that nothing can be handed in before it.
    async fn promised_by(&self) -> Option<Timestamp> {
        self.promise().map(|(deadline, _)| Timestamp(deadline))
    }

    /// While it is at stake: the height at which it goes back at the latest.
    async fn return_by(&self) -> Option<u32> {
        self.view.return_by.map(|height| height.0)
    }

    /// Blocks until then.
    async fn blocks_left(&self) -> Option<u32> {
        self.left().map(|blocks| blocks.0)
    }

    /// How long these blocks take on average, in seconds. An estimate: only blocks count.
    async fn seconds_left(&self) -> Option<u64> {
        self.left().map(|blocks| plan::time_of(blocks).as_secs())
    }

    /// What becomes of it when nobody does anything more: it goes back as well if this node was away since the task was posted,
    /// or if blocks, as fast as on average, leave no time to hand anything in before the deadline. Null while it is not at stake.
    #[graphql(complexity = "OUTAGES_COST")]
    async fn then(&self, ctx: &Context<'_>) -> Result<Option<BondTurn>> {
        if self.view.return_by.is_none() {
            return Ok(None);
        }
        let is_taken = match self.promise() {
            Some((deadline, last)) => {
                let too_late_at = app(ctx).clock().now().after(plan::time_of(self.height.until(last).plus(Blocks(1))));
                let is_first = deadline <= too_late_at;
                is_first && !app(ctx).was_away_since(self.task.created_at).await.map_err(Failure::from)?
            }
            None => false,
        };
        Ok(Some(if is_taken { BondTurn::Taken } else { BondTurn::GivenBack }))
    }
}
