//! Rows: payments and notices, and the numbers that stand for them in columns.

use tallystick_app::port::operator::{Direction, Payment, PaymentStatus};
use tallystick_app::port::rail::{PayFailure, RailNotice};
use tallystick_core::{BlockHeight, Digest32, Msat, PaymentHash, Timestamp};

/// What a payment is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A payer's money on somebody else's hash.
    Hold,
    /// An invoice of our own.
    Invoice,
    /// A payout that a product asked for.
    Payout,
    /// A payment that the operator asked for.
    Operator,
}

/// Whether it is outbound, and its id.
pub(super) type PaymentKey = (bool, [u8; 32]);

/// A payment as it stands.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PaymentRow {
    /// The id that it was asked under; inbound the hash.
    pub(crate) id: [u8; 32],
    pub(crate) kind: Kind,
    pub(crate) hash: PaymentHash,
    /// What the payee gets.
    pub(crate) amount: Msat,
    pub(crate) fee: Option<Msat>,
    pub(crate) status: PaymentStatus,
    pub(crate) reason: Option<PayFailure>,
    /// Of a hold its claim deadline, of a payout the last height at which it may begin.
    pub(crate) height: Option<BlockHeight>,
    /// The preimage that it revealed, sealed.
    pub(crate) sealed: Option<Vec<u8>>,
    pub(crate) updated_at: Timestamp,
}

impl PaymentRow {
    pub(super) fn key(&self) -> PaymentKey {
        (self.is_outbound(), self.id)
    }

    pub(crate) fn is_outbound(&self) -> bool {
        matches!(self.kind, Kind::Payout | Kind::Operator)
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.status == PaymentStatus::Pending
    }

    pub(crate) fn is_done(&self) -> bool {
        self.status == PaymentStatus::Succeeded
    }

    /// As the operator sees it.
    pub(crate) fn to_payment(&self) -> Payment {
        Payment {
            id: hex::encode(self.id),
            direction: if self.is_outbound() { Direction::Outbound } else { Direction::Inbound },
            hash: self.hash,
            amount: self.amount,
            fee: self.fee,
            status: self.status,
            updated_at: self.updated_at,
        }
    }
}

impl Kind {
    pub(super) fn to_number(self) -> i64 {
        match self {
            Self::Hold => 0,
            Self::Invoice => 1,
            Self::Payout => 2,
            Self::Operator => 3,
        }
    }

    pub(super) fn from_number(number: i64) -> Option<Self> {
        Some(match number {
            0 => Self::Hold,
            1 => Self::Invoice,
            2 => Self::Payout,
            3 => Self::Operator,
            _ => return None,
        })
    }
}

pub(super) fn status_number(status: PaymentStatus) -> i64 {
    match status {
        PaymentStatus::Pending => 0,
        PaymentStatus::Succeeded => 1,
        PaymentStatus::Failed => 2,
    }
}

pub(super) fn status_from(number: i64) -> Option<PaymentStatus> {
    Some(match number {
        0 => PaymentStatus::Pending,
        1 => PaymentStatus::Succeeded,
        2 => PaymentStatus::Failed,
        _ => return None,
    })
}

pub(super) fn reason_number(reason: PayFailure) -> i64 {
    match reason {
        PayFailure::NoRoute => 0,
        PayFailure::Refused => 1,
        PayFailure::InvoiceExpired => 2,
        PayFailure::AttemptsExhausted => 3,
        PayFailure::TooLate => 4,
        PayFailure::Other => 5,
    }
}

pub(super) fn reason_from(number: i64) -> PayFailure {
    match number {
        0 => PayFailure::NoRoute,
        1 => PayFailure::Refused,
        2 => PayFailure::InvoiceExpired,
        3 => PayFailure::AttemptsExhausted,
        4 => PayFailure::TooLate,
        _ => PayFailure::Other,
    }
}

/// SQL has no unsigned numbers. All of ours stay below 2^63: amounts by the supply, times and counters by their nature.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A notice as its columns: kind, id, hash, value, height.
pub(super) struct NoticeColumns {
    pub(super) kind: i64,
    pub(super) id: Option<[u8; 32]>,
    pub(super) hash: PaymentHash,
    pub(super) value: Option<i64>,
    pub(super) height: Option<u32>,
}

impl NoticeColumns {
    /// A block is no notice that is kept: the next start tells the height anew.
    pub(super) fn of(notice: &RailNotice) -> Option<Self> {
        let (kind, id, hash, value, height) = match notice {
            RailNotice::HoldLocked { hash, amount, claim_deadline } => {
                (0, None, hash, Some(signed(amount.get())), Some(claim_deadline.0))
            }
            RailNotice::HoldLost { hash } => (1, None, hash, None, None),
            RailNotice::HoldClaimed { hash, amount } => (2, None, hash, Some(signed(amount.get())), None),
            RailNotice::PayoutPaid { id, hash, fee } => (3, Some(id.0), hash, Some(signed(fee.get())), None),
            RailNotice::PayoutFailed { id, hash, reason } => (4, Some(id.0), hash, Some(reason_number(*reason)), None),
            RailNotice::Block { .. } => return None,
        };
        Some(Self { kind, id, hash: *hash, value, height })
    }

    /// `None` if these columns are no notice's.
    pub(super) fn notice(self) -> Option<RailNotice> {
        let hash = self.hash;
        let amount = self.value.and_then(msat);
        let id = self.id.map(Digest32);
        Some(match self.kind {
            0 => RailNotice::HoldLocked { hash, amount: amount?, claim_deadline: BlockHeight(self.height?) },
            1 => RailNotice::HoldLost { hash },
            2 => RailNotice::HoldClaimed { hash, amount: amount? },
            3 => RailNotice::PayoutPaid { id: id?, hash, fee: amount? },
            4 => RailNotice::PayoutFailed { id: id?, hash, reason: reason_from(self.value?) },
            _ => return None,
        })
    }
}

/// An amount that [`signed`] wrote.
pub(super) fn msat(number: i64) -> Option<Msat> {
    u64::try_from(number).ok().and_then(|number| Msat::try_new(number).ok())
}
