//! A value kept as jsonb, read and written without a tree in between.

use std::io::Write;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::Jsonb;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::unreadable;
use crate::contracts::store::StoreError;

/// The first octet of a binary jsonb value.
const VERSION: u8 = 1;

/// A value kept as jsonb.
#[derive(Debug, Clone, PartialEq, AsExpression)]
#[diesel(sql_type = Jsonb)]
pub(super) struct Json<T: std::fmt::Debug>(pub(super) T);

/// The value of a jsonb column, or its error: a row that cannot be read must not keep its neighbours from
/// being read.
#[derive(Debug, FromSqlRow)]
pub(super) struct Read<T: std::fmt::Debug>(Result<T, serde_json::Error>);

impl<T: DeserializeOwned + std::fmt::Debug> Read<T> {
    /// The value, unless the column makes no sense.
    pub(super) fn of(self, column: &str) -> Result<T, StoreError> {
        self.0.map_err(|error| unreadable::json(column, &error))
    }
}

impl<T: DeserializeOwned + std::fmt::Debug> FromSql<Jsonb, Pg> for Read<T> {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        match value.as_bytes() {
            [VERSION, json @ ..] => Ok(Self(serde_json::from_slice(json))),
            _ => Err("jsonb of an unknown version".into()),
        }
    }
}

impl<T: Serialize + std::fmt::Debug> ToSql<Jsonb, Pg> for Json<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(&[VERSION])?;
        serde_json::to_writer(out, &self.0)?;
        Ok(IsNull::No)
    }
}
