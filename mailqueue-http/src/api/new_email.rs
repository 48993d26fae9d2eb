//! A message as programs submit it: the shape of Resend's API.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use mailqueue_core::Draft;
use mailqueue_core::domain::attachment::AttachmentDraft;
use mailqueue_core::domain::lane::Lane;
use mailqueue_core::domain::schedule::Schedule;
use mailqueue_core::domain::validation::FieldError;
use utoipa::openapi::schema::{ArrayBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::enum_schemas;
use crate::wire::base64;
use crate::wire::json::{self, Json, Members};
use crate::wire::request_body::{Member, Object, request_body};

/// The largest number of messages in a batch, as at Resend.
pub(super) const MAX_MESSAGES: usize = 100;

request_body! {
    /// A message to be sent. Unknown members are refused.
    struct NewEmail {
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
        #[schema(value_type = Option<String>, example = "in 1 hour")]
        scheduled_at: Option<Schedule>,
        #[schema(value_type = Option<enum_schemas::Lane>)]
        lane: Option<Lane>,
        /// Whether addresses may have letters outside ASCII in front of the `@`.
        smtputf8: Option<bool>,
    }
}

request_body! {
    /// A file to be sent. It is not fetched from anywhere: `path` is refused.
    struct NewAttachment {
        #[schema(ignore)]
        #[expect(dead_code, reason = "its reading notes the fault")]
        path: Refused,
        /// A name without a path.
        #[schema(max_length = 255, example = "invoice.pdf")]
        filename: String,
        /// Guessed from the name when absent.
        content_type: Option<String>,
        /// By which the HTML refers to it: `cid:logo`.
        content_id: Option<String>,
        content: FileContent,
        /// An older name of `content_id`.
        inline_content_id: Option<String>,
    }
}

request_body! {
    /// A name and a value to find messages by.
    struct Tag {
        #[schema(pattern = "^[A-Za-z0-9_-]{1,256}$")]
        name: String,
        #[schema(pattern = "^[A-Za-z0-9_-]{1,256}$")]
        value: String,
    }
}

/// One address or a list of them.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
pub(super) enum Addresses {
    #[schema(example = "ana@example.org")]
    One(String),
    Many(Vec<String>),
}

/// Base64 with its padding, or a list of octets. With text and html at most 10 MiB.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
pub(super) enum FileContent {
    Base64(#[schema(inline)] Decoded),
    Octets(Vec<u8>),
}

// The octets of a file that came as base64. No doc comment: it would stand in the document.
#[derive(Debug, ToSchema)]
#[schema(value_type = String)]
pub(super) struct Decoded(Bytes);

/// A member that is known, and refused.
#[derive(Debug)]
pub(super) struct Refused;

/// A list of 1 to 100 messages.
pub(super) struct NewBatch;

impl PartialSchema for NewBatch {
    fn schema() -> RefOr<Schema> {
        let items = Ref::from_schema_name(NewEmail::name());
        ArrayBuilder::new().items(items).min_items(Some(1)).max_items(Some(MAX_MESSAGES)).into()
    }
}

impl ToSchema for NewBatch {
    fn name() -> Cow<'static, str> {
        "NewBatch".into()
    }
}

/// The fields that were given as one string where a list may stand.
#[derive(Debug, Default)]
pub(crate) struct ScalarFields(Vec<&'static str>);

impl ScalarFields {
    /// Faults of the draft, with pointers into the body that was read.
    pub(crate) fn locate(&self, faults: Vec<FieldError>) -> Vec<FieldError> {
        faults.into_iter().map(|fault| self.locate_one(fault)).collect()
    }

    /// The same for one fault.
    pub(crate) fn locate_one(&self, fault: FieldError) -> FieldError {
        let located = self.0.iter().find(|field| fault.pointer == format!("/{field}/0"));
        let pointer = located.map_or(fault.pointer, |field| format!("/{field}"));
        FieldError { pointer, ..fault }
    }
}

impl NewEmail {
    /// Reads a message; a `from` that is missing becomes `sender`.
    ///
    /// # Errors
    ///
    /// Every fault of form. The meaning of the values is for [`Draft::check`] to judge.
    pub(super) fn read(
        json: Json<'_>,
        sender: Option<&str>,
    ) -> Result<(Draft, ScalarFields), Vec<FieldError>> {
        let mut faults = Vec::new();
        let read = Members::of(json, "", &mut faults).map(|mut members| {
            // First, since a problem's sentence is about its first fault.
            if sender.is_none() && !members.has("from") {
                members.fault("from", "must be there: this server has no sender of its own");
            }
            let email = <Self as Object>::read(&mut members);
            members.finish();
            email
        });
        match read {
            Some(mut email) if faults.is_empty() => {
                let from = email.from.take().or_else(|| sender.map(str::to_owned)).unwrap_or_default();
                Ok(email.into_draft(from))
            }
            _ => Err(faults),
        }
    }

    fn into_draft(self, from: String) -> (Draft, ScalarFields) {
        let mut scalars = ScalarFields::default();
        let mut list = |field, addresses: Option<Addresses>| match addresses {
            None => Vec::new(),
            Some(Addresses::Many(addresses)) => addresses,
            Some(Addresses::One(address)) => {
                scalars.0.push(field);
                vec![address]
            }
        };
        let draft = Draft {
            from,
            to: list("to", Some(self.to)),
            cc: list("cc", self.cc),
            bcc: list("bcc", self.bcc),
            reply_to: list("reply_to", self.reply_to),
            subject: self.subject,
            text: self.text,
            html: self.html,
            // By name: an object has no order, and some clients write a repeat in another one.
            headers: self.headers.unwrap_or_default().into_iter().collect(),
            attachments: self.attachments.unwrap_or_default().into_iter().map(Into::into).collect(),
            tags: self.tags.unwrap_or_default().into_iter().map(|tag| (tag.name, tag.value)).collect(),
            scheduled_at: self.scheduled_at,
            lane: self.lane.unwrap_or_default(),
            smtputf8: self.smtputf8.unwrap_or_default(),
            ..Draft::default()
        };
        (draft, scalars)
    }
}

impl From<NewAttachment> for AttachmentDraft {
    fn from(file: NewAttachment) -> Self {
        let content = match file.content {
            FileContent::Base64(Decoded(octets)) => octets,
            FileContent::Octets(octets) => octets.into(),
        };
        Self {
            content_type: file.content_type.or_else(|| content_type(&file.filename)),
            content_id: file.content_id.or(file.inline_content_id),
            filename: file.filename,
            content,
        }
    }
}

/// The media type that a file's name stands for. A message within a message is not taken, so its type is not guessed.
fn content_type(filename: &str) -> Option<String> {
    let guess = mime_guess::from_path(filename).first_raw()?;
    let is_container = guess.starts_with("message/") || guess.starts_with("multipart/");
    (!is_container).then(|| guess.to_owned())
}

impl Member for Option<Addresses> {
    fn take(members: &mut Members<'_, '_>, name: &'static str) -> Self {
        let json = members.take(name)?;
        let at = members.place(name);
        match json {
            Json::Text(_) => json::text(json, || at, members.faults()).map(Addresses::One),
            Json::List(items) => {
                let mut addresses = Vec::with_capacity(items.len());
                for (n, item) in items.into_iter().enumerate() {
                    addresses.extend(json::text(item, || format!("{at}/{n}"), members.faults()));
                }
                Some(Addresses::Many(addresses))
            }
            Json::Octets(_) => {
                // A list of numbers comes as octets, so the entry at fault is the first.
                json::note(members.faults(), &format!("{at}/0"), "must be a string");
                None
            }
            _ => {
                members.fault(name, "must be an address or a list of addresses");
                None
            }
        }
    }
}

impl Member for Addresses {
    fn take(members: &mut Members<'_, '_>, name: &'static str) -> Self {
        if !members.has(name) {
            members.fault(name, "must name at least one recipient");
        }
        <Option<Self> as Member>::take(members, name).unwrap_or(Self::Many(Vec::new()))
    }
}

impl Member for FileContent {
    fn take(members: &mut Members<'_, '_>, name: &'static str) -> Self {
        match members.take(name) {
            Some(Json::Octets(octets)) => return Self::Octets(octets),
            // An empty list holds no number by which the reader tells octets.
            Some(Json::List(items)) if items.is_empty() => return Self::Octets(Vec::new()),
            Some(Json::Text(text)) => {
                if let Some(decoded) = base64::decoded(text.as_bytes()) {
                    return Self::Base64(Decoded(decoded.into()));
                }
            }
            _ => {}
        }
        members.fault(name, "must be the file in base64 with its padding, or a list of octets");
        Self::Octets(Vec::new())
    }
}

impl Member for Refused {
    fn take(members: &mut Members<'_, '_>, name: &'static str) -> Self {
        if members.take(name).is_some() {
            members.fault(name, "is not fetched from here: send the file itself as content, in base64");
        }
        Self
    }
}

impl Member for Option<Schedule> {
    fn take(members: &mut Members<'_, '_>, name: &'static str) -> Self {
        let schedule = members.text(name)?.parse::<Schedule>();
        schedule.map_err(|fault| members.fault(name, fault.to_string())).ok()
    }
}

impl Member for Option<Lane> {
    fn take(members: &mut Members<'_, '_>, name: &'static str) -> Self {
        let lane = members.text(name)?.parse::<Lane>();
        lane.map_err(|fault| members.fault(name, fault.to_string())).ok()
    }
}
