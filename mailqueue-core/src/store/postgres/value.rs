//! Values between diesel and the driver.

use std::error::Error as StdError;
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;
use diesel::QueryResult;
use diesel::pg::{Pg, PgMetadataLookup, PgTypeMetadata, PgValue, TypeOidLookup};
use diesel::result::Error;
use diesel::row::{Field, PartialRow, RowIndex, RowSealed};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};

/// A parameter as diesel has written it.
#[derive(Debug)]
pub(super) struct Bind {
    kind: Type,
    octets: Option<Vec<u8>>,
}

impl Bind {
    /// Refuses a type that is not built into Postgres: our statements have none.
    pub(super) fn new(metadata: &PgTypeMetadata, octets: Option<Vec<u8>>) -> QueryResult<Self> {
        let kind = metadata.oid().ok().and_then(Type::from_oid);
        let kind = kind.ok_or_else(|| Error::SerializationError("a type that is not built in".into()))?;
        Ok(Self { kind, octets })
    }

    pub(super) fn kind(&self) -> &Type {
        &self.kind
    }
}

impl ToSql for Bind {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        let Some(octets) = &self.octets else { return Ok(IsNull::Yes) };
        out.extend_from_slice(octets);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    /// The statement was prepared for this very type.
    fn to_sql_checked(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        self.to_sql(kind, out)
    }
}

/// Knows no types but those that are built into Postgres.
pub(super) struct NoTypes;

impl PgMetadataLookup for NoTypes {
    fn lookup_type(&mut self, _name: &str, _schema: Option<&str>) -> PgTypeMetadata {
        // No type has the number 0, so `Bind::new` refuses it.
        PgTypeMetadata::new(0, 0)
    }
}

/// A row of an answer.
pub(super) struct PgRow {
    row: Row,
    kinds: Arc<[Kind]>,
}

/// Rows for diesel to read.
pub(super) fn records(rows: Vec<Row>) -> Vec<QueryResult<PgRow>> {
    let columns = rows.first().map(Row::columns).unwrap_or_default();
    // Kept once for all rows, which have the same columns.
    let kinds: Arc<[Kind]> = columns.iter().map(|column| Kind(column.type_().oid())).collect();
    rows.into_iter().map(|row| Ok(PgRow { row, kinds: Arc::clone(&kinds) })).collect()
}

/// The number of a column's type.
struct Kind(u32);

impl TypeOidLookup for Kind {
    fn lookup(&self) -> NonZeroU32 {
        // No column has the type 0; the other branch is there so that nothing can panic.
        NonZeroU32::new(self.0).unwrap_or(NonZeroU32::MAX)
    }
}

impl RowSealed for PgRow {}

impl<'a> diesel::row::Row<'a, Pg> for PgRow {
    type InnerPartialRow = Self;
    type Field<'b>
        = Column<'b>
    where
        Self: 'b,
        'a: 'b;

    fn field_count(&self) -> usize {
        self.row.len()
    }

    fn get<'b, I>(&'b self, index: I) -> Option<Self::Field<'b>>
    where
        'a: 'b,
        Self: RowIndex<I>,
    {
        self.idx(index).map(|index| Column { record: self, index })
    }

    fn partial_row(&self, range: Range<usize>) -> PartialRow<'_, Self::InnerPartialRow> {
        PartialRow::new(self, range)
    }
}

impl RowIndex<usize> for PgRow {
    fn idx(&self, index: usize) -> Option<usize> {
        (index < self.row.len()).then_some(index)
    }
}

impl<'a> RowIndex<&'a str> for PgRow {
    fn idx(&self, name: &'a str) -> Option<usize> {
        self.row.columns().iter().position(|column| column.name() == name)
    }
}

/// A value of a row.
pub(super) struct Column<'a> {
    record: &'a PgRow,
    index: usize,
}

impl<'a> Field<'a, Pg> for Column<'a> {
    fn field_name(&self) -> Option<&str> {
        Some(self.record.row.columns()[self.index].name())
    }

    fn value(&self) -> Option<PgValue<'_>> {
        // Cannot panic: `idx` has checked the index, and `Octets` accepts every type.
        let Octets(octets) = self.record.row.get(self.index);
        octets.map(|octets| PgValue::new(octets, &self.record.kinds[self.index]))
    }
}

/// A value as the server sent it.
struct Octets<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Octets<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
