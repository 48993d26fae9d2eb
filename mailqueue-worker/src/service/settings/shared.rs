//! The settings of whatever touches deliveries.

use std::time::Duration;

use clap::Args;
use mailqueue_core::health::HealthOptions;
use mailqueue_core::{DeliveryPolicy, LaneWeights, OnUnknown, Retention, RetryPolicy};
use secrecy::SecretString;

use super::checked::ServiceSettings;
use super::faults::Faults;
use crate::service::logging::LogFormat;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// With less, the largest messages that are taken in would stand in one another's way at every step.
const LEAST_MEMORY: u64 = 32 << 20;

/// The settings both binaries take, as they are given. Secrets can be given as files too.
#[derive(Debug, Clone, Args)]
pub struct SharedArgs {
    /// Where messages are kept: postgres://… or sqlite://FILE
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,
    /// A file that holds the database URL
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE")]
    database_url_file: Option<String>,
    /// The queue: redis://… or rediss://…; without one it is in this process
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL")]
    redis_url: Option<String>,
    /// A file that holds the Redis URL
    #[arg(long, env = "REDIS_URL_FILE", value_name = "FILE")]
    redis_url_file: Option<String>,
    /// Relays in order: smtp://, smtps:// (user:password@), comma separated; or file://DIR
    #[arg(long, env = "SMTP_URL", hide_env_values = true, value_name = "URLS")]
    smtp_url: Option<String>,
    /// A file that holds the relays
    #[arg(long, env = "SMTP_URL_FILE", value_name = "FILE")]
    smtp_url_file: Option<String>,
    /// Bring the database's tables up to date at start
    #[arg(long, env = "MAILQUEUE_MIGRATE", default_value = "true", value_name = "BOOL")]
    migrate: String,
    /// Work on a Postgres server that has fsync, full_page_writes or synchronous_commit off and may lose accepted mail
    #[arg(long, env = "MAILQUEUE_ALLOW_UNSAFE_DATABASE", default_value = "false", value_name = "BOOL")]
    allow_unsafe_database: String,
    /// The name of the queue: several deployments can share a Redis
    #[arg(long, env = "MAILQUEUE_QUEUE_NAME", default_value = "default", value_name = "NAME")]
    queue_name: String,
    /// How long a worker holds a message without renewing its lease
    #[arg(long, env = "MAILQUEUE_LEASE", default_value = "60s", value_name = "DURATION")]
    lease: String,
    /// How often to look for what was left behind
    #[arg(long, env = "MAILQUEUE_SWEEP_INTERVAL", default_value = "1s", value_name = "DURATION")]
    sweep_interval: String,
    /// How long the database must have been taking writes before a lost lease is believed [default: a quarter of the
    /// lease, at least 2s]
    #[arg(long, env = "MAILQUEUE_GRACE", value_name = "DURATION")]
    grace: Option<String>,
    /// A message whose outcome was lost: retry (at least once) or hold (at most once)
    #[arg(long, env = "MAILQUEUE_ON_UNKNOWN", default_value = "retry", value_name = "retry|hold")]
    on_unknown: String,
    /// How long finished messages are kept
    #[arg(long, env = "MAILQUEUE_RETENTION", default_value = "30d", value_name = "DURATION")]
    retention: String,
    /// How long the content of finished messages is kept [default: as long as the messages]
    #[arg(long, env = "MAILQUEUE_CONTENT_RETENTION", value_name = "DURATION")]
    content_retention: Option<String>,
    /// How lanes share what is sent while all hold mail: urgent,normal,bulk
    #[arg(long, env = "MAILQUEUE_LANE_WEIGHTS", default_value = "8,4,1", value_name = "N,N,N")]
    lane_weights: String,
    /// How much memory messages under way may take in this process, such as 256MiB
    #[arg(long, env = "MAILQUEUE_MEMORY", default_value = "128MiB", value_name = "SIZE")]
    memory: String,
    /// The longest wait before the second attempt; later ones double it
    #[arg(long, env = "MAILQUEUE_RETRY_FIRST", default_value = "30s", value_name = "DURATION")]
    retry_first: String,
    /// The longest wait between attempts
    #[arg(long, env = "MAILQUEUE_RETRY_CAP", default_value = "4h", value_name = "DURATION")]
    retry_cap: String,
    /// How long a message is tried
    #[arg(long, env = "MAILQUEUE_RETRY_FOR", default_value = "3d", value_name = "DURATION")]
    retry_for: String,
    /// How long to drain after SIGTERM
    #[arg(long, env = "MAILQUEUE_SHUTDOWN_GRACE", default_value = "25s", value_name = "DURATION")]
    shutdown_grace: String,
    /// What to log: trace, debug, info, warn or error, also by module
    #[arg(long, env = "MAILQUEUE_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
    /// How log lines look
    #[arg(long, env = "MAILQUEUE_LOG_FORMAT", default_value = "text", value_name = "text|json")]
    log_format: String,
}

impl SharedArgs {
    /// What the arguments ask for; every fault is added to `faults`.
    pub fn resolve(&self, faults: &mut Faults) -> ServiceSettings {
        let database = self.secret("DATABASE_URL", &self.database_url, &self.database_url_file, faults);
        let smtp = self.secret("SMTP_URL", &self.smtp_url, &self.smtp_url_file, faults);
        let lease = faults.duration("MAILQUEUE_LEASE", &self.lease, SECOND, DAY);
        let sweep_interval =
            faults.duration("MAILQUEUE_SWEEP_INTERVAL", &self.sweep_interval, SECOND / 100, SECOND * 60);
        if lease < sweep_interval * 3 && !lease.is_zero() {
            faults.add("MAILQUEUE_LEASE", "must be at least three times MAILQUEUE_SWEEP_INTERVAL");
        }
        let grace = self.grace.as_deref().map_or(HealthOptions::for_lease(lease).grace, |text| {
            faults.duration("MAILQUEUE_GRACE", text, Duration::ZERO, DAY)
        });
        let migrate = faults.switch("MAILQUEUE_MIGRATE", &self.migrate);
        let allow_unsafe = faults.switch("MAILQUEUE_ALLOW_UNSAFE_DATABASE", &self.allow_unsafe_database);
        let (log_format, log) = (self.log_format(faults), self.log.clone());
        ServiceSettings {
            database: database.unwrap_or_else(|| SecretString::from("sqlite://mailqueue.db")),
            redis: self.secret("REDIS_URL", &self.redis_url, &self.redis_url_file, faults),
            relays: smtp.unwrap_or_else(|| SecretString::from("file://outbox")),
            migrate,
            allow_unsafe,
            queue_name: self.queue_name.clone(),
            lease,
            sweep_interval,
            grace,
            policy: self.policy(faults),
            retention: self.retention(faults),
            lane_weights: self.lane_weights(faults),
            memory: faults.size("MAILQUEUE_MEMORY", &self.memory, LEAST_MEMORY),
            shutdown_grace: faults.duration(
                "MAILQUEUE_SHUTDOWN_GRACE",
                &self.shutdown_grace,
                SECOND / 10,
                DAY,
            ),
            log,
            log_format,
        }
    }

    fn secret(
        &self,
        name: &str,
        value: &Option<String>,
        file: &Option<String>,
        faults: &mut Faults,
    ) -> Option<SecretString> {
        faults.secret(name, value.as_deref(), file.as_deref())
    }

    fn policy(&self, faults: &mut Faults) -> DeliveryPolicy {
        let year = DAY * 366;
        let retry = RetryPolicy {
            first: faults.duration("MAILQUEUE_RETRY_FIRST", &self.retry_first, SECOND / 100, DAY),
            cap: faults.duration("MAILQUEUE_RETRY_CAP", &self.retry_cap, SECOND / 100, DAY * 7),
            give_up_after: faults.duration("MAILQUEUE_RETRY_FOR", &self.retry_for, SECOND, year),
        };
        let on_unknown = match self.on_unknown.as_str() {
            "retry" => OnUnknown::Retry,
            "hold" => OnUnknown::Hold,
            _ => {
                faults.add("MAILQUEUE_ON_UNKNOWN", "must be retry or hold");
                OnUnknown::Retry
            }
        };
        DeliveryPolicy { retry, on_unknown, ..DeliveryPolicy::default() }
    }

    fn retention(&self, faults: &mut Faults) -> Retention {
        let century = DAY * 36_525;
        let record = faults.duration("MAILQUEUE_RETENTION", &self.retention, Duration::ZERO, century);
        let content = self.content_retention.as_deref().map_or(record, |text| {
            faults.duration("MAILQUEUE_CONTENT_RETENTION", text, Duration::ZERO, century)
        });
        Retention { content, record }
    }

    fn lane_weights(&self, faults: &mut Faults) -> LaneWeights {
        let parsed = self.lane_weights.parse();
        parsed.unwrap_or_else(|detail: String| {
            faults.add("MAILQUEUE_LANE_WEIGHTS", detail);
            LaneWeights::default()
        })
    }

    fn log_format(&self, faults: &mut Faults) -> LogFormat {
        match self.log_format.as_str() {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            _ => {
                faults.add("MAILQUEUE_LOG_FORMAT", "must be text or json");
                LogFormat::Text
            }
        }
    }
}
