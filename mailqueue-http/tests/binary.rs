//! The binary as people start it: without settings, with wrong ones, and killed.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn http(directory: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailqueue-http"));
    command.env_clear().envs(settings.iter().copied()).current_dir(directory);
    command
}

/// A running binary; killed at the end.
struct Running {
    process: Child,
    address: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Running {
    /// Starts it on a free port and waits until it says where it listens.
    fn start(directory: &Path, settings: &[(&str, &str)]) -> Self {
        Self::of(http(directory, settings))
    }

    /// The same, by a command of the test's own.
    fn of(mut command: Command) -> Self {
        if !command.get_envs().any(|(name, _)| name == "MAILQUEUE_LISTEN") {
            command.env("MAILQUEUE_LISTEN", "127.0.0.1:0");
        }
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended instead of listening");
            if let Some((_, rest)) = line.split_once("url=http://") {
                break rest.split('/').next().unwrap().to_owned();
            }
        };
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { process, address }
    }

    fn send(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn fill_in(&self, fields: &str) -> String {
        self.send(&format!(
            "POST /api HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{fields}",
            fields.len()
        ))
    }

    fn get(&self, path: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
    }

    fn end(mut self) -> bool {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").arg(&id).status().unwrap().success());
        self.process.wait().unwrap().success()
    }
}

#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "still not: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The text of the messages written to `outbox/`.
fn written(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory.join("outbox")) else { return Vec::new() };
    let files = entries.map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "eml"));
    files.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn without_settings_it_keeps_and_sends_mail_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &[]);
    let answer = running.fill_in("assunto=Primeira&mensagem=Tudo+bem%3F");
    assert!(answer.contains("Mensagem enfileirada! Assunto: Primeira Mensagem: Tudo bem?"), "{answer}");
    wait_until("a file in outbox/", || !written(directory.path()).is_empty());
    let files = written(directory.path());
    assert_eq!(files.len(), 1);
    assert!(files[0].contains("Subject: Primeira") && files[0].contains("To: form@example.com"));
    wait_until("sent", || running.get("/emails").contains("\"status\":\"sent\""));
    assert!(running.get("/readyz").starts_with("HTTP/1.1 200"));
    assert!(running.get("/metrics").contains("mailqueue_http_request_duration_seconds_bucket"));
    assert!(running.end(), "it ends in order");
    let again = Running::start(directory.path(), &[]);
    assert!(again.get("/emails").contains("\"subject\":\"Primeira\""));
}

#[test]
fn mail_accepted_just_before_a_kill_is_delivered_after_the_restart() {
    let directory = tempfile::tempdir().unwrap();
    let settings = [("MAILQUEUE_WORKERS", "0"), ("MAILQUEUE_FORM_RATE", "off")];
    let mut running = Running::start(directory.path(), &settings);
    for n in 0..20 {
        let answer = running.fill_in(&format!("assunto=Mensagem+{n:02}&mensagem=x"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    running.process.kill().unwrap();
    running.process.wait().unwrap();
    let _again = Running::start(directory.path(), &[]);
    wait_until("all delivered", || written(directory.path()).len() == 20);
    let files = written(directory.path());
    for n in 0..20 {
        let subject = format!("Subject: Mensagem {n:02}");
        assert_eq!(files.iter().filter(|file| file.contains(&subject)).count(), 1, "{subject}");
    }
}

#[test]
fn a_kill_before_the_answer_is_read_leaves_a_repeat_its_id() {
    let directory = tempfile::tempdir().unwrap();
    let mut running = Running::start(directory.path(), &[("MAILQUEUE_WORKERS", "0")]);
    let body = r#"{"from":"a@example.com","to":"b@example.org","subject":"Uma vez","text":"x"}"#;
    let request = format!(
        "POST /emails HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nIdempotency-Key: k\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    // The message is committed, and its client knows nothing of it.
    let mut unread = TcpStream::connect(&running.address).unwrap();
    unread.write_all(request.as_bytes()).unwrap();
    let first = || id_in(&running.get("/emails"));
    wait_until("committed", || first().is_some());
    let id = first();
    running.process.kill().unwrap();
    running.process.wait().unwrap();
    drop(unread);
    let again = Running::start(directory.path(), &[]);
    let answer = again.send(&request);
    assert!(answer.to_ascii_lowercase().contains("idempotent-replayed: true"), "{answer}");
    assert_eq!(id_in(&answer), id);
    wait_until("delivered", || written(directory.path()).len() == 1);
    assert_eq!(again.get("/emails").matches("\"subject\":\"Uma vez\"").count(), 1);
}

/// The first id that an answer names.
fn id_in(answer: &str) -> Option<String> {
    let (_, rest) = answer.split_once("\"id\":\"")?;
    Some(rest.split('"').next()?.to_owned())
}

fn refused(settings: &[(&str, &str)]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let output = http(directory.path(), settings).output().unwrap();
    assert_eq!(
        std::fs::read_dir(directory.path()).unwrap().count(),
        0,
        "something was made before the check"
    );
    output
}

#[test]
fn all_wrong_settings_are_named_at_once_and_no_secret_is_shown() {
    let output = refused(&[
        ("DATABASE_URL", "mysql://user:s3cret@db/x"),
        ("SMTP_URL", "gopher://user:s3cret@mail"),
        ("MAILQUEUE_LISTEN", "8080"),
        ("MAILQUEUE_WORKERS", "many"),
        ("MAILQUEUE_FROM", "nobody"),
        ("MAILQUEUE_FORM_TO", "a@localhost"),
        ("MAILQUEUE_FORM_RECIPIENTS", "example.com, x y"),
        ("MAILQUEUE_API_KEYS", "shop:s3cret"),
        ("MAILQUEUE_RATE_LIMIT", "100/d"),
        ("MAILQUEUE_FORM_RATE", "10"),
        ("MAILQUEUE_CLIENT_ADDRESS_HEADER", "x forwarded"),
        ("MAILQUEUE_USER_HEADER", "x-forwarded-user"),
        ("MAILQUEUE_SHOW_CONTENT", "some"),
        ("MAILQUEUE_MAX_WAITING", "9"),
        ("MAILQUEUE_MAX_WAITING_BYTES", "10GB"),
        ("MAILQUEUE_LEASE", "soon"),
        ("MAILQUEUE_LISTN", "127.0.0.1:1"),
    ]);
    assert_eq!(output.status.code(), Some(78));
    let told = String::from_utf8(output.stderr).unwrap();
    for name in [
        "DATABASE_URL",
        "SMTP_URL",
        "MAILQUEUE_LISTEN",
        "MAILQUEUE_WORKERS",
        "MAILQUEUE_FROM",
        "MAILQUEUE_FORM_TO",
        "MAILQUEUE_FORM_RECIPIENTS",
        "MAILQUEUE_API_KEYS",
        "MAILQUEUE_RATE_LIMIT",
        "MAILQUEUE_FORM_RATE",
        "MAILQUEUE_CLIENT_ADDRESS_HEADER",
        "MAILQUEUE_USER_HEADER",
        "MAILQUEUE_SHOW_CONTENT",
        "MAILQUEUE_MAX_WAITING",
        "MAILQUEUE_MAX_WAITING_BYTES",
        "MAILQUEUE_LEASE",
        "MAILQUEUE_LISTN",
    ] {
        assert_eq!(told.matches(&format!("mailqueue-http: {name}: ")).count(), 1, "{name}: {told}");
    }
    assert!(!told.contains("s3cret"), "{told}");
}

#[test]
fn keys_may_come_from_a_file_but_not_from_two_places() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys");
    std::fs::write(&file, format!("shop:{}\n", "0".repeat(64))).unwrap();
    let file = file.to_str().unwrap();
    let running = Running::start(directory.path(), &[("MAILQUEUE_API_KEYS_FILE", file)]);
    assert!(running.get("/emails").starts_with("HTTP/1.1 401"));
    let both = refused(&[("MAILQUEUE_API_KEYS_FILE", file), ("MAILQUEUE_API_KEYS", "x:y")]);
    assert_eq!(both.status.code(), Some(78));
}

#[test]
fn a_key_that_is_made_opens_what_its_entry_says() {
    let directory = tempfile::tempdir().unwrap();
    // Settings that would be wrong otherwise: making a key needs none.
    let make = |arguments: &[&str]| {
        let mut command = http(directory.path(), &[("DATABASE_URL", "mysql://s3cret"), ("MAILQUEUE_X", "y")]);
        command.arg("key").args(arguments).output().unwrap()
    };
    let made = make(&["shop", "--scope", "send", "--domain", "Example.COM", "--domain", "b.example"]);
    assert!(made.status.success());
    let shown = String::from_utf8(made.stdout).unwrap();
    let (key, entry) = shown.trim_end().split_once('\n').unwrap();
    let (key, entry) = (key.strip_prefix("key=mq_").unwrap(), entry.strip_prefix("entry=").unwrap());
    assert!(entry.starts_with("shop:") && entry.ends_with(":scope=send:domain=example.com:domain=b.example"));
    assert!(!String::from_utf8(made.stderr).unwrap().contains(key) && !entry.contains(key));
    let running = Running::start(directory.path(), &[("MAILQUEUE_API_KEYS", entry)]);
    let ask = |head: &str, body: &str| {
        running.send(&format!(
            "{head} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer mq_{key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    let body = r#"{"from":"a@b.example","to":"a@example.org","subject":"s","text":"t"}"#;
    assert!(ask("POST /emails", body).starts_with("HTTP/1.1 200"));
    assert!(ask("POST /emails", &body.replace("a@b", "a@c")).starts_with("HTTP/1.1 403"));
    assert!(ask("GET /emails", "").starts_with("HTTP/1.1 403"));
    for wrong in
        [&["a b"][..], &["a", "--scope", "all"], &["a", "--domain", "x"], &["a", "--expires", "soon"], &[]]
    {
        let refused = make(wrong);
        assert!(!refused.status.success() && refused.stdout.is_empty(), "{wrong:?}");
    }
}

#[test]
fn an_empty_setting_counts_as_absent() {
    let directory = tempfile::tempdir().unwrap();
    let empty = ["DATABASE_URL", "REDIS_URL", "SMTP_URL", "MAILQUEUE_API_KEYS"];
    let files = empty.map(|name| format!("{name}_FILE"));
    let others = [
        "MAILQUEUE_RATE_LIMIT",
        "MAILQUEUE_FORM_RATE",
        "MAILQUEUE_CLIENT_ADDRESS_HEADER",
        "MAILQUEUE_USER_HEADER",
        "MAILQUEUE_SHOW_CONTENT",
        "MAILQUEUE_MAX_WAITING",
        "MAILQUEUE_MAX_WAITING_BYTES",
    ];
    let names = empty.into_iter().chain(files.iter().map(String::as_str)).chain(others);
    let settings = names.map(|name| (name, ""));
    let running = Running::start(directory.path(), &settings.collect::<Vec<_>>());
    assert!(running.get("/emails").starts_with("HTTP/1.1 200"));
}

#[test]
fn the_form_and_the_backlog_are_bounded_by_settings() {
    let directory = tempfile::tempdir().unwrap();
    let settings =
        [("MAILQUEUE_WORKERS", "0"), ("MAILQUEUE_MAX_WAITING", "10"), ("MAILQUEUE_FORM_RATE", "9/h")];
    let running = Running::start(directory.path(), &settings);
    let answers: Vec<String> = (0..10).map(|_| running.fill_in("assunto=a&mensagem=b")).collect();
    let statuses: Vec<&str> = answers.iter().map(|answer| &answer[9..12]).collect();
    assert_eq!(statuses, [&["200"; 8][..], &["503", "429"]].concat());
    assert!(answers[8].contains("retry-after: 10"), "{}", answers[8]);
}

#[test]
fn a_full_disk_is_a_503_and_nothing_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    // The largest file this process may write, in blocks of 512 octets, stands in for the end of the disk.
    let limited = |blocks: u32| {
        let mut command = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\"");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_mailqueue-http")]);
        command.env_clear().env("MAILQUEUE_WORKERS", "0").env("MAILQUEUE_FORM_RATE", "off");
        command.current_dir(directory.path());
        command
    };
    let running = Running::of(limited(2000));
    let message = "x".repeat(50_000);
    let send = || running.fill_in(&format!("assunto=a&mensagem={message}"));
    let mut accepted = 0;
    let refused = loop {
        let answer = send();
        if !answer.starts_with("HTTP/1.1 200") {
            break answer;
        }
        accepted += 1;
        assert!(accepted < 100, "the disk is never full");
    };
    assert!(accepted > 0 && refused.starts_with("HTTP/1.1 503"), "{accepted}: {refused}");
    assert!(refused.to_ascii_lowercase().contains("retry-after: "), "{refused}");
    assert!(running.get("/emails?limit=100").matches("\"subject\":\"a\"").count() == accepted);
    drop(running);
    let again = Running::start(directory.path(), &[("MAILQUEUE_WORKERS", "0")]);
    assert_eq!(again.get("/emails?limit=100").matches("\"subject\":\"a\"").count(), accepted);
    assert!(again.fill_in("assunto=b&mensagem=c").starts_with("HTTP/1.1 200"));
}

#[test]
fn the_healthcheck_tells_whether_the_process_is_ready() {
    let directory = tempfile::tempdir().unwrap();
    let check = |address: &str| {
        // Settings that would be wrong otherwise: the check asks the running process and judges nothing else.
        let settings = [("MAILQUEUE_LISTEN", address), ("DATABASE_URL", "mysql://s3cret"), ("SMTP_URL", "?")];
        http(directory.path(), &settings).arg("healthcheck").output().unwrap()
    };
    let running = Running::start(directory.path(), &[("MAILQUEUE_LISTEN", "0.0.0.0:0")]);
    let port = port_of(&running.address);
    for host in ["0.0.0.0", "127.0.0.1"] {
        assert!(check(&format!("{host}:{port}")).status.success(), "{host}");
    }
    let address = format!("127.0.0.1:{port}");
    drop(running);
    let output = check(&address);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with(&format!("mailqueue-http: nothing on {address} answers")), "{told}");
}

fn port_of(address: &str) -> &str {
    address.rsplit_once(':').unwrap().1
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = http(directory.path(), &[("MAILQUEUE_LISTEN", &address)]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains(&format!("MAILQUEUE_LISTEN: {address}: ")));
}

#[test]
fn the_log_names_requests_and_nothing_of_their_content() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let settings = [("MAILQUEUE_LISTEN", "127.0.0.1:0"), ("MAILQUEUE_LOG", "debug")];
    let mut command = http(directory.path(), &settings);
    let mut process = command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let text = || std::fs::read_to_string(&log).unwrap();
    wait_until("listening", || text().contains("url=http://"));
    let said = text();
    let address = said.split("url=http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let running = Running { process: Command::new("true").spawn().unwrap(), address };
    running.fill_in("assunto=Segredo&mensagem=Recado&para=ana%40example.org");
    running.fill_in("assunto=Segredo%0A&mensagem=Recado&para=ana%40localhost");
    running.get("/emails?q=Segredo&to=ana%40example.org");
    running.get("/Segredo");
    wait_until("sent", || running.get("/emails").contains("\"status\":\"sent\""));
    // In order, as a process that is killed may lose the lines of its last moment.
    assert!(Command::new("kill").arg(process.id().to_string()).status().unwrap().success());
    assert!(process.wait().unwrap().success());
    let said = text();
    for piece in
        ["route=\"/\"", "status=200", "status=422", "route=\"/emails\"", "duration_ms=", "request_id="]
    {
        assert!(said.contains(piece), "{piece}: {said}");
    }
    for secret in ["Segredo", "Recado", "ana@", "ana%40"] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
}

#[test]
fn every_metric_is_served_with_its_help() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &[]);
    running.fill_in("assunto=Primeira&mensagem=Tudo");
    wait_until("sent", || running.get("/emails").contains("\"status\":\"sent\""));
    let shown = running.get("/metrics");
    let names = shown.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let (described, bare): (Vec<_>, Vec<_>) =
        names.partition(|name| shown.contains(&format!("# HELP {name} ")));
    assert!(bare.is_empty(), "{bare:?}: {shown}");
    for name in
        ["mailqueue_build_info", "mailqueue_finished_total", "mailqueue_http_request_duration_seconds"]
    {
        assert!(described.contains(&name), "{name}: {shown}");
    }
}

/// The value of a metric, by its name with its labels, as the process shows it.
fn metric(running: &Running, name: &str) -> Option<u64> {
    let shown = running.get("/metrics");
    shown.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[test]
fn a_cancelled_message_counts_as_finished_once() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &[]);
    let json = |path: &str, body: &str| {
        running.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    let answer = json(
        "/emails",
        r#"{"from":"a@example.com","to":"b@example.org","subject":"s","text":"t","scheduled_at":"in 1 hour"}"#,
    );
    let id = id_in(&answer).expect("it is taken");
    for _ in 0..2 {
        assert!(json(&format!("/emails/{id}/cancel"), "{}").starts_with("HTTP/1.1 200"));
    }
    assert_eq!(metric(&running, "mailqueue_finished_total{outcome=\"cancelled\"}"), Some(1));
}

#[test]
fn a_hint_that_redis_refuses_is_counted_and_the_mail_is_accepted() {
    let (directory, redis) = (tempfile::tempdir().unwrap(), mailqueue_testing::Redis::start());
    redis.command(&["REPLICAOF", "127.0.0.1", "1"]);
    let running = Running::start(directory.path(), &[("REDIS_URL", &redis.url())]);
    let errors = || metric(&running, "mailqueue_queue_errors_total{operation=\"push\"}");
    assert_eq!(errors(), Some(0), "it is shown before there is any");
    assert!(running.fill_in("assunto=Oi&mensagem=x").starts_with("HTTP/1.1 200"));
    wait_until("counted", || errors() > Some(0));
}

/// A value in a line of JSON.
fn value(line: &str, name: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(line.get(name)?.as_str()?.to_owned())
}

#[test]
fn a_line_ties_a_request_to_its_message_and_a_refusal_names_its_tenant() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let made = http(directory.path(), &[]).args(["key", "shop", "--scope", "send"]).output().unwrap();
    let made = String::from_utf8(made.stdout).unwrap();
    let (key, entry) = made.trim_end().split_once('\n').unwrap();
    let (key, entry) = (key.strip_prefix("key=").unwrap(), entry.strip_prefix("entry=").unwrap());
    let settings = [
        ("MAILQUEUE_LISTEN", "127.0.0.1:0"),
        ("MAILQUEUE_LOG_FORMAT", "json"),
        ("MAILQUEUE_API_KEYS", entry),
    ];
    let mut command = http(directory.path(), &settings);
    let process = command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let text = || std::fs::read_to_string(&log).unwrap();
    wait_until("listening", || text().contains("\"url\":\"http://"));
    let address = text().split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let running = Running { process, address };
    let ask = |id: &str, head: &str, body: &str| {
        running.send(&format!(
            "{head} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
             X-Request-Id: {id}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    let body = r#"{"from":"a@example.com","to":"b@example.org","subject":"s","text":"t"}"#;
    let one = ask("r-one", "POST /emails", body);
    let two = ask("r-two", "POST /emails/batch", &format!("[{body},{body}]"));
    assert!(ask("r-bad", "POST /emails", "{}").starts_with("HTTP/1.1 422"));
    assert!(ask("r-no", "GET /emails", "").starts_with("HTTP/1.1 403"));
    let line = |id: &str| {
        text().lines().find(|line| value(line, "request_id").is_some_and(|it| it == id)).map(str::to_owned)
    };
    wait_until("the last is in the log", || line("r-no").is_some());
    let (one_line, two_line) = (line("r-one").unwrap(), line("r-two").unwrap());
    for line in [&one_line, &two_line] {
        assert_eq!(value(line, "event").as_deref(), Some("message.accepted"), "{line}");
        assert_eq!(value(line, "message").as_deref(), Some("accepted"), "{line}");
        assert_eq!(value(line, "tenant").as_deref(), Some("shop"), "{line}");
    }
    assert_eq!(value(&one_line, "message_id"), id_in(&one));
    let ids = value(&two_line, "message_id").unwrap();
    assert_eq!(ids.split(',').count(), 2);
    assert!(ids.split(',').all(|id| two.contains(id)), "{two} {ids}");
    for (id, reason) in [("r-bad", "validation_error"), ("r-no", "restricted_api_key")] {
        let line = line(id).unwrap();
        assert_eq!(value(&line, "event").as_deref(), Some("request.refused"), "{line}");
        assert_eq!(value(&line, "tenant").as_deref(), Some("shop"), "{line}");
        assert_eq!(value(&line, "reason").as_deref(), Some(reason), "{line}");
    }
}

#[test]
fn refusals_and_the_time_to_be_sent_are_measured() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &[]);
    running.fill_in("assunto=Primeira&mensagem=Tudo");
    assert!(running.fill_in("assunto=&mensagem=Tudo").starts_with("HTTP/1.1 422"));
    // No submission, so that it counts as a request alone.
    assert!(running.get("/nowhere").starts_with("HTTP/1.1 404"));
    assert_eq!(metric(&running, "mailqueue_rejected_total{reason=\"validation_error\"}"), Some(1));
    let sent = || metric(&running, "mailqueue_delivery_duration_seconds_bucket{le=\"86400\"}");
    wait_until("sent", || sent() == Some(1));
    assert_eq!(metric(&running, "mailqueue_queue_wait_seconds_bucket{le=\"86400\"}"), Some(1));
    assert_eq!(metric(&running, "mailqueue_delivery_attempts_total{outcome=\"sent\",reason=\"\"}"), Some(1));
    assert!(!running.get("/metrics").contains("reason=\"not_found\""));
}

#[test]
fn a_store_that_fails_is_counted_by_kind() {
    let (directory, mut postgres) = (tempfile::tempdir().unwrap(), mailqueue_testing::Postgres::start());
    let database = postgres.database();
    let settings = [("DATABASE_URL", &*database), ("MAILQUEUE_ALLOW_UNSAFE_DATABASE", "true")];
    let running = Running::start(directory.path(), &settings);
    postgres.stop_fast();
    assert!(running.get("/emails").starts_with("HTTP/1.1 503"));
    assert!(metric(&running, "mailqueue_store_errors_total{kind=\"unavailable\"}") > Some(0));
}
