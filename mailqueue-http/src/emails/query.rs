//! Which messages a list is asked for.

use mailqueue_core::MessageId;
use mailqueue_core::domain::invalid::Fault;
use mailqueue_core::record::{Cursor, Filter};

use crate::json::note;
use crate::problem::Problem;
use crate::urlencoded;

/// The longest page.
const MOST: usize = 100;

/// Reads the query of a list.
pub(crate) fn filter(query: &str) -> Result<Filter, Problem> {
    let mut filter = Filter::default();
    let mut faults = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for (name, value) in urlencoded::pairs(query.as_bytes())? {
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
    crate::json::member("", name)
}

fn apply(filter: &mut Filter, name: &str, value: &str) -> Result<(), String> {
    let id = |value: &str| parse_id(value).ok_or_else(|| "must be the id of a message".to_owned());
    match name {
        "limit" => {
            let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
            filter.limit = limit.ok_or_else(|| format!("must be a number from 1 to {MOST}"))?;
        }
        "after" => filter.cursor = Cursor::After(id(value)?),
        "before" => filter.cursor = Cursor::Before(id(value)?),
        "status" => filter.status = Some(value.parse()?),
        "to" => filter.to = Some(words(value)?),
        "q" => filter.subject = Some(words(value)?),
        _ => return Err("is not a parameter that is known here".into()),
    }
    Ok(())
}

fn words(value: &str) -> Result<String, String> {
    if value.is_empty() || value.len() > 998 || value.contains('\0') {
        return Err("must have 1 to 998 octets and no NUL".into());
    }
    Ok(value.to_owned())
}

fn only_one_cursor(seen: &[String], faults: &mut Vec<Fault>) {
    if ["after", "before"].iter().all(|cursor| seen.iter().any(|name| name == cursor)) {
        note(faults, "/before", "must not stand beside after");
    }
}

/// An id in the one form in which it is given out.
pub(crate) fn parse_id(text: &str) -> Option<MessageId> {
    let hyphenated = text.len() == 36 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    text.parse().ok().filter(|_| hyphenated)
}
