//! The API's page for people, made from the document for programs. It asks nobody else for anything and runs nothing.

use std::sync::LazyLock;

use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::api::openapi;
use crate::app::App;
use crate::wire::problem::Problem;
use crate::wire::request::Request;
use crate::wire::response::{self, Response};

const PAGE: &str = include_str!("page.html");

/// How it looks: in the page itself, so that no other request is needed.
const STYLE: &str = include_str!("style.css");

/// The page, made once: nothing on it depends on who asks.
struct Docs {
    page: String,
    policy: HeaderValue,
}

static DOCS: LazyLock<Docs> = LazyLock::new(Docs::new);

impl Docs {
    /// The page of the document.
    fn new() -> Self {
        use base64::Engine;
        let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        let policy = HeaderValue::from_str(&policy).expect("a hash in base64 is ASCII");
        let document = serde_json::to_value(openapi::document()).expect("the document is JSON by its nature");
        Self { page: render(&document), policy }
    }
}

/// `GET /docs`
pub(crate) async fn show(_: &App, _: &Request) -> Result<Response, Problem> {
    let mut response = response::html(StatusCode::OK, DOCS.page.clone());
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, DOCS.policy.clone());
    Ok(response)
}

/// Renders the page, so that no request waits for it.
pub(crate) fn load() {
    LazyLock::force(&DOCS);
}

fn render(document: &Json) -> String {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Chainable);
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    templates.add_filter("code", code);
    templates.add_filter("name", name);
    templates.add_template("page.html", PAGE).expect("the tests render the template");
    let page =
        context! { doc => Value::from(Serde(document)), style => Value::from_safe_string(STYLE.to_owned()) };
    let page = templates.get_template("page.html").and_then(|template| template.render(page));
    page.expect("the tests render the template")
}

/// The name of the schema that is referred to.
fn name(reference: &str) -> String {
    reference.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Text with what stands in backticks as code.
fn code(text: &str) -> Value {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let parts = escaped.split('`').enumerate();
    let marked =
        parts.map(|(n, part)| if n % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() });
    Value::from_safe_string(marked.collect())
}
