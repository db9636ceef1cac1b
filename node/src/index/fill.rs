//! Fills the index's gaps: replays the chain from its genesis, and keeps of each block what is missing. What
//! has been filled in is noted with it, so that a restart does not write it again; it does replay again,
//! for the states of old blocks are kept nowhere.

use super::coverage::Gaps;
use super::db::Db;
use super::rows::{Fed, Rows};
use super::{Counted, IndexError};
use crate::store::Store;
use larder_ledger::{Certified, Genesis, State, verify};
use larder_types::codec;

/// What a filling works with.
#[derive(Debug, Clone)]
pub(super) struct Filler {
    pub(super) db: Db,
    pub(super) store: Store,
    pub(super) genesis: Genesis,
    pub(super) counted: Counted,
}

impl Filler {
    /// Fills in all that is missing, also what comes to be missing meanwhile.
    pub(super) async fn run(self) -> Result<(), IndexError> {
        loop {
            let gaps = Gaps::of(&self.db.coverage().await?);
            let Some((_, highest)) = gaps.range() else {
                return Ok(());
            };
            tracing::info!("filling in the history of accounts, up to block {highest}");
            self.fill(gaps, highest).await?;
        }
    }

    async fn fill(&self, gaps: Gaps, highest: i64) -> Result<(), IndexError> {
        let mut state = State::genesis(&self.genesis).map_err(|_| IndexError::Genesis)?;
        let mut rows = Rows::default();
        rows.open(&state, |account| gaps.lacks_account(0, account));
        self.db.fill(&rows, &gaps.0, 0).await?;
        let mut next = 1;
        while next <= highest {
            let from = u64::try_from(next).map_err(|_| IndexError::Genesis)?;
            let blocks = self.store.blocks(from).await?;
            if blocks.is_empty() {
                return Err(IndexError::Missing(from));
            }
            let (wanted, replayed) = (gaps.clone(), (state, next, highest));
            let some = tokio::task::spawn_blocking(move || replay(replayed, &blocks, &wanted));
            let (rows, after, height) = some.await.map_err(|_| IndexError::Stopping)??;
            self.db.fill(&rows, &gaps.0, height).await?;
            self.counted.filled(height);
            (state, next) = (after, height + 1);
        }
        Ok(())
    }
}

/// Advances a state by some blocks, from the height `next` on and no higher than `highest`. Gives what is missing of
/// them, the state, and its height.
fn replay(
    (mut state, next, highest): (State, i64, i64),
    blocks: &[Vec<u8>],
    gaps: &Gaps,
) -> Result<(Rows, State, i64), IndexError> {
    let mut rows = Rows::default();
    let mut last = next - 1;
    for (height, bytes) in (next..=highest).zip(blocks) {
        let at = || IndexError::Missing(u64::try_from(height).unwrap_or(0));
        let certified: Certified = codec::decode(bytes).map_err(|_| at())?;
        let block = verify::block(&state.authority(), certified.block).map_err(|_| at())?;
        let fed = Fed::apply(&mut state, block).map_err(|_| at())?;
        if gaps.lacks_txs(height) {
            rows.add_txs(&fed);
        }
        rows.add_movements(&fed, |account| gaps.lacks_account(height, account));
        last = height;
    }
    Ok((rows, state, last))
}
