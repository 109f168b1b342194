//! Values of SQLite as the types of PostgreSQL that the same columns have.

use rusqlite::types::Value;
use tallystick_app::port::journal::StoreError;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::error::Result;

/// The types that our tables use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnType {
    Bigint,
    Smallint,
    Boolean,
    Text,
    Bytea,
    Uuid,
}

impl ColumnType {
    /// By the name that PostgreSQL gives it.
    pub(super) fn of(name: &str) -> Result<Self> {
        Ok(match name {
            "bigint" => Self::Bigint,
            "smallint" => Self::Smallint,
            "boolean" => Self::Boolean,
            "text" => Self::Text,
            "bytea" => Self::Bytea,
            "uuid" => Self::Uuid,
            other => return Err(StoreError::Unavailable(format!("columns of the type {other} are not copied"))),
        })
    }

    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Bigint => "bigint",
            Self::Smallint => "smallint",
            Self::Boolean => "boolean",
            Self::Text => "text",
            Self::Bytea => "bytea",
            Self::Uuid => "uuid",
        }
    }
}

/// A column of the target.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: ColumnType,
    /// Whether the database would number it by itself.
    pub(super) identity: bool,
}

impl Column {
    /// One column of several rows, as an array.
    pub(super) fn gather<'a>(&self, values: impl Iterator<Item = &'a Value>) -> Result<Box<dyn ToSql + Sync + Send>> {
        Ok(match self.kind {
            ColumnType::Bigint => Box::new(self.each(values, integer)?),
            ColumnType::Smallint => Box::new(self.each(values, |value| i16::try_from(integer(value)?).ok())?),
            ColumnType::Boolean => Box::new(self.each(values, |value| Some(integer(value)? != 0))?),
            ColumnType::Text => Box::new(self.each(values, |value| match value {
                // PostgreSQL's texts have no character 0.
                Value::Text(text) if !text.contains('\0') => Some(text.clone()),
                _ => None,
            })?),
            ColumnType::Bytea => Box::new(self.each(values, bytes)?),
            ColumnType::Uuid => Box::new(self.each(values, |value| Uuid::from_slice(&bytes(value)?).ok())?),
        })
    }

    fn each<'a, T>(
        &self,
        values: impl Iterator<Item = &'a Value>,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Vec<Option<T>>> {
        let one = |value: &Value| match value {
            Value::Null => Ok(None),
            value => read(value)
                .map(Some)
                .ok_or_else(|| StoreError::Corrupt(format!("a value in the column {} is not of its type", self.name))),
        };
        values.map(one).collect()
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        _ => None,
    }
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Blob(bytes) => Some(bytes.clone()),
        _ => None,
    }
}
