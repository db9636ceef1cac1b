//! The engine's names, in one place: everything else here speaks of it through these.
//! `arc-malachitebft-app-channel` 0.8.2.

pub(super) use arc_malachitebft_app_channel::app::config;
pub(super) use arc_malachitebft_app_channel::app::consensus::{
    LivenessMsg, MisbehaviorEvidence, VoteExtensionError,
};
pub(super) use arc_malachitebft_app_channel::app::engine::host::{
    HeightParams, Next, SyncedValueOutcome,
};
pub(super) use arc_malachitebft_app_channel::app::engine::network::{
    NetworkEvent, NetworkIdentity, NetworkMsg as NetworkActorMsg, NetworkRef, PersistentPeerError,
    Subscriber,
};
pub(super) use arc_malachitebft_app_channel::app::engine::util::events::Event;
pub(super) use arc_malachitebft_app_channel::app::engine::util::output_port::{
    OutputPort, OutputPortSubscriberTrait,
};
pub(super) use arc_malachitebft_app_channel::app::engine::util::streaming::{
    StreamContent, StreamId, StreamMessage,
};
pub(super) use arc_malachitebft_app_channel::app::events::RxEvent;
pub(super) use arc_malachitebft_app_channel::app::metrics::SharedRegistry;
pub(super) use arc_malachitebft_app_channel::app::net::Multiaddr;
pub(super) use arc_malachitebft_app_channel::app::types::codec::{Codec, HasEncodedLen};
pub(super) use arc_malachitebft_app_channel::app::types::{
    Keypair, LocallyProposedValue, PeerId, ProposedValue, SignedConsensusMsg, core,
};
pub(super) use arc_malachitebft_app_channel::app::wal;
pub(super) use arc_malachitebft_app_channel::{
    AppMsg, Channels, ConsensusContext, EngineBuilder, EngineHandle, NetworkMsg, NetworkRequest,
    Reply, RequestContext, SyncContext, WalContext, spawn,
};
pub(super) use arc_malachitebft_network::validator_proof::ProofVerificationResult;

/// Signing and checking.
pub(super) mod signing {
    pub(in super::super) use arc_malachitebft_app_channel::{Signer, Verifier};
    pub(in super::super) use arc_malachitebft_signing::{Error, VerificationResult};
}

/// Catching up.
pub(super) mod sync {
    pub(in super::super) use arc_malachitebft_app_channel::app::types::sync::{
        RawDecidedValue, Request, Response, Status,
    };
    pub(in super::super) use arc_malachitebft_sync::{ValueRequest, ValueResponse};
}
