//! How many nodes the demo starts and kills: checked against the code before anything runs, so that
//! what cannot succeed is refused with the most that can.

use super::DemoArgs;
use crate::cli::{Failure, USAGE};
use larder_engine::placement::choose_code;
use larder_types::{Class, Millis};

/// Providers killed when the user does not say how many.
const KILL: u16 = 4;

/// What the demo does, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) providers: u16,
    pub(super) kill: u16,
    pub(super) validators: u16,
    pub(super) epoch: Millis,
    pub(super) keep: bool,
}

impl Plan {
    /// What `args` ask for.
    ///
    /// # Errors
    /// Exit code 2: more killed than the data can survive.
    pub(super) fn of(args: &DemoArgs) -> Result<Self, Failure> {
        let most = most(args.providers);
        let kill = args.kill.unwrap_or_else(|| KILL.min(most));
        if kill > most {
            return Err(too_many(kill, args.providers, most));
        }
        Ok(Self {
            providers: args.providers,
            kill,
            validators: args.validators,
            epoch: args.epoch,
            keep: args.keep,
        })
    }
}

/// How many of this many providers may go: k shards of each segment stay, and n providers are left
/// to hold its n shards again.
fn most(providers: u16) -> u16 {
    choose_code(Class::Normal, usize::from(providers)).map_or(0, |plan| {
        let (k, n) = (plan.code.k(), plan.code.n());
        (n - k).min(providers.saturating_sub(n))
    })
}

fn too_many(kill: u16, providers: u16, most: u16) -> Failure {
    let code = choose_code(Class::Normal, usize::from(providers));
    let (k, n) = code.map_or((0, 0), |plan| (plan.code.k(), plan.code.n()));
    Failure::new(
        USAGE,
        format_args!(
            "--kill {kill}: with {providers} providers a segment has {n} shards and needs {k} of \
             them, and {n} providers must be left to hold them again: --kill {most} is the most"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(providers: u16, kill: Option<u16>) -> Result<Plan, Failure> {
        Plan::of(&DemoArgs {
            path: None,
            providers,
            kill,
            validators: 1,
            epoch: Millis(8_000),
            keep: false,
        })
    }

    #[test]
    fn no_more_are_killed_than_the_data_survives() {
        let killed = |providers, kill| plan(providers, kill).map(|p| p.kill);
        assert_eq!(killed(12, None), Ok(4));
        assert_eq!(killed(12, Some(0)), Ok(0));
        assert_eq!(killed(1, None), Ok(0));
        assert_eq!(killed(3, None), Ok(1));
        assert_eq!(killed(64, Some(4)), Ok(4));
        for (providers, kill, most) in [(12, 5, 4), (64, 5, 4), (11, 5, 3), (2, 1, 0)] {
            let refused = killed(providers, Some(kill)).unwrap_err();
            assert_eq!(refused.exit, USAGE);
            let named = format!("--kill {most} is the most");
            assert!(refused.message.contains(&named), "{}", refused.message);
        }
    }
}
