//! Statements whose text is fixed.

use std::borrow::Cow;

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Nullable, Text, Untyped};
use diesel::sqlite::Sqlite;
use uuid::Uuid;

use crate::domain::id::MessageId;

/// A statement put together from literals, with a `?` for each value, so that there are only a few texts and SQLite
/// compiles each once a connection: diesel caches it by its text. (`sql_query` and `diesel::update` are compiled anew
/// at every use.) Rows are read by the names of their columns.
pub(super) struct Statement<'a> {
    text: Cow<'static, str>,
    binds: Vec<Bind<'a>>,
}

/// A value.
pub(super) enum Bind<'a> {
    Null,
    Integer(i64),
    Text(Cow<'a, str>),
    Octets(&'a [u8]),
    Uuid(Uuid),
}

/// A statement of a constant text and a value for each `?` in it, which is checked when it is compiled.
macro_rules! sql {
    ($text:expr $(, $bind:expr)* $(,)?) => {{
        const BINDS: &[&str] = &[$(stringify!($bind)),*];
        const { assert!(crate::store::placeholders::count($text) == BINDS.len(), "a value for each `?`") };
        $crate::store::sqlite::statement::Statement::of(
            $text,
            vec![$($crate::store::sqlite::statement::Bind::from($bind)),*],
        )
    }};
}
pub(super) use sql;

impl<'a> Statement<'a> {
    /// A statement with its values; [`sql!`] checks their number.
    pub(super) fn of(text: &'static str, binds: Vec<Bind<'a>>) -> Self {
        Self { text: Cow::Borrowed(text), binds }
    }

    /// Goes on with another statement's text and values.
    pub(super) fn then(mut self, next: Self) -> Self {
        self.text.to_mut().push_str(&next.text);
        self.binds.extend(next.binds);
        self
    }
}

impl QueryFragment<Sqlite> for Statement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let mut texts = self.text.split('?');
        out.push_sql(texts.next().unwrap_or_default());
        for (bind, text) in self.binds.iter().zip(texts) {
            match bind {
                // SQLite's NULL has no type, so any will do.
                Bind::Null => out.push_bind_param::<Nullable<BigInt>, Option<i64>>(&None)?,
                Bind::Integer(number) => out.push_bind_param::<BigInt, _>(number)?,
                Bind::Text(text) => out.push_bind_param::<Text, str>(text)?,
                Bind::Octets(octets) => out.push_bind_param::<Binary, [u8]>(octets)?,
                Bind::Uuid(uuid) => out.push_bind_param::<Binary, [u8]>(uuid.as_bytes().as_slice())?,
            }
            out.push_sql(text);
        }
        Ok(())
    }
}

impl Query for Statement<'_> {
    type SqlType = Untyped;
}

impl QueryId for Statement<'_> {
    type QueryId = ();

    // False, so that diesel's cache goes by the text: this one type stands for many.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl RunQueryDsl<SqliteConnection> for Statement<'_> {}

impl From<i64> for Bind<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u32> for Bind<'_> {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<usize> for Bind<'_> {
    fn from(number: usize) -> Self {
        Self::Integer(number.try_into().unwrap_or(i64::MAX))
    }
}

impl From<bool> for Bind<'_> {
    fn from(truth: bool) -> Self {
        Self::Integer(truth.into())
    }
}

impl<'a> From<&'a str> for Bind<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Bind<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<&'a [u8]> for Bind<'a> {
    fn from(octets: &'a [u8]) -> Self {
        Self::Octets(octets)
    }
}

impl From<Uuid> for Bind<'_> {
    fn from(uuid: Uuid) -> Self {
        Self::Uuid(uuid)
    }
}

impl From<MessageId> for Bind<'_> {
    fn from(id: MessageId) -> Self {
        Self::Uuid(id.as_uuid())
    }
}

impl<'a, T: Into<Bind<'a>>> From<Option<T>> for Bind<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
