//! What a process has used, from `/proc`: peak memory and CPU time. proc(5).

use serde::Serialize;
use std::fs;

/// Clock ticks in a second as `/proc` counts them; a constant of Linux's ABI on all platforms
/// that we build for.
const TICKS: u64 = 100;

/// What a process has used so far; zero where the system does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Usage {
    /// Largest resident set, bytes.
    pub(super) peak_rss: u64,
    /// User and system time, milliseconds.
    pub(super) cpu_ms: u64,
}

impl Usage {
    /// What the process `pid` has used.
    pub(super) fn of(pid: u32) -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}"));
        Self {
            peak_rss: read("status").ok().and_then(|s| peak(&s)).unwrap_or(0),
            cpu_ms: read("stat").ok().and_then(|s| cpu(&s)).unwrap_or(0),
        }
    }

    /// Both together: the larger peak, the sum of times.
    pub(super) fn join(self, other: Self) -> Self {
        Self {
            peak_rss: self.peak_rss.max(other.peak_rss),
            cpu_ms: self.cpu_ms + other.cpu_ms,
        }
    }
}

/// `VmHWM:   123 kB`, in bytes.
fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Fields 14 and 15, counted after the name in parentheses, which may hold blanks.
fn cpu(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * 1_000 / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_as_it_is_written() {
        assert_eq!(
            peak("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS: 1 kB\n"),
            Some(2 << 20)
        );
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 1 0 5 6 7";
        assert_eq!(cpu(stat), Some(2_000));
        assert!(Usage::of(std::process::id()).peak_rss > 0);
    }
}
