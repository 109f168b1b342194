//! Bonds as clients see them.

use async_graphql::{Enum, Object};
use tallystick_core::{BlockHeight, Blocks};
use tallystick_escrow::{BondView, plan};

use super::{milestone::Tranche, scalar::Timestamp, standing::TaskRole};

/// What becomes of a bond when nobody does anything more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum BondTurn {
    /// It goes to the other side at `promisedBy`, unless this node was away in the time until then.
    Taken,
    /// It goes back once all else is over, and at the height `returnBy` at the latest.
    GivenBack,
}

/// A bond, seen by somebody at some height.
pub(crate) struct Bond<'a> {
    pub(super) view: &'a BondView,
    pub(super) height: BlockHeight,
    pub(super) is_party: bool,
    pub(super) has_ended: bool,
}

impl Bond<'_> {
    fn left(&self) -> Option<Blocks> {
        self.view.return_by.map(|height| self.height.until(height))
    }
}

/// What a side puts up: locked with all else on the other side's own payment hash, so that it goes back, or to that side, and
/// never to the platform. It goes back unless a ruling takes it, or a worker hands nothing in and did not step back.
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

    /// While it is at stake, the worker's alone: the deadline by which something has to be handed in. Null while there is none.
    async fn promised_by(&self) -> Option<Timestamp> {
        self.view.promised_by.map(Timestamp)
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

    /// What becomes of it when nobody does anything more. Null while it is not at stake.
    async fn then(&self) -> Option<BondTurn> {
        let is_promised = self.view.promised_by.is_some();
        self.view.return_by.map(|_| if is_promised { BondTurn::Taken } else { BondTurn::GivenBack })
    }
}
