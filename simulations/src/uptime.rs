//! How machines come and go: classes A and B of `docs/protocol.md` §4.4, people who shut their
//! machines down, and machines that stay up unless a fault takes them down.

use crate::dice::{DAY, Dice, HOUR};
use larder_types::{Millis, Time};

/// No provider and no keeper is away for longer: contracts are renewed by their keepers alone, 14
/// epochs before they end, so that a keeper who is away for longer than that loses its data by
/// right.
const LONGEST_AWAY: Millis = Millis(7 * DAY);

/// How a machine comes and goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uptime {
    /// A data centre: up 60 days, down 2 hours, on average.
    A,
    /// A paid node at home: up 14 days on average, down an hour in the median, 12 on average.
    B,
    /// A node at home that is switched off at night: the 5 % of class B.
    Nights,
    /// Someone's own computer: up for some hours, off at night, now and then for days.
    Person,
    /// Up until a fault; then back within half an hour.
    Steady,
}

impl Uptime {
    /// The mix of `docs/protocol.md` §4.4; keepers are people's computers.
    pub(crate) fn of_churn(dice: &mut Dice, keeps_only: bool) -> Self {
        match dice.below(100) {
            0..50 if keeps_only => Self::Person,
            0..40 => Self::A,
            40..97 => Self::B,
            _ => Self::Nights,
        }
    }

    /// How long it stays up from `now` on.
    pub(crate) fn up(self, dice: &mut Dice, now: Time) -> Millis {
        match self {
            Self::A => dice.exponential(60.0 * 24.0),
            Self::B => dice.exponential(14.0 * 24.0),
            Self::Nights => {
                let bedtime = 23 * HOUR + dice.below(HOUR);
                Millis((bedtime + DAY - now.0 % DAY) % DAY + 1_000)
            }
            Self::Person => dice.span(2 * HOUR, 15 * HOUR),
            Self::Steady => Millis(3_650 * DAY),
        }
    }

    /// How long it stays away.
    pub(crate) fn down(self, dice: &mut Dice) -> Millis {
        match self {
            Self::A => dice.exponential(2.0),
            Self::B => dice.lognormal(1.0, 12.0).min(LONGEST_AWAY),
            Self::Nights => dice.span(7 * HOUR, 8 * HOUR),
            Self::Person if dice.one_in(12) => dice.span(DAY, 4 * DAY),
            Self::Person => dice.span(7 * HOUR, 14 * HOUR),
            Self::Steady => dice.span(1_000, HOUR / 2),
        }
    }

    /// After how long a machine of this class is gone for good; `docs/protocol.md` §4.4.
    pub(crate) fn life(self, dice: &mut Dice) -> Millis {
        match self {
            Self::A => dice.exponential(3.0 * 365.0 * 24.0),
            Self::B | Self::Nights => dice.weibull(0.7, 365.0 * 24.0),
            Self::Person | Self::Steady => Millis(3_650 * DAY),
        }
    }
}
