//! The script of a sink.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use super::{Action, Event};

/// How a sink comes to speak TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// By the STARTTLS command, which EHLO then offers.
    Starttls,
    /// From the first byte.
    Implicit,
}

pub(super) type Rule = Arc<dyn Fn(&Event) -> Action + Send + Sync>;

/// Rules, capabilities and TLS of one sink; its sessions share it.
pub(super) struct Script {
    capabilities: Vec<String>,
    tls: Option<(Tls, TlsAcceptor)>,
    rules: RwLock<Vec<Rule>>,
}

impl Script {
    pub(super) fn new(
        capabilities: Vec<String>,
        tls: Option<(Tls, Arc<ServerConfig>)>,
        rules: Vec<Rule>,
    ) -> Self {
        let tls = tls.map(|(kind, config)| (kind, TlsAcceptor::from(config)));
        Self { capabilities, tls, rules: RwLock::new(rules) }
    }

    pub(super) fn replace_rules(&self, rules: Vec<Rule>) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// The first action that is not the default one; an error when a rule panicked.
    pub(super) fn action(&self, event: &Event) -> Result<Action, String> {
        // Copied out of the lock, so that a rule may replace the rules.
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner).clone();
        let first = || rules.iter().map(|rule| rule(event)).find(|action| *action != Action::Default);
        match catch_unwind(AssertUnwindSafe(first)) {
            Ok(action) => Ok(action.unwrap_or_default()),
            Err(_) => Err(format!("a rule panicked at {:?} on connection {}", event.phase, event.connection)),
        }
    }

    /// The EHLO reply without its last CRLF.
    pub(super) fn ehlo(&self, tls_active: bool) -> String {
        let starttls = (!tls_active && self.starttls().is_some()).then_some("STARTTLS");
        let lines: Vec<&str> = ["sink.test"]
            .into_iter()
            .chain(starttls)
            .chain(self.capabilities.iter().map(String::as_str))
            .collect();
        let (last, others) = lines.split_last().expect("there is the name at least");
        others.iter().map(|line| format!("250-{line}\r\n")).chain([format!("250 {last}")]).collect()
    }

    /// What follows the capability's name, if it is offered.
    pub(super) fn capability(&self, name: &str) -> Option<&str> {
        self.capabilities.iter().find_map(|capability| {
            let (keyword, arguments) = capability.split_once(' ').unwrap_or((capability, ""));
            keyword.eq_ignore_ascii_case(name).then_some(arguments)
        })
    }

    /// The largest message allowed, if there is a limit.
    pub(super) fn size_limit(&self) -> Option<usize> {
        // SIZE 0 means no fixed limit (RFC 1870 section 3).
        self.capability("SIZE")?.parse().ok().filter(|limit| *limit > 0)
    }

    pub(super) fn starttls(&self) -> Option<&TlsAcceptor> {
        self.acceptor(Tls::Starttls)
    }

    pub(super) fn implicit_tls(&self) -> Option<&TlsAcceptor> {
        self.acceptor(Tls::Implicit)
    }

    fn acceptor(&self, wanted: Tls) -> Option<&TlsAcceptor> {
        self.tls.as_ref().filter(|(kind, _)| *kind == wanted).map(|(_, acceptor)| acceptor)
    }
}
