//! The frame of a process, on which both binaries stand: settings, logs, metrics, signals and health.

pub mod admin;
pub mod command;
pub mod healthcheck;
mod line_writer;
pub mod logging;
pub mod metrics;
pub mod process;
pub mod settings;
pub mod signals;
pub mod supervision;
