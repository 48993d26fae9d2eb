//! Command lines, taken apart.

/// MAIL's or RCPT's argument: `FROM:<path> PARAMETER…`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) address: String,
    pub(super) parameters: Vec<String>,
}

/// The verb in capitals, and what follows it.
pub(super) fn split(line: &str) -> (String, &str) {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    (verb.to_ascii_uppercase(), rest.trim())
}

/// `keyword` is `FROM:` or `TO:`. Nothing, when the argument is not of that form.
pub(super) fn path(argument: &str, keyword: &str) -> Option<Path> {
    let (head, rest) = argument.split_at_checked(keyword.len())?;
    if !head.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let rest = rest.strip_prefix('<')?;
    let end = end_of_path(rest)?;
    let parameters = rest[end + 1..].split_ascii_whitespace().map(str::to_owned).collect();
    Some(Path { address: rest[..end].to_owned(), parameters })
}

/// A quoted local part may contain `>`.
fn end_of_path(rest: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (position, character) in rest.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => return Some(position),
            _ => {}
        }
    }
    None
}

impl Path {
    /// The value of `NAME=value`; empty for a `NAME` alone.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find_map(|parameter| {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_ends_at_the_first_bracket_that_is_not_quoted() {
        let mail = path(r#"from:<"a>\"b"@x.example> SIZE=12 SMTPUTF8"#, "FROM:").unwrap();
        assert_eq!(mail.address, r#""a>\"b"@x.example"#);
        assert_eq!(mail.parameter("size"), Some("12"));
        assert_eq!(mail.parameter("SMTPUTF8"), Some(""));
        assert_eq!(mail.parameter("BODY"), None);
    }

    #[test]
    fn text_that_is_no_path_is_refused() {
        for argument in ["FROM:a@x", "FROM:<a@x", "TO:<a@x>", "FR", ""] {
            assert_eq!(path(argument, "FROM:"), None, "{argument}");
        }
    }
}
