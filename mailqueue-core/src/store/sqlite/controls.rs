//! What stands beside the messages: pauses, workers and traffic.

use async_trait::async_trait;

use super::{SqliteStore, pauses, traffic, workers};
use crate::contracts::controls::{
    Controls, HistoryRetention, Pause, PauseRequest, Pauses, Traffic, TrafficCount, TrafficRange,
    WorkerReport, Workers,
};
use crate::contracts::store::StoreError;
use crate::domain::pause_scope::PauseScope;

#[async_trait]
impl Controls for SqliteStore {
    async fn pause(&self, request: &PauseRequest) -> Result<Pause, StoreError> {
        let request = request.clone();
        self.writer.run(move |t| pauses::pause(t, &request)).await
    }

    async fn resume(&self, scope: &PauseScope) -> Result<bool, StoreError> {
        let scope = scope.clone();
        self.writer.run(move |t| pauses::resume(t, &scope)).await
    }

    async fn pauses(&self) -> Result<Pauses, StoreError> {
        self.due_reader.run(pauses::pauses).await
    }

    async fn report_worker(&self, report: &WorkerReport) -> Result<(), StoreError> {
        let report = report.clone();
        self.writer.run(move |t| workers::report(t, &report)).await
    }

    async fn sign_off(&self, name: &str) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.writer.run(move |t| workers::sign_off(t, &name)).await
    }

    async fn workers(&self) -> Result<Workers, StoreError> {
        self.record_reader.run(workers::workers).await
    }

    async fn add_traffic(&self, counts: &[TrafficCount]) -> Result<(), StoreError> {
        let counts = counts.to_vec();
        self.writer.run(move |t| traffic::add(t, &counts)).await
    }

    async fn traffic(&self, range: &TrafficRange) -> Result<Traffic, StoreError> {
        let range = *range;
        self.record_reader.run(move |t| traffic::traffic(t, range)).await
    }

    async fn prune_history(&self, retention: &HistoryRetention) -> Result<(), StoreError> {
        let retention = *retention;
        self.writer
            .run(move |t| {
                pauses::prune(t)?;
                workers::prune(t, retention.workers)?;
                traffic::prune(t, retention)
            })
            .await
    }
}
