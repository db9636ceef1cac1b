//! What the engine knows of lost shards and their repair, in the surface's form.

use larder_engine::Engine;
use larder_engine::report::{RepairReport, RepairState as State, SegmentHealth as Health};
use larder_rpc::{Moment, Repair, RepairState, Repairs, SegmentHealth, Text};

/// The redundancy of all that is stored, and what is done about it.
pub(crate) fn shown(engine: &Engine) -> Repairs {
    let report = engine.segments();
    Repairs {
        segments: report.segments,
        segments_below_full: report.below_full,
        segments_lost: report.lost,
        full_redundancy: report.below_full == 0,
        suspect: report.suspect,
        repairing: report.repairing,
        shards_repaired: report.shards_repaired,
        bytes_read: report.bytes_read,
        bytes_written: report.bytes_written,
        trouble: engine.repair_trouble().map(ToString::to_string),
        below_full: engine.below_full().iter().map(health).collect(),
        repairs: engine.repairs().iter().map(repair).collect(),
    }
}

fn health(h: &Health) -> SegmentHealth {
    SegmentHealth {
        segment: Text(h.segment),
        k: h.code.k(),
        n: h.code.n(),
        repair_at: h.code.r(),
        alive: h.alive,
        suspect: h.suspect,
        lost: h.lost,
        state: state(h.state),
    }
}

fn repair(r: &RepairReport) -> Repair {
    Repair {
        segment: Text(r.segment),
        state: r.state.map_or(RepairState::Done, state),
        shards: r.shards,
        bytes_read: r.bytes_read,
        bytes_written: r.bytes_written,
        began: Moment(r.began),
        ended: r.ended.map(Moment),
    }
}

const fn state(state: State) -> RepairState {
    match state {
        State::Lost => RepairState::Lost,
        State::Waiting => RepairState::Waiting,
        State::Fetching => RepairState::Fetching,
        State::Rebuilding => RepairState::Rebuilding,
        State::Placing => RepairState::Placing,
    }
}
