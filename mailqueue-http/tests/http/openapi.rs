//! The document that says what the API is, held against what it does.

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::test_server::TestServer;

async fn document(server: &TestServer) -> Value {
    let reply = server.get("/openapi.json").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    reply.json()
}

#[tokio::test]
async fn the_copy_in_the_repository_is_not_stale() {
    let server = TestServer::open().await;
    let document = serde_json::to_string_pretty(&document(&server).await).unwrap() + "\n";
    let copy = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    if std::env::var_os("MAILQUEUE_RENEW").is_some() {
        std::fs::write(&copy, &document).unwrap();
    }
    let known = std::fs::read_to_string(&copy).unwrap_or_default();
    assert!(
        known == document,
        "mailqueue-http/openapi.json is stale. Renew it, and look at what has changed for clients:\n  \
         MAILQUEUE_RENEW=1 cargo test -p mailqueue-http --test http openapi"
    );
}

/// The members that a schema allows, those of the schemas it is made of included, and those it requires.
fn members(document: &Value, schema: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        return members(document, document.pointer(&reference[1..]).unwrap());
    }
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut known: BTreeSet<String> =
        schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    let mut required: BTreeSet<String> =
        list(&schema["required"]).iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    for part in list(&schema["allOf"]) {
        let (more, needed) = members(document, &part);
        known.extend(more);
        required.extend(needed);
    }
    (known, required)
}

#[track_caller]
fn assert_shape(document: &Value, schema: &str, told: &Value) {
    let (known, required) = members(document, &json!({"$ref": format!("#/components/schemas/{schema}")}));
    let found: BTreeSet<String> = told.as_object().unwrap().keys().cloned().collect();
    assert!(found.is_subset(&known), "{schema} does not know {:?}", found.difference(&known));
    assert!(required.is_subset(&found), "{schema} promises {:?}", required.difference(&found));
}

#[tokio::test]
async fn answers_have_the_shapes_that_are_told() {
    let server = TestServer::open().await;
    let document = document(&server).await;
    let body = json!({
        "to": "a@example.org", "subject": "s", "text": "t", "scheduled_at": "in 1 hour",
        "attachments": [{"filename": "a.txt", "content": "aGk="}],
    });
    let accepted = server.submit(&body.to_string()).await;
    assert_shape(&document, "Accepted", &accepted.json());
    let path = format!("/emails/{}", accepted.id());
    let email = server.get(&path).await.json();
    assert_shape(&document, "Email", &email);
    assert_shape(&document, "FileSummary", &email["attachments"][0]);
    assert_shape(&document, "Recipient", &email["recipients"][0]);
    let list = server.get("/emails").await.json();
    assert_shape(&document, "EmailList", &list);
    assert_shape(&document, "EmailSummary", &list["data"][0]);
    let files = server.get(&format!("{path}/attachments")).await.json();
    assert_shape(&document, "AttachmentList", &files);
    assert_shape(&document, "Attachment", &files["data"][0]);
    let headers = [("Content-Type", "application/json"), ("X-Batch-Validation", "permissive")];
    let batch =
        server.send("POST", "/emails/batch", &headers, format!("[{body},{{}}]").as_bytes()).await.json();
    assert_shape(&document, "Batch", &batch);
    assert_shape(&document, "Refused", &batch["errors"][0]);
    assert_shape(
        &document,
        "Amended",
        &server.send("POST", &format!("{path}/cancel"), &[], b"").await.json(),
    );
    let problem = server.submit("{}").await.json();
    assert_shape(&document, "Problem", &problem);
    assert_shape(&document, "Fault", &problem["errors"][0]);
}

/// What a request may hold is what the document says: a member it names is known, and no other.
#[tokio::test]
async fn requests_may_hold_what_is_told() {
    let server = TestServer::open().await;
    let document = document(&server).await;
    let unknown = async |schema: &str, wrap: &dyn Fn(&str) -> Value, at: &str| {
        let (names, _) = members(&document, &json!({"$ref": format!("#/components/schemas/{schema}")}));
        assert!(!names.is_empty());
        for name in names.iter().map(String::as_str).chain(["no_such_member"]) {
            let told = server.submit(&wrap(name).to_string()).await.json();
            let faults = told["errors"].as_array().cloned().unwrap_or_default();
            let refused = faults.iter().any(|fault| {
                fault["pointer"] == format!("{at}/{name}")
                    && fault["detail"].as_str().unwrap().contains("not a field")
            });
            assert_eq!(refused, name == "no_such_member", "{schema}.{name}: {told}");
        }
    };
    unknown("NewEmail", &|name| json!({ name: {} }), "").await;
    unknown("NewAttachment", &|name| json!({"attachments": [{ name: {} }]}), "/attachments/0").await;
    unknown("Tag", &|name| json!({"tags": [{ name: {} }]}), "/tags/0").await;
}

/// Every operation is answered with a status that the document names, whatever it is sent.
#[tokio::test]
async fn every_operation_is_answered_as_told() {
    let server = TestServer::open().await;
    let document = document(&server).await;
    let id = server.submit(r#"{"to":"a@example.org","subject":"s","text":"t"}"#).await.id();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for id in [&*id, "019353a1-0000-7000-8000-000000000000", "x"] {
                let path = path.replace("{id}", id).replace("{part}", id);
                for base in ["", "/api"] {
                    for (media_type, body) in
                        [("application/json", "{}"), ("text/plain", "x"), ("application/json", "{")]
                    {
                        let headers = [("Content-Type", media_type)];
                        let method = method.to_uppercase();
                        let body = if method == "GET" { "" } else { body };
                        let path = format!("{base}{path}");
                        let status = server.send(&method, &path, &headers, body.as_bytes()).await.status;
                        let told = operation["responses"].get(status.to_string());
                        assert!(told.is_some(), "{method} {path} was answered with {status}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn the_page_needs_nobody_else() {
    let server = TestServer::open().await;
    let document = document(&server).await;
    for path in ["/docs", "/api/docs"] {
        let page = server.get(path).await;
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        let html = page.text();
        let style = html.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).unwrap();
        let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(style));
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with(&format!("default-src 'none'; style-src 'sha256-{hash}';")), "{policy}");
        for elsewhere in ["<script", "<link", "<img", "@import", "url(", "href=\"http", "href=\"//", "src="] {
            assert!(!html.contains(elsewhere), "{elsewhere}");
        }
        assert!(html.contains("name=\"viewport\" content=\"width=device-width"));
        let ids: BTreeSet<&str> =
            html.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        for link in html.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(ids.contains(link), "nothing stands at #{link}");
        }
        for operation in document["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|item| item.as_object().unwrap().values())
        {
            assert!(ids.contains(operation["operationId"].as_str().unwrap()));
        }
        for schema in document["components"]["schemas"].as_object().unwrap().keys() {
            assert!(ids.contains(&**schema), "{schema} is not on the page");
        }
    }
    assert_eq!(server.get("/api/openapi.json").await.json(), document);
}
