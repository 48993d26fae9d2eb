//! The commands of the binary besides its work.

use std::io::Write;

use clap::{Args, Subcommand};
use mailqueue_http::{ApiKey, Rights, Scope, read_day, read_domain};
use mailqueue_worker::service::command::{Command as Common, Failure};

/// A command.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Common(Common),
    /// Make an API key. It is shown this once, with the entry that MAILQUEUE_API_KEYS takes; nothing is written anywhere
    Key(KeyArgs),
}

/// The rights of a key.
#[derive(Debug, Clone, Args)]
pub(crate) struct KeyArgs {
    /// Whose key it is. Keys of one name see the same mail, so a key is replaced by a second one of its name
    name: String,
    /// What it may be used for: full for all that its own mail allows, send for handing mail over and nothing else, read for
    /// looking at its own mail, operate for the mail of all names and of the form
    #[arg(long, default_value = "full", value_name = "full|send|read|operate")]
    scope: Scope,
    /// A domain that From addresses may be at; several may be given [default: any]
    #[arg(long, value_name = "DOMAIN", value_parser = read_domain)]
    domain: Vec<String>,
    /// The first day (UTC) on which it is not valid any more [default: it stays valid]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = read_day)]
    expires: Option<time::Date>,
}

/// Makes a key and shows it: the values on standard output, advice for a person on standard error.
pub(crate) fn make_key(args: KeyArgs) -> Result<(), Failure> {
    let KeyArgs { name, scope, domain: domains, expires } = args;
    let made = ApiKey::generate(&name, Rights { scope, domains, expires });
    let (key, entry) = made.map_err(|error| error.to_string())?;
    let shown = writeln!(std::io::stdout().lock(), "key={key}\nentry={entry}");
    shown.map_err(|error| format!("the key cannot be shown: {error}"))?;
    // Nobody is left to tell that standard error is closed.
    let _ = writeln!(
        std::io::stderr(),
        "Clients send `Authorization: Bearer KEY`. Keep the key now: only its hash stands in the entry.\n\
         Add the entry to MAILQUEUE_API_KEYS (comma separated) or to the file that MAILQUEUE_API_KEYS_FILE names,\n\
         and restart mailqueue-http."
    );
    Ok(())
}
