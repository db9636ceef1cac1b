//! Commands before and after a scheduled backup: run by `/bin/sh` as the node's own user, in a
//! process group of their own that is killed when they take too long. What they print goes into the
//! job's log.

use crate::working::Working;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// A longer line is cut into several.
const LINE: u64 = 1_024;
/// How long its output is waited for after a command has ended: a process that it left behind may
/// hold the pipe.
const AFTERMATH: Duration = Duration::from_secs(1);

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// It could not be begun or waited for.
    #[error("the command {0} cannot be run: {1}")]
    Run(&'static str, io::Error),
    /// It failed.
    #[error("the command {0} ended with {1}; the job's log holds what it said")]
    Failed(&'static str, std::process::ExitStatus),
    /// It took too long.
    #[error("the command {0} took longer than {1:?} and was killed")]
    TooLong(&'static str, Duration),
    /// Somebody asked for it.
    #[error("the command {0} was interrupted")]
    Cancelled(&'static str),
}

/// A command, and when it runs.
#[derive(Debug, Clone, Copy)]
pub struct Hook<'a> {
    /// `before` or `after`.
    pub when: &'static str,
    /// What `/bin/sh -c` is given.
    pub command: &'a str,
    /// The most that it may take.
    pub limit: Duration,
}

impl Hook<'_> {
    /// Runs it with these variables.
    ///
    /// # Errors
    /// [`HookError`] unless it ends well and in time.
    pub async fn run(&self, vars: &[(&str, &str)], working: &Working) -> Result<(), HookError> {
        let failed = |e| HookError::Run(self.when, e);
        working.note(format!("{}: {}", self.when, self.command));
        let mut child = self.begin(vars).map_err(failed)?;
        let group = child.id();
        // Dropped, it is aborted: what is left behind may hold the pipes for ever.
        let telling = AbortOnDropHandle::new(tokio::spawn({
            let (out, err) = (child.stdout.take(), child.stderr.take());
            let (when, working) = (self.when, working.clone());
            async move { tokio::join!(tell(out, when, &working), tell(err, when, &working)) }
        }));
        let ending = timeout(self.limit, child.wait());
        let ended = working.cancel.run_until_cancelled(ending).await;
        let ended = match ended {
            Some(Ok(ended)) => ended.map_err(failed),
            Some(Err(_)) => {
                kill(group);
                Err(HookError::TooLong(self.when, self.limit))
            }
            None => {
                kill(group);
                Err(HookError::Cancelled(self.when))
            }
        };
        // What it printed last.
        timeout(AFTERMATH, telling).await.ok();
        let ended = ended?;
        match ended.success() {
            true => Ok(()),
            false => Err(HookError::Failed(self.when, ended)),
        }
    }

    fn begin(&self, vars: &[(&str, &str)]) -> io::Result<Child> {
        Command::new("/bin/sh")
            .arg("-c")
            .arg(self.command)
            .envs(vars.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }
}

/// Ends a command with all that it began.
fn kill(group: Option<u32>) {
    let pid = group.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(Err(e)) = pid.map(|pid| kill_process_group(pid, Signal::KILL)) {
        tracing::debug!("a hook's processes: {e}");
    }
}

async fn tell(from: Option<impl AsyncRead + Unpin>, when: &str, working: &Working) {
    let Some(from) = from else {
        return;
    };
    let mut from = BufReader::new(from);
    loop {
        let mut line = Vec::new();
        let read = (&mut from).take(LINE).read_until(b'\n', &mut line).await;
        match read {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                working.note(format!("{when}: {}", text.trim_end()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_util::sync::CancellationToken;

    async fn run(command: &str, limit: Duration) -> (Result<(), HookError>, Vec<String>) {
        let working = Working::new(CancellationToken::new());
        let hook = Hook {
            when: "before",
            command,
            limit,
        };
        let ended = hook.run(&[("WHO", "me")], &working).await;
        let log = working.log().into_iter().map(|line| line.text);
        (ended, log.collect())
    }

    const LONG: Duration = Duration::from_secs(100);

    #[tokio::test]
    async fn what_a_command_says_is_in_the_log() {
        let (ended, log) = run("echo to $WHO; echo bad >&2; exit 3", LONG).await;
        let failed = ended.unwrap_err().to_string();
        assert!(failed.contains("exit status: 3"), "{failed}");
        for line in ["before: to me", "before: bad"] {
            assert!(log.iter().any(|l| l == line), "{log:?}");
        }
        let (ended, _) = run("true", LONG).await;
        assert!(ended.is_ok(), "{ended:?}");
    }

    #[tokio::test]
    async fn one_that_takes_too_long_is_killed() {
        let (ended, _) = run("sleep 1000", Duration::from_millis(50)).await;
        assert!(matches!(ended, Err(HookError::TooLong(..))), "{ended:?}");
    }

    /// Whether a process does anything; one that nobody has waited for does not.
    fn lives(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[tokio::test]
    async fn one_that_is_interrupted_takes_its_children_with_it() {
        let working = Working::new(CancellationToken::new());
        let hook = Hook {
            when: "before",
            command: "sleep 1000 & echo child $!; wait",
            limit: LONG,
        };
        let child = async {
            loop {
                let log = working.log();
                let said = |line: &larder_rpc::JobLine| {
                    let pid = line.text.strip_prefix("before: child ");
                    pid.filter(|pid| !pid.starts_with('$')).map(str::to_owned)
                };
                if let Some(pid) = log.iter().find_map(said) {
                    working.cancel.cancel();
                    return pid;
                }
                tokio::task::yield_now().await;
            }
        };
        let (ended, child) = tokio::join!(hook.run(&[], &working), child);
        assert!(matches!(ended, Err(HookError::Cancelled(_))), "{ended:?}");
        while lives(&child) {
            tokio::task::yield_now().await;
        }
    }
}
