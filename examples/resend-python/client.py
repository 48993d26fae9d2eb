"""Resend's own Python client, unmodified, talking to mailqueue.

The client reads RESEND_API_KEY and RESEND_API_URL, which must not end in a slash:

    pip install -r requirements.txt
    RESEND_API_KEY=mq_... RESEND_API_URL=http://127.0.0.1:8080 python client.py
"""

import time
import uuid

import resend
from resend.exceptions import InvalidApiKeyError, ResendError, ValidationError

SHOP = "Shop <shop@example.com>"


def order(number, **more):
    return {
        "from": SHOP,
        "to": "ana@example.org",
        "subject": f"Your order {number}",
        "text": "It is on its way.",
        **more,
    }


def same(found, expected):
    """As assert does, but with -O too, and showing both."""
    if found != expected:
        raise SystemExit(f"expected {expected!r}, found {found!r}")


def refusal(call):
    """The error that the client raises."""
    try:
        call()
    except ResendError as error:
        return error
    raise SystemExit("it was not refused")


def send_and_look_up():
    invoice = b"Total: 7.00\n"
    sent = resend.Emails.send(
        order(
            1,
            html="<p>It is on its way.</p>",
            cc=["bo@example.org"],
            bcc="archive@example.com",
            reply_to="help@example.com",
            headers={"X-Order": "1"},
            tags=[{"name": "kind", "value": "order"}],
            # The client sends a file as a list of numbers, or as the base64 that it is given.
            attachments=[{"filename": "invoice.txt", "content": list(invoice)}],
        )
    )
    kept = resend.Emails.get(sent["id"])
    same((kept["object"], kept["id"], kept["from"]), ("email", sent["id"], SHOP))
    same((kept["subject"], kept["to"]), ("Your order 1", ["ana@example.org"]))
    same((kept["cc"], kept["bcc"]), (["bo@example.org"], ["archive@example.com"]))
    same((kept["reply_to"], kept["headers"]), (["help@example.com"], {"X-Order": "1"}))
    same(kept["tags"], [{"name": "kind", "value": "order"}])
    same(kept["html"], "<p>It is on its way.</p>")

    files = resend.Emails.Attachments.list(sent["id"])["data"]
    same([(file["filename"], file["size"]) for file in files], [("invoice.txt", len(invoice))])
    file = resend.Emails.Attachments.get(sent["id"], files[0]["id"])
    same(file["download_url"].endswith("/content"), True)

    newest = resend.Emails.list({"limit": 1})
    same((newest["object"], newest["data"][0]["id"]), ("list", sent["id"]))
    until_sent(sent["id"])


def until_sent(id):
    """An answer says that a message is kept; that it went out is told by `last_event`."""
    deadline = time.monotonic() + 10
    while (event := resend.Emails.get(id)["last_event"]) == "queued" and time.monotonic() < deadline:
        time.sleep(0.1)
    same(event, "sent")


def repeat_harmlessly():
    key = {"idempotency_key": f"order-{uuid.uuid4()}"}
    first = resend.Emails.send(order(2), key)
    again = resend.Emails.send(order(2), key)
    same(again["id"], first["id"])
    same(again["http_headers"]["idempotent-replayed"], "true")
    other = refusal(lambda: resend.Emails.send(order(3), key))
    same((other.code, other.error_type), (409, "invalid_idempotent_request"))


def send_several():
    key = {"idempotency_key": f"batch-{uuid.uuid4()}"}
    first = resend.Batch.send([order(4), order(5)], key)
    same(len(first["data"]), 2)
    same(resend.Batch.send([order(4), order(5)], key)["data"], first["data"])

    mixed = [order(6), order(7, to="nobody")]
    told = resend.Batch.send(mixed, {"batch_validation": "permissive"})
    same((len(told["data"]), [error["index"] for error in told["errors"]]), (1, [1]))


def schedule_move_and_cancel():
    id = resend.Emails.send(order(8, scheduled_at="in 1 hour"))["id"]
    planned = resend.Emails.get(id)
    same(planned["last_event"], "scheduled")

    same(resend.Emails.update({"id": id, "scheduled_at": "in 2 days"})["id"], id)
    moved = resend.Emails.get(id)
    # Times of one form: as text they stand in the order of time.
    same(moved["scheduled_at"] > planned["scheduled_at"], True)

    same(resend.Emails.cancel(id)["id"], id)
    same(resend.Emails.get(id)["last_event"], "canceled")
    late = refusal(lambda: resend.Emails.update({"id": id, "scheduled_at": "in 1 hour"}))
    same(late.code, 409)


def hear_what_is_wrong():
    wrong = refusal(lambda: resend.Emails.send(order(9, to="nobody")))
    same((type(wrong), wrong.code, wrong.error_type), (ValidationError, 422, "validation_error"))
    unknown = refusal(lambda: resend.Emails.get("019353a1-0000-7000-8000-000000000000"))
    same((unknown.code, unknown.error_type), (404, "not_found"))

    key, resend.api_key = resend.api_key, "mq_wrong"
    stranger = refusal(lambda: resend.Emails.send(order(10)))
    resend.api_key = key
    same((type(stranger), stranger.error_type), (InvalidApiKeyError, "invalid_api_key"))


if __name__ == "__main__":
    send_and_look_up()
    repeat_harmlessly()
    send_several()
    schedule_move_and_cancel()
    hear_what_is_wrong()
    print("resend for Python: all of it works")
