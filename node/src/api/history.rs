//! What moved on an account, newest first, in pages that stay right while blocks come.

use super::NodeApi;
use crate::index::Kept;
use crate::shown::{internal, transaction};
use larder_rpc::values::CursorError;
use larder_rpc::{Code, Page, PageParams, RpcError, Transaction};
use larder_types::AccountId;

/// What comes before every movement in a list from the newest on.
pub(super) const NEWEST: (u64, u32) = (u64::MAX, u32::MAX);

/// Before which movement a page begins: the height and place of the last one of the page before, so that it
/// stays right while blocks come.
fn cursor(text: Option<&str>) -> Result<(u64, u32), CursorError> {
    let Some(text) = text else {
        return Ok(NEWEST);
    };
    let (height, place) = text.split_once('.').ok_or(CursorError)?;
    let height = height.parse().map_err(|_| CursorError)?;
    Ok((height, place.parse().map_err(|_| CursorError)?))
}

impl NodeApi {
    /// What moved on an account, newest first.
    pub(super) async fn history(
        &self,
        account: AccountId,
        page: &PageParams,
    ) -> Result<Page<Transaction>, RpcError> {
        let before = cursor(page.cursor.as_deref())?;
        match self.index.knows(account).await.map_err(internal)? {
            Kept::Whole => {}
            Kept::Filling(done, all) => {
                let why = format_args!("the past is being gathered: block {done} of {all}");
                return Err(RpcError::new(Code::NotReady, why));
            }
            Kept::Not => {
                let why = "this node keeps the history of the home's account and its wallets only; with \
                           `history = \"all\"` under `[rpc]` in config.toml, and after a restart, it keeps \
                           everybody's";
                return Err(RpcError::new(Code::HistoryNotKept, why));
            }
        }
        let head = self.state(|state| state.head().height);
        self.index.reached(head).await.map_err(internal)?;
        let limit = page.limit();
        let rows = self
            .index
            .movements(&account, head, before, limit + 1)
            .await;
        let rows = rows.map_err(internal)?;
        let last = rows.get(limit - 1).filter(|_| rows.len() > limit);
        Ok(Page {
            next_cursor: last.map(|row| format!("{}.{}", row.height, row.place)),
            items: rows.iter().take(limit).map(transaction).collect(),
        })
    }
}
