//! `pause` and `resume`

use std::time::Duration;

use clap::Args;
use mailqueue_core::Lane;
use mailqueue_core::contracts::controls::{Pause, PauseRequest};
use mailqueue_core::domain::pause_scope::PauseScope;
use mailqueue_worker::service::command::Failure;
use serde::Serialize;

use super::database::{Database, failed};
use super::output::{self, Output, instant, seconds};

/// The part of the work.
#[derive(Debug, Clone, Args)]
struct Scope {
    /// One lane: urgent, normal or bulk
    #[arg(long, value_name = "LANE", conflicts_with = "relay", value_parser = lane)]
    lane: Option<Lane>,
    /// One relay, by host and port as `status` shows it
    #[arg(long, value_name = "HOST:PORT", value_parser = relay)]
    relay: Option<String>,
}

fn lane(text: &str) -> Result<Lane, String> {
    text.parse().map_err(|error: mailqueue_core::domain::lane::LaneError| error.to_string())
}

fn relay(text: &str) -> Result<String, String> {
    let port =
        text.rsplit_once(':').and_then(|(host, port)| port.parse::<u16>().ok().filter(|_| !host.is_empty()));
    port.map(|_| text.to_owned()).ok_or_else(|| "must be host:port, as `status` shows it".to_owned())
}

impl Scope {
    fn read(&self) -> PauseScope {
        match (self.lane, &self.relay) {
            (Some(lane), _) => PauseScope::Lane(lane),
            (None, Some(relay)) => PauseScope::relay(relay),
            (None, None) => PauseScope::Everything,
        }
    }
}

/// Pauses a part of the work.
#[derive(Debug, Clone, Args)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    scope: Scope,
    /// How long, such as 30m or 2h [default: until somebody resumes]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    length: Option<Duration>,
    /// Why, for others
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    reason: String,
    /// Who asks for it
    #[arg(long, env = "USER", default_value = "an operator", value_name = "NAME")]
    by: String,
    #[command(flatten)]
    output: Output,
}

/// Reads the length of a pause or a wait.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "must be a duration such as 90s, 30m or 2h".to_owned())
}

/// Ends a pause.
#[derive(Debug, Clone, Args)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    scope: Scope,
}

/// A pause for programs.
#[derive(Debug, Serialize)]
pub(super) struct PauseView {
    scope: &'static str,
    name: String,
    until: Option<String>,
    reason: String,
    by: String,
    at: String,
}

impl From<&Pause> for PauseView {
    fn from(pause: &Pause) -> Self {
        Self {
            scope: pause.scope.kind(),
            name: pause.scope.name().to_owned(),
            until: pause.until.map(instant),
            reason: pause.reason.clone(),
            by: pause.by.clone(),
            at: instant(pause.at),
        }
    }
}

impl PauseArgs {
    pub(super) async fn run(self, database: &Database) -> Result<(), Failure> {
        let scope = self.scope.read();
        warn_of_unknown_relay(database, &scope).await?;
        let request = PauseRequest { scope, length: self.length, reason: self.reason, by: self.by };
        let pause = database.controls.pause(&request).await.map_err(failed)?;
        if self.output.json {
            return output::object(&PauseView::from(&pause));
        }
        let until = pause
            .until
            .map_or("until somebody resumes".to_owned(), |until| format!("until {}", seconds(until)));
        output::line(&format!("{} is paused {until}; workers obey within two seconds", pause.scope))
    }
}

async fn warn_of_unknown_relay(database: &Database, scope: &PauseScope) -> Result<(), Failure> {
    let PauseScope::Relay(name) = scope else { return Ok(()) };
    let workers = database.controls.workers().await.map_err(failed)?;
    let mut known = workers.rows.iter().flat_map(|row| &row.relays).map(|relay| &relay.name).peekable();
    if known.peek().is_some() && !known.any(|relay| relay == name) {
        output::advise("no worker has a relay of this name; `status` shows those that they have");
    }
    Ok(())
}

impl ResumeArgs {
    pub(super) async fn run(self, database: &Database) -> Result<(), Failure> {
        let scope = self.scope.read();
        let was_paused = database.controls.resume(&scope).await.map_err(failed)?;
        let left = database.controls.pauses().await.map_err(failed)?.in_force;
        for pause in &left {
            output::advise(&format!("{} stays paused", pause.scope));
        }
        if !was_paused {
            return Err(Failure::Sentence(format!("{scope} was not paused")));
        }
        output::line(&format!("{scope} goes on"))
    }
}
