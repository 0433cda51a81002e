//! Values in statements, and rows that are read by name.

use super::StoreError;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

/// A value in a statement.
#[derive(Clone, Debug)]
pub(in crate::store) enum Value {
    /// A number.
    Int(Option<i64>),
    /// A text.
    Text(Option<String>),
}

/// A row of an answer.
#[derive(Debug)]
pub(in crate::store) enum Row {
    /// From SQLite.
    Sqlite(SqliteRow),
    /// From PostgreSQL.
    Postgres(PgRow),
}

impl Row {
    fn read<'r, T>(&'r self, column: &str) -> Result<T, StoreError>
    where
        T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
        T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    /// A number.
    pub(in crate::store) fn int(&self, column: &str) -> Result<i64, StoreError> {
        self.read(column)
    }

    /// A number, or none.
    pub(in crate::store) fn maybe_int(&self, column: &str) -> Result<Option<i64>, StoreError> {
        self.read(column)
    }

    /// A text.
    pub(in crate::store) fn text(&self, column: &str) -> Result<String, StoreError> {
        self.read(column)
    }

    /// A text, or none.
    pub(in crate::store) fn maybe_text(&self, column: &str) -> Result<Option<String>, StoreError> {
        self.read(column)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.into()))
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(Some(value.clone()))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<Option<&str>> for Value {
    fn from(value: Option<&str>) -> Self {
        Self::Text(value.map(Into::into))
    }
}

/// The values of a statement, `$1` first.
macro_rules! values {
    ($($value:expr),* $(,)?) => { [$($crate::store::db::Value::from($value)),*] };
}
pub(in crate::store) use values;
