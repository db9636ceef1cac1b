//! Deleted shards rest for a while in the trash of their volume; here they leave it.

use crate::home::now;
use crate::shards::Volumes;
use std::time::Duration;

/// Deleted shards rest this long. `docs/protocol.md` §3.3.
const TRASH_DAYS: u64 = 7;
/// How often the trash is looked through.
const TRASH_EVERY: Duration = Duration::from_secs(3_600);

/// Deletes what has rested in the trash long enough, at the start and each hour.
pub(super) async fn empty_trash(store: Volumes) {
    let keep = larder_types::Millis(TRASH_DAYS * 86_400_000);
    let mut hours = tokio::time::interval(TRASH_EVERY);
    loop {
        hours.tick().await;
        let store = store.clone();
        match tokio::task::spawn_blocking(move || store.empty_trash(now(), keep)).await {
            Ok(Ok(freed)) => tracing::debug!("{freed} of trash deleted"),
            Ok(Err(e)) => tracing::warn!("the trash was not emptied: {e}"),
            Err(e) => tracing::error!("the trash was not emptied: {e}"),
        }
    }
}
