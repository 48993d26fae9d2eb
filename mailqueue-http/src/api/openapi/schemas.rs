//! The shapes of bodies, as they are told to programs that read the document. What reads and writes them stands in
//! `emails`; a test holds both together.
#![expect(dead_code, reason = "only their schemas are used")]

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::ToSchema;

/// A message to be sent. Unknown members are refused.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewEmail {
    /// `name@example.com` or `Name <name@example.com>`; the server's own sender when absent.
    #[schema(example = "Shop <shop@example.com>")]
    from: Option<String>,
    /// Up to 50 recipients with `cc` and `bcc`.
    to: Addresses,
    cc: Option<Addresses>,
    /// In the envelope alone, never in what is sent.
    bcc: Option<Addresses>,
    reply_to: Option<Addresses>,
    /// One line.
    #[schema(max_length = 998, example = "Your order")]
    subject: String,
    /// Made from `html` when absent; an empty string stays empty.
    #[schema(example = "It is on its way.")]
    text: Option<String>,
    /// There must be `text` or `html`.
    html: Option<String>,
    /// `X-*`, `List-*`, `References`, `In-Reply-To`, `Auto-Submitted`, `Precedence`, `Importance`, `Feedback-ID`; at most 20.
    headers: Option<BTreeMap<String, String>>,
    #[schema(max_items = 20)]
    attachments: Option<Vec<NewAttachment>>,
    #[schema(max_items = 50)]
    tags: Option<Vec<Tag>>,
    /// RFC 3339 with a zone, or English: `in 2 hours`, `tomorrow at 9am`, `friday at 3pm ET`. UTC where
    /// no zone is named. At most 30 days ahead.
    #[schema(example = "in 1 hour")]
    scheduled_at: Option<String>,
    lane: Option<Lane>,
    /// Whether addresses may have letters outside ASCII in front of the `@`.
    smtputf8: Option<bool>,
}

/// One address or a list of them.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Addresses {
    #[schema(example = "ana@example.org")]
    One(String),
    Many(Vec<String>),
}

/// A file to be sent. It is not fetched from anywhere: `path` is refused.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAttachment {
    /// A name without a path.
    #[schema(max_length = 255, example = "invoice.pdf")]
    filename: String,
    content: FileContent,
    /// Guessed from the name when absent.
    content_type: Option<String>,
    /// By which the HTML refers to it: `cid:logo`.
    content_id: Option<String>,
    /// An older name of `content_id`.
    inline_content_id: Option<String>,
}

/// Base64 with its padding, or a list of octets. With text and html at most 10 MiB.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum FileContent {
    Base64(String),
    Octets(Vec<u8>),
}

/// A name and a value to find messages by.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tag {
    #[schema(pattern = "^[A-Za-z0-9_-]{1,256}$")]
    name: String,
    #[schema(pattern = "^[A-Za-z0-9_-]{1,256}$")]
    value: String,
}

/// How urgent it is: sign-in codes, everything else, newsletters.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Lane {
    Urgent,
    Normal,
    Bulk,
}

/// Another time to send a message at.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reschedule {
    /// As in a new message.
    #[schema(example = "tomorrow at 9am")]
    scheduled_at: String,
    /// The id in the address, which some clients repeat.
    id: Option<String>,
}

/// What tells that a message is kept and will be sent.
#[derive(Deserialize, ToSchema)]
pub(super) struct Accepted {
    #[schema(format = "uuid")]
    id: String,
}

/// What became of a batch: the accepted messages in their order and, in permissive batches, the others.
#[derive(Deserialize, ToSchema)]
pub(super) struct Batch {
    data: Vec<Accepted>,
    /// Only where there are any.
    errors: Option<Vec<Refused>>,
}

/// A message of a permissive batch that was not accepted.
#[derive(Deserialize, ToSchema)]
pub(super) struct Refused {
    /// Its place in the batch, from 0.
    index: u32,
    message: String,
    /// Every fault, with pointers into the message.
    errors: Vec<Fault>,
}

/// What tells that a wish was granted.
#[derive(Deserialize, ToSchema)]
pub(super) struct Amended {
    /// Always `email`.
    object: String,
    #[schema(format = "uuid")]
    id: String,
    status: Status,
}

/// Where a message stands. The last four are final.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Queued,
    Sending,
    Sent,
    Failed,
    Cancelled,
    Unknown,
}

/// Resend's word for where a message stands. Never `delivered`: a server's yes is the last that is heard here.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum LastEvent {
    Queued,
    Scheduled,
    Sent,
    DeliveryDelayed,
    Bounced,
    Failed,
    Canceled,
}

/// A message as it stands in a list.
#[derive(Deserialize, ToSchema)]
pub(super) struct EmailSummary {
    /// Always `email`.
    object: String,
    #[schema(format = "uuid")]
    id: String,
    /// The Message-ID header.
    message_id: String,
    #[schema(format = DateTime)]
    created_at: String,
    from: String,
    to: Vec<String>,
    cc: Vec<String>,
    bcc: Vec<String>,
    reply_to: Vec<String>,
    subject: String,
    tags: Vec<Tag>,
    #[schema(format = DateTime, required = true)]
    scheduled_at: Option<String>,
    last_event: LastEvent,
    status: Status,
    lane: Lane,
    /// When it is due, or was last.
    #[schema(format = DateTime)]
    due_at: String,
    #[schema(format = DateTime, required = true)]
    finished_at: Option<String>,
    /// Only where the record makes no sense to this version: why. Addresses and tags are empty then.
    unreadable: Option<String>,
}

/// A message and what became of it.
#[derive(Deserialize, ToSchema)]
pub(super) struct Email {
    #[serde(flatten)]
    summary: EmailSummary,
    /// None once retention took the content.
    #[schema(required = true)]
    html: Option<String>,
    #[schema(required = true)]
    text: Option<String>,
    headers: BTreeMap<String, String>,
    attachments: Vec<FileSummary>,
    recipients: Vec<Recipient>,
    /// What was tried, oldest first.
    attempts: Vec<Attempt>,
}

/// A file of a message.
#[derive(Deserialize, ToSchema)]
pub(super) struct FileSummary {
    filename: String,
    content_type: String,
    content_id: Option<String>,
    /// In octets, before it was encoded.
    size: u64,
}

/// What became of one recipient.
#[derive(Deserialize, ToSchema)]
pub(super) struct Recipient {
    address: String,
    status: RecipientStatus,
    /// Whether a copy may be out although no answer said so.
    maybe_sent: Option<bool>,
    reply: Option<Reply>,
}

/// Where one recipient stands.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RecipientStatus {
    Queued,
    Sent,
    Failed,
    Cancelled,
    Unknown,
}

/// An answer of a mail server.
#[derive(Deserialize, ToSchema)]
pub(super) struct Reply {
    code: Option<u16>,
    text: String,
}

/// One try.
#[derive(Deserialize, ToSchema)]
pub(super) struct Attempt {
    attempt: u32,
    #[schema(format = DateTime)]
    started_at: String,
    duration_ms: u64,
    worker: String,
    relay: Option<String>,
    /// `sent`, `partial`, `deferred`, `throttled`, `refused`, `ambiguous`, `relay_fault` or `lease_lost`.
    outcome: String,
    /// Which fault, when the relay was at fault.
    fault: Option<String>,
    reply: Option<Reply>,
    /// How often in a row, when more than once.
    times: Option<u32>,
}

/// A page of messages, newest first.
#[derive(Deserialize, ToSchema)]
pub(super) struct EmailList {
    /// Always `list`.
    object: String,
    /// Whether more follow in the direction asked for.
    has_more: bool,
    data: Vec<EmailSummary>,
}

/// A file that can be fetched.
#[derive(Deserialize, ToSchema)]
pub(super) struct Attachment {
    /// Always `attachment`.
    object: String,
    #[schema(format = "uuid")]
    id: String,
    filename: String,
    /// In octets.
    size: u64,
    content_type: String,
    /// `inline` when the HTML shows it, else `attachment`.
    content_disposition: String,
    #[schema(required = true)]
    content_id: Option<String>,
    /// Where its content is, for whoever has the API key.
    #[schema(format = "uri")]
    download_url: String,
    /// Ask again after this.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// The files of a message.
#[derive(Deserialize, ToSchema)]
pub(super) struct AttachmentList {
    /// Always `list`.
    object: String,
    has_more: bool,
    data: Vec<Attachment>,
}

/// What is filled into the form. The English names `subject`, `message` and `to` are read as well.
#[derive(Deserialize, ToSchema)]
pub(super) struct Form {
    #[schema(example = "Pedido 7")]
    assunto: String,
    #[schema(example = "Está a caminho.")]
    mensagem: String,
    /// One recipient that this form may write to.
    para: Option<String>,
}

/// Why a request got no 2xx: the members of RFC 9457 and those that Resend's clients read, side by side. Nothing is kept
/// then.
#[derive(Deserialize, ToSchema)]
pub(super) struct Problem {
    /// `urn:mailqueue:problem:` and the title in lower case.
    #[serde(rename = "type")]
    #[schema(example = "urn:mailqueue:problem:validation-failed")]
    kind: String,
    #[schema(example = "Validation failed")]
    title: String,
    #[schema(example = 422)]
    status: u16,
    /// What a person can act on. It never repeats what was sent.
    #[schema(example = "`to/0` must be an address.")]
    detail: String,
    /// What is wrong with which field.
    errors: Option<Vec<Fault>>,
    #[serde(rename = "statusCode")]
    #[schema(example = 422)]
    status_code: u16,
    /// The word by which a program knows it.
    #[schema(example = "validation_error")]
    name: String,
    /// As `detail`.
    message: String,
}

/// One fault in one field.
#[derive(Deserialize, ToSchema)]
pub(super) struct Fault {
    /// A JSON pointer (RFC 6901) into what was sent.
    #[schema(example = "/to/0")]
    pointer: String,
    /// What would be right.
    detail: String,
}
