"""A headless Chromium, driven by the WebDriver protocol (W3C) through chromedriver."""

import json
import shutil
import subprocess
import tempfile
import urllib.request

from system import free_port, wait_until

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's name for a reference to an element


class Browser:
    def __enter__(self):
        if not (driver := shutil.which("chromedriver")):
            raise AssertionError("chromedriver is missing: install the packages chromium and chromium-driver")
        port = free_port()
        self.base = f"http://127.0.0.1:{port}"
        self.profile = tempfile.TemporaryDirectory()
        self.driver = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until("chromedriver answers", 30, self.ready)
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--lang=pt-BR", f"--user-data-dir={self.profile.name}"]
        options = {"args": flags, "prefs": {"intl.accept_languages": "pt-BR,pt"}}
        capabilities = {"alwaysMatch": {"goog:chromeOptions": options}}
        session = self.ask("POST", "/session", {"capabilities": capabilities})
        self.base += f"/session/{session['sessionId']}"
        return self

    def __exit__(self, *_):
        self.ask("DELETE", "")
        self.driver.terminate()
        self.driver.wait()
        self.profile.cleanup()

    def ready(self):
        try:
            return self.ask("GET", "/status")["ready"]
        except OSError:
            return False

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"content-type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, url):
        self.ask("POST", "/url", {"url": url})

    def address(self):
        return self.ask("GET", "/url")

    def find(self, css):
        return self.ask("POST", "/element", {"using": "css selector", "value": css})[ELEMENT]

    def write(self, css, text):
        self.ask("POST", f"/element/{self.find(css)}/value", {"text": text})

    def click(self, css):
        self.ask("POST", f"/element/{self.find(css)}/click", {})

    def text(self, css):
        """The text of an element; empty while there is none, or while the page is changing under it."""
        try:
            return self.ask("GET", f"/element/{self.find(css)}/text")
        except OSError:
            return ""

    def shot(self):
        return self.ask("GET", "/screenshot")
