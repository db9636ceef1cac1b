//! What a job has to tell of single paths.

use crate::working::Working;
use larder_backup::{Omission, Problems};
use larder_rpc::{LeftOut, PathFailure};

/// Each path that was left out or is incomplete, with why.
pub(crate) fn note_failures(working: &Working, problems: &Problems) {
    for problem in &problems.named {
        working.note(format!("{}: {}", problem.path.display(), problem.error));
    }
}

pub(super) fn left_out(omission: &Omission) -> LeftOut {
    let paths = omission.paths.iter();
    LeftOut {
        rule: omission.rule.name().to_owned(),
        why: omission.rule.why(),
        count: omission.count,
        paths: paths.map(|p| p.to_string_lossy().into_owned()).collect(),
    }
}

pub(crate) fn failures(problems: &Problems) -> Vec<PathFailure> {
    problems
        .named
        .iter()
        .map(|p| PathFailure {
            path: p.path.to_string_lossy().into_owned(),
            reason: p.error.clone(),
        })
        .collect()
}
