//! `config`

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args};
use mailqueue_worker::service::command::Failure;
use mailqueue_worker::service::settings::arguments;
use serde::Serialize;

use super::output::{self, Output};

/// Shows the settings.
#[derive(Debug, Clone, Args)]
pub(crate) struct Config {
    #[command(flatten)]
    output: Output,
}

/// A setting with its value and the source of that.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    value: Option<String>,
    source: &'static str,
}

impl Config {
    /// `matches` are those of the command line, whose settings stand before the command.
    pub(super) fn run(self, matches: &ArgMatches) -> Result<(), Failure> {
        let rows = arguments().iter().filter_map(|argument| row(argument, matches)).collect::<Vec<_>>();
        if self.output.json {
            return rows.iter().try_for_each(output::object);
        }
        let cells =
            rows.into_iter().map(|row| [row.name, row.value.unwrap_or_default(), row.source.to_owned()]);
        output::table(["SETTING", "VALUE", "FROM"], cells)
    }
}

/// A setting of this binary; `None` for one of another.
fn row(argument: &Arg, matches: &ArgMatches) -> Option<Row> {
    let id = argument.get_id().as_str();
    let raw = matches.try_get_raw(id).ok()?;
    let text = raw.and_then(|mut values| values.next()).map(|value| value.to_string_lossy().into_owned());
    // The file that holds a secret is none itself.
    let is_secret = argument.is_hide_env_values_set();
    let source = match matches.value_source(id) {
        Some(ValueSource::CommandLine) => "command line",
        Some(ValueSource::EnvVariable) => "environment",
        Some(_) => "default",
        None => "not set",
    };
    let is_given = matches!(source, "command line" | "environment");
    Some(Row {
        name: argument.get_env()?.to_str()?.to_owned(),
        value: text.map(|text| if is_secret && is_given { "(hidden)".to_owned() } else { text }),
        source,
    })
}
