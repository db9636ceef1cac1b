//! Parameters and results of the methods, one file an area. They are separate from the domain's
//! types: changing those must not silently change what programs read.

pub mod alerts;
pub mod auth;
pub mod backup;
pub mod chain;
pub mod device;
pub mod feed;
pub mod friend;
pub mod health;
pub mod job;
pub mod ledger;
pub mod market;
pub mod mount;
pub mod network;
pub mod node;
pub mod policy;
pub mod provider;
pub mod quote;
pub mod recover;
pub mod retention;
pub mod schedule;
pub mod search;
pub mod share;
pub mod stats;
pub mod tx;
pub mod upkeep;
pub mod wallet;

pub use alerts::*;
pub use auth::*;
pub use backup::*;
pub use chain::*;
pub use device::*;
pub use feed::*;
pub use friend::*;
pub use health::*;
pub use job::*;
pub use ledger::*;
pub use market::*;
pub use mount::*;
pub use network::*;
pub use node::*;
pub use policy::*;
pub use provider::*;
pub use quote::*;
pub use recover::*;
pub use retention::*;
pub use schedule::*;
pub use search::*;
pub use share::*;
pub use stats::*;
pub use tx::*;
pub use upkeep::*;
pub use wallet::*;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::{Moment, Nano, Text};
    use larder_types::{Amount, Class, Time};

    #[test]
    fn a_job_reads_back_as_it_was_written_and_looks_as_promised() {
        let job = Job {
            job: "7".into(),
            kind: JobKind::Backup,
            state: JobState::Done,
            started: Moment(Time(1_700_000_000_000)),
            ended: None,
            progress: Progress::default(),
            result: Some(JobResult::Backup(BackupSummary {
                snapshot: Some("3f".into()),
                files: 1,
                dirs: 2,
                unchanged: 0,
                left_out: Vec::new(),
                errors: 0,
                failures: Vec::new(),
                bytes: 3,
                bytes_new: 3,
                bytes_stored: 6,
                segments: 1,
                cost: Nano(Amount(5)),
                class: Text(Class::Normal),
                k: 4,
                n: 8,
                repair_at: 6,
                annual_loss: 1e-4,
                class_met: true,
                head_holders: 3,
                head_wanted: 3,
                seconds: 0.5,
                also: Vec::new(),
            })),
            error: None,
        };
        let value = serde_json::to_value(&job).unwrap();
        assert_eq!(value["started"], "2023-11-14T22:13:20Z");
        assert_eq!(value["result"]["backup"]["cost"], "5");
        assert_eq!(value["result"]["backup"]["class"], "normal");
        assert_eq!(value["result"]["backup"]["bytesNew"], 3);
        assert_eq!(serde_json::from_value::<Job>(value).unwrap(), job);
    }
}
