//! The languages of the page.

use hyper::header::ACCEPT_LANGUAGE;
use hyper::http::request::Parts;

use crate::wire::accept::weighted;

/// A language that the page speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Language {
    /// Portuguese, the language it grew up with.
    #[default]
    Portuguese,
    /// English.
    English,
}

impl Language {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::Portuguese, Self::English];

    /// The language asked for by `?lang=`, else the one that the browser likes best.
    pub(crate) fn of(head: &Parts) -> Self {
        let pairs = head.uri.query().unwrap_or_default().split('&');
        if let Some(asked) = pairs.filter_map(|pair| pair.strip_prefix("lang=")).find_map(Self::tagged) {
            return asked;
        }
        let mut best = (0.0, Self::default());
        let values = head.headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok());
        for (tag, weight) in values.flat_map(weighted) {
            // Of several that are liked alike the first counts.
            if let Some(language) = Self::tagged(&tag).filter(|_| weight > best.0) {
                best = (weight, language);
            }
        }
        best.1
    }

    fn tagged(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| language.tag() == primary)
    }

    /// Its tag (RFC 5646).
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::Portuguese => "pt",
            Self::English => "en",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn language(uri: &str, accepted: &str) -> Language {
        let request = hyper::Request::builder().uri(uri).header(ACCEPT_LANGUAGE, accepted);
        Language::of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn the_query_wins_over_the_browser_over_portuguese() {
        assert_eq!(language("/", "en-GB,pt;q=0.8"), Language::English);
        assert_eq!(language("/", "de,en;q=0.3,pt-BR;q=0.8"), Language::Portuguese);
        assert_eq!(language("/", "de"), Language::Portuguese);
        assert_eq!(language("/?x=1&lang=en", "pt"), Language::English);
        assert_eq!(language("/?lang=xx", "en"), Language::English);
    }
}
