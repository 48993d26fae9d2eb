//! The texts of the pages, in every language.

use std::collections::BTreeMap;

use minijinja::Value;
use minijinja::value::Serde;

use crate::wire::language::Language;

const PORTUGUESE: &str = include_str!("words/pt.json");
const ENGLISH: &str = include_str!("words/en.json");

/// Sentences by name.
pub(super) struct Words {
    portuguese: Value,
    english: Value,
}

impl Words {
    /// The words as they stand in this crate.
    pub(super) fn new() -> Self {
        Self { portuguese: Serde(read(PORTUGUESE)).into(), english: Serde(read(ENGLISH)).into() }
    }

    /// All words of a language.
    pub(super) fn all(&self, language: Language) -> Value {
        match language {
            Language::Portuguese => self.portuguese.clone(),
            Language::English => self.english.clone(),
        }
    }

    /// One sentence.
    pub(super) fn of(&self, language: Language, key: &str) -> Value {
        self.all(language).get_attr(key).unwrap_or_default()
    }
}

fn read(json: &str) -> BTreeMap<String, String> {
    serde_json::from_str(json).expect("the tests read both files")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_say_the_same() {
        assert!(read(PORTUGUESE).keys().eq(read(ENGLISH).keys()));
    }
}
