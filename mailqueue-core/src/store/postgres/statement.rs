//! Statements written by hand that diesel still prepares once a connection.
//!
//! diesel re-parses `sql_query`, every `update(..)` and every `values(&vec)`, one round trip more each time. A type
//! with a static [`QueryId`](diesel::query_builder::QueryId) is prepared once, and because its batches are
//! arrays, once is enough for every batch size.

use std::marker::PhantomData;

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Text, Uuid as SqlUuid};
use uuid::Uuid;

/// Declares a statement: its binds in the order of the `?` in its text, one for each, and the columns it returns.
macro_rules! statement {
    (
        $(#[$doc:meta])*
        $name:ident { $($field:ident: $sql_type:ty => $rust_type:ty),* $(,)? } -> $row:ty = $sql:expr
    ) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) struct $name { $(pub(super) $field: $rust_type),* }

        impl diesel::query_builder::QueryFragment<diesel::pg::Pg> for $name {
            fn walk_ast<'b>(
                &'b self,
                mut pass: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
            ) -> diesel::QueryResult<()> {
                const BINDS: &[&str] = &[$(stringify!($field)),*];
                const { assert!(crate::store::placeholders::count($sql) == BINDS.len(), "a bind for each `?`") };
                let mut pieces = $sql.split('?');
                // Never the default: the assertion holds that there is one piece more than binds.
                pass.push_sql(pieces.next().unwrap_or_default());
                $(
                    pass.push_bind_param::<$sql_type, $rust_type>(&self.$field)?;
                    pass.push_sql(pieces.next().unwrap_or_default());
                )*
                Ok(())
            }
        }

        impl diesel::query_builder::QueryId for $name {
            type QueryId = $name;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        impl diesel::query_builder::Query for $name {
            type SqlType = $row;
        }
    };
}

pub(super) use statement;

/// A value.
#[derive(Debug)]
pub(super) enum Bind {
    Text(String),
    Id(Uuid),
    Number(i64),
}

/// A statement put together from literals, with a `?` for each value. It is prepared at every use, so that the server
/// plans it for its values.
pub(super) struct Select<Row = ()> {
    text: String,
    binds: Vec<Bind>,
    row: PhantomData<fn() -> Row>,
}

impl Select {
    pub(super) fn new() -> Self {
        Self { text: String::new(), binds: Vec::new(), row: PhantomData }
    }

    pub(super) fn and(mut self, text: &'static str) -> Self {
        self.text.push_str(text);
        self
    }

    /// Goes on with a text that has one `?`.
    pub(super) fn then(mut self, text: &'static str, bind: Bind) -> Self {
        self.binds.push(bind);
        self.and(text)
    }

    /// The same statement; its rows have these types.
    pub(super) fn returning<Row>(self) -> Select<Row> {
        Select { text: self.text, binds: self.binds, row: PhantomData }
    }
}

impl<Row> QueryFragment<Pg> for Select<Row> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut texts = self.text.split('?');
        out.push_sql(texts.next().unwrap_or_default());
        for (bind, text) in self.binds.iter().zip(texts) {
            match bind {
                Bind::Text(value) => out.push_bind_param::<Text, String>(value)?,
                Bind::Id(value) => out.push_bind_param::<SqlUuid, Uuid>(value)?,
                Bind::Number(value) => out.push_bind_param::<BigInt, i64>(value)?,
            }
            out.push_sql(text);
        }
        Ok(())
    }
}

impl<Row> Query for Select<Row> {
    type SqlType = Row;
}

impl<Row> QueryId for Select<Row> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

/// A number of rows, as LIMIT takes it.
pub(super) fn rows(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
