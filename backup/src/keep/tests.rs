//! The rules against tables, and against what must hold for any history.

use super::*;
use time::format_description::well_known::Rfc3339;

fn at(text: &str) -> Time {
    let whole = format!("{text}Z");
    let parsed = OffsetDateTime::parse(&whole, &Rfc3339).unwrap();
    Time(u64::try_from(parsed.unix_timestamp()).unwrap() * 1_000)
}

const NOW: &str = "2026-03-04T12:00:00";

/// Two months: three a day on the last days, then one a day, then one a week, across a year's end.
const TIMES: [&str; 12] = [
    "2026-03-04T11:50:00", // 0  Wednesday
    "2026-03-04T11:10:00", // 1
    "2026-03-04T08:00:00", // 2
    "2026-03-03T23:59:59", // 3
    "2026-03-02T00:00:00", // 4  Monday
    "2026-03-01T23:00:00", // 5  Sunday: the week before
    "2026-02-28T12:00:00", // 6
    "2026-02-20T12:00:00", // 7
    "2026-01-31T12:00:00", // 8
    "2026-01-01T00:00:00", // 9  Thursday of week 1 of 2026
    "2025-12-31T23:59:59", // 10 the same ISO week, another year
    "2025-11-15T06:00:00", // 11
];

fn check(keep: &Keep, want: &[usize]) {
    let tags: Vec<Vec<String>> = (0..TIMES.len())
        .map(|i| {
            if i % 5 == 4 {
                vec!["five".into()]
            } else {
                Vec::new()
            }
        })
        .collect();
    // Whatever order they come in.
    for rotated in [0, 5, 11] {
        let mut nos: Vec<usize> = (0..TIMES.len()).collect();
        nos.rotate_left(rotated);
        let group: Vec<Candidate<'_>> = nos
            .iter()
            .map(|i| Candidate {
                time: at(TIMES[*i]),
                tags: &tags[*i],
            })
            .collect();
        let judged = keep.judge(&group, at(NOW));
        let mut kept: Vec<usize> = judged
            .iter()
            .zip(&nos)
            .filter_map(|(reasons, i)| (!reasons.is_empty()).then_some(*i))
            .collect();
        kept.sort_unstable();
        assert_eq!(kept, want, "{keep:?}");
    }
}

fn keep(change: impl FnOnce(&mut Keep)) -> Keep {
    let mut keep = Keep::default();
    change(&mut keep);
    keep
}

#[test]
fn each_rule_keeps_what_it_says() {
    check(&Keep::default(), &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    check(&keep(|k| k.last = 1), &[0]);
    check(&keep(|k| k.last = 3), &[0, 1, 2]);
    check(&keep(|k| k.hourly = 2), &[0, 2]);
    check(&keep(|k| k.hourly = 3), &[0, 2, 3]);
    check(&keep(|k| k.daily = 1), &[0]);
    check(&keep(|k| k.daily = 3), &[0, 3, 4]);
    check(&keep(|k| k.weekly = 2), &[0, 5]);
    check(&keep(|k| k.weekly = 3), &[0, 5, 7]);
    check(&keep(|k| k.weekly = 5), &[0, 5, 7, 8, 9]);
    check(&keep(|k| k.monthly = 3), &[0, 6, 8]);
    check(&keep(|k| k.yearly = 1), &[0]);
    check(&keep(|k| k.yearly = 2), &[0, 10]);
    check(&keep(|k| k.tags = vec!["five".into()]), &[0, 4, 9]);
    check(&keep(|k| k.within = Some(Millis(3_600_000))), &[0, 1]);
    check(&keep(|k| k.within = Some(Millis(2_400_000))), &[0, 1]);
    check(&keep(|k| k.within = Some(Millis(2_399_999))), &[0]);
}

#[test]
fn a_rule_with_room_left_keeps_the_oldest_too() {
    check(&keep(|k| k.yearly = 5), &[0, 10, 11]);
    check(&keep(|k| k.monthly = 4), &[0, 6, 8, 10]);
    check(&keep(|k| k.monthly = 5), &[0, 6, 8, 10, 11]);
}

#[test]
fn rules_add_up() {
    let both = keep(|k| {
        k.last = 2;
        k.daily = 3;
        k.monthly = 2;
    });
    check(&both, &[0, 1, 3, 4, 6]);
}

#[test]
fn the_future_is_kept_and_counts_for_nothing() {
    let no_tags: [String; 0] = [];
    let group: Vec<Candidate<'_>> = ["2031-01-01T00:00:00", TIMES[0], TIMES[3]]
        .iter()
        .map(|t| Candidate {
            time: at(t),
            tags: &no_tags,
        })
        .collect();
    let only_last = keep(|k| k.last = 1);
    let judged = only_last.judge(&group, at(NOW));
    assert_eq!(judged[0], [Reason::Future]);
    assert_eq!(judged[1], [Reason::Newest, Reason::Last]);
    assert!(judged[2].is_empty());
    // A clock that is a year behind: all is in the future, and nothing goes.
    let judged = only_last.judge(&group, at("2025-03-04T12:00:00"));
    assert!(judged.iter().all(|r| *r == [Reason::Future]));
}

#[test]
fn the_newest_of_a_group_never_goes_by_rules_alone() {
    let no_tags: [String; 0] = [];
    let group = [Candidate {
        time: at(TIMES[7]),
        tags: &no_tags,
    }];
    let judged = keep(|k| k.tags = vec!["none".into()]).judge(&group, at(NOW));
    assert_eq!(judged[0], [Reason::Newest]);
}

/// A rule never keeps fewer than the same rule with a smaller number, and at most as many as it says.
#[test]
fn more_keeps_more() {
    let no_tags: [String; 0] = [];
    let times = (0..400_u64).map(|i| Time(at("2025-01-01T00:00:00").0 + i * i * 191_000));
    let group: Vec<Candidate<'_>> = times
        .map(|time| Candidate {
            time,
            tags: &no_tags,
        })
        .collect();
    let now = group.last().unwrap().time;
    let rules: [fn(&mut Keep, u32); 6] = [
        |k, n| k.last = n,
        |k, n| k.hourly = n,
        |k, n| k.daily = n,
        |k, n| k.weekly = n,
        |k, n| k.monthly = n,
        |k, n| k.yearly = n,
    ];
    for rule in rules {
        let mut before = 0;
        for n in 1..40 {
            let judged = keep(|k| rule(k, n)).judge(&group, now);
            let kept = judged.iter().filter(|r| !r.is_empty()).count();
            assert!(kept >= before && kept <= n as usize, "{n}: {kept}");
            before = kept;
        }
    }
}
