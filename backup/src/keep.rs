//! Which snapshots the keep rules keep, as restic has them: the last n; the newest of each of the last n
//! hours, days, weeks, months and years that have one; all within a time before the newest; all with a
//! tag. Hours and days are those of UTC: a calendar that does not move with the machine, so that the same
//! rules give the same answer everywhere. Pure.

use larder_types::{Millis, Time};
use time::OffsetDateTime;

/// The rules. None at all keep everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// This many of the newest.
    pub last: u32,
    /// The newest of this many hours.
    pub hourly: u32,
    /// Of this many days.
    pub daily: u32,
    /// Of this many ISO weeks, which begin on Monday.
    pub weekly: u32,
    /// Of this many months.
    pub monthly: u32,
    /// Of this many years.
    pub yearly: u32,
    /// All that are no older than this, counted from the newest that is not in the future.
    pub within: Option<Millis>,
    /// All that carry one of these.
    pub tags: Vec<String>,
}

/// What the rules look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// When it was made.
    pub time: Time,
    /// Its tags.
    pub tags: &'a [String],
}

/// Why a snapshot stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It is the newest of its group: rules alone never drop that.
    Newest,
    /// Its time has not come yet: some clock was wrong, and nobody knows how old it is.
    Future,
    /// It carries a tag.
    Tag,
    /// It is young enough.
    Within,
    /// One of the last.
    Last,
    /// The newest of its hour.
    Hourly,
    /// Of its day.
    Daily,
    /// Of its week.
    Weekly,
    /// Of its month.
    Monthly,
    /// Of its year.
    Yearly,
    /// A rule had room left, and there is none older.
    Oldest,
}

impl Reason {
    /// In a word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Future => "future",
            Self::Tag => "tag",
            Self::Within => "within",
            Self::Last => "last",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
            Self::Oldest => "oldest",
        }
    }
}

/// A rule that keeps the newest of each of so many spans of time.
struct Bucket {
    left: u32,
    reason: Reason,
    span: fn(OffsetDateTime, usize) -> i64,
    last: Option<i64>,
}

impl Keep {
    /// Whether it says nothing, so that nothing may be dropped by it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Why each of a group's snapshots is kept; without a reason it may go.
    #[must_use]
    pub fn judge(&self, group: &[Candidate<'_>], now: Time) -> Vec<Vec<Reason>> {
        let mut reasons = vec![Vec::new(); group.len()];
        let mut order: Vec<usize> = (0..group.len()).collect();
        order.sort_by_key(|i| (std::cmp::Reverse(group[*i].time), *i));
        let (future, past): (Vec<_>, Vec<_>) =
            order.into_iter().partition(|i| group[*i].time > now);
        for i in future {
            reasons[i].push(Reason::Future);
        }
        let Some(newest) = past.first().copied() else {
            return reasons;
        };
        reasons[newest].push(Reason::Newest);
        let mut buckets = self.buckets();
        for (nth, i) in past.iter().copied().enumerate() {
            let it = &group[i];
            if self.is_empty() {
                reasons[i].push(Reason::Last);
            }
            if self.tags.iter().any(|t| it.tags.contains(t)) {
                reasons[i].push(Reason::Tag);
            }
            let age = group[newest].time.0 - it.time.0;
            if self.within.is_some_and(|within| age <= within.0) {
                reasons[i].push(Reason::Within);
            }
            let is_oldest = nth + 1 == past.len();
            for bucket in &mut buckets {
                reasons[i].extend(bucket.keeps(utc(it.time), nth, is_oldest));
            }
        }
        reasons
    }

    fn buckets(&self) -> [Bucket; 6] {
        let bucket = |left, reason, span| Bucket {
            left,
            reason,
            span,
            last: None,
        };
        [
            bucket(self.last, Reason::Last, |_, nth| {
                i64::try_from(nth).unwrap_or(i64::MAX)
            }),
            bucket(self.hourly, Reason::Hourly, |t, _| {
                t.unix_timestamp().div_euclid(3_600)
            }),
            bucket(self.daily, Reason::Daily, |t, _| {
                t.unix_timestamp().div_euclid(86_400)
            }),
            bucket(self.weekly, Reason::Weekly, |t, _| {
                let (year, week, _) = t.to_iso_week_date();
                i64::from(year) * 100 + i64::from(week)
            }),
            bucket(self.monthly, Reason::Monthly, |t, _| {
                i64::from(t.year()) * 12 + i64::from(u8::from(t.month()))
            }),
            bucket(self.yearly, Reason::Yearly, |t, _| i64::from(t.year())),
        ]
    }
}

impl Bucket {
    /// Why it keeps the next one, from the newest to the oldest.
    fn keeps(&mut self, time: OffsetDateTime, nth: usize, is_oldest: bool) -> Option<Reason> {
        if self.left == 0 {
            return None;
        }
        let span = Some((self.span)(time, nth));
        let is_new = span != self.last;
        if !is_new && !is_oldest {
            return None;
        }
        self.left -= 1;
        self.last = span;
        Some(if is_new { self.reason } else { Reason::Oldest })
    }
}

/// The moment on the calendar; what lies beyond the year 9999 counts as its last.
fn utc(time: Time) -> OffsetDateTime {
    let seconds = i64::try_from(time.0 / 1_000).unwrap_or(i64::MAX);
    let last = time::Date::MAX.midnight().assume_utc();
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(last)
}

#[cfg(test)]
mod tests;
