//! The queries of lists.

use std::ops::Range;

use mailqueue_core::contracts::store::{Cursor, Filter};
use mailqueue_core::domain::status::StatusError;
use mailqueue_core::domain::validation::FieldError;
use mailqueue_core::{MessageId, Status};

use crate::wire::json::note;
use crate::wire::parameter::{parameters, text, up_to, uuid};
use crate::wire::problem::Problem;
use crate::wire::urlencoded;

/// The longest page.
const MAX_PAGE: usize = 100;

parameters! {
    /// The query of a list of messages.
    ListQuery {
        Query "limit", "20 when absent.", up_to(MAX_PAGE);
        Query "after", "Those older than this message.", uuid();
        Query "before", "Those newer than this message; not beside `after`.", uuid();
        Query "status", "Those that stand there.", text(&Status::ALL.map(Status::as_str));
        Query "to", "Those with this recipient.", text(&[]);
        Query "q", "Those whose subject holds this, in any case.", text(&[]);
    }
}

parameters! {
    /// The query of a list of files.
    WindowQuery {
        Query "limit", "All when absent.", up_to(MAX_PAGE);
        Query "after", "Those after this file.", text(&[]);
        Query "before", "Those before this file; not beside `after`.", text(&[]);
    }
}

/// Reads the query of a list.
pub(crate) fn filter(query: &str) -> Result<Filter, Problem> {
    let mut filter = Filter::default();
    let mut faults = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for pair in urlencoded::pairs(query.as_bytes()) {
        let (name, value) = pair?;
        if seen.contains(&name) {
            note(&mut faults, &pointer(&name), "must stand there once");
        } else if let Err(detail) = apply(&mut filter, &name, &value) {
            note(&mut faults, &pointer(&name), detail);
        }
        seen.push(name);
    }
    only_one_cursor(&seen, &mut faults);
    if faults.is_empty() { Ok(filter) } else { Err(Problem::invalid(faults)) }
}

fn pointer(name: &str) -> String {
    crate::wire::json::member("", name)
}

fn apply(filter: &mut Filter, name: &str, value: &str) -> Result<(), String> {
    let id = |value: &str| parse_id(value).ok_or_else(|| "must be the id of a message".to_owned());
    match name {
        "limit" => filter.limit = limit(value)?,
        "after" => filter.cursor = Cursor::After(id(value)?),
        "before" => filter.cursor = Cursor::Before(id(value)?),
        "status" => filter.status = Some(value.parse().map_err(|error: StatusError| error.to_string())?),
        "to" => filter.to = Some(words(value)?),
        "q" => filter.subject = Some(words(value)?),
        _ => return Err("is not a parameter that is known here".into()),
    }
    Ok(())
}

fn limit(value: &str) -> Result<usize, String> {
    let limit = value.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
    limit.ok_or_else(|| format!("must be a number from 1 to {MAX_PAGE}"))
}

fn words(value: &str) -> Result<String, String> {
    // 998 octets are the longest line of a message (RFC 5322 section 2.1.1); no database keeps NUL.
    if value.is_empty() || value.len() > 998 || value.contains('\0') {
        return Err("must have 1 to 998 octets and no NUL".into());
    }
    Ok(value.to_owned())
}

fn only_one_cursor(seen: &[String], faults: &mut Vec<FieldError>) {
    if ["after", "before"].iter().all(|cursor| seen.iter().any(|name| name == cursor)) {
        note(faults, "/before", "must not stand beside after");
    }
}

/// A part of a short list, by the ids of its entries.
#[derive(Debug, Default)]
pub(crate) struct PageRange {
    limit: Option<usize>,
    after: Option<String>,
    before: Option<String>,
}

/// Reads the query of a short list.
pub(crate) fn range(query: &str) -> Result<PageRange, Problem> {
    let mut range = PageRange::default();
    let mut faults = Vec::new();
    for pair in urlencoded::pairs(query.as_bytes()) {
        let (name, value) = pair?;
        match &*name {
            "limit" => match limit(&value) {
                Ok(limit) => range.limit = Some(limit),
                Err(detail) => note(&mut faults, "/limit", detail),
            },
            "after" => range.after = Some(value),
            "before" => range.before = Some(value),
            _ => note(&mut faults, &pointer(&name), "is not a parameter that is known here"),
        }
    }
    if range.after.is_some() && range.before.is_some() {
        note(&mut faults, "/before", "must not stand beside after");
    }
    if faults.is_empty() { Ok(range) } else { Err(Problem::invalid(faults)) }
}

impl PageRange {
    /// The places of the entries asked for, and whether more follow in that direction.
    pub(crate) fn of(&self, ids: &[String]) -> Result<(Range<usize>, bool), Problem> {
        let place = |name: &str, id: &str| {
            let unknown = || Problem::field(format!("/{name}"), "must be the id of an entry");
            ids.iter().position(|other| other == id).ok_or_else(unknown)
        };
        // A message has at most 20 files, so these are all.
        let limit = self.limit.unwrap_or(MAX_PAGE);
        if let Some(id) = &self.before {
            let end = place("before", id)?;
            let start = end.saturating_sub(limit);
            return Ok((start..end, start > 0));
        }
        let start = self.after.as_ref().map_or(Ok(0), |id| place("after", id).map(|n| n + 1))?;
        let end = ids.len().min(start + limit);
        Ok((start..end, end < ids.len()))
    }
}

/// An id in the one form in which it is given out.
pub(crate) fn parse_id(text: &str) -> Option<MessageId> {
    // `Uuid` also reads braces, URNs and bare digits; one message must not have several addresses.
    let hyphenated = text.len() == 36 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    text.parse().ok().filter(|_| hyphenated)
}
