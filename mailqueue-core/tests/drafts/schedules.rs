//! When a message is to be sent, as people and programs say it.

use mailqueue_core::domain::schedule::Schedule;
use proptest::prelude::*;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

/// A Thursday.
const NOW: OffsetDateTime = datetime!(2026-03-05 12:30:15 UTC);

fn at(text: &str) -> Option<OffsetDateTime> {
    text.parse::<Schedule>().ok()?.at(NOW)
}

#[test]
fn spans_are_counted_from_now() {
    let spans = [
        ("now", Duration::ZERO),
        ("in 1 min", Duration::MINUTE),
        ("in 1 hour", Duration::HOUR),
        ("In an hour", Duration::HOUR),
        ("in a day", Duration::DAY),
        ("in 2 days", Duration::days(2)),
        ("in two weeks", Duration::weeks(2)),
        ("in 90 s", Duration::seconds(90)),
        ("in 10m", Duration::minutes(10)),
        ("in 1h 30m", Duration::minutes(90)),
        ("in 1 hour and 30 minutes", Duration::minutes(90)),
        ("in 1 day, 2 hours, 3 minutes", Duration::minutes(26 * 60 + 3)),
        ("3 hours from now", Duration::hours(3)),
        ("  in   2  hours ", Duration::hours(2)),
    ];
    for (text, span) in spans {
        assert_eq!(at(text), Some(NOW + span), "{text}");
    }
}

#[test]
fn days_are_named_as_seen_from_today() {
    let times = [
        ("today at 5pm", datetime!(2026-03-05 17:00 UTC)),
        ("today at 9am", datetime!(2026-03-05 09:00 UTC)),
        ("tomorrow at 9am", datetime!(2026-03-06 09:00 UTC)),
        ("Tomorrow 09:05", datetime!(2026-03-06 09:05 UTC)),
        ("tomorrow at noon", datetime!(2026-03-06 12:00 UTC)),
        ("tomorrow at 12am", datetime!(2026-03-06 00:00 UTC)),
        ("tomorrow at 12:15 pm", datetime!(2026-03-06 12:15 UTC)),
        ("9am tomorrow", datetime!(2026-03-06 09:00 UTC)),
        ("at 9am UTC tomorrow", datetime!(2026-03-06 09:00 UTC)),
        ("Friday at 3pm", datetime!(2026-03-06 15:00 UTC)),
        ("on wednesday at 08:00", datetime!(2026-03-11 08:00 UTC)),
        ("this thursday at 1pm", datetime!(2026-03-05 13:00 UTC)),
        ("thu at 12:30", datetime!(2026-03-12 12:30 UTC)),
        ("next thursday at 1pm", datetime!(2026-03-12 13:00 UTC)),
        ("next friday at 1pm", datetime!(2026-03-06 13:00 UTC)),
    ];
    for (text, time) in times {
        assert_eq!(at(text), Some(time), "{text}");
    }
}

/// 23:30 in Lisbon's east is the next day already.
#[test]
fn a_zone_moves_the_clock_and_the_day() {
    let times = [
        ("tomorrow at 9am +02:00", datetime!(2026-03-06 07:00 UTC)),
        ("tomorrow at 9am UTC-3", datetime!(2026-03-06 12:00 UTC)),
        ("tomorrow at 9am -00:30", datetime!(2026-03-06 09:30 UTC)),
        ("tomorrow at 9am GMT", datetime!(2026-03-06 09:00 UTC)),
        ("Friday at 3pm EST", datetime!(2026-03-06 20:00 UTC)),
        ("tomorrow at 9am PDT", datetime!(2026-03-06 16:00 UTC)),
        ("tomorrow at 1am +14:00", datetime!(2026-03-06 11:00 UTC)),
    ];
    for (text, time) in times {
        assert_eq!(at(text), Some(time), "{text}");
    }
    let sydney: Schedule = "today at 23:30 +11:00".parse().expect("a schedule");
    assert_eq!(sydney.at(datetime!(2026-03-05 13:30 UTC)), Some(datetime!(2026-03-06 12:30 UTC)));
}

#[test]
fn a_place_has_the_clock_of_its_season() {
    // New York puts its clocks forward on 8 March 2026, Lisbon on 29 March.
    let times = [
        ("Friday at 3pm ET", datetime!(2026-03-06 20:00 UTC)),
        ("monday at 3pm et", datetime!(2026-03-09 19:00 UTC)),
        ("tomorrow at 9am CT", datetime!(2026-03-06 15:00 UTC)),
        ("tomorrow at 9am MT", datetime!(2026-03-06 16:00 UTC)),
        ("tomorrow at 9am PT", datetime!(2026-03-06 17:00 UTC)),
        ("9am America/Sao_Paulo tomorrow", datetime!(2026-03-06 12:00 UTC)),
        ("tomorrow at 9am europe/lisbon", datetime!(2026-03-06 09:00 UTC)),
        ("tomorrow at 9am America/Port-au-Prince", datetime!(2026-03-06 14:00 UTC)),
        ("tomorrow at 9am Asia/Kathmandu", datetime!(2026-03-06 03:15 UTC)),
    ];
    for (text, time) in times {
        assert_eq!(at(text), Some(time), "{text}");
    }
    let shipped: Schedule = "today at 23:30 Australia/Sydney".parse().expect("a schedule");
    assert_eq!(shipped.at(datetime!(2026-03-05 13:30 UTC)), Some(datetime!(2026-03-06 12:30 UTC)));
}

#[test]
fn a_time_that_clocks_show_twice_or_never_is_read_as_calendars_do() {
    let sunday: Schedule = "sunday at 01:30 Europe/Lisbon".parse().expect("a schedule");
    let forward = datetime!(2026-03-27 12:00 UTC);
    assert_eq!(sunday.at(forward), Some(datetime!(2026-03-29 01:30 UTC)), "as much after the gap");
    let back = datetime!(2026-10-23 12:00 UTC);
    assert_eq!(sunday.at(back), Some(datetime!(2026-10-25 00:30 UTC)), "the first of both");
}

#[test]
fn instants_stay_what_they_are() {
    assert_eq!(at("2030-01-31T08:00:00-03:00"), Some(datetime!(2030-01-31 11:00 UTC)));
    assert_eq!(at("2024-08-05T11:52:01.858Z"), Some(datetime!(2024-08-05 11:52:01.858 UTC)));
}

#[test]
fn an_ambiguous_schedule_is_refused() {
    let texts = [
        "",
        " ",
        "tomorrow",
        "friday",
        "9am",
        "at 9am",
        "9",
        "tomorrow at 9",
        "tomorrow at 13pm",
        "tomorrow at 0am",
        "tomorrow at 24:00",
        "tomorrow at 9:5",
        "tomorrow at 9:60am",
        "tomorrow at midnight",
        "tomorrow at 9am Lisbon",
        "tomorrow at 9am CET",
        "tomorrow at 9am Europe/Atlantis",
        "tomorrow at 9am /etc/localtime",
        "tomorrow at 9am Europe/Lisbon/",
        "tomorrow at 9am Europe/Lisbon Europe/Paris",
        "in 1 hour Europe/Lisbon",
        "tomorrow at 9am +15:00",
        "tomorrow at 9am +2:0",
        "in",
        "in 1",
        "in 0 hours",
        "in -1 hour",
        "in 1.5 hours",
        "in 10000 hours",
        "in 1 month",
        "in a year",
        "in hours",
        "1 hour",
        "2 hours ago",
        "in 2 hours from",
        "in 1 hour and",
        "in 1 hour tomorrow",
        "yesterday at 9am",
        "next week",
        "next tomorrow at 9am",
        "soon",
        "in 1 hour; drop",
        "ｉn 1 hour",
        "em 1 hora",
        "2030-01-31",
        "2030-01-31T08:00:00",
        "2030-01-31 08:00",
        "2026-12-31T23:59:60Z",
        "1767225600",
    ];
    for text in texts {
        assert!(text.parse::<Schedule>().is_err(), "{text}");
    }
    assert!(format!("in{}1 hour", " ".repeat(100)).parse::<Schedule>().is_err());
    let late = datetime!(9999-12-31 23:00 UTC);
    for text in ["in 2 hours", "tomorrow at 9am", "next monday at 9am"] {
        assert_eq!(text.parse::<Schedule>().expect("a schedule").at(late), None, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[ a-z0-9:+,-]{0,40}|(in|next|on|at|a|9am|[0-9]{1,5}| |hours|friday|utc|[+-]){0,9}|.{0,70}") {
        if let Ok(schedule) = text.parse::<Schedule>() {
            let at = schedule.at(NOW);
            prop_assert!(at.is_some() || matches!(schedule, Schedule::In(_)), "{text}");
        }
    }
}
