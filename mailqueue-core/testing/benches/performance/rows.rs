//! Rows beside those that are measured, put there by SQL.

use crate::deliver;
use crate::site::Site;

/// Fills a database with messages that wait and with finished ones, and leaves it as one that has been used for long:
/// vacuumed and analysed. Every row is a copy of a real one, with an id and times of its own.
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
    site.query("VACUUM (ANALYZE) emails");
    site.query("VACUUM (ANALYZE) deliveries");
    site.query("CHECKPOINT");
}

/// Copies the one row of a status, a millisecond apart, the youngest as old as `age`.
fn copy(site: &Site<'_>, status: &str, times: usize, age: &str) {
    let pattern = site.query(&format!("SELECT email_id FROM deliveries WHERE status = '{status}' LIMIT 1"));
    let pattern = pattern[0][0].clone().expect("a delivery has an id");
    // One time for both tables: ids are made of it.
    let youngest = site.query(&format!("SELECT now() - {age}"))[0][0].clone().expect("a time");
    let at = format!("(timestamptz '{youngest}' - ({times} - n) * interval '1 millisecond')");
    let milliseconds = format!("(extract(epoch FROM {at}) * 1000)::bigint");
    // As the application makes them (RFC 9562, version 7): time first, so that young rows stand together.
    let id = format!(
        "(lpad(to_hex({milliseconds}), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid"
    );
    for (table, key) in [("emails", "id"), ("deliveries", "email_id")] {
        let columns = site.query(&format!(
            "SELECT column_name, data_type FROM information_schema.columns
             WHERE table_name = '{table}' AND table_schema = current_schema() AND is_generated = 'NEVER'"
        ));
        let (names, values): (Vec<&str>, Vec<String>) = columns
            .iter()
            .filter_map(|row| Some((row[0].as_deref()?, row[1].as_deref()?)))
            .map(|(name, kind)| (name, value(name, kind, key, &id, &at)))
            .unzip();
        site.query(&format!(
            "INSERT INTO {table} ({}) SELECT {} FROM {table} t, generate_series(1, {times}) n WHERE t.{key} = '{pattern}'",
            names.join(", "),
            values.join(", "),
        ));
    }
}

/// A column of a copy: its own id and, in place of every time, its own time.
fn value(name: &str, kind: &str, key: &str, id: &str, at: &str) -> String {
    if name == key {
        id.to_owned()
    } else if kind == "timestamp with time zone" {
        format!("CASE WHEN t.{name} IS NOT NULL THEN {at} END")
    } else {
        format!("t.{name}")
    }
}
