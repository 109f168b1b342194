//! Payments and notices, to and from PostgreSQL's columns.

use tallystick_app::port::rail::RailNotice;
use tallystick_core::{BlockHeight, PaymentHash, Timestamp};
use tallystick_postgres::{column, tokio_postgres::Row};

use super::failed;
use crate::LightningError;
use crate::store::rows::{Kind, NoticeColumns, PaymentRow, msat, reason_from, status_from};

const DAMAGED: LightningError = LightningError::Corrupt("a payment or a notice");

/// A column's value.
pub(super) fn get<'a, T: tallystick_postgres::tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    index: usize,
) -> Result<T, LightningError> {
    column(row, index).map_err(|error| failed(&error))
}

pub(super) fn unsigned(row: &Row, index: usize) -> Result<u64, LightningError> {
    u64::try_from(get::<i64>(row, index)?).map_err(|_| DAMAGED)
}

fn bytes_32(row: &Row, index: usize) -> Result<[u8; 32], LightningError> {
    get::<&[u8]>(row, index)?.try_into().map_err(|_| DAMAGED)
}

fn height(row: &Row, index: usize) -> Result<Option<u32>, LightningError> {
    let height: Option<i64> = get(row, index)?;
    height.map(u32::try_from).transpose().map_err(|_| DAMAGED)
}

/// Columns: id, kind, hash, amount, fee, status, reason, height, sealed, updated_at.
pub(super) fn payment(row: &Row) -> Result<PaymentRow, LightningError> {
    let fee: Option<i64> = get(row, 4)?;
    Ok(PaymentRow {
        id: bytes_32(row, 0)?,
        kind: Kind::from_number(get(row, 1)?).ok_or(DAMAGED)?,
        hash: PaymentHash(bytes_32(row, 2)?),
        amount: msat(get(row, 3)?).ok_or(DAMAGED)?,
        fee: fee.map(|fee| msat(fee).ok_or(DAMAGED)).transpose()?,
        status: status_from(get(row, 5)?).ok_or(DAMAGED)?,
        reason: get::<Option<i64>>(row, 6)?.map(reason_from),
        height: height(row, 7)?.map(BlockHeight),
        sealed: get(row, 8)?,
        updated_at: Timestamp::from_millis(unsigned(row, 9)?),
    })
}

/// Columns: number, kind, id, hash, value, height.
pub(super) fn notice(row: &Row) -> Result<(u64, RailNotice), LightningError> {
    let id: Option<&[u8]> = get(row, 2)?;
    let columns = NoticeColumns {
        kind: get(row, 1)?,
        id: id.map(<[u8; 32]>::try_from).transpose().map_err(|_| DAMAGED)?,
        hash: PaymentHash(bytes_32(row, 3)?),
        value: get(row, 4)?,
        height: height(row, 5)?,
    };
    Ok((unsigned(row, 0)?, columns.notice().ok_or(DAMAGED)?))
}
