//! Every address and what it does. A test compares it with the addresses that are answered.

use utoipa::openapi::HttpMethod::{Get, Patch, Post};
use utoipa::openapi::path::ParameterIn::{Header, Query};

use super::operation::{Described, describe, limit, list_of, of, text, uuid};

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// What an answer to a submission says besides.
const REPLAYED: (&str, &str) = ("Idempotent-Replayed", "`true` when it is the answer of the first time.");

/// All operations.
pub(super) fn all() -> Vec<Described> {
    [submitting(), reading(), amending(), files(), pages(), operating()].into_iter().flatten().collect()
}

fn submitting() -> Vec<Described> {
    let key = |described: Described| {
        let says = "Makes repeating harmless: 1 to 256 printable ASCII characters, remembered for 24 hours after \
                    acceptance or, if that is later, the scheduled time.";
        described.parameter(Header, "Idempotency-Key", says, text(&[])).problems(&[409])
    };
    let one = describe((Post, "/emails"), "Emails", "send_email", "Send a message")
        .because("When the answer is 200, the message is committed in the database and will be sent or told as failed.")
        .keyed()
        .body(of("NewEmail"), &[JSON])
        .tells("It is kept.", "Accepted", &[("Location", "Where it can be looked up."), REPLAYED]);
    let batch = describe((Post, "/emails/batch"), "Emails", "send_batch", "Send up to 100 messages")
        .because("Strict: all or none. Permissive: those that are valid, the others told in `errors`.")
        .keyed()
        .parameter(Header, "x-batch-validation", "Strict when absent.", text(&["strict", "permissive"]))
        .body(list_of("NewEmail", 100), &[JSON])
        .tells("They are kept.", "Batch", &[REPLAYED]);
    vec![key(one), key(batch)]
}

fn reading() -> Vec<Described> {
    let statuses = ["queued", "sending", "sent", "failed", "cancelled", "unknown"];
    vec![
        describe((Get, "/emails"), "Emails", "list_emails", "List messages")
            .because("Newest first.")
            .keyed()
            .parameter(Query, "limit", "20 when absent.", limit())
            .parameter(Query, "after", "Those older than this message.", uuid())
            .parameter(Query, "before", "Those newer than this message; not beside `after`.", uuid())
            .parameter(Query, "status", "Those that stand there.", text(&statuses))
            .parameter(Query, "to", "Those with this recipient.", text(&[]))
            .parameter(Query, "q", "Those whose subject holds this, in any case.", text(&[]))
            .problems(&[422])
            .tells("A page.", "EmailList", &[]),
        describe((Get, "/emails/{id}"), "Emails", "get_email", "Look a message up")
            .keyed()
            .problems(&[404, 422])
            .tells("The message and what became of it.", "Email", &[]),
    ]
}

fn amending() -> Vec<Described> {
    vec![
        describe((Patch, "/emails/{id}"), "Emails", "reschedule_email", "Send a queued message at another time")
            .keyed()
            .body(of("Reschedule"), &[JSON])
            .problems(&[404, 409])
            .tells("It was moved.", "Amended", &[]),
        describe((Post, "/emails/{id}/cancel"), "Emails", "cancel_email", "Withdraw a queued message")
            .because("Cancelling twice is as good as once. What is being sent or has come to its end cannot be cancelled.")
            .keyed()
            .problems(&[404, 409, 422])
            .tells("It will not be sent.", "Amended", &[]),
        describe((Post, "/emails/{id}/retry"), "Emails", "retry_email", "Try a message again now")
            .because("For messages that are queued, failed or unknown and whose content is still kept.")
            .keyed()
            .problems(&[404, 409, 422])
            .tells("It is tried again now.", "Amended", &[]),
    ]
}

fn files() -> Vec<Described> {
    vec![
        describe(
            (Get, "/emails/{id}/attachments"),
            "Attachments",
            "list_attachments",
            "List a message's files",
        )
        .keyed()
        .parameter(Query, "limit", "All when absent.", limit())
        .parameter(Query, "after", "Those after this file.", text(&[]))
        .parameter(Query, "before", "Those before this file; not beside `after`.", text(&[]))
        .problems(&[404, 422])
        .tells("The files.", "AttachmentList", &[]),
        describe((Get, "/emails/{id}/attachments/{part}"), "Attachments", "get_attachment", "Look a file up")
            .keyed()
            .problems(&[404, 422])
            .tells("The file, without its content.", "Attachment", &[]),
        describe(
            (Get, "/emails/{id}/attachments/{part}/content"),
            "Attachments",
            "download_attachment",
            "Fetch a file",
        )
        .because(
            "In the media type it was sent with, to be saved and never shown. 404 once retention took it.",
        )
        .keyed()
        .problems(&[404, 422])
        .answers(
            200,
            "Its content.",
            Some(("*/*", text(&[]))),
            &[("Content-Disposition", "Its name.")],
        ),
    ]
}

fn pages() -> Vec<Described> {
    let form = ["application/x-www-form-urlencoded", "multipart/form-data"];
    let page = |path, id: &str, summary: &str| {
        let described = describe((Get, path), "Page", id, summary);
        described.answers(200, "A page.", Some((HTML, text(&[]))), &[])
    };
    vec![
        page("/", "show_form", "The form"),
        describe((Post, "/"), "Page", "send_form", "Send the form")
            .because("To the recipient that the form is set up for, or to one it may write to.")
            .body(of("Form"), &form)
            .problems(&[403, 429])
            .answers(
                200,
                "It is kept.",
                Some((PLAIN, text(&[]))),
                &[("Location", "Where it can be looked up.")],
            )
            .answers(303, "It is kept; for browsers.", None, &[("Location", "The message's page.")]),
        page("/messages", "show_messages", "The newest messages").problems(&[404]),
        page("/messages/{id}", "show_message", "Where a message stands").problems(&[404]),
    ]
}

fn operating() -> Vec<Described> {
    let plain = |path, id: &str, summary: &str| {
        let described = describe((Get, path), "Operation", id, summary);
        described.answers(200, "It is.", Some((PLAIN, text(&[]))), &[])
    };
    vec![
        plain("/livez", "is_live", "Whether the process runs"),
        plain("/readyz", "is_ready", "Whether mail can be taken in"),
        describe((Get, "/metrics"), "Operation", "metrics", "What was measured")
            .because("Never under `/api`.")
            .problems(&[404])
            .answers(200, "Prometheus' text format.", Some((PLAIN, text(&[]))), &[]),
        describe((Get, "/openapi.json"), "Operation", "openapi", "This document").answers(
            200,
            "OpenAPI 3.1.",
            Some((JSON, text(&[]))),
            &[],
        ),
        describe((Get, "/docs"), "Operation", "docs", "This document, for people").answers(
            200,
            "A page.",
            Some((HTML, text(&[]))),
            &[],
        ),
    ]
}
