"""The system of compose.yaml, brought up from a copy of deploy/ so that nobody's own secrets and volumes are touched."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = "mailqueue-smoke"
SERVICES = ["frontend", "app", "worker", "db", "queue", "mail"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run(command, **options):
    """Runs a command to its end; what it says is in the error when it fails."""
    check = options.pop("check", True)
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return done


def wait_until(what, seconds, holds, every=0.25):
    """What `holds` gives as soon as it is true; no longer than so many seconds."""
    end = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"still not after {seconds} s: {what}")
        time.sleep(every)


def service_of(container):
    return container["Config"]["Labels"]["com.docker.compose.service"]


class System:
    """One project of compose, with a volume and a port of its own."""

    def __init__(self, compose, settings=None):
        self.compose = compose
        self.folder = Path(tempfile.mkdtemp(prefix="mailqueue-smoke-"))
        self.port = free_port()
        shutil.copytree(REPOSITORY / "deploy", self.folder / "deploy", ignore=shutil.ignore_patterns("secrets", ".env", "test"))
        page = Path("mailqueue-http/src/pages/static")
        shutil.copytree(REPOSITORY / page, self.folder / page)
        self.folder.chmod(0o755)
        self.settings = {"HTTP_PORT": str(self.port), "COMPOSE_PROJECT_NAME": PROJECT, **(settings or {})}

    def __enter__(self):
        self("down", "-v", "--remove-orphans", check=False)
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            print(self("ps", check=False).stdout, self("logs", "--tail", "60", check=False).stdout, flush=True)
        self("down", "-v", "--remove-orphans", "-t", "5", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __call__(self, *words, check=True, **settings):
        """A command of compose, as a person types it in deploy/."""
        environment = {**os.environ, **self.settings, **settings}
        return run([*self.compose, *words], check=check, cwd=self.folder / "deploy", env=environment)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def secret(self, name):
        return self.folder / "deploy" / "secrets" / name

    def containers(self, service=None, stopped=False):
        """What docker knows about the containers of a service, or of all."""
        labels = ["--filter", f"label=com.docker.compose.project={PROJECT}"]
        if service:
            labels += ["--filter", f"label=com.docker.compose.service={service}"]
        ids = run(["docker", "ps", "-q", *(["-a"] if stopped else []), *labels]).stdout.split()
        return json.loads(run(["docker", "inspect", *ids]).stdout) if ids else []

    def healthy(self, workers):
        """Whether every service runs and says that it is well, with so many workers."""
        health = {}
        for container in self.containers():
            health.setdefault(service_of(container), []).append(container["State"].get("Health", {}).get("Status"))
        wanted = {service: ["healthy"] * (workers if service == "worker" else 1) for service in SERVICES}
        return {service: health.get(service) for service in SERVICES} == wanted

    def logs(self, container):
        return run(["docker", "logs", container["Id"]]).stdout

    def query(self, sql):
        """What the database answers, a list of fields for every row."""
        psql = ["exec", "-T", "db", "psql", "-U", "postgres", "-d", "email_sender", "-At", "-F", "\t", "-c", sql]
        return [line.split("\t") for line in self(*psql).stdout.splitlines()]
