//! What `--keep` leaves: a running network, and where each of its nodes is.

use super::network::Network;
use crate::cli::Out;
use tempfile::TempDir;

/// Leaves everything running and says where it is.
pub(super) fn keep(net: Network, dir: TempDir, out: Out) {
    let dir = dir.keep();
    let Network {
        validator,
        validators,
        providers,
        keeper,
        ..
    } = net;
    out.note(format_args!("\nstill running in {}:", dir.display()));
    let mut pids = Vec::new();
    for node in [validator, keeper]
        .into_iter()
        .chain(validators)
        .chain(providers)
    {
        out.note(format_args!(
            "{:<12} {}/rpc  --home {}",
            node.name,
            node.rpc,
            node.home.display()
        ));
        pids.push(node.pid().to_string());
        node.leave();
    }
    out.note(format_args!("stop it with: kill {}", pids.join(" ")));
}
