//! `share_*`: folders of snapshots, for other people to read.

use super::NodeApi;
use larder_rpc::{
    Empty, OpenParams, Opened, Page, PageParams, ReceivedShare, RefreshParams, Revocation,
    RpcError, Share, ShareAddress, ShareMade, ShareMethods, ShareName, ShareParams,
};

impl ShareMethods for NodeApi {
    async fn share_address(&self, _: Empty) -> Result<ShareAddress, RpcError> {
        self.sharing.address()
    }

    async fn share_create(&self, params: ShareParams) -> Result<ShareMade, RpcError> {
        self.sharing.create(params).await
    }

    async fn share_list(&self, params: PageParams) -> Result<Page<Share>, RpcError> {
        Ok(Page::cut(self.sharing.list().await?, &params)?)
    }

    async fn share_refresh(&self, params: RefreshParams) -> Result<ShareMade, RpcError> {
        self.sharing.refresh(&params.share, params.file).await
    }

    async fn share_revoke(&self, params: ShareName) -> Result<Revocation, RpcError> {
        self.sharing.revoke(&params.share).await
    }

    async fn share_open(&self, params: OpenParams) -> Result<Opened, RpcError> {
        self.sharing.open(params).await
    }

    async fn share_received(&self, params: PageParams) -> Result<Page<ReceivedShare>, RpcError> {
        Ok(Page::cut(self.sharing.received().await?, &params)?)
    }
}
