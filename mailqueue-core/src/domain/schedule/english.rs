//! Reads times that are given in English; the grammar stands at [`Schedule`].

use time::{Duration, Time, UtcOffset, Weekday};

use super::{Day, Schedule, Zone};

/// The schedule that `text` means, if all of it is within the grammar.
pub(super) fn read(text: &str) -> Option<Schedule> {
    let text = text.to_ascii_lowercase();
    let words = split(&text)?;
    if words == ["now"] {
        return Some(Schedule::In(Duration::ZERO));
    }
    let forms = [Words::relative, Words::day_then_clock, Words::clock_then_day];
    // Each form reads from the start, because some begin alike.
    forms.into_iter().find_map(|form| {
        let mut words = Words(&words);
        form(&mut words).filter(|_| words.0.is_empty())
    })
}

/// Numbers, words, and the signs between them; `None` when there is anything else.
fn split(text: &str) -> Option<Vec<&str>> {
    let octets = text.as_bytes();
    let is_letter = |at: usize| octets.get(at).is_some_and(u8::is_ascii_lowercase);
    let kind = |(at, octet): (usize, &u8)| match octet {
        b'0'..=b'9' => Some('0'),
        b'a'..=b'z' | b'/' | b'_' => Some('a'),
        b'-' if at > 0 && is_letter(at - 1) && is_letter(at + 1) => Some('a'), // Port-au-Prince
        b':' | b'+' | b'-' => Some(':'),
        b' ' | b',' => Some(' '),
        _ => None,
    };
    let kinds: Vec<char> = octets.iter().enumerate().map(kind).collect::<Option<_>>()?;
    let mut words = Vec::new();
    let mut start = 0;
    for end in 1..=kinds.len() {
        let is_inside = end < kinds.len() && kinds[end] == kinds[start] && kinds[start] != ':';
        if !is_inside {
            words.extend(Some(&text[start..end]).filter(|_| kinds[start] != ' '));
            start = end;
        }
    }
    Some(words)
}

/// The words that are not read yet.
struct Words<'w>(&'w [&'w str]);

impl<'w> Words<'w> {
    fn next(&mut self) -> Option<&'w str> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// Passes over a word if it comes next.
    fn skip(&mut self, word: &str) -> bool {
        let is_next = self.0.first() == Some(&word);
        if is_next {
            self.next();
        }
        is_next
    }

    fn number(&mut self, most_digits: usize) -> Option<u16> {
        let word = self.next()?;
        if word.len() > most_digits { None } else { word.parse().ok() }
    }

    fn relative(&mut self) -> Option<Schedule> {
        let begins = self.skip("in");
        let mut sum = self.span()?;
        while !self.0.is_empty() && self.0[0] != "from" {
            self.skip("and");
            sum = sum.checked_add(self.span()?)?;
        }
        let ends = self.skip("from");
        if ends && !self.skip("now") {
            return None;
        }
        // Exactly one of them: a span alone does not say from when.
        (begins != ends).then_some(Schedule::In(sum))
    }

    fn span(&mut self) -> Option<Duration> {
        const NUMBERS: [&str; 10] =
            ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
        let count = match *self.0.first()? {
            "a" | "an" => 1,
            word => NUMBERS.iter().zip(1..).find(|(number, _)| **number == word).map_or(0, |(_, n)| n),
        };
        let count = if count > 0 {
            self.next();
            count
        } else {
            i64::from(self.number(4).filter(|n| *n > 0)?)
        };
        let seconds = match self.next()? {
            "s" | "sec" | "secs" | "second" | "seconds" => 1,
            "m" | "min" | "mins" | "minute" | "minutes" => 60,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 86_400,
            "w" | "week" | "weeks" => 7 * 86_400,
            _ => return None,
        };
        Some(Duration::seconds(count * seconds))
    }

    fn day_then_clock(&mut self) -> Option<Schedule> {
        let day = self.day()?;
        self.skip("at");
        let clock = self.clock()?;
        let zone = if self.0.is_empty() { Zone::UTC } else { self.zone()? };
        Some(Schedule::On(day, clock, zone))
    }

    fn clock_then_day(&mut self) -> Option<Schedule> {
        self.skip("at");
        let clock = self.clock()?;
        // A copy, because a weekday that stands here is no zone and must be read again.
        let mut ahead = Words(self.0);
        let zone = match ahead.zone() {
            Some(zone) => {
                self.0 = ahead.0;
                zone
            }
            None => Zone::UTC,
        };
        Some(Schedule::On(self.day()?, clock, zone))
    }

    fn day(&mut self) -> Option<Day> {
        match self.next()? {
            "today" => Some(Day::Today),
            "tomorrow" => Some(Day::Tomorrow),
            "next" => weekday(self.next()?).map(Day::Next),
            "on" | "this" => weekday(self.next()?).map(Day::Coming),
            word => weekday(word).map(Day::Coming),
        }
    }

    fn clock(&mut self) -> Option<Time> {
        if self.skip("noon") {
            return Time::from_hms(12, 0, 0).ok();
        }
        let hour = self.number(2)?;
        let minute = if self.skip(":") { Some(self.minute()?) } else { None };
        let hour = match (self.0.first(), hour) {
            // 12 counts as 0: 12 am is midnight, 12 pm is noon.
            (Some(&"am"), 1..=12) => hour % 12,
            (Some(&"pm"), 1..=12) => hour % 12 + 12,
            (Some(&("am" | "pm")), _) => return None,
            // A number alone could be any of two hours.
            _ => return Time::from_hms(u8::try_from(hour).ok()?, minute?, 0).ok(),
        };
        self.next();
        Time::from_hms(u8::try_from(hour).ok()?, minute.unwrap_or(0), 0).ok()
    }

    fn minute(&mut self) -> Option<u8> {
        let word = self.next().filter(|word| word.len() == 2)?;
        word.parse().ok().filter(|minute| *minute < 60)
    }

    fn zone(&mut self) -> Option<Zone> {
        if matches!(*self.0.first()?, "+" | "-") {
            return self.offset().map(Zone::from);
        }
        let hours = |hours| UtcOffset::from_hms(hours, 0, 0).ok().map(Zone::from);
        match self.next()? {
            "utc" | "gmt" => {
                let is_signed = matches!(self.0.first(), Some(&("+" | "-")));
                if is_signed { self.offset().map(Zone::from) } else { Some(Zone::UTC) }
            }
            "edt" => hours(-4),
            "est" | "cdt" => hours(-5),
            "cst" | "mdt" => hours(-6),
            "mst" | "pdt" => hours(-7),
            "pst" => hours(-8),
            "et" => Zone::of_place("America/New_York"),
            "ct" => Zone::of_place("America/Chicago"),
            "mt" => Zone::of_place("America/Denver"),
            "pt" => Zone::of_place("America/Los_Angeles"),
            place => Zone::of_place(place),
        }
    }

    fn offset(&mut self) -> Option<UtcOffset> {
        let sign = if self.next()? == "-" { -1 } else { 1 };
        // No place on Earth is further ahead than 14 hours.
        let hours = i8::try_from(self.number(2)?).ok().filter(|hours| *hours <= 14)?;
        let minutes = if self.skip(":") { i8::try_from(self.minute()?).ok()? } else { 0 };
        UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()
    }
}

fn weekday(word: &str) -> Option<Weekday> {
    Some(match word {
        "monday" | "mon" => Weekday::Monday,
        "tuesday" | "tues" | "tue" => Weekday::Tuesday,
        "wednesday" | "wed" => Weekday::Wednesday,
        "thursday" | "thurs" | "thur" | "thu" => Weekday::Thursday,
        "friday" | "fri" => Weekday::Friday,
        "saturday" | "sat" => Weekday::Saturday,
        "sunday" | "sun" => Weekday::Sunday,
        _ => return None,
    })
}
