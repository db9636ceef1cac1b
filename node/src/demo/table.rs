//! The table of before and after: what lies on the disks of live providers at each moment, and how
//! many segments the keeper knows to be whole.

use super::network::OnDisk;
use larder_types::Bytes;
use serde_json::{Value, json};

/// A moment of the demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) moment: String,
    pub(super) on_disk: OnDisk,
    pub(super) whole: u64,
    pub(super) segments: u64,
}

/// The table, a line a row.
pub(super) fn lines(rows: &[Row]) -> Vec<String> {
    let head = format!(
        "{:<12}{:>10}{:>9}{:>13}{:>18}",
        "", "providers", "shards", "on disk", "segments whole"
    );
    std::iter::once(head).chain(rows.iter().map(line)).collect()
}

fn line(row: &Row) -> String {
    format!(
        "{:<12}{:>10}{:>9}{:>13}{:>18}",
        row.moment,
        row.on_disk.providers,
        row.on_disk.shards,
        Bytes(row.on_disk.bytes).to_string(),
        format!("{} of {}", row.whole, row.segments)
    )
}

/// The table for programs.
pub(super) fn object(rows: &[Row]) -> Value {
    let rows = rows.iter().map(|row| {
        json!({
            "moment": row.moment,
            "providers": row.on_disk.providers,
            "shards": row.on_disk.shards,
            "bytes": row.on_disk.bytes,
            "segments_whole": row.whole,
            "segments": row.segments,
        })
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let row = |moment: &str, shards| Row {
            moment: moment.to_owned(),
            on_disk: OnDisk {
                providers: 12,
                shards,
                bytes: shards << 24,
            },
            whole: 3,
            segments: 5,
        };
        let lines = lines(&[row("before", 40), row("4 killed", 8)]);
        let width = lines[0].chars().count();
        assert!(
            lines.iter().all(|l| l.chars().count() == width),
            "{lines:?}"
        );
    }
}
