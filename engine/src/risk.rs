//! Which segment is repaired first: the one that is nearest to being lost. Urgent ones go before
//! those that are only topped up; within each, ascending alive − k. `docs/protocol.md` §3.11.

use larder_coding::layout::Code;

/// How near to loss a segment is: smaller is nearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Risk {
    /// Whether it can wait an epoch.
    pub(crate) background: bool,
    /// Positions that can still be lost.
    pub(crate) margin: i32,
}

/// A segment's positions, counted in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Alive {
    /// Those that are not lost.
    pub(crate) soft: u16,
    /// Those among them whose provider passed lately.
    pub(crate) strict: u16,
}

/// Whether a segment must be repaired at once: alive ≤ r, or alive_strict ≤ k + ⌈(r − k)/2⌉.
pub(crate) fn is_urgent(code: Code, alive: Alive) -> bool {
    let reserve = code.r().saturating_sub(code.k()).div_ceil(2);
    alive.soft <= code.r() || alive.strict <= code.k() + reserve
}

/// A segment's place in the order of repairs.
pub(crate) fn risk(code: Code, alive: Alive) -> Risk {
    Risk {
        background: !is_urgent(code, alive),
        margin: i32::from(alive.soft) - i32::from(code.k()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(k: u16, n: u16, r: u16, soft: u16, strict: u16) -> Risk {
        risk(Code::new(k, n, r).unwrap(), Alive { soft, strict })
    }

    #[test]
    fn urgent_at_the_threshold_or_when_few_proved_lately() {
        assert!(of(4, 8, 6, 7, 7).background);
        assert!(!of(4, 8, 6, 6, 6).background);
        assert!(!of(4, 8, 6, 7, 5).background, "5 ≤ 4 + 1");
        assert!(of(4, 8, 6, 7, 6).background);
        assert!(!of(1, 1, 1, 0, 0).background);
    }

    #[test]
    fn the_nearest_to_loss_goes_first() {
        let mut order = [
            of(4, 8, 6, 7, 7),
            of(20, 60, 34, 30, 30),
            of(4, 8, 6, 5, 5),
            of(4, 8, 6, 4, 4),
            of(20, 60, 34, 50, 50),
        ];
        order.sort();
        let margins: Vec<_> = order.iter().map(|r| (r.background, r.margin)).collect();
        let want = [(false, 0), (false, 1), (false, 10), (true, 3), (true, 30)];
        assert_eq!(margins, want);
    }
}
