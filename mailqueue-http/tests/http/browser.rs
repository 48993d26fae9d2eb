//! The form as a person fills it in, in a real browser.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use mailqueue_testing::eventually;
use serde_json::json;
use tempfile::TempDir;

use crate::test_server::TestServer;

/// A driver with a browser of its own, both ended with the test.
struct Browser {
    client: Client,
    _driver: Driver,
    _profile: TempDir,
}

/// The driver's process and those it started.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.0.wait();
    }
}

impl Browser {
    async fn start(scripts: bool) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let driver = Command::new("/usr/bin/chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("chromedriver does not start ({error}): install the packages chromium chromium-driver")
            });
        let driver = Driver(driver);
        let profile = tempfile::tempdir().unwrap();
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--lang=pt-BR",
        ];
        let mut args: Vec<String> = flags.map(str::to_owned).to_vec();
        args.push(format!("--user-data-dir={}", profile.path().display()));
        let allowed = if scripts { 1 } else { 2 };
        let options = json!({
            "args": args,
            "binary": "/usr/bin/chromium",
            "prefs": {
                "intl.accept_languages": "pt-BR,pt",
                "profile.managed_default_content_settings.javascript": allowed,
            },
        });
        let capabilities = [("goog:chromeOptions".to_owned(), options)].into_iter().collect();
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        builder.capabilities(capabilities);
        let (url, mut client) = (format!("http://127.0.0.1:{port}"), None);
        eventually("a browser (packages chromium chromium-driver) starts", async || {
            client = builder.connect(&url).await.ok();
            client.is_some()
        })
        .await;
        Self { client: client.unwrap(), _driver: driver, _profile: profile }
    }
}

async fn fill_in_and_send(scripts: bool) {
    let server = TestServer::open().await;
    let browser = Browser::start(scripts).await;
    let client = &browser.client;
    client.goto(&format!("http://{}/", server.address)).await.unwrap();
    for (id, text) in
        [("para", "ana@example.org"), ("assunto", "Olá, Ana"), ("mensagem", "Tudo bem?\nAté já")]
    {
        client.find(Locator::Id(id)).await.unwrap().send_keys(text).await.unwrap();
    }
    client.find(Locator::Css("button[type=submit]")).await.unwrap().click().await.unwrap();
    let state =
        client.wait().at_most(Duration::from_secs(10)).for_element(Locator::Css(".state h1")).await.unwrap();
    assert_eq!(state.text().await.unwrap(), "Mensagem enfileirada!");
    let stored = server.stored().await;
    assert_eq!(stored.len(), 1);
    assert!(client.current_url().await.unwrap().path().ends_with(&stored[0].id.to_string()));
    assert_eq!(stored[0].summary.subject, "Olá, Ana");
    let record = server.outbox.get(stored[0].id).await.unwrap().unwrap();
    assert_eq!(record.text.unwrap().replace("\r\n", "\n"), "Tudo bem?\nAté já");
    let page = client.find(Locator::Css("main")).await.unwrap().text().await.unwrap();
    assert!(page.contains("ana@example.org") && page.contains("Tudo bem?"));
    // The page finds out by itself what becomes of the message.
    server.outbox.cancel(stored[0].id).await.unwrap();
    let cancelled = Locator::XPath("//h1[text()='A mensagem foi cancelada']");
    client.wait().at_most(Duration::from_secs(10)).for_element(cancelled).await.unwrap();
}

#[tokio::test]
async fn a_person_sends_a_message_and_sees_what_became_of_it() {
    fill_in_and_send(true).await;
}

#[tokio::test]
async fn and_without_javascript() {
    fill_in_and_send(false).await;
}
