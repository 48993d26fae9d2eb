#!/bin/sh
# The API by hand. Needs curl, and a server:
#
#   MAILQUEUE_URL=http://127.0.0.1:8080 MAILQUEUE_KEY=mq_… examples/curl.sh
#
# Every answer is checked, so CI runs this as it stands.
set -eu

url=${MAILQUEUE_URL:-http://127.0.0.1:8080}
key=${MAILQUEUE_KEY:-none}
url=${url%/}

# api METHOD PATH [more of curl's arguments]: prints the answer's body, then its status on a line of its own.
api() {
    method=$1 path=$2
    shift 2
    curl -sS --max-time 30 -X "$method" "$url$path" -w '\n%{http_code}' \
        -H "authorization: Bearer $key" -H 'content-type: application/json' "$@"
}

# expect WHAT PATTERN ANSWER: stops unless the answer has the pattern (as `case` understands it).
expect() {
    case $3 in
    $2) echo "ok: $1" ;;
    *) echo "not ok: $1: expected $2, found: $3" >&2 && exit 1 ;;
    esac
}

ok='*
200'

# The first id in an answer.
id_of() {
    printf '%s\n' "$1" | sed -n 's/^[^"]*{"id":"\([0-9a-f-]*\)".*/\1/p; s/.*"object":"email","id":"\([0-9a-f-]*\)".*/\1/p' |
        head -n 1
}

# A plain form, as a page without JavaScript sends it. It needs no key, and is answered in words.
answer=$(curl -sS --max-time 30 "$url/" -d assunto=Olá -d mensagem='Tudo bem?')
expect 'a form is taken' 'Mensagem enfileirada! Assunto: Olá Mensagem: Tudo bem?*' "$answer"

# A message. With an Idempotency-Key of your own choice it can be sent again after a time-out: it is still one message.
order='{
  "from": "Shop <shop@example.com>",
  "to": ["ana@example.org"],
  "reply_to": "help@example.com",
  "subject": "Your order",
  "text": "It is on its way.",
  "headers": {"X-Order": "42"},
  "tags": [{"name": "kind", "value": "order"}],
  "attachments": [{"filename": "invoice.txt", "content": "VG90YWw6IDcuMDAK"}]
}'
once="idempotency-key: order-$$-$(date +%s)"
first=$(api POST /emails -H "$once" -d "$order")
expect 'a message is kept' "{\"id\":\"*$ok" "$first"
again=$(api POST /emails -H "$once" -d "$order")
expect 'a repeat gets the same answer' "$first" "$again"
other=$(api POST /emails -H "$once" -d '{"to": "bo@example.org", "subject": "x", "text": "x"}')
expect 'another message needs another key' '*"invalid_idempotent_request"*
409' "$other"

# What became of it, and where it stands in the list.
id=$(id_of "$first")
expect 'it can be looked up' "*\"id\":\"$id\"*\"subject\":\"Your order\"*$ok" "$(api GET "/emails/$id")"
expect 'it is the newest' "*\"has_more\":*\"id\":\"$id\"*$ok" "$(api GET '/emails?limit=1')"
expect 'lists can be filtered' "*\"id\":\"$id\"*$ok" "$(api GET '/emails?to=ana@example.org&q=order&limit=5')"

# Several at once: all or none.
batch='[
  {"to": "ana@example.org", "subject": "One", "text": "1"},
  {"to": "bo@example.org", "subject": "Two", "text": "2"}
]'
expect 'a batch is kept' "{\"data\":[[]{\"id\":\"*\"},{\"id\":\"*\"}*$ok" "$(api POST /emails/batch -d "$batch")"

# Later, at another time, and not at all.
later='{"to": "ana@example.org", "subject": "Reminder", "text": "It is time.", "scheduled_at": "in 1 hour"}'
id=$(id_of "$(api POST /emails -d "$later")")
expect 'it waits for its time' "*\"last_event\":\"scheduled\"*$ok" "$(api GET "/emails/$id")"
moved=$(api PATCH "/emails/$id" -d '{"scheduled_at": "tomorrow at 9am"}')
expect 'it is moved' "*\"id\":\"$id\"*$ok" "$moved"
expect 'it is cancelled' "*\"id\":\"$id\",\"status\":\"cancelled\"*$ok" "$(api POST "/emails/$id/cancel")"
expect 'so it stays' "*\"last_event\":\"canceled\"*$ok" "$(api GET "/emails/$id")"

# What is wrong is told with a word for programs, a sentence for people, and a pointer at the field.
wrong=$(api POST /emails -d '{"to": "nobody", "subject": "x", "text": "x"}')
expect 'a fault is named' '*"pointer":"/to"*"name":"validation_error"*
422' "$wrong"
echo 'curl: all of it works'
