//! The `?` of a statement's text, counted when it is compiled.

/// How many values a text takes. A `?` in it always stands for a value: none of our texts has one in a literal.
pub(super) const fn count(sql: &str) -> usize {
    let (octets, mut at, mut count) = (sql.as_bytes(), 0, 0);
    while at < octets.len() {
        if octets[at] == b'?' {
            count += 1;
        }
        at += 1;
    }
    count
}
