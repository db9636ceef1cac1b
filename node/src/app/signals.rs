//! SIGINT and SIGTERM stop the node cleanly.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `stop` on either, once.
pub(super) fn stop_on_signals(stop: &CancellationToken) {
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let stop = stop.clone();
        match signal(kind) {
            Ok(mut signals) => {
                tokio::spawn(async move {
                    signals.recv().await;
                    stop.cancel();
                });
            }
            Err(e) => tracing::warn!("a signal cannot be handled: {e}"),
        }
    }
}
