#!/usr/bin/env python3
"""The smoke test of deploy/compose.yaml on running containers. Needs a docker engine, the image `mailqueue` built and those
that compose.yaml names; `.ci/smoke` sees to all that. Each step says what it shows; the first that does not hold ends it."""

import re
import shutil
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import bad_input
from browser import Browser
from client import KEYS, Trickle, ask, caught, form, submit
from system import PROJECT, System, run, service_of, wait_until

WORKERS = 3
OPEN = "SELECT count(*) FROM deliveries WHERE finished_at IS NULL"
# MailDev, where it stands in for Mailpit, crashes and forgets all mail when a worker is killed between commands it sent
# together and their replies (write EPIPE is thrown). One command at a time, it does not.
ONE_COMMAND_AT_A_TIME = "smtp://mail:1025?tls=none&pipelining=off"


def comes_up_from_an_empty_volume(system):
    begun = time.monotonic()
    system("up", "-d", "--scale", f"worker={WORKERS}")
    wait_until("all services healthy", 90, lambda: system.healthy(WORKERS))
    return f"healthy after {time.monotonic() - begun:.0f} s"


def answers_the_commands_of_the_tutorial(system):
    assert "email_sender" in system("exec", "-T", "db", "psql", "-U", "postgres", "-c", r"\l").stdout
    told = system("exec", "-T", "db", "psql", "-U", "postgres", "-f", "/scripts/check.sql").stdout
    assert "email_sender" in told and 'Table "public.emails"' in told and "subject" in told, told
    status, _, body = form(system.url, "Olá", "Tudo bem?")
    assert (status, body.strip()) == (200, "Mensagem enfileirada! Assunto: Olá Mensagem: Tudo bem?"), (status, body)
    wait_until("the form's mail is caught", 30, lambda: caught(system.url)["Olá"] == 1)
    log = system("logs", "--no-color", "-t", "worker").stdout
    assert re.search(r"worker[-_]\d +\| \d{4}-\d\d-\d\dT.* sent event=\S+ message_id=", log), log


def delivers_every_message_once_with_all_workers(system):
    subjects = [f"Pedido {n}" for n in range(200)]
    with ThreadPoolExecutor(8) as clients:
        statuses = list(clients.map(lambda subject: submit(system.url, subject), subjects))
    assert statuses == [200] * 200, statuses
    wait_until("200 messages are caught", 60, lambda: sum(caught(system.url)[s] for s in subjects) >= 200)
    time.sleep(2)  # for copies that should not come
    copies = caught(system.url)
    assert [copies[subject] for subject in subjects] == [1] * 200, copies
    sent = "SELECT count(*) FROM emails JOIN deliveries ON email_id = id WHERE subject LIKE 'Pedido %' AND status = 'sent'"
    wait_until("200 rows are sent", 10, lambda: system.query(sent) == [["200"]])
    shares = [system.logs(worker).count(": sent ") for worker in system.containers("worker")]
    assert len(shares) == WORKERS and min(shares) > 0, shares
    return f"shares of the workers: {shares}"


def serves_the_page_to_a_browser(system):
    with Browser() as browser:
        browser.open(f"{system.url}/")
        browser.write("#assunto", "Do navegador")
        browser.write("#mensagem", "Até já")
        browser.click("button[type=submit]")
        wait_until("the page says sent", 30, lambda: browser.text(".state h1") == "Mensagem enviada")
        assert "/messages/" in browser.address()
    assert caught(system.url)["Do navegador"] == 1


def serves_the_page_the_binary_embeds(system):
    for query, file in [("", "index.pt.html"), ("?lang=en", "index.en.html")]:
        status, fields, page = ask(f"{system.url}/{query}")
        assert status == 200 and "default-src 'none'" in fields["content-security-policy"], fields
        assert page == (system.folder / "mailqueue-http/src/pages/static" / file).read_text()
        from_the_app = run(["docker", "run", "--rm", "--network", f"{PROJECT}_web", "nginx:1.30-alpine", "curl", "-sS", f"http://app:8080/{query}"])
        assert from_the_app.stdout == page
    assert "nginx/" not in fields.get("server", ""), fields["server"]


def passes_on_only_what_is_meant_to_be(system):
    for path in ["/metrics", "/livez", "/readyz", "/api/livez", "/api/readyz", "/api/metrics", "/api/%6civez", "/api//readyz", "/x/../metrics"]:
        status, fields, body = ask(system.url + path)
        assert status == 404 and '"name":"not_found"' in body, (path, status, body)
    assert ask(f"{system.url}/api/emails")[0] == 401
    status, _, body = ask(f"{system.url}/api/emails", b"x" * (16 << 20), Content_Type="application/json")
    assert status in (0, 413), (status, body)
    status, _, body = ask(f"{system.url}/", b"assunto=&mensagem=")
    assert status == 422 and '"statusCode":422' in body, (status, body)


def keeps_nothing_of_what_is_wrong(system):
    rows = "SELECT (SELECT count(*) FROM emails), (SELECT count(*) FROM idempotency_keys)"
    before = system.query(rows)
    wrong = bad_input.faults(system.port)
    assert not wrong, wrong
    assert system.query(rows) == before
    logs = "".join(system.logs(container) for container in system.containers())
    assert bad_input.MARK not in logs, [line for line in logs.splitlines() if bad_input.MARK in line]
    return f"{len(bad_input.ROWS)} requests"


def is_closed_to_everybody_else(system):
    published, addresses = {}, {}
    for container in system.containers():
        service = service_of(container)
        ports = container["NetworkSettings"]["Ports"] or {}
        published.setdefault(service, []).extend(binding["HostPort"] for bindings in ports.values() for binding in bindings or [])
        addresses[service] = [network["IPAddress"] for network in container["NetworkSettings"]["Networks"].values()]
        host = container["HostConfig"]
        assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and not host["CapAdd"] and not host["Privileged"], service
        assert any(option.startswith("no-new-privileges") for option in host["SecurityOpt"]), service
        assert host["Memory"] > 0 and host["PidsLimit"] > 0 and host["LogConfig"]["Config"]["max-size"], service
        processes = run(["docker", "top", container["Id"], "-eo", "pid,uid"]).stdout.splitlines()[1:]
        owners = {line.split()[1] for line in processes}
        assert owners and "0" not in owners, (service, owners)
    assert published.pop("frontend") and not any(published.values()), published
    for service, port in [("db", 5432), ("queue", 6379)]:
        for address in addresses[service]:
            assert reaches("banco" if service == "db" else "fila", address, port), f"the probe does not work: {service}"
            assert not reaches("web", address, port), f"{service} can be reached from the network web"
        assert not reaches("web", service, port)
    secrets = [path.read_text().strip() for path in system.secret("").rglob("*") if path.is_file()]
    assert len(secrets) == 3 and min(map(len, secrets)) >= 64, "there are not three secrets"
    inspected = str(system.containers(stopped=True))
    image = run(["docker", "history", "--no-trunc", "mailqueue"]).stdout + run(["docker", "inspect", "mailqueue"]).stdout
    assert not any(secret in inspected or secret in image for secret in secrets)
    for path in system.secret("").rglob("*"):
        assert not path.is_file() or path.stat().st_mode & 0o777 == 0o600, path


def reaches(network, host, port):
    """Whether a container on a network gets a connection."""
    probe = ["docker", "run", "--rm", "--network", f"{PROJECT}_{network}", "nginx:1.30-alpine", "curl", "-sS", "-m", "3", f"http://{host}:{port}"]
    # 6: no such name, 7: refused or no way there, 28: no answer. Whatever else happens, happens on a connection.
    return run(probe, check=False).returncode not in (6, 7, 28)


def survives_the_loss_of_every_part(system):
    front = system.containers("frontend")[0]["State"]["StartedAt"]
    with Trickle(system.url, "Gota") as trickle:
        time.sleep(2)
        victim = system.containers("worker")[0]["Id"]
        run(["docker", "kill", victim])
        time.sleep(2)
        system("restart", "-t", "0", "queue")
        time.sleep(2)
        system("stop", "db")
        time.sleep(3)
        system("start", "db")
        wait_until("the db is back", 60, lambda: submit(system.url, "de volta") == 200)
        before = len(trickle.accepted)
        system("up", "-d", "--no-deps", "--force-recreate", "--scale", f"worker={WORKERS}", "app")
        wait_until("nginx finds the new app", 60, lambda: len(trickle.accepted) > before + 80)
        run(["docker", "start", victim])
    assert system.containers("frontend")[0]["State"]["StartedAt"] == front, "nginx was restarted"
    assert set(trickle.refused) <= {0, 503}, trickle.refused
    # A lease of the killed worker has to run out first.
    wait_until("everything is finished", 180, lambda: system.query(OPEN) == [["0"]], every=1)
    assert system.query("SELECT DISTINCT status FROM deliveries") == [["sent"]]
    ambiguous = {subject for [subject] in system.query("SELECT subject FROM emails JOIN deliveries ON email_id = id WHERE maybe_sent")}
    copies = caught(system.url)
    lost = [subject for subject in trickle.accepted if copies[subject] == 0]
    doubled = [subject for subject in copies if copies[subject] > 1 and subject not in ambiguous]
    assert not lost and not doubled and max(copies.values()) <= 2, (lost, doubled)
    return f"{len(trickle.accepted)} accepted, {len(trickle.refused)} refused, {len(ambiguous)} ambiguous"


def drains_when_it_is_stopped(system):
    with Trickle(system.url, "Parada") as trickle:
        wait_until("mail is flowing", 30, lambda: len(trickle.accepted) > 40)
        begun = time.monotonic()
        system("stop", "worker")
        took = time.monotonic() - begun
    ended = [container["State"] for container in system.containers("worker", stopped=True)]
    assert [state["ExitCode"] for state in ended] == [0] * WORKERS and not any(state["OOMKilled"] for state in ended), ended
    left = "SELECT count(*) FROM deliveries WHERE status = 'sending' OR maybe_sent AND finished_at IS NULL"
    assert system.query(left) == [["0"]], "the workers left something behind"
    system("up", "-d", "--scale", f"worker={WORKERS}")
    wait_until("everything is finished", 90, lambda: system.query(OPEN) == [["0"]], every=1)
    copies = caught(system.url)
    assert {copies[subject] for subject in trickle.accepted} == {1}, copies
    system("stop")
    codes = {service_of(container): container["State"]["ExitCode"] for container in system.containers(stopped=True)}
    assert codes["app"] == codes["worker"] == codes["db"] == codes["queue"] == 0, codes
    system("up", "-d", "--scale", f"worker={WORKERS}")
    wait_until("all services healthy", 90, lambda: system.healthy(WORKERS))
    return f"the workers ended after {took:.1f} s"


def says_what_is_wrong(system):
    """Settings that cannot be right: one clear sentence, and no loop at full speed."""
    told = restless(system, "worker", SMTP_URL="gopher://user:s3cret@mail")
    assert "SMTP_URL: " in told and "s3cret" not in told, told
    told = restless(system, "worker", SMTP_URL="", SMTP_URL_FILE="/run/secrets/smtp_url")
    assert "SMTP_URL_FILE: the file /run/secrets/smtp_url cannot be read" in told, told
    url = system.secret("app/database_url")
    right = url.read_text()
    url.write_text("postgres://mailqueue:s3cret@db:5432/email_sender\n")
    told = restless(system, "worker", SMTP_URL="smtp://mail:1025?tls=none")
    assert "DATABASE_URL" in told and "password" in told and "s3cret" not in told, told
    url.write_text(right)
    system.secret("db/mailqueue_password").rename(system.folder / "kept")
    refused = system("up", "-d", check=False)
    log = "".join(system.logs(container) for container in system.containers("secrets", stopped=True))
    assert refused.returncode != 0 and "deploy/secrets/db/mailqueue_password is missing" in log, (refused.stdout, log)
    (system.folder / "kept").rename(system.secret("db/mailqueue_password"))
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = system("up", "-d", "--no-deps", "frontend", check=False, HTTP_PORT=port)
        assert refused.returncode != 0 and port in refused.stdout and "in use" in refused.stdout.replace("already allocated", "in use"), refused.stdout


def restless(system, service, **settings):
    """What a service says that cannot start, and that it is not restarted all the time."""
    system("up", "-d", "--no-deps", "--force-recreate", "--scale", f"{service}=1", service, **settings)
    wait_until("it ends and is started again", 90, lambda: all(c["RestartCount"] > 0 for c in system.containers(service, stopped=True)))
    time.sleep(5)
    [container] = system.containers(service, stopped=True)
    assert container["RestartCount"] < 10 and container["State"].get("Health", {}).get("Status") != "healthy"
    return system.logs(container)


STEPS = [
    comes_up_from_an_empty_volume,
    answers_the_commands_of_the_tutorial,
    delivers_every_message_once_with_all_workers,
    serves_the_page_to_a_browser,
    serves_the_page_the_binary_embeds,
    passes_on_only_what_is_meant_to_be,
    keeps_nothing_of_what_is_wrong,
    is_closed_to_everybody_else,
    survives_the_loss_of_every_part,
    drains_when_it_is_stopped,
    says_what_is_wrong,
]


def main():
    composes = [["docker-compose"]] if shutil.which("docker-compose") else []
    if run(["docker", "compose", "version"], check=False).returncode == 0:
        composes.append(["docker", "compose"])
    if not composes:
        sys.exit("neither docker-compose nor docker compose is there: install the package docker-compose")
    for number, compose in enumerate(composes):
        # The second kind of compose has only to bring up the same thing. Nothing is killed there.
        steps, settings = (STEPS, {"SMTP_URL": ONE_COMMAND_AT_A_TIME}) if number == 0 else (STEPS[:3], {})
        with System(compose, {"MAILQUEUE_API_KEYS": KEYS, **settings}) as system:
            for step in steps:
                begun = time.monotonic()
                said = step(system)
                took = time.monotonic() - begun
                print(f"{' '.join(compose)}: {step.__name__.replace('_', ' ')}: ok, {took:.0f} s{said and f' ({said})' or ''}", flush=True)


if __name__ == "__main__":
    main()
