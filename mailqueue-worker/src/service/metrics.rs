//! Metrics, in Prometheus' text format.

use std::time::Duration;

use mailqueue_core::telemetry;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Bounds of the buckets in seconds, from a local write to a lost lease.
const DURATION_BUCKETS: &[f64] =
    &[0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Bounds for what may take days: a message waits for its turn, its time and its relay.
const WAIT_BUCKETS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
    14_400.0, 43_200.0, 86_400.0,
];

/// The metrics with those.
const WAITS: [&str; 2] = ["mailqueue_queue_wait_seconds", "mailqueue_delivery_duration_seconds"];

/// The pause between aggregations. Without them samples pile up until a scrape.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Starts collecting; the handle renders the metrics. Needs a tokio runtime.
///
/// # Errors
///
/// Fails if this process has a recorder already.
pub fn start() -> Result<PrometheusHandle, BuildError> {
    let mut builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), DURATION_BUCKETS)?;
    for name in WAITS {
        builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), WAIT_BUCKETS)?;
    }
    let handle = builder.install_recorder()?;
    telemetry::describe();
    telemetry::started(env!("CARGO_PKG_VERSION"));
    let upkeep = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}
