//! Searches that cannot be read.

use super::qualifier::QUALIFIERS;

/// The reason why a search cannot be read: a sentence that says what would be right. It repeats the name of a qualifier, and
/// never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// There is no such qualifier.
    #[error("there is no qualifier `{name}:`; {}", hint(.similar.as_ref()))]
    UnknownQualifier {
        /// What stands before the colon.
        name: String,
        /// The one that is probably meant.
        similar: Option<&'static str>,
    },
    /// The value of a qualifier makes no sense.
    #[error("`{qualifier}:` {detail}")]
    Value {
        /// The qualifier.
        qualifier: &'static str,
        /// What its value must be.
        detail: String,
    },
    /// A qualifier is given twice.
    #[error("`{qualifier}:` is given twice; give it once")]
    Repeated {
        /// The qualifier.
        qualifier: &'static str,
    },
    /// A quote is not closed.
    #[error("a quote is opened and not closed")]
    OpenQuote,
}

impl SearchError {
    pub(super) fn unknown(name: &str) -> Self {
        let name: String = name.chars().take(32).collect();
        let near = QUALIFIERS.into_iter().min_by_key(|known| distance(&name, known));
        let similar = near.filter(|known| distance(&name, known) <= 2);
        Self::UnknownQualifier { name, similar }
    }

    pub(super) fn value(qualifier: &'static str, detail: impl Into<String>) -> Self {
        Self::Value { qualifier, detail: detail.into() }
    }
}

fn hint(similar: Option<&&str>) -> String {
    let all = || QUALIFIERS.map(|name| format!("{name}:")).join(" ");
    similar.map_or_else(
        || format!("there are {}; text with a colon stands in quotes", all()),
        |name| format!("did you mean `{name}:`?"),
    )
}

/// The number of letters to add, take away or replace to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, &opposite) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != opposite);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}
