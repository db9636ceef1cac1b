//! `chain_*`: blocks, what makes them final, and who makes them.

use crate::types::{AtParams, Block, BlockCertificate, BlockHeader, ChainValidators, ChangesParams, GenesisDocument, Head, ValidatorChange};
use crate::values::{Empty, Page};

super::methods! {
    /// Blocks, what makes them final, and who makes them.
    ChainMethods: "chain";

    /// The newest block applied.
    "chain_head" chain_head(Empty) -> Head, Read;
    /// A block's header.
    "chain_getHeader" chain_get_header(AtParams) -> BlockHeader, Read;
    /// A block with its certificate.
    "chain_getBlock" chain_get_block(AtParams) -> Block, Read;
    /// What makes a block final.
    "chain_getCertificate" chain_get_certificate(AtParams) -> BlockCertificate, Read;
    /// The validators whose certificate makes a block final; also of the one after the newest.
    "chain_getValidators" chain_get_validators(AtParams) -> ChainValidators, Read;
    /// The document that the network began with.
    "chain_getGenesis" chain_get_genesis(Empty) -> GenesisDocument, Read;
    /// The blocks at which the validators changed, oldest first.
    "chain_getValidatorChanges" chain_get_validator_changes(ChangesParams) -> Page<ValidatorChange>, Read;
}
