//! The Accept header (RFC 9110 section 12.5.1).

use hyper::header::{ACCEPT, HeaderMap};

/// The formats that a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accept {
    /// A page rather than data.
    pub(crate) html: bool,
    /// `application/problem+json` by name.
    pub(crate) problem: bool,
}

impl Accept {
    /// Reads the Accept header. Only named types count, so a client that takes anything gets data.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let (mut html, mut json, mut problem) = (0.0, 0.0, 0.0);
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        for (name, weight) in values.flat_map(weighted) {
            match name.as_str() {
                "text/html" | "application/xhtml+xml" => html = weight.max(html),
                "application/json" => json = weight.max(json),
                "application/problem+json" => problem = weight.max(problem),
                _ => {}
            }
        }
        Self { html: html > 0.0 && html >= json && html >= problem, problem: problem > 0.0 }
    }
}

/// The entries of an Accept-like header in lower case with their weights (RFC 9110 section 12.4.2).
pub(crate) fn weighted(value: &str) -> impl Iterator<Item = (String, f32)> {
    value.split(',').map(|entry| {
        let mut parts = entry.split(';');
        let name = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let weight = parts.find_map(|parameter| parameter.trim().strip_prefix("q=")?.trim().parse().ok());
        (name, weight.filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(1.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::headers;

    #[test]
    fn a_browser_gets_pages_and_a_program_data() {
        let accept = |accept: &str| Accept::of(&headers(&[("accept", accept)]));
        assert!(accept("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8").html);
        assert!(!accept("*/*").html);
        assert!(!accept("application/json, text/html;q=0.5").html);
        assert!(!accept("text/html;q=0").html);
        assert!(accept("application/problem+json").problem);
        assert!(!accept("application/json").problem);
    }
}
