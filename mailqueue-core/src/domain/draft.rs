//! A message as it is handed in.

use serde::Serialize;
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

use super::address::Mailbox;
use super::attachment::{Attachment, AttachmentDraft};
use super::header::Header;
use super::idempotency::{IdempotencyKey, IdempotencyKeyError};
use super::lane::Lane;
use super::message::{Message, Tag};
use super::schedule::Schedule;
use super::text;
use super::validation::{FieldErrors, ValidationError};

/// The most tags of a message.
const MAX_TAGS: usize = 50;

/// The limits of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Recipients in to, cc and bcc together.
    pub recipients: usize,
    /// Attachments.
    pub attachments: usize,
    /// Custom headers.
    pub headers: usize,
    /// Text, HTML and attachments together, in octets before they are encoded.
    pub content: usize,
    /// The longest time ahead that a message may be scheduled.
    pub ahead: Duration,
}

impl Default for Limits {
    /// 50 recipients, 20 attachments, 20 headers, 10 MiB, 30 days.
    fn default() -> Self {
        Self { recipients: 50, attachments: 20, headers: 20, content: 10 << 20, ahead: Duration::days(30) }
    }
}

impl Limits {
    /// The time that a schedule means, or what is wrong with it. Up to a minute in the past is taken for now.
    pub(crate) fn time_of(&self, schedule: &Schedule, now: OffsetDateTime) -> Result<OffsetDateTime, String> {
        let allowed = now - Duration::minutes(1)..=now + self.ahead;
        let days = self.ahead.whole_days();
        let at = schedule.at(now).filter(|at| allowed.contains(at));
        at.ok_or_else(|| format!("must lie between now and {days} days ahead"))
    }
}

/// A message as it is handed in: plain strings, nothing checked yet.
///
/// ```
/// use mailqueue_core::Draft;
///
/// let draft = Draft::new("Shop <shop@example.com>", "ana@example.org", "Your order").text("It is on its way.");
/// assert!(draft.check(&Default::default(), time::OffsetDateTime::UNIX_EPOCH).is_ok());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Draft {
    /// The sender: `name@example.com` or `Name <name@example.com>`.
    pub from: String,
    /// The recipients.
    pub to: Vec<String>,
    /// Recipients of a copy.
    pub cc: Vec<String>,
    /// Recipients of a copy that no field names.
    pub bcc: Vec<String>,
    /// The addresses for answers.
    pub reply_to: Vec<String>,
    /// The subject.
    pub subject: String,
    /// The text part.
    pub text: Option<String>,
    /// The HTML part.
    pub html: Option<String>,
    /// The text part when `text` is none: made from the HTML by whoever hands it in. It is no part of the fingerprint,
    /// because what it is made by may change between a submission and its repeat.
    #[serde(skip)]
    pub text_of_html: Option<String>,
    /// Further headers, name and value.
    pub headers: Vec<(String, String)>,
    /// Files.
    pub attachments: Vec<AttachmentDraft>,
    /// Names and values to find it by.
    pub tags: Vec<(String, String)>,
    /// The time at which it is to be sent; `None` is at once.
    pub scheduled_at: Option<Schedule>,
    /// The lane it waits in.
    pub lane: Lane,
    /// True if addresses with non-ASCII letters before the `@` are wanted; few servers take them.
    pub smtputf8: bool,
    /// Makes submitting it again harmless: within a day, the same key means the same message.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

impl Draft {
    /// A draft with one recipient and no body yet.
    #[must_use]
    pub fn new(from: impl Into<String>, to: impl Into<String>, subject: impl Into<String>) -> Self {
        Self { from: from.into(), to: vec![to.into()], subject: subject.into(), ..Self::default() }
    }

    /// Sets the text part.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..self }
    }

    /// Sets the HTML part.
    #[must_use]
    pub fn html(self, html: impl Into<String>) -> Self {
        Self { html: Some(html.into()), ..self }
    }

    /// Adds a file.
    #[must_use]
    pub fn attach(
        mut self,
        filename: impl Into<String>,
        content_type: &str,
        content: impl Into<bytes::Bytes>,
    ) -> Self {
        self.attachments.push(AttachmentDraft {
            filename: filename.into(),
            content_type: Some(content_type.to_owned()),
            content_id: None,
            content: content.into(),
        });
        self
    }

    /// Sets the time it is sent at.
    #[must_use]
    pub fn at(self, time: impl Into<Schedule>) -> Self {
        Self { scheduled_at: Some(time.into()), ..self }
    }

    /// Sets the key that makes submitting it again harmless.
    #[must_use]
    pub fn idempotency_key(self, key: impl Into<String>) -> Self {
        Self { idempotency_key: Some(key.into()), ..self }
    }

    /// The approximate number of octets to go through to check, hash or render it.
    pub(crate) fn size(&self) -> usize {
        let bodies = [&self.text, &self.html, &self.text_of_html].into_iter().flatten();
        let people = [&self.to, &self.cc, &self.bcc, &self.reply_to].into_iter().flatten();
        let pairs = self.headers.iter().chain(&self.tags);
        let files = self.attachments.iter();
        self.subject.len()
            + bodies.chain(people).map(String::len).sum::<usize>()
            + pairs.map(|(name, value)| name.len() + value.len()).sum::<usize>()
            + files.map(|file| file.content.len() + file.filename.len()).sum::<usize>()
    }

    /// The size of text, HTML and attachments together, in octets: what [`Limits::content`] bounds.
    #[must_use]
    pub fn content_size(&self) -> usize {
        let files: usize = self.attachments.iter().map(|file| file.content.len()).sum();
        files + [&self.text, &self.html].into_iter().flatten().map(String::len).sum::<usize>()
    }

    /// A hash over everything but the idempotency key: equal drafts, and only they, have the same.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let json = serde_json::to_vec(self).expect("a struct of strings and lists always serializes");
        Sha256::digest(json).into()
    }

    /// Checks every field. `now` is the store's time.
    ///
    /// # Errors
    ///
    /// All faults, each with a pointer to its field.
    pub fn check(&self, limits: &Limits, now: OffsetDateTime) -> Result<Message, ValidationError> {
        let mut faults = FieldErrors::default();
        faults.take(|| "/idempotency_key".into(), self.parsed_key());
        self.check_with(faults, limits, now)
    }

    /// The idempotency key as submissions take it.
    pub(crate) fn parsed_key(&self) -> Result<Option<IdempotencyKey>, IdempotencyKeyError> {
        self.idempotency_key.as_deref().map(str::parse).transpose()
    }

    /// The same, but for the idempotency key, which belongs to what is submitted together.
    pub(crate) fn check_content(
        &self,
        limits: &Limits,
        now: OffsetDateTime,
    ) -> Result<Message, ValidationError> {
        self.check_with(FieldErrors::default(), limits, now)
    }

    fn check_with(
        &self,
        mut faults: FieldErrors,
        limits: &Limits,
        now: OffsetDateTime,
    ) -> Result<Message, ValidationError> {
        self.check_counts(limits, &mut faults);
        let scheduled_at = self.checked_schedule(limits, now, &mut faults);
        let subject = faults.take(|| "/subject".into(), checked_subject(&self.subject));
        for (pointer, body) in [("/text", &self.text), ("/html", &self.html), ("/html", &self.text_of_html)] {
            if body.as_ref().is_some_and(|body| body.contains('\0')) {
                faults.add(pointer, "must not contain NUL");
            }
        }
        let from = self.checked_mailbox(|| "/from".into(), &self.from, &mut faults);
        let mut mailboxes = |field: &str, texts: &[String]| {
            self.checked_mailboxes(field, texts, limits.recipients, &mut faults)
        };
        let to = mailboxes("to", &self.to);
        let cc = mailboxes("cc", &self.cc);
        let bcc = mailboxes("bcc", &self.bcc);
        let reply_to = mailboxes("reply_to", &self.reply_to);
        let headers = self.checked_headers(limits, &mut faults);
        let attachments = self.checked_attachments(limits, &mut faults);
        let tags = self.checked_tags(&mut faults);
        faults.into_result()?;
        // Not reached: a field that is `None` has left a fault.
        let (Some(from), Some(subject)) = (from, subject) else {
            return Err(ValidationError { faults: Vec::new() });
        };
        let text = self.text.clone().or_else(|| self.text_of_html.clone());
        let (html, lane) = (self.html.clone(), self.lane);
        Ok(Message {
            from,
            to,
            cc,
            bcc,
            reply_to,
            subject,
            text,
            html,
            headers,
            attachments,
            tags,
            scheduled_at,
            lane,
        })
    }

    fn check_counts(&self, limits: &Limits, faults: &mut FieldErrors) {
        let recipients = self.to.len() + self.cc.len() + self.bcc.len();
        if self.to.is_empty() {
            faults.add("/to", "must name at least one recipient");
        }
        if recipients > limits.recipients {
            faults.add("/to", format!("must name at most {} recipients with cc and bcc", limits.recipients));
        }
        if self.reply_to.len() > limits.recipients {
            faults.add("/reply_to", format!("must name at most {}", limits.recipients));
        }
        if self.text.is_none() && self.html.is_none() {
            faults.add("/text", "must be there unless html is");
        }
        if self.content_size() > limits.content {
            faults.add("", format!("must hold at most {} octets with its attachments", limits.content));
        }
    }

    fn checked_schedule(
        &self,
        limits: &Limits,
        now: OffsetDateTime,
        faults: &mut FieldErrors,
    ) -> Option<OffsetDateTime> {
        let at = limits.time_of(self.scheduled_at.as_ref()?, now);
        // A time that has just passed means at once, so it is kept as none.
        faults.take(|| "/scheduled_at".into(), at).filter(|at| *at > now)
    }

    fn checked_mailbox(
        &self,
        pointer: impl Fn() -> String,
        text: &str,
        faults: &mut FieldErrors,
    ) -> Option<Mailbox> {
        let mailbox: Mailbox = faults.take(&pointer, text.parse())?;
        if mailbox.address.needs_smtputf8() && !self.smtputf8 {
            faults.add(pointer(), "must be ASCII before the @ unless smtputf8 is true");
        }
        Some(mailbox)
    }

    fn checked_mailboxes(
        &self,
        field: &str,
        texts: &[String],
        most: usize,
        faults: &mut FieldErrors,
    ) -> Vec<Mailbox> {
        // No more than the limit, so that a list of a million has one fault and costs little.
        let checked = texts.iter().take(most).enumerate();
        checked
            .filter_map(|(n, text)| self.checked_mailbox(|| format!("/{field}/{n}"), text, faults))
            .collect()
    }

    fn checked_headers(&self, limits: &Limits, faults: &mut FieldErrors) -> Vec<Header> {
        if self.headers.len() > limits.headers {
            faults.add("/headers", format!("must be at most {}", limits.headers));
        }
        let mut headers: Vec<Header> = Vec::with_capacity(self.headers.len().min(limits.headers));
        for (name, value) in self.headers.iter().take(limits.headers) {
            let header = faults.take(|| pointer_to("headers", name), Header::new(name, value));
            let Some(header) = header else { continue };
            if headers.iter().any(|other| other.name.eq_ignore_ascii_case(&header.name)) {
                faults.add(pointer_to("headers", name), "must be there once");
            }
            headers.push(header);
        }
        headers
    }

    fn checked_attachments(&self, limits: &Limits, faults: &mut FieldErrors) -> Vec<Attachment> {
        if self.attachments.len() > limits.attachments {
            faults.add("/attachments", format!("must be at most {}", limits.attachments));
        }
        let mut attachments = Vec::with_capacity(self.attachments.len());
        for (n, file) in self.attachments.iter().take(limits.attachments).enumerate() {
            let content_type = file.content_type.as_deref().unwrap_or("application/octet-stream");
            match Attachment::new(
                &file.filename,
                content_type,
                file.content_id.as_deref(),
                file.content.clone(),
            ) {
                Ok(attachment) => attachments.push(attachment),
                Err((member, detail)) => faults.add(format!("/attachments/{n}/{member}"), detail),
            }
        }
        attachments
    }

    fn checked_tags(&self, faults: &mut FieldErrors) -> Vec<Tag> {
        if self.tags.len() > MAX_TAGS {
            faults.add("/tags", format!("must be at most {MAX_TAGS}"));
        }
        let word = |text: &str| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
            !text.is_empty() && text.len() <= 256 && text.bytes().all(allowed)
        };
        for (n, (name, value)) in self.tags.iter().take(MAX_TAGS).enumerate() {
            for (member, text) in [("name", name), ("value", value)] {
                if !word(text) {
                    faults.add(
                        format!("/tags/{n}/{member}"),
                        "must have 1 to 256 ASCII letters, digits, _ or -",
                    );
                }
            }
        }
        self.tags.iter().map(|(name, value)| Tag { name: name.clone(), value: value.clone() }).collect()
    }
}

fn checked_subject(subject: &str) -> Result<String, String> {
    text::check_prose(subject)?;
    text::check_length(subject, 998)?;
    Ok(subject.to_owned())
}

/// A JSON pointer to a member whose name the submitter chose (RFC 6901 section 3), cut so that it stays short.
fn pointer_to(field: &str, name: &str) -> String {
    let cut = &name[..name.floor_char_boundary(80)];
    format!("/{field}/{}", cut.replace('~', "~0").replace('/', "~1"))
}
