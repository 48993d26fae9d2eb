//! The templates of the pages, rendered.

use std::sync::LazyLock;

use hyper::StatusCode;
use mailqueue_core::domain::record::Record;
use mailqueue_core::domain::search::SearchError;
use mailqueue_core::domain::validation::FieldError;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::list_query::Query;
use super::list_view::ListView;
use super::message_view::View;
use super::translations::Words;
use crate::app::App;
use crate::shown_content::ShownContent;
use crate::viewer::Viewer;
use crate::wire::language::Language;
use crate::wire::origin::is_tls;
use crate::wire::problem::Problem;
use crate::wire::request::Request;
use crate::wire::response::{self, Response};

/// The style of the pages.
const STYLE: &str = include_str!("static/style.css");

/// The page with an empty form whose mail goes to a fixed recipient, as `form.html` gives it. A test renews the files.
const PLAIN: [(Language, &str); 2] = [
    (Language::Portuguese, include_str!("static/index.pt.html")),
    (Language::English, include_str!("static/index.en.html")),
];

const TEMPLATES: [(&str, &str); 7] = [
    ("layout.html", include_str!("templates/layout.html")),
    ("time.html", include_str!("templates/time.html")),
    ("form.html", include_str!("templates/form.html")),
    ("login.html", include_str!("templates/login.html")),
    ("message.html", include_str!("templates/message.html")),
    ("messages.html", include_str!("templates/messages.html")),
    ("problem.html", include_str!("templates/problem.html")),
];

/// The form as the page offers it.
pub(crate) struct FormView {
    /// True where there is a form at all.
    pub(crate) open: bool,
    /// True where a recipient may be named.
    pub(crate) to: bool,
    /// True where one must be named.
    pub(crate) to_required: bool,
}

/// The values in the form.
#[derive(Default)]
pub(crate) struct FormValues<'f> {
    /// The subject.
    pub(crate) subject: &'f str,
    /// The message.
    pub(crate) message: &'f str,
    /// The recipient.
    pub(crate) to: &'f str,
    /// Its errors.
    pub(crate) errors: &'f [FormError],
}

/// An error in a field of the form.
#[derive(Debug)]
pub(crate) struct FormError {
    /// The sentence that a person gets to read, by its name in the page's words.
    pub(crate) key: &'static str,
    /// The fault for programs.
    pub(crate) fault: FieldError,
}

/// The reason for which somebody is not logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoginRefusal {
    /// The key is not valid.
    Invalid,
    /// The key may only send.
    Restricted,
}

/// All pages, in all languages.
pub(crate) struct Pages {
    templates: Environment<'static>,
    words: Words,
    /// Changes with the style, so that no browser keeps an old one.
    style: String,
}

/// `GET /static/style.css`
pub(crate) async fn style(_: &App, _: &Request) -> Result<Response, Problem> {
    let mut response = response::of(StatusCode::OK, "text/css; charset=utf-8", STYLE);
    response::keep(&mut response);
    Ok(response)
}

/// Parses the templates, so that no request waits for it.
pub(crate) fn load() {
    LazyLock::force(&PAGES);
}

/// The page for a problem.
pub(crate) fn problem(request: &Request, problem: &Problem) -> Response {
    PAGES.problem(request, problem)
}

/// The pages: they depend on nothing that is known only at run time.
pub(super) static PAGES: LazyLock<Pages> = LazyLock::new(Pages::new);

impl Pages {
    /// The pages as they stand in this crate.
    fn new() -> Self {
        let mut templates = Environment::new();
        // A misspelt name becomes an error, which the tests find.
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_auto_escape_callback(|_| AutoEscape::Html);
        for (name, source) in TEMPLATES {
            templates.add_template(name, source).expect("the tests render every template");
        }
        let digest = Sha256::digest(STYLE);
        let style = digest[..6].iter().map(|b| format!("{b:02x}")).collect();
        Self { templates, words: Words::new(), style }
    }

    /// The page with the form.
    pub(crate) fn form(
        &self,
        request: &Request,
        status: StatusCode,
        invite: &FormView,
        filled: &FormValues<'_>,
    ) -> Response {
        let fixed = invite.open && !invite.to;
        // The fixed page has links without the prefix and no place for errors.
        if fixed && request.base.is_empty() && status == StatusCode::OK {
            let found = PLAIN.iter().find(|(language, _)| *language == request.language);
            if let Some((_, page)) = found {
                return response::html(status, (*page).to_owned());
            }
        }
        self.render(
            Frame::of(request),
            status,
            "form.html",
            self.form_context(request.language, invite, filled),
        )
    }

    fn form_context(&self, language: Language, invite: &FormView, filled: &FormValues<'_>) -> Value {
        let sentence = |prefix: &str| {
            let error = filled.errors.iter().find(|error| error.key.starts_with(prefix))?;
            Some(self.words.of(language, error.key))
        };
        context! {
            open => invite.open,
            to_shown => invite.to,
            to_required => invite.to_required,
            subject => filled.subject,
            message => filled.message,
            to => filled.to,
            subject_error => sentence("subject"),
            message_error => sentence("message"),
            to_error => sentence("to"),
        }
    }

    /// The page to log in at; `possible` where a key is set that could.
    pub(super) fn login(
        &self,
        request: &Request,
        status: StatusCode,
        possible: bool,
        next: &str,
        refusal: Option<LoginRefusal>,
    ) -> Response {
        let refusal = refusal.map(|refusal| match refusal {
            LoginRefusal::Invalid => "invalid",
            LoginRefusal::Restricted => "restricted",
        });
        let secure = is_tls(&request.head.headers) || request.local;
        let page = context! { possible, next, refusal, secure };
        self.render(Frame::of(request), status, "login.html", page)
    }

    /// The page of one message, for a viewer or for anybody.
    pub(super) fn message(
        &self,
        request: &Request,
        record: &Record,
        viewer: Option<&Viewer>,
        now: OffsetDateTime,
    ) -> Response {
        let has = |pair: &str| request.query().split('&').any(|other| other == pair);
        let shown = viewer.map_or(ShownContent::None, |viewer| viewer.shown);
        let view = View::of(record, shown, viewer.is_some_and(|viewer| viewer.may_change), now);
        let page = context! {
            m => Value::from(Serde(view)),
            still => has("refresh=off"),
            pictures => has("pictures=1"),
        };
        self.render(Frame::of(request).with(viewer), StatusCode::OK, "message.html", page)
    }

    /// The page that lists messages; without a list the search is at fault.
    pub(super) fn messages(
        &self,
        request: &Request,
        viewer: &Viewer,
        query: &Query,
        list: Option<ListView>,
    ) -> Response {
        let status = if list.is_some() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let page = context! {
            q => query.text.as_str(),
            fault => match &query.search {
                Err(error) => Some(fault(error)),
                Ok(_) if list.is_none() => Some(context! { kind => "hidden", name => "", similar => () }),
                Ok(_) => None,
            },
            changed => query.changed.map(|changed| Value::from(Serde(changed))),
            may_change => viewer.may_change,
            list => list.map(|list| Value::from(Serde(list))),
        };
        self.render(Frame::of(request).with(Some(viewer)), status, "messages.html", page)
    }

    /// The page that says what went wrong.
    fn problem(&self, request: &Request, problem: &Problem) -> Response {
        let is_time = |fault: &FieldError| ["/at", "/scheduled_at"].contains(&fault.pointer.as_str());
        let key = match problem.status.as_u16() {
            _ if problem.name == "restricted_api_key" => "problem_restricted",
            _ if problem.name == "invalid_state" => "problem_state",
            422 if problem.faults.iter().any(is_time) => "problem_time",
            403 => "problem_forbidden",
            404 => "problem_not_found",
            405 => "problem_method",
            413 => "problem_large",
            429 => "problem_often",
            400..=499 => "problem_request",
            503 => "problem_later",
            _ => "problem_broken",
        };
        let sentence = self.words.of(request.language, key);
        let page = context! { code => problem.status.as_u16(), sentence => sentence };
        let mut response = self.render(Frame::of(request), problem.status, "problem.html", page);
        problem.mark(&mut response);
        response
    }

    fn render(&self, frame: Frame<'_>, status: StatusCode, template: &str, page: Value) -> Response {
        match self.rendered(frame, template, page) {
            Ok(html) => response::html(status, html),
            Err(error) => {
                // The kind names no value; the rest of the error may quote one.
                tracing::error!(event = "page.failed", template, kind = %error.kind(), line = error.line(), "a page cannot be shown");
                Problem::broken().into_response(false)
            }
        }
    }

    fn rendered(&self, frame: Frame<'_>, template: &str, page: Value) -> Result<String, minijinja::Error> {
        let frame = context! {
            w => self.words.all(frame.language),
            lang => frame.language.tag(),
            languages => Language::ALL.map(Language::tag),
            base => frame.base,
            style => self.style.as_str(),
            path => frame.path,
            asked => frame.asked,
            viewer => frame.viewer,
            has_session => frame.has_session,
        };
        self.templates.get_template(template)?.render(context! { ..page, ..frame })
    }
}

/// A fault of a search, for the words of the pages.
fn fault(error: &SearchError) -> Value {
    let (kind, name, similar) = match error {
        SearchError::UnknownQualifier { name, similar } => ("unknown", name.as_str(), *similar),
        SearchError::Repeated { qualifier } => ("twice", *qualifier, None),
        SearchError::Value { qualifier, .. } => ("value", *qualifier, None),
        _ => ("unclosed", "", None),
    };
    context! { kind, name, similar }
}

/// The frame of a page.
struct Frame<'r> {
    language: Language,
    /// The prefix of every address: nothing or `/api`.
    base: &'r str,
    path: &'r str,
    /// True where the address names the language, so that links have to.
    asked: bool,
    /// The name of whoever is logged in.
    viewer: Option<&'r str>,
    /// True where this person can log out here.
    has_session: bool,
}

impl<'r> Frame<'r> {
    fn of(request: &'r Request) -> Self {
        let asked = request.asks_language();
        let (language, base, path) = (request.language, request.base, &*request.path);
        Self { language, base, path, asked, viewer: None, has_session: false }
    }

    /// The same for whoever is logged in.
    fn with(self, viewer: Option<&'r Viewer>) -> Self {
        let name = viewer.and_then(|viewer| viewer.name.as_deref());
        Self { viewer: name, has_session: viewer.is_some_and(|viewer| viewer.has_session), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A difference means that `form.html`, the words or the style have changed: run the test once more with
    /// `RENEW_PAGES=1` and look at what it has written.
    #[test]
    fn the_static_pages_are_what_the_template_gives() {
        let pages = Pages::new();
        let invite = FormView { open: true, to: false, to_required: false };
        for (language, page) in PLAIN {
            let frame =
                Frame { language, base: "", path: "/", asked: true, viewer: None, has_session: false };
            let context = pages.form_context(language, &invite, &FormValues::default());
            let rendered = pages.rendered(frame, "form.html", context).unwrap();
            if std::env::var_os("RENEW_PAGES").is_some() {
                let file = format!("src/pages/static/index.{}.html", language.tag());
                std::fs::write(file, &rendered).unwrap();
            } else {
                assert_eq!(page, rendered, "{}: see this test's comment", language.tag());
            }
        }
    }
}
