//! `chain_*` and `ledger_getProof`: headers, certificates, validators and proofs, for whoever checks them
//! without trusting this node. `docs/protocol.md` §3.8.

use super::NodeApi;
use crate::shown::{hex, internal, not_on_ledger};
use crate::store::Change;
use larder_ledger::Certified;
use larder_proofs::{Certificate, Header, StateProof, ValidatorSet};
use larder_rpc::{
    AtParams, Block, BlockCertificate, BlockHeader, ChainMethods, ChainValidator, ChainValidators,
    ChangesParams, Code, Empty, GenesisDocument, Head, Moment, Page, Proof, ProofParams, RpcError,
    StateRoots, Text, ValidatorChange,
};
use larder_types::{BlockHash, codec};

/// Most changes of the set in one answer: each brings up to 128 validators.
const CHANGES: u32 = 100;

impl ChainMethods for NodeApi {
    async fn chain_head(&self, _: Empty) -> Result<Head, RpcError> {
        Ok(self.state(|state| {
            let head = state.head();
            Head {
                height: head.height,
                hash: Text(head.hash),
                time: Moment(head.time),
                epoch: state.epoch(),
                slot: state.schedule().slot_at(head.time),
            }
        }))
    }

    async fn chain_get_header(&self, at: AtParams) -> Result<BlockHeader, RpcError> {
        self.header_at(at).await
    }

    async fn chain_get_block(&self, at: AtParams) -> Result<Block, RpcError> {
        self.block_shown(at).await
    }

    async fn chain_get_certificate(&self, at: AtParams) -> Result<BlockCertificate, RpcError> {
        self.certificate_at(at).await
    }

    async fn chain_get_validators(&self, at: AtParams) -> Result<ChainValidators, RpcError> {
        self.validators_at(at).await
    }

    async fn chain_get_genesis(&self, _: Empty) -> Result<GenesisDocument, RpcError> {
        Ok(self.genesis_document())
    }

    async fn chain_get_validator_changes(
        &self,
        params: ChangesParams,
    ) -> Result<Page<ValidatorChange>, RpcError> {
        self.changes(params).await
    }
}

impl NodeApi {
    pub(super) async fn header_at(&self, at: AtParams) -> Result<BlockHeader, RpcError> {
        Ok(header(&self.block_at(at.at).await?.block.header))
    }

    pub(super) async fn block_shown(&self, at: AtParams) -> Result<Block, RpcError> {
        let Certified { block, certificate } = self.block_at(at.at).await?;
        Ok(Block {
            header: header(&block.header),
            transactions: u32::try_from(block.txs.len()).unwrap_or(u32::MAX),
            block: hex(&codec::encode(&block)),
            certificate: hex(&certificate),
        })
    }

    pub(super) async fn certificate_at(&self, at: AtParams) -> Result<BlockCertificate, RpcError> {
        let Certified { block, certificate } = self.block_at(at.at).await?;
        let set = self.set_at(block.header.height).await?;
        let read = Certificate::from_bytes(&certificate, &set)
            .map_err(|e| RpcError::new(Code::Internal, e))?;
        Ok(BlockCertificate {
            height: read.of.height,
            round: read.of.round,
            block_hash: Text(read.of.block),
            signers: read.signers(&set).map(|m| Text(m.node)).collect(),
            certificate: hex(&certificate),
        })
    }

    /// Also of the block after the head: who will make it is known.
    pub(super) async fn validators_at(&self, at: AtParams) -> Result<ChainValidators, RpcError> {
        let next = self.state(|state| state.head().height) + 1;
        let height = match self.height(at.at.as_deref()).await {
            Ok(height) => height,
            Err(_) if at.at.as_deref() == Some(&next.to_string()) => next,
            Err(refused) => return Err(refused),
        };
        let set = self.set_at(height).await?;
        let shown = set.members().iter().map(|member| ChainValidator {
            node: Text(member.node),
            bls: hex(&member.bls.to_bytes()),
            power: Text(member.power),
        });
        Ok(ChainValidators {
            height,
            hash: Text(set.hash()),
            quorum: Text(set.quorum()),
            validators: shown.collect(),
            set: hex(&codec::encode(&set)),
        })
    }

    pub(super) fn genesis_document(&self) -> GenesisDocument {
        GenesisDocument {
            genesis: Text(self.genesis.hash()),
            document: hex(&codec::encode(&self.genesis)),
        }
    }

    pub(super) async fn changes(
        &self,
        params: ChangesParams,
    ) -> Result<Page<ValidatorChange>, RpcError> {
        let cursor = params.cursor.as_deref().map(str::parse).transpose();
        let cursor: Option<u64> = cursor.map_err(|_| larder_rpc::values::CursorError)?;
        let limit = params.limit.unwrap_or(CHANGES).clamp(1, CHANGES);
        let from = cursor.unwrap_or(params.from).max(params.from);
        let changes = self.store.changes(from, limit).await.map_err(internal)?;
        let is_full = changes.len() == limit as usize;
        let last = changes.last().map(|c| c.certified.block.header.height);
        let shown = |Change {
                         certified,
                         validators,
                     }: Change| ValidatorChange {
            header: header(&certified.block.header),
            certificate: hex(&certified.certificate),
            next: hex(&codec::encode(&validators)),
        };
        Ok(Page {
            next_cursor: last.filter(|_| is_full).map(|last| (last + 1).to_string()),
            items: changes.into_iter().map(shown).collect(),
        })
    }

    pub(super) async fn proof(&self, params: ProofParams) -> Result<Proof, RpcError> {
        let height = self.height(params.at.as_deref()).await?;
        let state = self.state_after(height)?;
        let proof = match (params.account, params.provider) {
            (Some(account), None) => state.prove_account(&account.0),
            (None, Some(provider)) => state.prove_provider(&provider.0),
            (Some(_), Some(_)) | (None, None) => {
                let why = "name one of `account` and `provider`";
                return Err(RpcError::new(Code::BadValue, why));
            }
        };
        let certified = self.stored(height).await?;
        let StateProof { value, path, roots } = proof;
        Ok(Proof {
            value: value.as_deref().map(hex),
            path: hex(&path.to_bytes()),
            roots: StateRoots {
                accounts: Text(roots.accounts),
                providers: Text(roots.providers),
                rest: Text(roots.rest),
            },
            header: header(&certified.block.header),
            certificate: hex(&certified.certificate),
        })
    }

    async fn block_at(&self, at: Option<String>) -> Result<Certified, RpcError> {
        let height = self.height(at.as_deref()).await?;
        self.stored(height).await
    }

    pub(super) async fn stored(&self, height: u64) -> Result<Certified, RpcError> {
        let held = self.store.certified(height).await.map_err(internal)?;
        held.ok_or_else(|| not_on_ledger("block", height))
    }

    async fn set_at(&self, height: u64) -> Result<ValidatorSet, RpcError> {
        match self.store.validators(height).await.map_err(internal)? {
            Some(set) => Ok(set),
            None => self
                .genesis
                .set()
                .map_err(|e| RpcError::new(Code::Internal, e)),
        }
    }

    /// The height of the block that `at` names. All blocks that a node has are final.
    pub(super) async fn height(&self, at: Option<&str>) -> Result<u64, RpcError> {
        let head = self.state(|state| state.head().height);
        let height = match at {
            None | Some("latest" | "finalized") => head,
            Some(at) => match (at.parse::<u64>(), at.parse::<BlockHash>()) {
                (Ok(height), _) => height,
                (Err(_), Ok(hash)) => {
                    let height = self.store.height_of(&hash).await.map_err(internal)?;
                    height.ok_or_else(|| not_on_ledger("block", hash))?
                }
                (Err(_), Err(_)) => {
                    let why = "`at` is `latest`, `finalized`, a height or a block's hash";
                    return Err(RpcError::new(Code::BadValue, why));
                }
            },
        };
        match (1..=head).contains(&height) {
            true => Ok(height),
            false => Err(not_on_ledger("block", height)),
        }
    }
}

fn header(header: &Header) -> BlockHeader {
    BlockHeader {
        hash: Text(header.hash()),
        height: header.height,
        round: header.round,
        time: Moment(header.time),
        prev: Text(header.prev),
        proposer: Text(header.proposer),
        validators: Text(header.validators),
        next_validators: Text(header.next_validators),
        epoch: header.epoch,
        state_root: Text(header.state_root),
        layout: hex(&header.to_layout()),
    }
}
