//! Rows beside those that are measured, put there by SQL.

use crate::deliver;
use crate::site::Site;

/// How many rows one statement puts there: the server keeps note of each until its end.
const ROWS: usize = 200_000;

/// How many people the messages are for.
const PEOPLE: usize = 3_000_000;

/// Fills a database with messages that wait and with finished ones, and leaves it as one that has been used for long:
/// vacuumed and analysed. Every row is a copy of a real one, with an id, times and a recipient of its own. The finished
/// ones have no content any more, as after retention, and no log of attempts.
pub(crate) fn fill(site: &Site<'_>, waiting: usize, finished: usize) {
    if finished > 0 {
        site.fill(1);
        deliver::drain(site, 1, 1).end(site, 1);
        copy(site, "sent", finished, "interval '1 hour'");
    }
    if waiting > 0 {
        site.fill(1);
        copy(site, "queued", waiting - 1, "interval '1 second'");
    }
    site.query("VACUUM (ANALYZE)");
    site.query("CHECKPOINT");
}

/// Copies the one row of a status, a millisecond apart, the youngest as old as `age`.
fn copy(site: &Site<'_>, status: &str, times: usize, age: &str) {
    let pattern = site.query(&format!(
        "SELECT email_id, recipients #>> '{{0,address}}' FROM deliveries WHERE status = '{status}' LIMIT 1"
    ));
    let [id, recipient] =
        [0, 1].map(|n| pattern[0][n].clone().expect("a delivery has an id and a recipient"));
    let is_finished = status == "sent";
    // One time for all: ids are made of it.
    let youngest = site.query(&format!("SELECT now() - {age}"))[0][0].clone().expect("a time");
    let pattern = Pattern {
        id,
        recipient,
        is_finished,
        at: format!("(timestamptz '{youngest}' - ({times} - n) * interval '1 millisecond')"),
    };
    let tables =
        [("emails", "id"), ("deliveries", "email_id")].map(|(table, key)| pattern.insert(site, table, key));
    for first in (1..=times).step_by(ROWS) {
        let last = times.min(first + ROWS - 1);
        for insert in &tables {
            site.query(&format!("{insert}, generate_series({first}, {last}) n"));
        }
    }
}

/// The message that is copied.
struct Pattern {
    id: String,
    recipient: String,
    is_finished: bool,
    /// The time of the copy with the number n.
    at: String,
}

impl Pattern {
    /// The statement that copies the row of a table, but for the numbers of the copies.
    fn insert(&self, site: &Site<'_>, table: &str, key: &str) -> String {
        let columns = site.query(&format!(
            "SELECT column_name, data_type FROM information_schema.columns
             WHERE table_name = '{table}' AND table_schema = current_schema() AND is_generated = 'NEVER'"
        ));
        let (names, values): (Vec<&str>, Vec<String>) = columns
            .iter()
            .filter_map(|row| Some((row[0].as_deref()?, row[1].as_deref()?)))
            .map(|(name, kind)| (name, self.value(name, kind, key)))
            .unzip();
        let (names, values) = (names.join(", "), values.join(", "));
        format!(
            "INSERT INTO {table} ({names}) SELECT {values} FROM (SELECT * FROM {table} WHERE {key} = '{}') t",
            self.id
        )
    }

    /// A column of a copy: its own id and recipient and, in place of every time, its own time.
    fn value(&self, name: &str, kind: &str, key: &str) -> String {
        let Self { recipient, at, .. } = self;
        // A prime, so that neighbours are for people whose addresses lie apart.
        let person = format!("'user' || n::bigint * 7919 % {PEOPLE} || '@example.org'");
        match (name, kind) {
            (name, _) if name == key => {
                // As the application makes them (RFC 9562, version 7): time first, so that young rows stand together.
                let milliseconds = format!("(extract(epoch FROM {at}) * 1000)::bigint");
                format!(
                    "(lpad(to_hex({milliseconds}), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid"
                )
            }
            ("raw" | "body_text" | "body_html" | "line_ends", _) if self.is_finished => "NULL".to_owned(),
            ("has_content", _) if self.is_finished => "false".to_owned(),
            ("attempts", _) if self.is_finished => "'[]'".to_owned(),
            // Without the answer: rows larger than new ones would leave room for one of those on every page.
            ("recipients", _) if self.is_finished => {
                format!("jsonb_build_array(jsonb_build_object('address', {person}, 'status', 'sent'))")
            }
            ("people" | "recipients", _) => {
                format!("replace(t.{name}::text, '{recipient}', {person})::jsonb")
            }
            (_, "timestamp with time zone") => format!("CASE WHEN t.{name} IS NOT NULL THEN {at} END"),
            _ => format!("t.{name}"),
        }
    }
}
