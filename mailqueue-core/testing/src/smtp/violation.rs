//! Violations of the protocol by a client.

use super::command::Path;
use super::data;
use super::session::Session;

impl Session {
    pub(super) fn violation(&self, text: &str) {
        let sentence = format!("connection {}: {text}", self.connection);
        self.shared.record.send_modify(|record| record.violations.push(sentence));
    }

    /// RFC 2920: nothing may be sent ahead unless it was offered, and some commands end a group.
    pub(super) fn check_pipelining(&self, verb: &str) {
        let ends_a_group = matches!(verb, "EHLO" | "HELO" | "STARTTLS" | "AUTH" | "DATA" | "NOOP" | "QUIT");
        if !self.wire.input.is_empty() && (ends_a_group || !self.offers("PIPELINING")) {
            self.violation(&format!("sent ahead of the reply to {verb}"));
        }
    }

    pub(super) fn check_parameters(&self, path: Option<&Path>) {
        let Some(path) = path else { return };
        for (parameter, capability) in [("SIZE", "SIZE"), ("BODY", "8BITMIME"), ("SMTPUTF8", "SMTPUTF8")] {
            if path.parameter(parameter).is_some() && !self.offers(capability) {
                self.violation(&format!("MAIL with {parameter}, but {capability} is not offered"));
            }
        }
        if !path.address.is_ascii() && path.parameter("SMTPUTF8").is_none() {
            self.violation("a sender beyond ASCII without SMTPUTF8");
        }
    }

    pub(super) fn check_body(&self, raw: &[u8]) {
        let mail = self.envelope.as_ref().and_then(|envelope| envelope.mail.as_ref());
        let eight_bit = mail.is_some_and(|mail| {
            mail.parameter("SMTPUTF8").is_some()
                || mail.parameter("BODY").is_some_and(|body| body.eq_ignore_ascii_case("8BITMIME"))
        });
        if !eight_bit && !raw.is_ascii() {
            self.violation("a body beyond ASCII without BODY=8BITMIME");
        }
        if data::has_bare_line_end(raw) {
            self.violation("a bare CR or LF in the body");
        }
    }

    fn offers(&self, capability: &str) -> bool {
        self.extended && self.shared.script.capability(capability).is_some()
    }
}
