//! The values of settings, read from text and written as text.

use std::fmt::Display;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

type Read<T> = Result<T, String>;

/// Any text.
pub(super) fn text(text: &str) -> Read<String> {
    Ok(text.to_owned())
}

/// A value that reads itself.
pub(super) fn parsed<T: FromStr<Err: Display>>(text: &str) -> Read<T> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// A duration such as `500ms`, `3s`, `4h` or `3d`, within bounds.
pub(super) fn duration(min: Duration, max: Duration) -> impl Fn(&str) -> Read<Duration> + Clone {
    move |text| match humantime::parse_duration(text) {
        Ok(duration) if (min..=max).contains(&duration) => Ok(duration),
        Ok(_) => {
            let (min, max) = (humantime::format_duration(min), humantime::format_duration(max));
            Err(format!("must be between {min} and {max}"))
        }
        Err(_) => Err("must be a duration such as 500ms, 3s, 4h or 3d".to_owned()),
    }
}

/// A whole number within bounds.
pub(super) fn number(min: usize, max: usize) -> impl Fn(&str) -> Read<usize> + Clone {
    move |text| match text.parse() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(format!("must be a whole number between {min} and {max}")),
    }
}

/// A whole number within bounds, or `off` for none.
pub(super) fn number_or_off(min: u64, max: u64) -> impl Fn(&str) -> Read<Option<u64>> + Clone {
    move |text| match text.parse() {
        _ if text == "off" => Ok(None),
        Ok(number) if (min..=max).contains(&number) => Ok(Some(number)),
        _ => Err(format!("must be a whole number between {min} and {max}, or off")),
    }
}

/// A size such as `512MiB` or `10GiB` (or in octets), at least `min` octets.
pub(super) fn size(min: u64) -> impl Fn(&str) -> Read<u64> + Clone {
    move |text| {
        let size = octets(text).filter(|size| *size >= min);
        size.ok_or_else(|| format!("must be a size such as 512MiB or 10GiB, at least {}MiB", min >> 20))
    }
}

/// The same, or `off` for none.
pub(super) fn size_or_off(min: u64) -> impl Fn(&str) -> Read<Option<u64>> + Clone {
    move |text| match text {
        "off" => Ok(None),
        text => size(min)(text).map(Some).map_err(|fault| format!("{fault}, or off")),
    }
}

/// `true` or `false`.
pub(super) fn switch(text: &str) -> Read<bool> {
    match text {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// An address and a port.
pub(super) fn address(text: &str) -> Read<SocketAddr> {
    text.parse().map_err(|_| "must be an address and a port such as 127.0.0.1:8080".to_owned())
}

/// One of two words.
pub(super) fn either<T: Copy>(
    first: (&'static str, T),
    second: (&'static str, T),
) -> impl Fn(&str) -> Read<T> + Clone {
    move |text| {
        let found = [first, second].into_iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| value).ok_or_else(|| format!("must be {} or {}", first.0, second.0))
    }
}

/// A duration as the settings write it: in the largest of days, hours and seconds that divides it.
pub(super) fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, 'd'), (3600, 'h')];
    let (length, unit) =
        units.into_iter().find(|(length, _)| seconds.is_multiple_of(*length)).unwrap_or((1, 's'));
    format!("{}{unit}", seconds / length)
}

/// A size as the settings write it, in MiB.
pub(super) fn size_text(octets: u64) -> String {
    format!("{}MiB", octets >> 20)
}

fn octets(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let unit = match unit {
        "" => 1,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1_u64 << 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit_and_a_bound() {
        let size = size(32 << 20);
        assert_eq!(["32MiB", "1GiB"].map(&size), [Ok(32 << 20), Ok(1 << 30)]);
        assert!(["31MiB", "off", ""].iter().all(|text| size(text).is_err()));
    }

    #[test]
    fn sizes_and_numbers_may_be_off() {
        let size = size_or_off(64 << 20);
        let right = ["off", "64MiB", "10GiB", "2TiB", "67108864"].map(|text| size(text).unwrap());
        assert_eq!(right, [None, Some(64 << 20), Some(10 << 30), Some(2 << 40), Some(64 << 20)]);
        let wrong = ["63MiB", "", "GiB", "10GB", "-1GiB", "1.5GiB", "99999999999TiB"];
        assert!(wrong.iter().all(|text| size(text).is_err()));
        let number = number_or_off(10, 20);
        assert_eq!([number("off"), number("20")], [Ok(None), Ok(Some(20))]);
        assert!(number("9").is_err());
    }

    #[test]
    fn a_written_duration_reads_back() {
        for (text, seconds) in [("30d", 2_592_000), ("4h", 14_400), ("60s", 60), ("3601s", 3601)] {
            assert_eq!(duration_text(Duration::from_secs(seconds)), text);
            assert_eq!(duration(Duration::ZERO, Duration::MAX)(text), Ok(Duration::from_secs(seconds)));
        }
    }
}
