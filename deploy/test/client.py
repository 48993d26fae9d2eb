"""Clients of the published port: those who post, and the catcher's page that shows what came out."""

import hashlib
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter

KEY = "mq_smoke"
KEYS = "smoke:" + hashlib.sha256(KEY.encode()).hexdigest()


def ask(url, data=None, **headers):
    """Status, header fields and body of an answer; status 0 when there is none."""
    request = urllib.request.Request(url, data=data, headers={name.replace("_", "-"): text for name, text in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=40) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()
    except OSError:
        return 0, {}, ""


def form(url, subject, message):
    """The form, as curl posts it."""
    return ask(f"{url}/api", urllib.parse.urlencode({"assunto": subject, "mensagem": message}).encode())


def submit(url, subject):
    """One message by the JSON API; the status of the answer."""
    body = {"from": "shop@example.com", "to": "ana@example.org", "subject": subject, "text": "Tudo bem?"}
    fields = {"Content_Type": "application/json", "Authorization": f"Bearer {KEY}"}
    return ask(f"{url}/api/emails", json.dumps(body).encode(), **fields)[0]


def caught(url):
    """How many copies of each subject came out, as the catcher tells: Mailpit, or MailDev where that stands in."""
    status, _, body = ask(f"{url}/mailpit/api/v1/messages?limit=5000")
    if status == 200 and body.startswith("{"):
        return Counter(message["Subject"] for message in json.loads(body)["messages"])
    status, _, body = ask(f"{url}/mailpit/email")
    assert status == 200, f"the catcher's page cannot be reached through nginx: {status} {body[:200]}"
    return Counter(message["subject"] for message in json.loads(body))


class Trickle:
    """Four clients that each post a message every tenth of a second until they are told to stop, whatever the answers are."""

    def __init__(self, url, name):
        self.url, self.name = url, name
        # Whoever appends to these does so in one step, so four threads may.
        self.accepted, self.refused = [], []
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.work, args=[client]) for client in range(4)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def work(self, client):
        number = 0
        while not self.ending.wait(0.1):
            number += 1
            subject = f"{self.name} {client}/{number}"
            status = submit(self.url, subject)
            if status == 200:
                self.accepted.append(subject)
            else:
                self.refused.append(status)
