//! Reading a search.

use std::fmt::Display;
use std::str::FromStr;

use time::OffsetDateTime;

use super::qualifier::QUALIFIERS;
use super::{Search, SearchError, moment};
use crate::domain::address::Address;

/// A word of a search: what stands before its first colon outside quotes, and the rest.
#[derive(Debug, Default, PartialEq, Eq)]
struct Word {
    qualifier: Option<String>,
    value: String,
}

impl Search {
    /// Reads a search; ages count back from `now`, the store's time.
    ///
    /// # Errors
    ///
    /// [`SearchError`], which says what would be right.
    pub fn parse(text: &str, now: OffsetDateTime) -> Result<Self, SearchError> {
        parse(text, now)
    }
}

fn parse(text: &str, now: OffsetDateTime) -> Result<Search, SearchError> {
    let mut search = Search::default();
    let mut free = Vec::new();
    for Word { qualifier, value } in words(text)? {
        match qualifier {
            Some(name) => qualify(&mut search, &name, value, now)?,
            None => free.push(value),
        }
    }
    if !free.is_empty() {
        set(&mut search.subject, "subject", free.join(" "))?;
    }
    Ok(search)
}

/// Divides a text at spaces outside quotes.
fn words(text: &str) -> Result<Vec<Word>, SearchError> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut characters = text.chars();
    let mut is_quoted = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' if is_quoted => {
                // Never both: a word is open while a quote is.
                let quoted = characters.next().ok_or(SearchError::OpenQuote)?;
                word.get_or_insert_default().value.push(quoted);
            }
            '"' => {
                is_quoted = !is_quoted;
                // Opened by the quote, so that `""` is a word.
                word.get_or_insert_default();
            }
            space if space.is_whitespace() && !is_quoted => words.extend(word.take()),
            ':' if !is_quoted && word.as_ref().is_some_and(|word| word.qualifier.is_none()) => {
                let open = word.get_or_insert_default();
                open.qualifier = Some(std::mem::take(&mut open.value));
            }
            other => word.get_or_insert_default().value.push(other),
        }
    }
    if is_quoted {
        return Err(SearchError::OpenQuote);
    }
    words.extend(word);
    Ok(words)
}

fn qualify(search: &mut Search, name: &str, value: String, now: OffsetDateTime) -> Result<(), SearchError> {
    let lower = name.to_ascii_lowercase();
    let known = QUALIFIERS.into_iter().find(|known| *known == lower);
    let qualifier = known.ok_or_else(|| SearchError::unknown(&lower))?;
    if value.is_empty() {
        return Err(SearchError::value(qualifier, "needs a value right after the colon"));
    }
    match qualifier {
        "to" => set(&mut search.to, qualifier, address(qualifier, value)?),
        "from" => set(&mut search.from, qualifier, address(qualifier, value)?),
        "subject" => set(&mut search.subject, qualifier, value),
        "status" => set(&mut search.status, qualifier, read(qualifier, &value)?),
        "lane" => set(&mut search.lane, qualifier, read(qualifier, &value)?),
        "reason" => set(&mut search.reason, qualifier, read(qualifier, &value)?),
        "id" => {
            let id =
                value.parse().map_err(|_| SearchError::value(qualifier, "must be the id of a message"))?;
            set(&mut search.id, qualifier, id)
        }
        "tag" => {
            let tag = match value.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (value, None),
            };
            set(&mut search.tag, qualifier, tag)
        }
        "before" => set(&mut search.before, qualifier, time(qualifier, &value, now)?),
        _ => set(&mut search.after, qualifier, time(qualifier, &value, now)?),
    }
}

fn set<T>(field: &mut Option<T>, qualifier: &'static str, value: T) -> Result<(), SearchError> {
    match field.replace(value) {
        Some(_) => Err(SearchError::Repeated { qualifier }),
        None => Ok(()),
    }
}

fn read<T: FromStr<Err: Display>>(qualifier: &'static str, value: &str) -> Result<T, SearchError> {
    value
        .to_ascii_lowercase()
        .parse()
        .map_err(|error: T::Err| SearchError::value(qualifier, error.to_string()))
}

/// An address as messages keep it, or `@` and a domain.
fn address(qualifier: &'static str, value: String) -> Result<String, SearchError> {
    if value.len() > 1 && value.starts_with('@') {
        return Ok(value.to_lowercase());
    }
    let address = value.parse::<Address>();
    address.map(String::from).map_err(|_| {
        SearchError::value(qualifier, "must be an address such as name@example.com, or @ and a domain")
    })
}

fn time(qualifier: &'static str, value: &str, now: OffsetDateTime) -> Result<OffsetDateTime, SearchError> {
    moment::read(value, now).ok_or_else(|| {
        let detail =
            "must be a date such as 2030-01-31, a time such as 2030-01-31T08:00:00Z, or an age such as 2h";
        SearchError::value(qualifier, detail)
    })
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::domain::lane::Lane;
    use crate::domain::reason::Reason;
    use crate::domain::status::Status;

    const NOW: OffsetDateTime = datetime!(2030-01-31 08:00 UTC);

    fn parsed(text: &str) -> Search {
        parse(text, NOW).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn fault(text: &str) -> String {
        parse(text, NOW).expect_err(text).to_string()
    }

    #[test]
    fn every_qualifier_is_read() {
        let search = parsed(
            r#"to:ana@example.org from:@example.com subject:"say \"hi\"" status:FAILED tag:order=42 lane:bulk
               id:019ad5c0-0000-7000-8000-000000000000 before:2030-01-01 after:2h reason:dns"#,
        );
        assert_eq!(search.to.as_deref(), Some("ana@example.org"));
        assert_eq!(search.from.as_deref(), Some("@example.com"));
        assert_eq!(search.subject.as_deref(), Some(r#"say "hi""#));
        assert_eq!((search.status, search.lane), (Some(Status::Failed), Some(Lane::Bulk)));
        assert_eq!(search.tag, Some(("order".to_owned(), Some("42".to_owned()))));
        assert_eq!(search.before, Some(datetime!(2030-01-01 00:00 UTC)));
        assert_eq!(search.after, Some(datetime!(2030-01-31 06:00 UTC)));
        assert_eq!(search.reason, Some(Reason::Dns));
        assert!(search.id.is_some() && !search.is_empty());
        assert!(parsed("  ").is_empty());
    }

    #[test]
    fn words_without_a_qualifier_are_of_the_subject() {
        assert_eq!(parsed("your  order").subject.as_deref(), Some("your order"));
        assert_eq!(parsed(r#""re: order" lane:bulk"#).subject.as_deref(), Some("re: order"));
        assert_eq!(parsed(r#"subject:"a b":c"#).subject.as_deref(), Some("a b:c"));
    }

    #[test]
    fn a_fault_says_what_would_be_right() {
        assert!(fault("recipient:x").contains("there are to: from:"));
        assert_eq!(fault("stauts:failed"), "there is no qualifier `stauts:`; did you mean `status:`?");
        assert!(fault("status:bad").contains("queued, sending, sent"));
        assert!(fault("reason:bad").contains("mailbox_full"));
        assert!(fault("before:yesterday").contains("2030-01-31"));
        assert!(fault("to:a@b.example to:a@b.example").contains("twice"));
        assert!(fault("from:ana").contains("name@example.com"));
        assert!(fault("to:").contains("needs a value"));
        assert!(fault(r#"subject:"open"#).contains("not closed"));
        assert!(fault(r#"subject:"open\"#).contains("not closed"));
    }

    #[test]
    fn no_fault_repeats_a_value() {
        for text in
            ["status:ana@example.org", "id:ana@example.org", "before:ana@example.org", "x:ana@example.org"]
        {
            assert!(!fault(text).contains("ana"), "{text}");
        }
    }
}
