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
    /// Several messages at once, for programs.
    Batch,
    /// One message, for programs.
    Email,
    /// Withdrawing it.
    Cancel,
    /// Trying it again now.
    Retry,
    /// The files that go with it.
    Attachments,
    /// One of them.
    Attachment,
    /// What is in it.
    Content,
    /// Messages, as a page.
    Messages,
    /// One message, as a page.
    Message,
    /// How the pages look.
    Style,
    /// What all this is, for programs.
    OpenApi,
    /// The same for people.
    Docs,
    /// Whether the process runs.
    Live,
    /// Whether it can do its work.
    Ready,
    /// What was measured.
    Metrics,
}

impl Route {
    /// All of them.
    pub(crate) const ALL: [Self; 17] = [
        Self::Form,
        Self::Emails,
        Self::Batch,
        Self::Email,
        Self::Cancel,
        Self::Retry,
        Self::Attachments,
        Self::Attachment,
        Self::Content,
        Self::Messages,
        Self::Message,
        Self::Style,
        Self::OpenApi,
        Self::Docs,
        Self::Live,
        Self::Ready,
        Self::Metrics,
    ];

    /// The address, as logs and metrics name it. It stands under `/api` as well.
    pub(crate) fn template(self) -> &'static str {
        match self {
            Self::Form => "/",
            Self::Emails => "/emails",
            Self::Batch => "/emails/batch",
            Self::Email => "/emails/{id}",
            Self::Cancel => "/emails/{id}/cancel",
            Self::Retry => "/emails/{id}/retry",
            Self::Attachments => "/emails/{id}/attachments",
            Self::Attachment => "/emails/{id}/attachments/{part}",
            Self::Content => "/emails/{id}/attachments/{part}/content",
            Self::Messages => "/messages",
            Self::Message => "/messages/{id}",
            Self::Style => "/static/style.css",
            Self::OpenApi => "/openapi.json",
            Self::Docs => "/docs",
            Self::Live => "/livez",
            Self::Ready => "/readyz",
            Self::Metrics => "/metrics",
        }
    }

    /// The methods it answers to.
    pub(crate) fn allow(self) -> &'static str {
        match self {
            Self::Form | Self::Emails => "GET, HEAD, POST",
            Self::Email => "GET, HEAD, PATCH",
            Self::Batch | Self::Cancel | Self::Retry => "POST",
            _ => "GET, HEAD",
        }
    }

    /// Whether a key that may only send may ask for this.
    pub(crate) fn hands_over(self, method: &Method) -> bool {
        method == Method::POST && matches!(self, Self::Emails | Self::Batch)
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
    /// The id of a part of what the first id names; empty where there is none.
    pub(crate) part: String,
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
        let parameter = |name| found.params.get(name).unwrap_or_default().to_owned();
        Some(Found { route, base, id: parameter("id"), part: parameter("part") })
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
        assert_eq!(found("/emails/batch"), Some((Route::Batch, "", String::new())));
        assert_eq!(found("/emails/7/attachments/8"), Some((Route::Attachment, "", "7".into())));
        assert_eq!(routes.find("/emails/7/attachments/8/content").map(|found| found.part), Some("8".into()));
        for nowhere in ["", "*", "/emails/", "/api/api", "/emails/1/2", "/apix", "//"] {
            assert_eq!(found(nowhere), None, "{nowhere}");
        }
    }
}
