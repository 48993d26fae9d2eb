//! The shape in which programs hand in a message: that of Resend's API.

use bytes::Bytes;
use mailqueue_core::Draft;
use mailqueue_core::domain::attachment::AttachmentDraft;
use mailqueue_core::domain::schedule::{Schedule, ScheduleError};
use mailqueue_core::domain::validation::FieldError;

use crate::wire::base64;
use crate::wire::json::{self, Json, Members};

/// A message as it was handed in.
#[derive(Debug, Default)]
pub(crate) struct NewEmail {
    /// The message.
    pub(crate) draft: Draft,
    /// How it was written.
    pub(crate) scalars: ScalarFields,
}

/// The fields that stood there as one string where a list may stand.
#[derive(Debug, Default)]
pub(crate) struct ScalarFields(Vec<&'static str>);

impl ScalarFields {
    /// FieldErrors that were found in the draft, with pointers into what was handed in.
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
    /// Reads a message, its `from` replaced by `sender` when it has none.
    ///
    /// # Errors
    ///
    /// Every fault of form. What the values mean is for [`Draft::check`] to judge.
    pub(crate) fn read(json: Json<'_>, sender: Option<&str>) -> Result<Self, Vec<FieldError>> {
        let mut faults = Vec::new();
        let mut email = Self::default();
        if let Some(members) = Members::of(json, "", &mut faults) {
            email.fill(members, sender);
        }
        if faults.is_empty() { Ok(email) } else { Err(faults) }
    }

    fn fill(&mut self, mut members: Members<'_, '_>, sender: Option<&str>) {
        self.draft.from = self::sender(&mut members, sender);
        self.draft.to = match members.take("to") {
            Some(json) => self.addresses(&mut members, "to", json),
            None => {
                members.fault("to", "must name at least one recipient");
                Vec::new()
            }
        };
        for field in ["cc", "bcc", "reply_to"] {
            let Some(json) = members.take(field) else { continue };
            let addresses = self.addresses(&mut members, field, json);
            match field {
                "cc" => self.draft.cc = addresses,
                "bcc" => self.draft.bcc = addresses,
                _ => self.draft.reply_to = addresses,
            }
        }
        self.draft.subject = members.required_text("subject");
        self.draft.text = members.text("text");
        self.draft.html = members.text("html");
        self.draft.headers = headers(&mut members);
        self.draft.attachments = attachments(&mut members);
        self.draft.tags = tags(&mut members);
        self.draft.scheduled_at = scheduled_at(&mut members);
        if let Some(lane) = members.text("lane") {
            match lane.parse() {
                Ok(lane) => self.draft.lane = lane,
                Err(error) => members.fault("lane", error.to_string()),
            }
        }
        self.draft.smtputf8 = members.truth("smtputf8");
        members.finish();
    }

    /// One address or a list of them.
    fn addresses(
        &mut self,
        members: &mut Members<'_, '_>,
        field: &'static str,
        json: Json<'_>,
    ) -> Vec<String> {
        let at = members.place(field);
        match json {
            Json::Text(_) => {
                self.scalars.0.push(field);
                json::text(json, &at, members.faults()).into_iter().collect()
            }
            Json::List(items) => {
                let mut addresses = Vec::with_capacity(items.len());
                for (n, item) in items.into_iter().enumerate() {
                    addresses.extend(json::text(item, &format!("{at}/{n}"), members.faults()));
                }
                addresses
            }
            Json::Octets(_) => {
                json::note(members.faults(), &format!("{at}/0"), "must be a string");
                Vec::new()
            }
            _ => {
                members.fault(field, "must be an address or a list of addresses");
                Vec::new()
            }
        }
    }
}

fn sender(members: &mut Members<'_, '_>, default: Option<&str>) -> String {
    match (members.take("from"), default) {
        (Some(json), _) => json::text(json, "/from", members.faults()).unwrap_or_default(),
        (None, Some(default)) => default.to_owned(),
        (None, None) => {
            members.fault("from", "must be there: this server has no sender of its own");
            String::new()
        }
    }
}

fn headers(members: &mut Members<'_, '_>) -> Vec<(String, String)> {
    match members.take("headers") {
        None => Vec::new(),
        Some(Json::Object(object)) => {
            let place = members.place("headers");
            let mut headers = Vec::with_capacity(object.len());
            for (name, value) in object {
                let at = json::member(&place, &name);
                headers.extend(json::text(value, &at, members.faults()).map(|value| (name, value)));
            }
            // An object has no order, and some clients write a repeat in another one.
            headers.sort();
            headers
        }
        Some(_) => {
            members.fault("headers", "must be an object of names and values");
            Vec::new()
        }
    }
}

/// The objects of a list, each read by `read`.
fn objects<T>(
    members: &mut Members<'_, '_>,
    field: &str,
    mut read: impl FnMut(&mut Members<'_, '_>) -> T,
) -> Vec<T> {
    let items = match members.take(field) {
        None => return Vec::new(),
        Some(Json::List(items)) => items,
        Some(_) => {
            members.fault(field, "must be a list of objects");
            return Vec::new();
        }
    };
    let place = members.place(field);
    let mut objects = Vec::new();
    for (n, item) in items.into_iter().enumerate() {
        if let Some(mut object) = Members::of(item, &format!("{place}/{n}"), members.faults()) {
            objects.push(read(&mut object));
            object.finish();
        }
    }
    objects
}

fn tags(members: &mut Members<'_, '_>) -> Vec<(String, String)> {
    objects(members, "tags", |tag| (tag.required_text("name"), tag.required_text("value")))
}

fn attachments(members: &mut Members<'_, '_>) -> Vec<AttachmentDraft> {
    objects(members, "attachments", |file| {
        if file.take("path").is_some() {
            file.fault("path", "is not fetched from here: send the file itself as content, in base64");
        }
        let mut draft = AttachmentDraft {
            filename: file.required_text("filename"),
            content_type: file.text("content_type"),
            content_id: file.text("content_id"),
            content: content(file),
        };
        let older_id = file.text("inline_content_id");
        draft.content_id = draft.content_id.or(older_id);
        draft.content_type = draft.content_type.or_else(|| content_type(&draft.filename));
        draft
    })
}

/// The media type that a file's name stands for. A message within a message is not taken, so its type is not guessed.
fn content_type(filename: &str) -> Option<String> {
    let guess = mime_guess::from_path(filename).first_raw()?;
    let is_container = guess.starts_with("message/") || guess.starts_with("multipart/");
    (!is_container).then(|| guess.to_owned())
}

fn content(file: &mut Members<'_, '_>) -> Bytes {
    let decoded = match file.take("content") {
        Some(Json::Octets(octets)) => return octets.into(),
        Some(Json::List(items)) if items.is_empty() => return Bytes::new(),
        Some(Json::Text(text)) => base64::decoded(text.as_bytes()),
        _ => None,
    };
    decoded.map_or_else(
        || {
            file.fault("content", "must be the file in base64 with its padding, or a list of octets");
            Bytes::new()
        },
        Bytes::from,
    )
}

/// The time to send at, if one is named.
pub(super) fn scheduled_at(members: &mut Members<'_, '_>) -> Option<Schedule> {
    let read = members.text("scheduled_at")?.parse();
    read.map_err(|error: ScheduleError| members.fault("scheduled_at", error.to_string())).ok()
}
