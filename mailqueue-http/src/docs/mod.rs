//! The API's page for people, made from the document for programs. It loads nothing and runs no script.

use hyper::header::HeaderValue;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

const PAGE: &str = include_str!("page.html");

/// The style: in the page itself, so that no other request is needed.
const STYLE: &str = include_str!("style.css");

/// The page; nothing on it depends on a request.
pub(crate) struct Docs {
    /// Its HTML.
    pub(crate) html: String,
    /// The Content-Security-Policy that allows its style alone.
    pub(crate) policy: HeaderValue,
}

impl Docs {
    /// The page of a document.
    pub(crate) fn of(document: &Json) -> Self {
        use base64::Engine;
        let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        let policy = HeaderValue::from_str(&policy).expect("a hash in base64 is ASCII");
        Self { html: render(document), policy }
    }
}

fn render(document: &Json) -> String {
    let mut templates = Environment::new();
    // Most members of an OpenAPI document are optional.
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
    // Escaped first, so that only the tags added below are tags.
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let parts = escaped.split('`').enumerate();
    let marked =
        parts.map(|(n, part)| if n % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() });
    Value::from_safe_string(marked.collect())
}
