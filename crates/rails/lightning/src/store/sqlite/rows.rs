//! Payments and notices, to and from SQLite's columns.

use rusqlite::{Row, Transaction, params};
use tallystick_app::port::rail::RailNotice;
use tallystick_core::{BlockHeight, Msat, PaymentHash, Timestamp};

use crate::store::rows::{
    self, Kind, NoticeColumns, PaymentRow, reason_from, reason_number, signed, status_from, status_number,
};

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
    number.map(|number| rows::msat(number).ok_or_else(|| malformed(column))).transpose()
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

/// Writes a notice, if it is one that is kept.
pub(super) fn write_notice(
    transaction: &Transaction<'_>,
    number: u64,
    notice: &RailNotice,
) -> Result<(), rusqlite::Error> {
    let Some(columns) = NoticeColumns::of(notice) else { return Ok(()) };
    let NoticeColumns { kind, id, hash, value, height } = columns;
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
    let columns = NoticeColumns {
        kind: row.get(1)?,
        id: row.get(2)?,
        hash: PaymentHash(row.get(3)?),
        value: row.get(4)?,
        height: row.get(5)?,
    };
    Ok((unsigned(row, 0)?, columns.notice().ok_or_else(|| malformed(1))?))
}
