//! What stands beside the messages: pauses, workers and traffic.

use async_trait::async_trait;

use super::{PostgresStore, pauses, traffic, workers};
use crate::contracts::controls::{
    Controls, HistoryRetention, Pause, PauseRequest, Pauses, Traffic, TrafficCount, TrafficRange,
    WorkerReport, Workers,
};
use crate::contracts::store::StoreError;
use crate::domain::pause_scope::PauseScope;

#[async_trait]
impl Controls for PostgresStore {
    async fn pause(&self, request: &PauseRequest) -> Result<Pause, StoreError> {
        let request = request.clone();
        self.runner.run(move |connection| Box::pin(pauses::pause(connection, request.clone()))).await
    }

    async fn resume(&self, scope: &PauseScope) -> Result<bool, StoreError> {
        let scope = scope.clone();
        self.runner.run(move |connection| Box::pin(pauses::resume(connection, scope.clone()))).await
    }

    async fn pauses(&self) -> Result<Pauses, StoreError> {
        self.runner.run(move |connection| Box::pin(pauses::pauses(connection))).await
    }

    async fn report_worker(&self, report: &WorkerReport) -> Result<(), StoreError> {
        let report = report.clone();
        self.runner.run(move |connection| Box::pin(workers::report(connection, report.clone()))).await
    }

    async fn sign_off(&self, name: &str) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.runner.run(move |connection| Box::pin(workers::sign_off(connection, name.clone()))).await
    }

    async fn workers(&self) -> Result<Workers, StoreError> {
        self.runner.run(move |connection| Box::pin(workers::workers(connection))).await
    }

    async fn add_traffic(&self, counts: &[TrafficCount]) -> Result<(), StoreError> {
        let mut counts = counts.to_vec();
        // In one order in all processes, so that none waits for another that waits for it.
        counts.sort_by_key(|count| (count.key, std::cmp::Reverse(count.age)));
        self.runner.run(move |connection| Box::pin(traffic::add(connection, counts.clone()))).await
    }

    async fn traffic(&self, range: &TrafficRange) -> Result<Traffic, StoreError> {
        let range = *range;
        self.runner.run(move |connection| Box::pin(traffic::traffic(connection, range))).await
    }

    async fn prune_history(&self, retention: &HistoryRetention) -> Result<(), StoreError> {
        let retention = *retention;
        self.runner
            .run(move |connection| {
                Box::pin(async move {
                    pauses::prune(connection).await?;
                    workers::prune(connection, retention.workers).await?;
                    traffic::prune(connection, retention).await
                })
            })
            .await
    }
}
