//! When something that repeats is due: every so often, by the calendar of a time zone, or after
//! files have changed. Pure: the caller says what time it is, in which zone, and what changed.
//!
//! - Runs that were missed, because the machine slept or was off, are made up for by one.
//! - By the calendar a run falls on the local time. A time that a spring day does not have is made
//!   up for at once; one that an autumn day has twice runs once (`croner`'s rule for fixed times).
//! - A clock that is set back makes nothing run twice in a row, and nothing wait for longer than
//!   two and a half rounds: see [`Clockwork::due`].
//! - Changes run after they have been quiet for a while, but do not wait for ever: [`LONGEST`].

use croner::Cron;
use croner::parser::CronParser;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use larder_types::{Millis, Time};

/// The shortest time between two runs: what runs more often is watching, and has a word of its own.
pub const SHORTEST: Millis = Millis(1_000);
/// Changes that never are quiet run after so many quiet times.
pub const LONGEST: u64 = 20;

/// When something is due.
#[derive(Clone, Debug, PartialEq)]
pub enum Timing {
    /// So long after it ran last.
    Every(Millis),
    /// By the calendar.
    Calendar(Box<Cron>),
}

/// A time that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// Too often.
    #[error("every {0} is too often: at least {SHORTEST}")]
    TooOften(Millis),
    /// No time of day.
    #[error("{0:?} is no time of day: write 03:00")]
    At(String),
    /// No cron expression.
    #[error(
        "{0:?} is no cron expression ({1}): write minute, hour, day, month and weekday, as in \"0 3 * * 1-5\""
    )]
    Cron(String, String),
    /// It never comes.
    #[error("{0:?} never comes: no such day is in the calendar")]
    Never(String),
}

impl Timing {
    /// So long after it ran last.
    ///
    /// # Errors
    /// [`TimingError::TooOften`].
    pub fn every(span: Millis) -> Result<Self, TimingError> {
        match span >= SHORTEST {
            true => Ok(Self::Every(span)),
            false => Err(TimingError::TooOften(span)),
        }
    }

    /// Each day at a local time, `03:00`.
    ///
    /// # Errors
    /// [`TimingError::At`].
    pub fn at(text: &str) -> Result<Self, TimingError> {
        let refuse = || TimingError::At(text.to_owned());
        let number = |part: &str, below: u8| {
            let digits = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            let number = part.parse::<u8>().ok().filter(|n| digits && *n < below);
            number.ok_or_else(refuse)
        };
        let (hour, minute) = text.split_once(':').ok_or_else(refuse)?;
        let (hour, minute) = (number(hour, 24)?, number(minute, 60)?);
        Self::cron(&format!("{minute} {hour} * * *"))
    }

    /// By a cron expression in local time.
    ///
    /// # Errors
    /// [`TimingError`] if it is none, or no day fits it.
    pub fn cron(text: &str) -> Result<Self, TimingError> {
        let parsed = CronParser::new().parse(text);
        let cron = parsed.map_err(|e| TimingError::Cron(text.to_owned(), e.to_string()))?;
        let timing = Self::Calendar(Box::new(cron));
        // Any moment will do: from a leap year on every day comes.
        match timing.next(Time(0), &TimeZone::UTC) {
            Some(_) => Ok(timing),
            None => Err(TimingError::Never(text.to_owned())),
        }
    }

    /// The first moment after `after`.
    #[must_use]
    pub fn next(&self, after: Time, zone: &TimeZone) -> Option<Time> {
        match self {
            Self::Every(span) => Some(after.after(*span)),
            Self::Calendar(cron) => {
                let after = Timestamp::from_millisecond(i64::try_from(after.0).ok()?).ok()?;
                let local = after.to_zoned(zone.clone());
                let next = cron.find_next_occurrence(&local, false).ok()?;
                u64::try_from(next.timestamp().as_millisecond())
                    .ok()
                    .map(Time)
            }
        }
    }
}

/// Where something that repeats stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clockwork {
    /// When it ran last, or was set.
    pub last: Time,
    /// Changes that it has not run for yet.
    pub changes: Option<Changes>,
}

/// Changes of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changes {
    first: Time,
    latest: Time,
}

impl Clockwork {
    /// Set at `now`: its first run is the next one.
    #[must_use]
    pub const fn new(now: Time) -> Self {
        Self {
            last: now,
            changes: None,
        }
    }

    /// It runs.
    pub fn began(&mut self, now: Time) {
        *self = Self::new(now);
    }

    /// Something changed.
    pub fn changed(&mut self, now: Time) {
        let first = self.changes.map_or(now, |changes| changes.first.min(now));
        self.changes = Some(Changes { first, latest: now });
    }

    /// When it is due next, perhaps long ago; nothing if only a change would make it so.
    ///
    /// A last run that lies ahead of `now` says that the clock was set back. By less than a round:
    /// the next run keeps its place, at most two rounds away. By more: half a round from now is
    /// counted as the last run, so that neither the old nor the new place is run twice.
    pub fn due(
        &mut self,
        timing: Option<&Timing>,
        quiet: Millis,
        now: Time,
        zone: &TimeZone,
    ) -> Option<Time> {
        let by_time = timing.and_then(|timing| {
            if self.last > now {
                let first = timing.next(now, zone)?;
                let round = timing.next(first, zone)?.since(first);
                if self.last.since(now) > round {
                    self.last = now.after(Millis(round.0 / 2));
                }
            }
            timing.next(self.last, zone)
        });
        let by_change = self.changes.map(|changes| {
            // Counted from now on if the clock was set back behind them.
            let first = changes.first.min(now);
            let latest = changes.latest.min(now);
            let longest = Millis(quiet.0.saturating_mul(LONGEST));
            self.changes = Some(Changes { first, latest });
            latest.after(quiet).min(first.after(longest))
        });
        by_time.into_iter().chain(by_change).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Millis = Millis(30_000);
    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;

    /// Central Europe by its rule, with no database.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn time(text: &str) -> Time {
        let at: Timestamp = text.parse().unwrap();
        Time(at.as_millisecond().try_into().unwrap())
    }

    fn shown(at: Time) -> String {
        let at = Timestamp::from_millisecond(at.0.try_into().unwrap()).unwrap();
        at.to_string()
    }

    /// The runs after a moment, as many as wanted.
    fn runs(timing: &Timing, from: &str, count: usize) -> Vec<String> {
        let next = |at: &Time| timing.next(*at, &berlin());
        let all = std::iter::successors(Some(time(from)), next);
        all.skip(1).take(count).map(shown).collect()
    }

    #[test]
    fn a_time_of_day_is_the_local_one_on_either_side_of_summer_time() {
        let nightly = Timing::at("03:30").unwrap();
        assert_eq!(
            runs(&nightly, "2026-03-27T12:00:00Z", 3),
            [
                "2026-03-28T02:30:00Z",
                "2026-03-29T01:30:00Z",
                "2026-03-30T01:30:00Z"
            ]
        );
        // 02:30 is not there on 29 March, and twice on 25 October.
        let gap = Timing::at("2:30").unwrap();
        let spring = runs(&gap, "2026-03-28T12:00:00Z", 2);
        assert_eq!(spring, ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
        let autumn = runs(&gap, "2026-10-24T12:00:00Z", 2);
        assert_eq!(autumn.len(), 2);
        assert!(autumn[0].starts_with("2026-10-25T0"), "{autumn:?}");
        assert_eq!(autumn[1], "2026-10-26T01:30:00Z", "once in that night");
    }

    #[test]
    fn cron_knows_weekdays_months_and_leap_years() {
        let weekdays = Timing::cron("0 3 * * 1-5").unwrap();
        // Friday; then Monday.
        assert_eq!(
            runs(&weekdays, "2026-11-27T00:00:00Z", 2),
            ["2026-11-27T02:00:00Z", "2026-11-30T02:00:00Z"]
        );
        let leap = Timing::cron("0 12 29 2 *").unwrap();
        assert_eq!(
            runs(&leap, "2026-01-01T00:00:00Z", 1),
            ["2028-02-29T11:00:00Z"]
        );
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "", "3", "24:00", "03:60", "-1:00", "03:00:00", "003:1", "+3:00",
        ] {
            assert_eq!(Timing::at(text), Err(TimingError::At(text.to_owned())));
        }
        for text in ["", "soon", "61 * * * *", "* * *"] {
            let refused = Timing::cron(text);
            assert!(matches!(refused, Err(TimingError::Cron(..))), "{text}");
        }
        let never = Timing::cron("0 0 30 2 *");
        assert!(matches!(never, Err(TimingError::Never(_))), "{never:?}");
        assert!(Timing::every(Millis(999)).is_err());
    }

    #[test]
    fn missed_runs_are_made_up_for_by_one() {
        let nightly = Timing::at("03:00").unwrap();
        let mut clock = Clockwork::new(time("2026-11-01T12:00:00Z"));
        let wake = time("2026-11-20T08:00:00Z");
        let due = clock.due(Some(&nightly), QUIET, wake, &berlin()).unwrap();
        assert!(due <= wake);
        clock.began(wake);
        let next = clock.due(Some(&nightly), QUIET, wake, &berlin()).unwrap();
        assert_eq!(shown(next), "2026-11-21T02:00:00Z");
        let mut clock = Clockwork::new(Time(0));
        let hourly = Timing::every(Millis(HOUR)).unwrap();
        clock.began(Time(DAY));
        let next = clock.due(Some(&hourly), QUIET, Time(DAY), &berlin());
        assert_eq!(next, Some(Time(DAY + HOUR)));
    }

    /// Looks each minute through `days`, with the clock put off by `off` after half of them; gives
    /// the true times of the runs.
    fn walk(timing: &Timing, days: u64, off: i64) -> Vec<u64> {
        let begin = time("2026-06-01T00:00:00Z").0;
        let mut clock = Clockwork::new(Time(begin));
        let mut ran = Vec::new();
        for minute in 0..days * 24 * 60 {
            let truth = begin + minute * 60_000;
            let late = minute >= days * 12 * 60;
            let now = Time(truth.saturating_add_signed(if late { off } else { 0 }));
            let due = clock.due(Some(timing), QUIET, now, &berlin());
            if due.is_some_and(|due| due <= now) {
                clock.began(now);
                ran.push(truth);
            }
        }
        ran
    }

    #[test]
    fn a_clock_set_back_runs_nothing_twice_in_a_row_and_stalls_nothing() {
        let timings = [
            (Timing::at("03:00").unwrap(), DAY),
            (Timing::at("14:01").unwrap(), DAY),
            (Timing::every(Millis(6 * HOUR)).unwrap(), 6 * HOUR),
            (Timing::cron("0 * * * *").unwrap(), HOUR),
        ];
        let steps = [1, 20, 59, 60, 61, 600, 1_380, 1_441, 3_000, 525_600];
        for (timing, round) in timings {
            for minutes in steps {
                let ran = walk(&timing, 12, -minutes * 60_000);
                let gaps: Vec<u64> = ran.windows(2).map(|w| w[1] - w[0]).collect();
                let (least, most) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
                assert!(
                    *least >= round / 2,
                    "{timing:?} back {minutes} min: {gaps:?}"
                );
                assert!(
                    *most <= 3 * round + 60_000,
                    "{timing:?} back {minutes} min: {gaps:?}"
                );
            }
        }
    }

    #[test]
    fn changes_run_once_they_are_quiet_but_not_too_late() {
        let zone = berlin();
        let mut clock = Clockwork::new(Time(0));
        assert_eq!(clock.due(None, QUIET, Time(1), &zone), None);
        clock.changed(Time(1_000));
        clock.changed(Time(9_000));
        assert_eq!(
            clock.due(None, QUIET, Time(9_000), &zone),
            Some(Time(39_000))
        );
        for second in 10..2_000 {
            clock.changed(Time(second * 1_000));
        }
        let due = clock.due(None, QUIET, Time(1_999_000), &zone);
        assert_eq!(due, Some(Time(1_000 + LONGEST * QUIET.0)), "never quiet");
        clock.began(Time(700_000));
        assert_eq!(clock.due(None, QUIET, Time(700_000), &zone), None);
        // Whatever comes first; and a clock set back does not make it wait.
        let hourly = Timing::every(Millis(HOUR)).unwrap();
        clock.changed(Time(DAY));
        let due = clock.due(Some(&hourly), QUIET, Time(710_000), &zone);
        assert_eq!(due, Some(Time(710_000 + QUIET.0)));
    }
}
