//! `tx_*`: transactions, from what is wanted to the block that holds them.

use super::NodeApi;
use larder_rpc::{RpcError, SendParams, Sent, SubmitParams, TxMethods, Unsigned};

impl TxMethods for NodeApi {
    async fn tx_build(&self, params: SendParams) -> Result<Unsigned, RpcError> {
        self.unsigned(params).await
    }

    async fn tx_submit(&self, params: SubmitParams) -> Result<Sent, RpcError> {
        self.submitted(params).await
    }
}
