//! A store that is out of reach.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mailqueue_core::contracts::store::{
    Backlog, Change, Changed, Claims, DueRange, Idempotency, Inserted, LeaseTerms, Probe, Pruned, Reclaimed,
    Renewal, Retention, Settled, Settlement, Submission,
};
use mailqueue_core::{DeliveryPolicy, Entry, Filter, MessageId, MessageStore, Page, Record, StoreError};
use time::OffsetDateTime;

use crate::test_server::{BROWSER, TestServer, plain};

/// Answers no request; to submissions it says this.
struct Down(StoreError);

impl Default for Down {
    fn default() -> Self {
        Self(StoreError::Unavailable("connection refused".into()))
    }
}

fn down<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("connection refused".into()))
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl MessageStore for Down {
    async fn insert(&self, submissions: Vec<Arc<Submission>>) -> Vec<Result<Inserted, StoreError>> {
        submissions.iter().map(|_| Err(self.0.clone())).collect()
    }
    async fn find_by_key(&self, _: &Idempotency) -> Result<Option<Vec<MessageId>>, StoreError> {
        down()
    }
    async fn get(&self, _: Option<&str>, _: MessageId) -> Result<Option<Record>, StoreError> {
        down()
    }
    async fn list(&self, _: &Filter) -> Result<Page, StoreError> {
        down()
    }
    async fn claim(&self, _: &[MessageId], _: &LeaseTerms) -> Result<Claims, StoreError> {
        down()
    }
    async fn renew(&self, _: Vec<Renewal>, _: Duration) -> Result<Vec<bool>, StoreError> {
        down()
    }
    async fn settle(&self, settlements: Vec<Arc<Settlement>>) -> Vec<Result<Settled, StoreError>> {
        settlements.iter().map(|_| down()).collect()
    }
    async fn due(&self, _: &[DueRange]) -> Result<Vec<Entry>, StoreError> {
        down()
    }
    async fn reclaim(
        &self,
        _: OffsetDateTime,
        _: usize,
        _: &DeliveryPolicy,
    ) -> Result<Vec<Reclaimed>, StoreError> {
        down()
    }
    async fn change(&self, _: Option<&str>, _: MessageId, _: Change) -> Result<Changed, StoreError> {
        down()
    }
    async fn probe(&self) -> Result<Probe, StoreError> {
        down()
    }
    async fn now(&self) -> Result<OffsetDateTime, StoreError> {
        down()
    }
    async fn backlog(&self, _: u64) -> Result<Backlog, StoreError> {
        down()
    }
    async fn prune(&self, _: &Retention, _: usize) -> Result<Pruned, StoreError> {
        down()
    }
}

#[tokio::test]
async fn everything_that_needs_it_is_a_503_with_retry_after() {
    let server = TestServer::on(Arc::new(Down::default()), "127.0.0.1:0", plain()).await;
    let replies = [
        server.submit(r#"{"to":"a@example.org","subject":"s","text":"t"}"#).await,
        server.fill_in("assunto=a&mensagem=b", &[]).await,
        server.get("/emails").await,
        server.get("/emails/019353a1-0000-7000-8000-000000000000").await,
        server.get("/messages").await,
        server.get("/readyz").await,
        server.get("/api/readyz").await,
    ];
    for reply in replies {
        let problem = reply.assert_problem(503, "service_unavailable");
        assert!(reply.header("retry-after").is_some());
        assert!(!problem.to_string().contains("connection refused"), "a reason is for the log alone");
    }
    assert!(server.get("/readyz").await.json()["detail"].as_str().unwrap().contains("store"));
    assert_eq!(server.get("/livez").await.status, 200);
    let page = server.fill_in("assunto=a&mensagem=b", &[BROWSER]).await;
    assert_eq!(page.status, 503);
    assert!(page.header("retry-after").is_some() && page.text().contains("<h1>"));
}

#[tokio::test]
async fn a_message_that_the_store_refuses_for_good_is_a_422() {
    let store = Down(StoreError::Refused("a check says no".into()));
    let server = TestServer::on(Arc::new(store), "127.0.0.1:0", plain()).await;
    let reply = server.submit(r#"{"to":"a@example.org","subject":"s","text":"t"}"#).await;
    let problem = reply.assert_problem(422, "validation_error");
    assert!(reply.header("retry-after").is_none());
    assert!(!problem.to_string().contains("a check"), "a reason is for the log alone");
}
