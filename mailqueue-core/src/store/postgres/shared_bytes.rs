//! Content, written to the connection from where it is.

use std::fmt;
use std::io::Write;

use bytes::Bytes;
use diesel::pg::Pg;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::Binary;

/// A value kept as bytea, whose octets are shared rather than copied.
pub(super) struct SharedBytes(pub(super) Bytes);

impl fmt::Debug for SharedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} octets", self.0.len())
    }
}

impl ToSql<Binary, Pg> for SharedBytes {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(&self.0)?;
        Ok(IsNull::No)
    }
}
