//! From an event to the bytes that answer it.

use bytes::Bytes;
use tokio::time::sleep;

use super::action::{Plan, Then, Wait};
use super::session::Session;
use super::wire::{End, RawLine};
use super::{Event, Line, Phase};

impl Session {
    pub(super) fn event(&self, phase: Phase, line: &str, address: &str) -> Event {
        let (mut times_seen, mut open) = (0, 0);
        self.shared.record.send_modify(|record| {
            times_seen = record.see(phase, address);
            open = record.open;
        });
        let envelope = self.envelope.as_ref();
        let sender = envelope.and_then(|envelope| envelope.mail.as_ref()).map(|mail| mail.address.clone());
        Event {
            phase,
            connection: self.connection,
            open,
            message: self.message,
            line: line.to_owned(),
            address: address.to_owned(),
            times_seen,
            tls: self.wire.is_tls(),
            sender: sender.unwrap_or_default(),
            recipients: envelope.map(|envelope| envelope.recipients.clone()).unwrap_or_default(),
            body: Bytes::new(),
            size: 0,
            credentials: self.credentials.clone(),
        }
    }

    /// Answers `event` as the script says, else with `ordinary`. Returns the reply's code, 0 if there
    /// was none.
    pub(super) async fn answer(&mut self, event: Event, ordinary: &str) -> Result<u16, End> {
        let plan = self.plan(&event, ordinary)?;
        self.carry_out(plan).await
    }

    pub(super) fn plan(&self, event: &Event, ordinary: &str) -> Result<Plan, End> {
        // A panic here would end with this task, so the record carries it to the test that waits.
        let action = self.shared.script.action(event).map_err(|fault| {
            self.shared.record.send_modify(|record| record.fault = Some(fault));
            End::Close
        })?;
        Ok(Plan::new(action, ordinary))
    }

    pub(super) async fn carry_out(&mut self, plan: Plan) -> Result<u16, End> {
        for wait in &plan.waits {
            // Earlier replies must not wait too.
            self.wire.flush().await?;
            match wait {
                Wait::For(time) => self.wire.attend(sleep(*time)).await?,
                Wait::ForRelease => self.await_release().await?,
            }
        }
        let code = plan.code();
        match plan.drip {
            None => self.say(&plan.reply),
            Some(interval) => {
                self.transcribe(&plan.reply);
                for byte in &plan.reply {
                    self.wire.flush().await?;
                    self.wire.attend(sleep(interval)).await?;
                    self.wire.put(&[*byte]);
                }
            }
        }
        match plan.then {
            Then::GoOn => Ok(code),
            Then::Close => Err(End::Close),
            Then::Reset => Err(End::Reset),
            Then::Hang => self.hang().await,
        }
    }

    async fn await_release(&mut self) -> Result<(), End> {
        // Before the hold shows in the record, so that a release right after that is not missed.
        let mut releases = self.shared.releases.subscribe();
        self.presence.hold(true);
        let released = self.wire.attend(releases.changed()).await;
        self.presence.hold(false);
        released.map(drop)
    }

    async fn hang(&mut self) -> Result<u16, End> {
        self.wire.flush().await?;
        self.shared.record.send_modify(|record| record.hung += 1);
        loop {
            match self.wire.line().await? {
                Some(line) => drop(self.hear(line)),
                // Bounds memory: a line without end is dropped.
                None => self.wire.input.clear(),
            }
        }
    }

    pub(super) fn hear(&self, line: RawLine) -> String {
        if line.bare_lf {
            self.violation(&format!("a bare LF ends {:?}", line.text));
        }
        self.write_down([Line::Client(line.text.clone())]);
        line.text
    }

    pub(super) fn say(&mut self, reply: &[u8]) {
        self.transcribe(reply);
        self.wire.put(reply);
    }

    pub(super) fn note(&self, text: &str) {
        self.write_down([Line::Note(text.to_owned())]);
    }

    fn transcribe(&self, reply: &[u8]) {
        let text = String::from_utf8_lossy(reply);
        self.write_down(text.lines().map(|line| Line::Server(line.to_owned())));
    }

    fn write_down(&self, lines: impl IntoIterator<Item = Line>) {
        let connection = self.connection;
        self.shared.record.send_modify(|record| record.conversation(connection).lines.extend(lines));
    }
}
