//! `job_*`: long work.

use crate::types::{Done, Job, JobLine, JobLogParams, JobParams};
use crate::values::{Page, PageParams};

super::methods! {
    /// Long work.
    JobMethods: "job";

    /// Jobs, newest first.
    "job_list" job_list(PageParams) -> Page<Job>, Admin;
    /// One job.
    "job_get" job_get(JobParams) -> Job, Admin;
    /// What a job did, the oldest first; of a long one the last thousand lines.
    "job_log" job_log(JobLogParams) -> Page<JobLine>, Admin;
    /// Asks a job to stop; it is over once its state says so.
    "job_cancel" job_cancel(JobParams) -> Done, Admin;
}
