//! One setting as it is given.

use std::ffi::OsStr;
use std::fmt;

use clap::builder::{StringValueParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{Arg, Command, Error};

use super::fault::SettingFault;

/// The value of one setting, or its fault. clap names the first fault and ends; with the fault in the value, all can be
/// named at once.
#[derive(Clone)]
pub struct Setting<T> {
    /// The variable's name.
    pub name: String,
    /// True when neither variable nor option is given.
    pub(super) is_default: bool,
    /// The value, or a sentence that says what would be right.
    pub(super) value: Result<T, String>,
}

impl<T> Setting<T> {
    /// The value, where no other setting counts.
    ///
    /// # Errors
    ///
    /// Its fault.
    pub fn into_value(self) -> Result<T, Vec<SettingFault>> {
        self.value.map_err(|detail| vec![SettingFault { name: self.name, detail }])
    }

    /// The setting with its value read further.
    pub fn and_then<U>(self, read: impl FnOnce(T) -> Result<U, String>) -> Setting<U> {
        Setting { name: self.name, is_default: self.is_default, value: self.value.and_then(read) }
    }
}

impl<T> fmt::Debug for Setting<T> {
    /// The name alone: the value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Reads one setting for clap.
#[derive(Clone)]
pub(super) struct Reader<F> {
    read: F,
    empty_is_default: bool,
}

/// A setting by `read`; an empty text is a text.
pub(super) fn by<T, F: Fn(&str) -> Result<T, String>>(read: F) -> Reader<F> {
    Reader { read, empty_is_default: false }
}

/// A setting by `read`; an empty text stands for the default, because compose files pass on every variable, set or not.
pub(super) fn or_default<T, F: Fn(&str) -> Result<T, String>>(read: F) -> Reader<F> {
    Reader { read, empty_is_default: true }
}

/// A setting by `read`, without a default; an empty text is `None`.
pub(super) fn or_none<T>(
    read: impl Fn(&str) -> Result<T, String> + Clone,
) -> Reader<impl Fn(&str) -> Result<Option<T>, String> + Clone> {
    or_default(move |text: &str| if text.is_empty() { Ok(None) } else { read(text).map(Some) })
}

impl<T, F> TypedValueParser for Reader<F>
where
    T: Clone + Send + Sync + 'static,
    F: Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static,
{
    type Value = Setting<T>;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Setting<T>, Error> {
        self.parse_ref_(command, arg, value, ValueSource::CommandLine)
    }

    // clap tells the source here alone; without it a default looks like a given value.
    fn parse_ref_(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
        source: ValueSource,
    ) -> Result<Setting<T>, Error> {
        let mut text = StringValueParser::new().parse_ref(command, arg, value)?;
        if self.empty_is_default {
            text = text.trim().to_owned();
        }
        if text.is_empty() && self.empty_is_default {
            let default = arg.and_then(|arg| arg.get_default_values().first()?.to_str());
            text = default.unwrap_or_default().to_owned();
        }
        let name = arg.and_then(|arg| arg.get_env()?.to_str()).unwrap_or_default().to_owned();
        Ok(Setting { name, is_default: source == ValueSource::DefaultValue, value: (self.read)(&text) })
    }
}
