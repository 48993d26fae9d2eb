//! Statements written by hand that diesel still prepares once a connection.
//!
//! diesel re-parses `sql_query`, every `update(..)` and every `values(&vec)`, one round trip more each time. A type
//! with a static [`QueryId`](diesel::query_builder::QueryId) is prepared once, and because its batches are
//! arrays, once is enough for every batch size.

/// Declares a statement: its binds in the order of the `?` in its text, one for each, and the columns it returns.
/// After `planned anew`, it is prepared at every use, so that the server plans it for its binds.
macro_rules! statement {
    (planned anew $($rest:tt)*) => { $crate::store::postgres::statement::statement! { @prepared false; $($rest)* } };
    (
        @prepared $is_prepared:literal;
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
            const HAS_STATIC_QUERY_ID: bool = $is_prepared;
        }

        impl diesel::query_builder::Query for $name {
            type SqlType = $row;
        }
    };
    ($($rest:tt)*) => { $crate::store::postgres::statement::statement! { @prepared true; $($rest)* } };
}

pub(super) use statement;

/// A number of rows, as LIMIT takes it.
pub(super) fn rows(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
