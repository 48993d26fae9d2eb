//! A row that Postgres refuses fails alone, by its SQLSTATE and in any words.

mod settlement;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use mailqueue_core::contracts::store::{
    Claimed, Inserted, LeaseTerms, Renewal, Settled, Settlement, Submission,
};
use mailqueue_core::domain::report::{Outcome, Reply, Report, Verdict};
use mailqueue_core::store::postgres::{PostgresOptions, PostgresStore};
use mailqueue_core::{DeliveryPolicy, Draft, MessageId, MessageStore, Outbox, Status, StoreError};
use mailqueue_testing::Postgres;
use settlement::settlement;
use uuid::Uuid;

/// The tests' servers do not wait for the disk.
fn lenient() -> PostgresOptions {
    PostgresOptions { allow_unsafe: true, ..PostgresOptions::default() }
}

/// A store of its own, and its database.
async fn store() -> (Arc<PostgresStore>, String) {
    let url = Postgres::shared().database();
    let store = PostgresStore::open(&url.as_str().into(), &lenient()).await;
    (Arc::new(store.expect("an empty database can be migrated")), url)
}

async fn prepared(store: &Arc<PostgresStore>, subjects: &[&str]) -> Vec<Arc<Submission>> {
    let store: Arc<dyn MessageStore> = Arc::clone(store) as _;
    let queue = mailqueue_core::connect::queue(None).expect("a queue in this process");
    let outbox = Outbox::start(store, queue).await;
    let draft = |subject: &str| Draft::new("shop@example.com", "ana@example.org", subject).text("Hello.");
    let prepare = |subject: &&str| Arc::new(outbox.prepare(&[draft(subject)], None).expect("it is right"));
    subjects.iter().map(prepare).collect()
}

/// Has `emails` object to rows with the subject `odd`; `objection` is a statement of PL/pgSQL.
fn object(url: &str, objection: &str) {
    let sql = format!(
        "CREATE OR REPLACE FUNCTION object() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.subject = 'odd' THEN {objection}; END IF; RETURN NEW; END $$;
        DROP TRIGGER IF EXISTS objection ON emails;
        CREATE TRIGGER objection BEFORE INSERT ON emails FOR EACH ROW EXECUTE FUNCTION object()"
    );
    Postgres::shared().query(url, &sql);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_the_host_objects_to_fails_alone() {
    let (store, url) = store().await;
    for objection in [
        "RAISE EXCEPTION 'kein Betreff namens %', NEW.subject",
        "RAISE EXCEPTION USING ERRCODE = '23514', MESSAGE = 'contre les usages'",
        "RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'a own rule'",
        "RAISE EXCEPTION USING ERRCODE = 'MY001'",
        "PERFORM convert_to('日本', 'LATIN1')",
        "PERFORM NEW.subject::int",
        "PERFORM 1 / 0",
    ] {
        object(&url, objection);
        let submissions = prepared(&store, &["one", "odd", "two", "three", "odd"]).await;
        let results = store.insert(submissions).await;
        for (n, result) in results.iter().enumerate() {
            match result {
                Ok(inserted) => {
                    assert!(*inserted == Inserted::Stored && n != 1 && n != 4, "{objection}: {n}")
                }
                Err(StoreError::Refused(words)) => {
                    assert!(n == 1 || n == 4, "{objection}: {words}");
                    assert!(
                        words.message().contains("SQLSTATE") && !words.message().contains("odd"),
                        "{words}"
                    );
                }
                Err(other) => panic!("{objection}: {other}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_row_in_a_large_batch_costs_few_statements() {
    let (store, url) = store().await;
    object(&url, "RAISE EXCEPTION 'no'");
    // A sequence counts on whatever is undone.
    Postgres::shared().query(
        &url,
        "CREATE SEQUENCE tries;
        CREATE FUNCTION tally() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM nextval('tries'); RETURN NULL; END $$;
        CREATE TRIGGER counting BEFORE INSERT ON emails FOR EACH STATEMENT EXECUTE FUNCTION tally()",
    );
    let mut subjects = ["fine"; 128];
    subjects[77] = "odd";
    let results = store.insert(prepared(&store, &subjects).await).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 127);
    assert!(matches!(results[77], Err(StoreError::Refused(_))));
    let tries = Postgres::shared().query(&url, "SELECT last_value::text FROM tries");
    let tries: usize = tries[0][0].as_deref().and_then(|tries| tries.parse().ok()).expect("a number");
    assert!(tries <= 15, "seven halvings, not 129 statements: {tries}");
}

async fn claimed(store: &Arc<PostgresStore>, subjects: &[&str]) -> Vec<Claimed> {
    let submissions = prepared(store, subjects).await;
    let ids: Vec<MessageId> = submissions.iter().flat_map(|submission| submission.ids()).collect();
    for result in store.insert(submissions).await {
        result.expect("it is kept");
    }
    let terms = LeaseTerms {
        owner: "worker".to_owned(),
        token: Uuid::from_u128(7),
        duration: Duration::from_secs(600),
        largest: u64::MAX,
        dot_up_to: None,
    };
    let mut leased = store.claim(&ids, &terms).await.expect("a claim is answered").leased;
    leased.sort_by_key(|claimed| ids.iter().position(|id| *id == claimed.lease.id));
    assert_eq!(leased.len(), subjects.len());
    leased
}

fn refused_with(claimed: &Claimed, text: &str) -> Arc<Settlement> {
    let address = "ana@example.org".parse().expect("an address");
    let outcome = Outcome::Refused(Reply::new(Some(550), text));
    let report = Report {
        relay: Some("smtp://relay.example.com:25".into()),
        dot_sent: true,
        verdict: Verdict::Answered(vec![(address, outcome)]),
    };
    settlement(claimed, report, DeliveryPolicy::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_cannot_be_kept_is_kept_without_its_texts() {
    let (store, _) = store().await;
    let claimed = claimed(&store, &["one", "two", "three"]).await;
    // jsonb has no place for NUL: 22P05.
    let texts = ["5.1.1 nobody there", "5.7.1 \0", "5.1.1 nobody there either"];
    let settlements = claimed.iter().zip(texts).map(|(claimed, text)| refused_with(claimed, text)).collect();
    for result in store.settle(settlements).await {
        assert_eq!(result.expect("it is written down"), Settled::Recorded(Status::Failed));
    }
    for (claimed, text) in claimed.iter().zip(["5.1.1 nobody there", "", "5.1.1 nobody there either"]) {
        let record = store.get(None, claimed.lease.id).await.expect("it is read").expect("it is there");
        let reply = record.delivery.recipients[0].reply.clone().expect("the code at least");
        assert_eq!((reply.code, reply.text.as_str()), (Some(550), text));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_refused_in_any_form_fails_alone() {
    let (store, url) = store().await;
    let claimed = claimed(&store, &["one", "two", "three"]).await;
    let odd = claimed[1].lease.id;
    Postgres::shared().query(
        &url,
        &format!(
            "CREATE FUNCTION object() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.email_id = '{odd}' THEN RAISE 'not this one'; END IF; RETURN NEW; END $$;
            CREATE TRIGGER objection BEFORE UPDATE ON deliveries FOR EACH ROW EXECUTE FUNCTION object()"
        ),
    );
    let settlements = claimed.iter().map(|claimed| refused_with(claimed, "5.1.1 nobody there")).collect();
    let results = store.settle(settlements).await;
    assert_eq!(results[0].as_ref().ok(), Some(&Settled::Recorded(Status::Failed)));
    assert!(matches!(results[1], Err(StoreError::Refused(_))), "{:?}", results[1]);
    assert_eq!(results[2].as_ref().ok(), Some(&Settled::Recorded(Status::Failed)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_every_character_is_refused() {
    let postgres = Postgres::shared();
    let sql = "CREATE DATABASE narrow ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'";
    postgres.query(&postgres.url_for("postgres"), sql);
    let url = postgres.url_for("narrow");
    let opened = PostgresStore::open(&url.into(), &lenient()).await;
    let Some(StoreError::Refused(words)) = opened.err() else { panic!("it was taken") };
    assert!(words.message().contains("LATIN1") && words.message().contains("UTF8"), "{words}");
}

/// A rule of the host's on one message keeps its neighbours from nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_nobody_may_change_keeps_its_neighbours_from_nothing() {
    let (store, url) = store().await;
    let submissions = prepared(&store, &["one", "odd", "two", "three"]).await;
    let ids: Vec<MessageId> = submissions.iter().flat_map(|submission| submission.ids()).collect();
    for result in store.insert(submissions).await {
        result.expect("it is kept");
    }
    let (odd, mut sound) = (ids[1], ids.clone());
    sound.retain(|id| *id != odd);
    let sound: HashSet<MessageId> = sound.into_iter().collect();
    let object = format!(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.email_id = '{odd}' THEN RAISE EXCEPTION 'it is under review'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER keeping BEFORE UPDATE ON deliveries FOR EACH ROW EXECUTE FUNCTION keep()"
    );
    Postgres::shared().query(&url, &object);
    let terms = |duration| LeaseTerms {
        owner: "worker".to_owned(),
        token: Uuid::from_u128(7),
        duration,
        largest: u64::MAX,
        dot_up_to: None,
    };
    let leased =
        store.claim(&ids, &terms(Duration::from_secs(600))).await.expect("a claim is answered").leased;
    assert_eq!(leased.iter().map(|claimed| claimed.lease.id).collect::<HashSet<_>>(), sound);

    let settings = "ALTER TABLE deliveries DISABLE TRIGGER keeping";
    Postgres::shared().query(&url, settings);
    let last =
        store.claim(&[odd], &terms(Duration::from_secs(600))).await.expect("a claim is answered").leased;
    Postgres::shared().query(&url, "ALTER TABLE deliveries ENABLE TRIGGER keeping");
    let renewals: Vec<Renewal> = leased
        .iter()
        .chain(&last)
        .map(|claimed| Renewal { lease: claimed.lease, before_dot: false })
        .collect();
    let held = store.renew(renewals, Duration::from_millis(1)).await.expect("an answer");
    assert_eq!(held, [true, true, true, false]);

    let expire = "ALTER TABLE deliveries DISABLE TRIGGER keeping; UPDATE deliveries SET lease_until = now();
        ALTER TABLE deliveries ENABLE TRIGGER keeping";
    Postgres::shared().query(&url, expire);
    let now = store.now().await.expect("the clock can be read");
    let ended = store.reclaim(now, 10, &DeliveryPolicy::default()).await.expect("leases can be ended");
    assert_eq!(ended.into_iter().map(|reclaimed| reclaimed.id).collect::<HashSet<_>>(), sound);
}
