"""What wrong requests get through nginx, row by row of the catalogue of bad input: the status, the body that says why, and nothing
kept. The app alone is held to the whole catalogue by mailqueue-http/tests/http; here is what a proxy could spoil."""

import json
import socket

from client import KEY

MARK = "Segredo-7c1f"  # stands in everything that is refused, and must turn up nowhere
MEMBERS = {"type", "title", "status", "detail", "statusCode", "name", "message"}


def post(body, path="/api/emails", **fields):
    """A request for a message, complete but for what a row makes wrong."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"Host": "localhost", "Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "Content-Length": str(len(body)), **fields}
    head = "".join(f"{name}: {text}\r\n" for name, text in fields.items() if text is not None)
    return f"POST {path} HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode() + body


def head(lines, body=b""):
    """A request whose head is given line by line."""
    return "\r\n".join(["POST /api/emails HTTP/1.1", *lines, f"Authorization: Bearer {KEY}", "Connection: close", "", ""]).encode("latin-1") + body


def message(**changes):
    whole = {"from": "shop@example.com", "to": "ana@example.org", "subject": MARK, "text": MARK}
    return {name: value for name, value in {**whole, **changes}.items() if value is not ...}


def json_of(**changes):
    return post(message(**changes))


GOOD = json.dumps(message()).encode()
LENGTH = f"Content-Length: {len(GOOD)}"
TYPE = "Content-Type: application/json"
HOST = "Host: localhost"
CHUNKED = "Transfer-Encoding: chunked"
NO_LENGTH = {"Content-Length": None}

ROWS = [
    ("B1", 400, head([HOST, TYPE, LENGTH, LENGTH], GOOD)),
    ("B2", 400, head([HOST, TYPE, LENGTH, "Content-Length: 3"], GOOD)),
    *(("B2", 400, head([HOST, TYPE, f"Content-Length: {value}"], GOOD)) for value in ["2, 2", "+2", "-1", "0x2", str(2**64)]),
    ("B3", 400, head([HOST, TYPE, LENGTH, CHUNKED], b"0\r\n\r\n")),
    ("B4", 501, head([HOST, TYPE, "Transfer-Encoding: xchunked"], b"0\r\n\r\n")),
    ("B4", 501, head([HOST, TYPE, "Transfer-Encoding: chunked, identity"], b"0\r\n\r\n")),
    ("B5", 400, head([HOST, TYPE, CHUNKED, CHUNKED], b"0\r\n\r\n")),
    ("B5", 400, head([HOST, TYPE, "Transfer-Encoding : chunked"], b"0\r\n\r\n")),
    ("B5", 400, head([HOST, TYPE, CHUNKED], b"0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0")),
    ("B6", 400, head([HOST, TYPE, CHUNKED], b"xyz\r\n" + GOOD + b"\r\n0\r\n\r\n")),
    ("B6", 400, head([HOST, TYPE, CHUNKED], b"fffffffffffffffff\r\n" + GOOD + b"\r\n0\r\n\r\n")),
    ("B8", 400, head([TYPE, LENGTH], GOOD)),
    ("B8", 400, head([HOST, HOST, TYPE, LENGTH], GOOD)),
    ("B8", 400, head([HOST, TYPE, LENGTH, "X-A: a\0b"], GOOD)),
    ("B9", (400, 431), head([HOST, TYPE, LENGTH, "X-A: " + "a" * 40_000], GOOD)),
    ("B9", 414, b"GET /api/emails?" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
    ("B9", 431, head([HOST, TYPE, LENGTH, *(f"X-{n}: a" for n in range(200))], GOOD)),  # by hyper itself, without a body
    ("B10", 413, post(b"", **{"Content-Length": str(100 << 20)})),
    ("B14", 404, post(message(), "/api/nowhere")),
    ("B14", 405, post(message()).replace(b"POST", b"PUT", 1)),
    ("B15", 401, post(message(), Authorization=None)),
    ("B15", 403, post(message(), Authorization="Bearer mq_other")),
    *(("B18", 415, post(GOOD, **{"Content-Type": kind})) for kind in [None, "text/plain", "application/xml"]),
    ("B19", 415, post(GOOD, **{"Content-Type": "application/json; charset=utf-16"})),
    *(("B20", 415, post(GOOD, **{"Content-Encoding": coding})) for coding in ["gzip", "br"]),
    *(("B21", 400, post(body)) for body in [b"", b"\xef\xbb\xbf" + GOOD, GOOD + b"x", b'{"a": NaN}', b'{"a": 1e999}']),
    *(("B23", 400, post(body)) for body in [rb'{"subject": "\ud800"}', b'{"subject": "\xff"}', b'{"subject": "a\nb"}']),
    ("B24", 422, json_of(subject=f"{MARK}\0")),
    ("B26", 422, json_of(to_="x")),
    *(("B27", 422, json_of(**change)) for change in [{"to": None}, {"subject": 7}, {"to": 7}]),
    *(("B28", 422, json_of(**change)) for change in [{"to": []}, {"text": ...}]),
    ("B29", 422, json_of(to=[f"a{n}@example.org" for n in range(51)])),
    *(("B31", 422, json_of(subject=f"{MARK}{end}Bcc: x@example.org")) for end in ["\r\n", "\r", "\n"]),
    ("B32", 422, json_of(headers={"X-A\r\nBcc: x@example.org\r\nX-B": "1"})),
    ("B34", 422, json_of(**{"from": "a\nb <a@example.org>"})),
    *(("B36", 422, json_of(to=to)) for to in ["a@localhost", "a@127.0.0.1", "a@[::1]", "a@e"]),
    *(("B44", 422, json_of(headers={name: "x"})) for name in ["Bcc", "Message-ID", "From", "Content-Type", "Received"]),
    ("B48", 422, json_of(attachments=[{"filename": "a", "content": "%%%"}])),
    ("B52", 422, json_of(scheduled_at="2020-01-01T00:00:00Z")),
    *(("B53", 400, post(message(), **{"Idempotency-Key": key})) for key in ["", "a" * 257]),
    ("B56", 403, post(f"assunto={MARK}&mensagem={MARK}".encode(), "/api", Origin="http://elsewhere.example", **{"Content-Type": "application/x-www-form-urlencoded"})),
]


def exchange(port, request):
    """All that comes back for some bytes, until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
    return answer


def faults(port):
    """The rows that do not get what they should."""
    wrong = []
    for row, wanted, request in ROWS:
        start, _, body = exchange(port, request).partition(b"\r\n\r\n")
        status = int(start.split()[1])
        told = json.loads(body) if b"json" in start.lower() else {}
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        bare = status == 431 and not body
        fine = bare or MEMBERS <= set(told) and told["statusCode"] == status and MARK not in str(told)
        if status not in wanted or not fine:
            wrong.append((row, request[:300], start.decode(), body[:300].decode()))
    return wrong
