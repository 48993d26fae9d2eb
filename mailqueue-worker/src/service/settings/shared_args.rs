//! The settings of whatever delivers mail.

use std::time::Duration;

use clap::Args;
use mailqueue_core::connect::{QueueOptions, StoreOptions};
use mailqueue_core::deliver::DeliverOptions;
use mailqueue_core::health::HealthOptions;
use mailqueue_core::sweep::SweepOptions;
use mailqueue_core::{DeliveryPolicy, LaneWeights, OnUnknown, Retention, RetryPolicy};
use secrecy::SecretString;

use super::faults::Faults;
use super::parse::{duration, duration_text, either, parsed, size, size_text, switch, text};
use super::service_settings::ServiceSettings;
use super::setting::{Setting, by};
use crate::service::logging::LogFormat;
use crate::worker::DEFAULT_MEMORY;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);
const CENTURY: Duration = Duration::from_secs(36_525 * 24 * 3600);

/// With less, the largest messages that are taken in would stand in one another's way at every step.
const MIN_MEMORY: u64 = 32 << 20;

const DATABASE: &str = "sqlite://mailqueue.db";
const RELAYS: &str = "file://outbox";

/// The settings both binaries take, as they are given. Secrets can be given as files too.
#[derive(Debug, Clone, Args)]
pub struct SharedArgs {
    /// Where messages are kept: postgres://… or sqlite://FILE
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    #[arg(default_value = DATABASE, hide_default_value = true)]
    #[arg(value_parser = by(text))]
    database_url: Setting<String>,
    /// A file that holds the database URL
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE", value_parser = by(text))]
    database_url_file: Option<Setting<String>>,
    /// The queue: redis://… or rediss://…; without one it is in this process
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL", value_parser = by(text))]
    redis_url: Option<Setting<String>>,
    /// A file that holds the Redis URL
    #[arg(long, env = "REDIS_URL_FILE", value_name = "FILE", value_parser = by(text))]
    redis_url_file: Option<Setting<String>>,
    /// Relays in order: smtp://, smtps:// (user:password@), comma separated; or file://DIR
    #[arg(long, env = "SMTP_URL", hide_env_values = true, value_name = "URLS")]
    #[arg(default_value = RELAYS, hide_default_value = true)]
    #[arg(value_parser = by(text))]
    smtp_url: Setting<String>,
    /// A file that holds the relays
    #[arg(long, env = "SMTP_URL_FILE", value_name = "FILE", value_parser = by(text))]
    smtp_url_file: Option<Setting<String>>,
    /// Bring the database's tables up to date at start
    #[arg(long, env = "MAILQUEUE_MIGRATE", value_name = "BOOL")]
    #[arg(default_value = StoreOptions::default().migrate.to_string())]
    #[arg(value_parser = by(switch))]
    migrate: Setting<bool>,
    /// Work on a Postgres server that has fsync, full_page_writes or synchronous_commit off and may lose accepted mail
    #[arg(long, env = "MAILQUEUE_ALLOW_UNSAFE_DATABASE", value_name = "BOOL")]
    #[arg(default_value = StoreOptions::default().allow_unsafe.to_string())]
    #[arg(value_parser = by(switch))]
    allow_unsafe_database: Setting<bool>,
    /// The name of the queue: several deployments can share a Redis
    #[arg(long, env = "MAILQUEUE_QUEUE_NAME", default_value = QueueOptions::default().name, value_name = "NAME")]
    #[arg(value_parser = by(queue_name))]
    queue_name: Setting<String>,
    /// How long a worker holds a message without renewing its lease
    #[arg(long, env = "MAILQUEUE_LEASE", value_name = "DURATION")]
    #[arg(default_value = duration_text(DeliverOptions::default().lease))]
    #[arg(value_parser = by(duration(SECOND, DAY)))]
    lease: Setting<Duration>,
    /// How often to look for what was left behind
    #[arg(long, env = "MAILQUEUE_SWEEP_INTERVAL", value_name = "DURATION")]
    #[arg(default_value = duration_text(SweepOptions::default().interval))]
    #[arg(value_parser = by(duration(SECOND / 100, SECOND * 60)))]
    sweep_interval: Setting<Duration>,
    /// How long the database must have been taking writes before a lost lease is believed [default: a quarter of the
    /// lease, at least 2s]
    #[arg(long, env = "MAILQUEUE_GRACE", value_name = "DURATION")]
    #[arg(value_parser = by(duration(Duration::ZERO, DAY)))]
    grace: Option<Setting<Duration>>,
    /// A message whose outcome was lost: retry (at least once) or hold (at most once)
    #[arg(long, env = "MAILQUEUE_ON_UNKNOWN", default_value = "retry", value_name = "retry|hold")]
    #[arg(value_parser = by(either(("retry", OnUnknown::Retry), ("hold", OnUnknown::Hold))))]
    on_unknown: Setting<OnUnknown>,
    /// How long finished messages are kept
    #[arg(long, env = "MAILQUEUE_RETENTION", value_name = "DURATION")]
    #[arg(default_value = duration_text(Retention::default().record))]
    #[arg(value_parser = by(duration(Duration::ZERO, CENTURY)))]
    retention: Setting<Duration>,
    /// How long the content of finished messages is kept [default: as long as the messages]
    #[arg(long, env = "MAILQUEUE_CONTENT_RETENTION", value_name = "DURATION")]
    #[arg(value_parser = by(duration(Duration::ZERO, CENTURY)))]
    content_retention: Option<Setting<Duration>>,
    /// How lanes share what is sent while all hold mail: urgent,normal,bulk
    #[arg(long, env = "MAILQUEUE_LANE_WEIGHTS", value_name = "N,N,N")]
    #[arg(default_value = LaneWeights::default().to_string())]
    #[arg(value_parser = by(parsed::<LaneWeights>))]
    lane_weights: Setting<LaneWeights>,
    /// How much memory messages under way may take in this process, such as 256MiB
    #[arg(long, env = "MAILQUEUE_MEMORY", default_value = size_text(DEFAULT_MEMORY), value_name = "SIZE")]
    #[arg(value_parser = by(size(MIN_MEMORY)))]
    memory: Setting<u64>,
    /// The longest wait before the second attempt; later ones double it
    #[arg(long, env = "MAILQUEUE_RETRY_FIRST", value_name = "DURATION")]
    #[arg(default_value = duration_text(RetryPolicy::default().first))]
    #[arg(value_parser = by(duration(SECOND / 100, DAY)))]
    retry_first: Setting<Duration>,
    /// The longest wait between attempts
    #[arg(long, env = "MAILQUEUE_RETRY_CAP", value_name = "DURATION")]
    #[arg(default_value = duration_text(RetryPolicy::default().cap))]
    #[arg(value_parser = by(duration(SECOND / 100, DAY * 7)))]
    retry_cap: Setting<Duration>,
    /// How long a message is tried
    #[arg(long, env = "MAILQUEUE_RETRY_FOR", value_name = "DURATION")]
    #[arg(default_value = duration_text(RetryPolicy::default().give_up_after))]
    #[arg(value_parser = by(duration(SECOND, YEAR)))]
    retry_for: Setting<Duration>,
    /// How long to drain after SIGTERM
    #[arg(long, env = "MAILQUEUE_SHUTDOWN_GRACE", default_value = "25s", value_name = "DURATION")]
    #[arg(value_parser = by(duration(SECOND / 10, DAY)))]
    shutdown_grace: Setting<Duration>,
    /// What to log: trace, debug, info, warn or error, also by module
    #[arg(long, env = "MAILQUEUE_LOG", default_value = "info", value_name = "FILTER")]
    #[arg(value_parser = by(text))]
    log: Setting<String>,
    /// How log lines look
    #[arg(long, env = "MAILQUEUE_LOG_FORMAT", default_value = "text", value_name = "text|json")]
    #[arg(value_parser = by(either(("text", LogFormat::Text), ("json", LogFormat::Json))))]
    log_format: Setting<LogFormat>,
}

impl SharedArgs {
    /// The checked settings; every fault is added to `faults`.
    pub fn resolve(self, faults: &mut Faults) -> ServiceSettings {
        let database = faults.secret(Some(self.database_url), self.database_url_file);
        let relays = faults.secret(Some(self.smtp_url), self.smtp_url_file);
        let (lease_name, sweep_name) = (self.lease.name.clone(), self.sweep_interval.name.clone());
        let (lease, sweep_interval) = (faults.value(self.lease), faults.value(self.sweep_interval));
        // A faulty lease is zero here, and its fault is noted already.
        if lease < sweep_interval * 3 && !lease.is_zero() {
            faults.add(&lease_name, format!("must be at least three times {sweep_name}"));
        }
        let grace = self.grace.map(|grace| faults.value(grace));
        let retry = RetryPolicy {
            first: faults.value(self.retry_first),
            cap: faults.value(self.retry_cap),
            give_up_after: faults.value(self.retry_for),
        };
        let on_unknown = faults.value(self.on_unknown);
        let record = faults.value(self.retention);
        let content = self.content_retention.map_or(record, |content| faults.value(content));
        let settings = ServiceSettings {
            // None is the default, or a fault that is noted already.
            database: database.unwrap_or_else(|| SecretString::from(DATABASE)),
            redis: faults.secret(self.redis_url, self.redis_url_file),
            relays: relays.unwrap_or_else(|| SecretString::from(RELAYS)),
            migrate: faults.value(self.migrate),
            allow_unsafe: faults.value(self.allow_unsafe_database),
            queue_name: faults.value(self.queue_name),
            lease,
            sweep_interval,
            grace: grace.unwrap_or(HealthOptions::for_lease(lease).grace),
            policy: DeliveryPolicy { retry, on_unknown, ..DeliveryPolicy::default() },
            retention: Retention { content, record },
            lane_weights: faults.value(self.lane_weights),
            memory: faults.value_or(self.memory, MIN_MEMORY),
            shutdown_grace: faults.value(self.shutdown_grace),
            log: faults.value(self.log),
            log_format: faults.value_or(self.log_format, LogFormat::Text),
        };
        settings.check(faults);
        settings
    }
}

fn queue_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.is_empty() || text.len() > 64 || !text.chars().all(allowed) {
        return Err("must have 1 to 64 ASCII letters, digits or -_.".to_owned());
    }
    Ok(text.to_owned())
}
