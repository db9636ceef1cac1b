//! `larder doctor`: what is wrong and how to mend it. Each check is a line; the exit code says
//! whether all is well. A node that runs judges itself; of one that does not, the home speaks.

use super::connect::{Asked, require_home, runtime};
use super::exit::Failure;
use super::output::Out;
use crate::doctor::of_home;
use larder_rpc::{Check, Client, ClientError, Empty, Wrong};
use serde_json::json;
use std::path::Path;

pub(super) fn doctor(home: &Path, out: Out) -> Asked {
    require_home(home)?;
    let asked = match Client::of_home(home) {
        Ok(node) => runtime()?.block_on(async { node.node_doctor(&Empty {}).await }),
        Err(e) => Err(e),
    };
    let checks = match asked {
        Ok(doctor) => doctor.checks,
        Err(e) => {
            let mut checks = of_home(home)?;
            checks.push(silent(&e));
            checks
        }
    };
    report(&checks, out)
}

/// A node that does not answer.
fn silent(error: &ClientError) -> Check {
    Check {
        check: "node".to_owned(),
        found: error.to_string(),
        wrong: Some(Wrong {
            mend: "start it with `larder up`".to_owned(),
            exit_code: error.exit_code(),
        }),
    }
}

fn report(checks: &[Check], out: Out) -> Asked {
    for check in checks {
        let mend = check.wrong.as_ref().map(|wrong| &wrong.mend);
        out.object(&json!({
            "message_type": "check",
            "check": check.check,
            "ok": mend.is_none(),
            "found": check.found,
            "mend": mend,
        }))?;
        match mend {
            None => out.line(format_args!("ok    {:<8} {}", check.check, check.found))?,
            Some(mend) => out.line(format_args!(
                "WRONG {:<8} {}: {mend}",
                check.check, check.found
            ))?,
        }
    }
    let wrong = checks.iter().filter_map(|check| check.wrong.as_ref());
    let exit = wrong.clone().map(|wrong| wrong.exit_code).max();
    let problems = wrong.count();
    out.object(&json!({ "message_type": "summary", "problems": problems }))?;
    exit.map_or(Ok(()), |exit| Err(Failure::silent(exit)))
}
