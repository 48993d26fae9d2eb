//! Logging in and out.

use hyper::StatusCode;
use time::Duration;
use utoipa::ToSchema;

use super::templates::{LoginRefusal, PAGES};
use crate::app::App;
use crate::auth::SESSION_LIFETIME;
use crate::wire::access::Access;
use crate::wire::cookie;
use crate::wire::problem::Problem;
use crate::wire::problem_schema::Refused;
use crate::wire::request::Request;
use crate::wire::response::{self, Response};
use crate::wire::urlencoded;

/// The pages that a login may lead to. Anything else could lead people to another site.
const DESTINATIONS: [&str; 2] = ["/messages", "/overview"];

/// The longest address to go on to, in octets.
const MAX_NEXT: usize = 1000;

/// The fields of a login.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the schema is used")]
pub(super) struct Login {
    /// An API key.
    #[schema(format = "password")]
    key: String,
    /// The page to go on to.
    #[schema(example = "/messages")]
    next: Option<String>,
}

/// The page to log in at
#[utoipa::path(
    get, path = "/login", tag = "Page", operation_id = "show_login",
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html; charset=utf-8"),
        (status = 303, description = "Somebody is logged in already."),
    ),
)]
pub(crate) async fn show(app: &App, request: &Request) -> Result<Response, Problem> {
    let mut pairs = urlencoded::pairs(request.query().as_bytes()).filter_map(Result::ok);
    let asked = pairs.find(|(name, _)| name == "next");
    let next = next(asked.as_ref().map(|(_, value)| value.as_str()));
    if app.viewer(request)?.is_some() {
        return Ok(response::see_other(&(request.base.to_owned() + &next)));
    }
    Ok(PAGES.login(request, StatusCode::OK, app.has_logins(), &next, None))
}

/// Log in
///
/// With an API key that may look at mail. The cookie lasts for twelve hours and ends with the key.
#[utoipa::path(
    post, path = "/login", tag = "Page", operation_id = "log_in",
    request_body(content = Login, content_type = "application/x-www-form-urlencoded"),
    responses(
        (
            status = 303, description = "Logged in.",
            headers(("Location" = String, description = "The page asked for."),
                ("Set-Cookie" = String, description = "The login."),),
        ),
        Refused<403>, Refused<429>,
    ),
)]
pub(crate) async fn log_in(app: &App, request: &mut Request) -> Result<Response, Problem> {
    request.only_own()?;
    app.count_login(request)?;
    let fields = request.form().await?;
    let key = fields.get("key").unwrap_or_default().trim();
    let client = app.options().api_keys.log_in(key.as_bytes(), app.outbox().clock().now());
    let next = next(fields.get("next"));
    let refusal = match client {
        Some((client, session)) if client.scope().allows(Access::Read) => {
            tracing::info!(event = "login.accepted", tenant = client.tenant(), "somebody has logged in");
            let mut response = response::see_other(&(request.base.to_owned() + &next));
            cookie::set_session(&mut response, &request.head.headers, &session, SESSION_LIFETIME);
            return Ok(response);
        }
        Some(_) => LoginRefusal::Restricted,
        None => LoginRefusal::Invalid,
    };
    tracing::warn!(event = "login.refused", reason = ?refusal, "somebody could not log in");
    Ok(PAGES.login(request, StatusCode::FORBIDDEN, app.has_logins(), &next, Some(refusal)))
}

/// Log out
#[utoipa::path(
    post, path = "/logout", tag = "Page", operation_id = "log_out",
    responses(
        (
            status = 303, description = "Logged out.",
            headers(("Location" = String, description = "The page to log in at."),
                ("Set-Cookie" = String, description = "Takes the login back."),),
        ),
        Refused<403>,
    ),
)]
pub(crate) async fn log_out(_: &App, request: &Request) -> Result<Response, Problem> {
    request.only_own()?;
    let mut response = response::see_other(&format!("{}/login{}", request.base, request.lang_query()));
    cookie::set_session(&mut response, &request.head.headers, "", Duration::ZERO);
    Ok(response)
}

/// Leads a person who is not logged in to the login, and from there back to the page that was asked for. Programs get a
/// problem.
pub(super) fn ask(request: &Request) -> Result<Response, Problem> {
    if !request.accept.html {
        return Err(Problem::not_found("Only people who are logged in see this page."));
    }
    let path = request.head.uri.path_and_query().map_or("/messages", |address| address.as_str());
    let own = path.strip_prefix(request.base).unwrap_or(path);
    // A longer one would be passed over at the login.
    let own = if own.len() <= MAX_NEXT { own } else { DESTINATIONS[0] };
    let next = percent_encoding::utf8_percent_encode(own, percent_encoding::NON_ALPHANUMERIC);
    let lang =
        if request.asks_language() { format!("&lang={}", request.language.tag()) } else { String::new() };
    Ok(response::see_other(&format!("{}/login?next={next}{lang}", request.base)))
}

/// The page to go on to, without the prefix of the service.
fn next(asked: Option<&str>) -> String {
    let is_page = |next: &&str| {
        let path = next.split(['?', '#']).next().unwrap_or_default();
        let is_known = DESTINATIONS.iter().any(|known| {
            path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        // What stands in a header field has to be ASCII without blanks.
        is_known && next.len() <= MAX_NEXT && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
    };
    asked.filter(is_page).unwrap_or(DESTINATIONS[0]).to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_login_leads_to_pages_of_this_service_only() {
        let to = |next: &str| super::next(Some(next));
        for page in ["/messages", "/messages?q=a%20b", "/messages/7/html", "/overview?range=1h"] {
            assert_eq!(to(page), page);
        }
        for other in [
            "",
            "/",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example/messages",
            "/messagesx",
            "/messages\r\nx: y",
            "/messages/ü",
            "messages",
            "/login",
        ] {
            assert_eq!(to(other), "/messages", "{other}");
        }
    }
}
