//! Wrong settings: all of them at once, exit status 78, no secret shown.

use std::process::{Command, Output};

fn worker(settings: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mailqueue-worker"))
        .env_clear()
        .envs(settings.iter().copied())
        .output()
        .expect("the worker runs")
}

/// The names that the worker complains of.
fn faults(settings: &[(&str, &str)]) -> Vec<String> {
    let output = worker(settings);
    let text = String::from_utf8(output.stderr).expect("it says it in UTF-8");
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(!text.contains("hunter2"), "a secret was shown: {text}");
    let name = |line: &str| line.strip_prefix("mailqueue-worker: ")?.split(':').next().map(str::to_owned);
    text.lines().filter_map(name).collect()
}

#[test]
fn every_fault_is_named_at_once() {
    let named = faults(&[
        ("DATABASE_URL", "mysql://root:hunter2@db/mail"),
        ("REDIS_URL", "http://:hunter2@queue"),
        ("SMTP_URL", "smtp://user:hunter2@mail.example.com?tls=perhaps"),
        ("MAILQUEUE_LEASE", "a while"),
        ("MAILQUEUE_RETRY_CAP", "4"),
        ("MAILQUEUE_ON_UNKNOWN", "shrug"),
        ("MAILQUEUE_CONCURRENCY", "0"),
        ("MAILQUEUE_ADMIN_LISTEN", "everywhere"),
        ("MAILQUEUE_LANE_WEIGHTS", "8,4,0"),
        ("MAILQUEUE_LESE", "60s"),
    ]);
    for name in [
        "DATABASE_URL",
        "REDIS_URL",
        "SMTP_URL",
        "MAILQUEUE_LEASE",
        "MAILQUEUE_RETRY_CAP",
        "MAILQUEUE_ON_UNKNOWN",
        "MAILQUEUE_CONCURRENCY",
        "MAILQUEUE_ADMIN_LISTEN",
        "MAILQUEUE_LANE_WEIGHTS",
        "MAILQUEUE_LESE",
    ] {
        assert_eq!(named.iter().filter(|named| *named == name).count(), 1, "{name} in {named:?}");
    }
    assert_eq!(named.len(), 10, "{named:?}");
}

#[test]
fn a_lease_has_time_for_its_renewals() {
    assert_eq!(faults(&[("MAILQUEUE_LEASE", "2s"), ("MAILQUEUE_SWEEP_INTERVAL", "1s")]), ["MAILQUEUE_LEASE"]);
}

#[test]
fn a_secret_file_has_to_be_there_and_hold_something() {
    let empty = tempfile::NamedTempFile::new().expect("a temporary file");
    let path = empty.path().to_str().expect("it has a plain name");
    assert_eq!(faults(&[("DATABASE_URL_FILE", "/nowhere")]), ["DATABASE_URL_FILE"]);
    assert_eq!(faults(&[("SMTP_URL_FILE", path)]), ["SMTP_URL_FILE"]);
    assert_eq!(faults(&[("REDIS_URL_FILE", path), ("REDIS_URL", "redis://localhost")]), ["REDIS_URL"]);
}

#[test]
fn a_password_does_not_travel_in_plain_text_unasked() {
    assert_eq!(faults(&[("SMTP_URL", "smtp://user:hunter2@mail.example.com?tls=none")]), ["SMTP_URL"]);
}

/// The rows of a README's table of settings: the variables, and the cell with their defaults.
fn rows(readme: &str) -> Vec<(Vec<String>, String)> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.split(" | ").collect();
        let names = cells[0].split(", ").map(|name| name.trim_matches('`'));
        let names: Vec<_> = names.map(|name| name.replace("MAILQUEUE_", "_")).collect();
        let full =
            |name: &String| name.strip_prefix('_').map_or(name.clone(), |it| format!("MAILQUEUE_{it}"));
        let is_variable = |name: &String| name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        names.iter().all(is_variable).then(|| (names.iter().map(full).collect(), cells[1].replace('`', "")))
    };
    readme.lines().filter_map(row).collect()
}

#[test]
fn both_readmes_name_the_defaults_that_the_settings_have() {
    let [english, portuguese] = ["README.md", "README.pt-BR.md"].map(|name| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
        rows(&std::fs::read_to_string(path).expect("it is there"))
    });
    let names = |rows: &[(Vec<String>, String)]| rows.iter().flat_map(|(names, _)| names.clone()).collect();
    let (named, translated): (Vec<String>, Vec<String>) = (names(&english), names(&portuguese));
    assert!(named.len() > 25 && named == translated, "{named:?}\n{translated:?}");
    let known = mailqueue_worker::service::settings::arguments();
    for (names, cell) in english.iter().chain(&portuguese) {
        let defaults: Vec<&str> = if names.len() == 1 { vec![cell] } else { cell.split(", ").collect() };
        for (place, name) in names.iter().enumerate() {
            let of_name = |argument: &&clap::Arg| argument.get_env().is_some_and(|env| env == name.as_str());
            let argument = known.iter().find(of_name).unwrap_or_else(|| panic!("{name} is not a setting"));
            if let Some(default) = argument.get_default_values().first() {
                assert_eq!(defaults.get(place).copied(), default.to_str(), "{name}");
            }
        }
    }
}

#[test]
fn an_option_that_the_store_names_is_shown_as_its_variable() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = format!("sqlite://{}", directory.path().join("mail.db").display());
    let postgres = mailqueue_testing::Postgres::start();
    // Throw-away servers run with fsync off.
    let unsafe_server = postgres.database();
    for (settings, variable) in [
        ([("DATABASE_URL", file.as_str()), ("MAILQUEUE_MIGRATE", "false")], "MAILQUEUE_MIGRATE"),
        (
            [("DATABASE_URL", unsafe_server.as_str()), ("MAILQUEUE_MIGRATE", "true")],
            "MAILQUEUE_ALLOW_UNSAFE_DATABASE=true",
        ),
    ] {
        let output = worker(&settings);
        let text = String::from_utf8(output.stderr).expect("it says it in UTF-8");
        assert!(!output.status.success(), "{text}");
        assert!(text.contains(variable) && !text.contains('`'), "{text}");
    }
}

/// The variables that a part of compose.yaml names: `x-settings`, or the environment of a service.
fn named_in(compose: &str, part: &str) -> Vec<String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut lines = compose.lines().skip_while(|line| !line.trim_start().starts_with(&format!("{part}:")));
    let depth = indent(lines.next().expect("the part is there"));
    let inside = lines.take_while(|line| line.trim().is_empty() || indent(line) > depth);
    let name = |line: &str| line.trim().split_once(':').map(|(name, _)| name.to_owned());
    let is_variable = |name: &String| name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    inside.filter_map(name).filter(is_variable).collect()
}

#[test]
fn compose_passes_every_setting_on() {
    use clap::Args;
    use mailqueue_worker::service::settings::{HttpArgs, SharedArgs, WorkerArgs};

    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/compose.yaml");
    let compose = std::fs::read_to_string(path).expect("it is there");
    let command = || clap::Command::new("mailqueue");
    for (part, known) in [
        ("x-settings", SharedArgs::augment_args(command())),
        ("app", HttpArgs::augment_args(command())),
        ("worker", WorkerArgs::augment_args(command())),
    ] {
        let named = named_in(&compose, part);
        for argument in known.get_arguments() {
            let variable = argument.get_env().and_then(std::ffi::OsStr::to_str).expect("each has a variable");
            assert!(named.iter().any(|name| name == variable), "{part} lacks {variable}");
        }
        assert_eq!(named.len(), known.get_arguments().count(), "{part} names what is no setting: {named:?}");
    }
}
