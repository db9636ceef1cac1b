//! A contract's life: which stage it is in, and what may happen to it there, as one match. Ledger
//! and node ask it whether an operation may act; neither decides for itself. `docs/protocol.md`
//! §3.10.

use larder_types::Epoch;
use serde::{Deserialize, Serialize};

/// The last epochs of a term, in which it is to be renewed or moved.
pub const EXPIRING: Epoch = 14;

/// Where a contract is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The provider offers; the ledger knows nothing.
    Offered,
    /// The renter has proposed.
    Proposed,
    /// Both have signed.
    Accepted,
    /// The Open is on the ledger and waits for its epoch.
    Open,
    /// Paid for each epoch that is proven.
    Active,
    /// Its provider missed the last two epochs.
    Suspect,
    /// It, or its provider, failed: its renter may close it at once.
    Faulted,
    /// The term's last epochs, paid as before.
    Expiring,
    /// Its end has come; it is to be removed.
    Ended,
    /// Settled.
    Closed,
}

/// What happens to a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The renter proposes.
    Propose,
    /// The provider accepts.
    Accept,
    /// Offer, proposal or acceptance run out.
    Lapse,
    /// The Open is included.
    Post,
    /// Its first epoch begins.
    Begin,
    /// Its provider proves.
    Pass,
    /// Its provider misses for the second time in a row.
    Waver,
    /// Strikes, a false proof, or a question for this contract alone that was not answered.
    Fault,
    /// The last epochs of its term begin.
    Approach,
    /// Its end comes.
    End,
    /// Other content, the same money.
    Revise,
    /// Other money, a longer or a shorter term.
    Extend,
    /// Its provider declares shards lost.
    Lose,
    /// It is removed after its end.
    CloseExpired,
    /// Both sides end it.
    CloseMutual,
    /// Its renter's notice runs out.
    CloseByRenter,
    /// Its renter closes it, as it is FAULTED.
    CloseFaulted,
}

/// A step that a contract cannot take in its stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{step:?} is not for a contract that is {stage:?}")]
pub struct OutOfPlace {
    /// Where it is.
    pub stage: Stage,
    /// What does not happen there.
    pub step: Step,
}

/// The stage after a step.
///
/// # Errors
/// [`OutOfPlace`] for what does not happen in that stage.
pub const fn next(stage: Stage, step: Step) -> Result<Stage, OutOfPlace> {
    use Stage::{
        Accepted, Active, Closed, Ended, Expiring, Faulted, Offered, Open, Proposed, Suspect,
    };
    Ok(match (stage, step) {
        // §3.10, before the ledger: each side is bound for as long as its word stands.
        (Offered, Step::Propose) => Proposed,
        (Proposed, Step::Accept) => Accepted,
        (Accepted, Step::Post) => Open,
        (Offered | Proposed | Accepted, Step::Lapse) => Closed,
        (Open, Step::Begin) => Active,
        // §3.6, verdicts.
        (Active | Suspect, Step::Pass) => Active,
        (Expiring, Step::Pass) => Expiring,
        (Active | Suspect, Step::Waver) => Suspect,
        (Expiring, Step::Waver) => Expiring,
        (Active | Suspect | Expiring | Ended | Faulted, Step::Fault) => Faulted,
        // A FAULTED provider is still asked, and paid for what it proves.
        (Faulted, Step::Pass | Step::Waver | Step::Approach | Step::End) => Faulted,
        // §3.3, the term.
        (Active | Suspect, Step::Approach) => Expiring,
        (Active | Suspect | Expiring, Step::End) => Ended,
        (Active, Step::Revise) => Active,
        (Suspect, Step::Revise) => Suspect,
        (Expiring, Step::Revise) => Expiring,
        (Active | Expiring, Step::Extend) => Active,
        (Suspect, Step::Extend) => Suspect,
        // §3.6, a declared loss: no way out for who is FAULTED.
        (Active, Step::Lose) => Active,
        (Suspect, Step::Lose) => Suspect,
        (Expiring, Step::Lose) => Expiring,
        (Ended, Step::Revise | Step::Lose) => Ended,
        (Ended, Step::Extend) => Active,
        // §3.4, closes.
        (Ended | Faulted, Step::CloseExpired)
        | (Faulted, Step::CloseFaulted)
        | (
            Active | Suspect | Expiring | Ended | Faulted,
            Step::CloseMutual | Step::CloseByRenter,
        ) => Closed,
        (stage, step) => return Err(OutOfPlace { stage, step }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGES: [Stage; 10] = [
        Stage::Offered,
        Stage::Proposed,
        Stage::Accepted,
        Stage::Open,
        Stage::Active,
        Stage::Suspect,
        Stage::Faulted,
        Stage::Expiring,
        Stage::Ended,
        Stage::Closed,
    ];

    fn check(step: Step, want: &[(Stage, Stage)]) {
        for stage in STAGES {
            let after = want.iter().find(|(from, _)| *from == stage).map(|w| w.1);
            let refusal = OutOfPlace { stage, step };
            assert_eq!(
                next(stage, step),
                after.ok_or(refusal),
                "{stage:?} {step:?}"
            );
        }
    }

    #[test]
    fn a_contract_lives_from_offer_to_close() {
        let steps = [
            (Step::Propose, Stage::Proposed),
            (Step::Accept, Stage::Accepted),
            (Step::Post, Stage::Open),
            (Step::Begin, Stage::Active),
            (Step::Revise, Stage::Active),
            (Step::Waver, Stage::Suspect),
            (Step::Pass, Stage::Active),
            (Step::Approach, Stage::Expiring),
            (Step::Pass, Stage::Expiring),
            (Step::End, Stage::Ended),
            (Step::CloseExpired, Stage::Closed),
        ];
        let mut stage = Stage::Offered;
        for (step, after) in steps {
            stage = next(stage, step).unwrap();
            assert_eq!(stage, after);
        }
    }

    #[test]
    fn what_is_faulted_is_closed_and_nothing_else() {
        let changed: Vec<Step> = [Step::Revise, Step::Extend, Step::Lose, Step::Begin]
            .into_iter()
            .filter(|step| next(Stage::Faulted, *step).is_ok())
            .collect();
        assert_eq!(changed, []);
        check(Step::CloseFaulted, &[(Stage::Faulted, Stage::Closed)]);
        check(
            Step::CloseExpired,
            &[
                (Stage::Faulted, Stage::Closed),
                (Stage::Ended, Stage::Closed),
            ],
        );
        check(
            Step::Lapse,
            &[
                (Stage::Offered, Stage::Closed),
                (Stage::Proposed, Stage::Closed),
                (Stage::Accepted, Stage::Closed),
            ],
        );
        check(
            Step::Extend,
            &[
                (Stage::Active, Stage::Active),
                (Stage::Expiring, Stage::Active),
                (Stage::Ended, Stage::Active),
                (Stage::Suspect, Stage::Suspect),
            ],
        );
    }

    #[test]
    fn nothing_happens_to_what_is_closed() {
        for step in [
            Step::Propose,
            Step::Post,
            Step::Pass,
            Step::Fault,
            Step::Revise,
            Step::CloseMutual,
            Step::CloseFaulted,
        ] {
            let stage = Stage::Closed;
            assert_eq!(next(stage, step), Err(OutOfPlace { stage, step }));
        }
    }
}
