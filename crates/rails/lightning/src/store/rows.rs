//! Rows: payments and notices, to and from columns.

use rusqlite::{Row, Transaction, params};
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
    fn to_number(self) -> i64 {
        match self {
            Self::Hold => 0,
            Self::Invoice => 1,
            Self::Payout => 2,
            Self::Operator => 3,
        }
    }

    fn from_number(number: i64) -> Option<Self> {
        Some(match number {
            0 => Self::Hold,
            1 => Self::Invoice,
            2 => Self::Payout,
            3 => Self::Operator,
            _ => return None,
        })
    }
}

fn status_number(status: PaymentStatus) -> i64 {
    match status {
        PaymentStatus::Pending => 0,
        PaymentStatus::Succeeded => 1,
        PaymentStatus::Failed => 2,
    }
}

fn status_from(number: i64) -> Option<PaymentStatus> {
    Some(match number {
        0 => PaymentStatus::Pending,
        1 => PaymentStatus::Succeeded,
        2 => PaymentStatus::Failed,
        _ => return None,
    })
}

fn reason_number(reason: PayFailure) -> i64 {
    match reason {
        PayFailure::NoRoute => 0,
        PayFailure::Refused => 1,
        PayFailure::InvoiceExpired => 2,
        PayFailure::AttemptsExhausted => 3,
        PayFailure::TooLate => 4,
        PayFailure::Other => 5,
    }
}

fn reason_from(number: i64) -> PayFailure {
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

/// A number that [`signed`] wrote.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> Result<u64, rusqlite::Error> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| malformed(column))
}

fn malformed(column: usize) -> rusqlite::Error {
    rusqlite::Error::IntegralValueOutOfRange(column, -1)
}

fn msat(row: &Row<'_>, column: usize) -> Result<Option<Msat>, rusqlite::Error> {
    let number: Option<i64> = row.get(column)?;
    let read = |number| u64::try_from(number).ok().and_then(|number| Msat::try_new(number).ok());
    number.map(|number| read(number).ok_or_else(|| malformed(column))).transpose()
}

pub(super) const PAYMENT_COLUMNS: &str =
    "outbound, id, kind, hash, amount, fee, status, reason, height, sealed, updated_at";

pub(super) fn write_payment(transaction: &Transaction<'_>, row: &PaymentRow) -> Result<(), rusqlite::Error> {
    let sql = "INSERT OR REPLACE INTO payments VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    transaction.prepare_cached(sql)?.execute(params![
        row.is_outbound(),
        row.id,
        row.kind.to_number(),
        row.hash.0,
        signed(row.amount.get()),
        row.fee.map(|fee| signed(fee.get())),
        status_number(row.status),
        row.reason.map(reason_number),
        row.height.map(|height| height.0),
        row.sealed,
        signed(row.updated_at.as_millis()),
    ])?;
    Ok(())
}

pub(super) fn read_payment(row: &Row<'_>) -> Result<PaymentRow, rusqlite::Error> {
    Ok(PaymentRow {
        id: row.get(1)?,
        kind: Kind::from_number(row.get(2)?).ok_or_else(|| malformed(2))?,
        hash: PaymentHash(row.get(3)?),
        amount: msat(row, 4)?.ok_or_else(|| malformed(4))?,
        fee: msat(row, 5)?,
        status: status_from(row.get(6)?).ok_or_else(|| malformed(6))?,
        reason: row.get::<_, Option<i64>>(7)?.map(reason_from),
        height: row.get::<_, Option<u32>>(8)?.map(BlockHeight),
        sealed: row.get(9)?,
        updated_at: Timestamp::from_millis(unsigned(row, 10)?),
    })
}

/// Writes a notice. A block is no notice that is kept: the next start tells the height anew.
pub(super) fn write_notice(
    transaction: &Transaction<'_>,
    number: u64,
    notice: &RailNotice,
) -> Result<(), rusqlite::Error> {
    let (kind, id, hash, value, height) = match notice {
        RailNotice::HoldLocked { hash, amount, claim_deadline } => {
            (0, None, hash, Some(signed(amount.get())), Some(claim_deadline.0))
        }
        RailNotice::HoldLost { hash } => (1, None, hash, None, None),
        RailNotice::HoldClaimed { hash, amount } => (2, None, hash, Some(signed(amount.get())), None),
        RailNotice::PayoutPaid { id, hash, fee } => (3, Some(id.0), hash, Some(signed(fee.get())), None),
        RailNotice::PayoutFailed { id, hash, reason } => (4, Some(id.0), hash, Some(reason_number(*reason)), None),
        RailNotice::Block { .. } => return Ok(()),
    };
    transaction.prepare_cached("INSERT OR REPLACE INTO notices VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
        signed(number),
        kind,
        id,
        hash.0,
        value,
        height
    ])?;
    Ok(())
}

pub(super) fn read_notice(row: &Row<'_>) -> Result<(u64, RailNotice), rusqlite::Error> {
    let hash = PaymentHash(row.get(3)?);
    let amount = || msat(row, 4)?.ok_or_else(|| malformed(4));
    let id = || row.get(2).map(Digest32);
    let notice = match row.get(1)? {
        0 => RailNotice::HoldLocked { hash, amount: amount()?, claim_deadline: BlockHeight(row.get(5)?) },
        1 => RailNotice::HoldLost { hash },
        2 => RailNotice::HoldClaimed { hash, amount: amount()? },
        3 => RailNotice::PayoutPaid { id: id()?, hash, fee: amount()? },
        4 => RailNotice::PayoutFailed { id: id()?, hash, reason: reason_from(row.get(4)?) },
        other => return Err(rusqlite::Error::IntegralValueOutOfRange(1, other)),
    };
    Ok((unsigned(row, 0)?, notice))
}
