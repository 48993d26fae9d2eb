//! Every address that is answered.

use hyper::Method;
use matchit::Router;

/// What an address stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// The page with the form, and what it sends.
    Form,
    /// Messages, for programs.
    Emails,
    /// One message, for programs.
    Email,
    /// Messages, as a page.
    Messages,
    /// One message, as a page.
    Message,
    /// How the pages look.
    Style,
    /// Whether the process runs.
    Live,
    /// Whether it can do its work.
    Ready,
    /// What was measured.
    Metrics,
}

impl Route {
    const ALL: [Self; 9] = [
        Self::Form,
        Self::Emails,
        Self::Email,
        Self::Messages,
        Self::Message,
        Self::Style,
        Self::Live,
        Self::Ready,
        Self::Metrics,
    ];

    /// The address, as logs and metrics name it. It stands under `/api` as well.
    pub(crate) fn template(self) -> &'static str {
        match self {
            Self::Form => "/",
            Self::Emails => "/emails",
            Self::Email => "/emails/{id}",
            Self::Messages => "/messages",
            Self::Message => "/messages/{id}",
            Self::Style => "/static/style.css",
            Self::Live => "/livez",
            Self::Ready => "/readyz",
            Self::Metrics => "/metrics",
        }
    }

    /// The methods it answers to.
    pub(crate) fn allow(self) -> &'static str {
        match self {
            Self::Form | Self::Emails => "GET, HEAD, POST",
            _ => "GET, HEAD",
        }
    }

    /// Whether a key that may only send may ask for this.
    pub(crate) fn hands_over(self, method: &Method) -> bool {
        method == Method::POST && ["/emails", "/emails/batch"].contains(&self.template())
    }

    /// Whether people look at it.
    pub(crate) fn is_page(self) -> bool {
        matches!(self, Self::Form | Self::Messages | Self::Message)
    }
}

/// A known address.
pub(crate) struct Found {
    /// What it stands for.
    pub(crate) route: Route,
    /// What stood in front of it: nothing or `/api`.
    pub(crate) base: &'static str,
    /// The id in it; empty where there is none.
    pub(crate) id: String,
}

/// The table of addresses.
pub(crate) struct Routes(Router<(Route, &'static str)>);

impl Routes {
    /// The table: every route at `/` and under `/api`, and the form at `/api` itself.
    pub(crate) fn new() -> Self {
        let mut router = Router::new();
        let mut insert = |path: String, route, base| {
            router.insert(path, (route, base)).expect("the templates above are valid and differ");
        };
        for route in Route::ALL {
            insert(route.template().to_owned(), route, "");
            insert(format!("/api{}", route.template()), route, "/api");
        }
        insert("/api".to_owned(), Route::Form, "/api");
        Self(router)
    }

    /// What stands at an address.
    pub(crate) fn find(&self, path: &str) -> Option<Found> {
        let found = self.0.at(path).ok()?;
        let (route, base) = *found.value;
        Some(Found { route, base, id: found.params.get("id").unwrap_or_default().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_stands_at_both_places() {
        let routes = Routes::new();
        let found = |path: &str| routes.find(path).map(|found| (found.route, found.base, found.id));
        assert_eq!(found("/"), Some((Route::Form, "", String::new())));
        assert_eq!(found("/api"), Some((Route::Form, "/api", String::new())));
        assert_eq!(found("/api/"), Some((Route::Form, "/api", String::new())));
        assert_eq!(found("/api/emails/7"), Some((Route::Email, "/api", "7".into())));
        for nowhere in ["", "*", "/emails/", "/api/api", "/emails/1/2", "/apix", "//"] {
            assert_eq!(found(nowhere), None, "{nowhere}");
        }
    }
}
