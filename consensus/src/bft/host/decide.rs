//! From a decision to the ledger's owner and on to the next height; what we propose when it is our turn.

use super::*;
use crate::bft::codec::Cbor;
use crate::bft::context::Height;
use crate::bft::engine::Codec;
use crate::bft::engine::core::{
    CommitCertificate, ExtendedCommitCertificate, Round, VoteExtensions,
};
use crate::bft::engine::{MisbehaviorEvidence, StreamContent, StreamId, StreamMessage};
use crate::bft::parts::cut;
use larder_ledger::propose;
use larder_proofs::bls::Signature;
use larder_proofs::{Certificate, SignedVote, is_equivocation};
use larder_types::codec;

impl Host {
    /// A block is final: its certificate is the sum of the shares that came with the votes.
    pub(super) fn decide(
        &mut self,
        certificate: CommitCertificate<Larder>,
        shares: VoteExtensions<Larder>,
        reply: Reply<()>,
    ) -> Result<(), BftEnd> {
        let of = Final {
            height: certificate.height.0,
            round: certificate.round.as_u32().unwrap_or_default(),
            block: certificate.value_id.0,
        };
        if self.bodies.get(&of.block).is_none() {
            return Err(BftEnd::Missing { height: of.height });
        }
        let set = Arc::clone(self.state.validators());
        let read = |(node, share): &(Node, super::super::context::Signed<Share>)| {
            let share = Signature::from_bytes(&share.message).ok()?;
            Some((set.place(&node.0)?, share))
        };
        let summed: Vec<_> = shares.extensions.iter().filter_map(read).collect();
        let sum = Certificate::sum(of, &summed, &set);
        let commit =
            ExtendedCommitCertificate::from_commit_certificate_and_extensions(certificate, shares);
        let bytes = Cbor.encode(&commit).map_err(io::Error::other)?;
        self.commits.put(of.height, &bytes)?;
        self.decided = Some(Decided {
            block: of.block,
            certificate: sum,
            reply,
        });
        Ok(())
    }

    /// Hands the decided block to the owner once the state after it is known.
    pub(super) fn hand_over(&mut self) -> Result<(), BftEnd> {
        let Some(decided) = self.decided.take() else {
            return Ok(());
        };
        let body = self.bodies.remove(&decided.block);
        let Some(body) = body else {
            let height = self.state.head().height.saturating_add(1);
            return Err(BftEnd::Missing { height });
        };
        let (committed, acknowledged) = Committed::new(body.block, decided.certificate);
        self.owner.try_send(committed).map_err(|_| BftEnd::Owner)?;
        self.pending = Some(Pending {
            next: body.next,
            acknowledged,
            reply: decided.reply,
        });
        Ok(())
    }

    /// The block in flight is durable: it is the head now.
    pub(super) fn advance(
        &mut self,
        acknowledged: Result<(), oneshot::error::RecvError>,
    ) -> Result<(), BftEnd> {
        acknowledged.map_err(|_| BftEnd::Owner)?;
        let Some(pending) = self.pending.take() else {
            return Ok(());
        };
        self.before = Arc::clone(self.state.validators());
        self.state = *pending.next;
        let head = self.state.head().height;
        self.waiting.prune(&self.state);
        self.collector.prune(head);
        self.bodies.clear();
        self.early.retain(|(whole, _)| whole.height > head);
        self.own_share = None;
        self.round = 0;
        self.pace.since = self.now();
        let dir = self.dir.clone();
        self.jobs.spawn_blocking(move || {
            Done::Nothing(bodies::drop_below(&dir, head.saturating_add(1)))
        });
        // From now on the engine tells others that we have it.
        pending.reply.send(()).ok();
        Ok(())
    }

    /// Votes that contradict each other, for the owner.
    pub(super) fn accuse(&mut self, evidence: MisbehaviorEvidence<Larder>) {
        for (_, pairs) in evidence.votes {
            for (a, b) in pairs {
                let signed = |vote: super::super::context::Signed<super::super::context::Vote>| {
                    Some(SignedVote {
                        vote: vote.message.signed()?,
                        by: vote.message.by.0,
                        sig: vote.signature.0,
                    })
                };
                if let (Some(a), Some(b)) = (signed(a), signed(b))
                    && is_equivocation(&a, &b)
                {
                    self.news.accuse([a, b]);
                }
            }
        }
    }

    /// Makes the block that the engine waits for, as soon as one can be made; says when to look again.
    pub(super) fn propose(&mut self) -> Option<Duration> {
        let wanted = self.wanted.as_ref()?;
        let left = wanted.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // Too late: the round goes on without us.
            self.wanted = None;
            return None;
        }
        let now = self.now();
        let earliest = self.state.earliest_block();
        if now < earliest {
            return Some(earliest.since(now).to_std().min(left));
        }
        if !propose::unchecked(&self.state, &self.waiting.pool, now).is_empty() {
            return Some(left);
        }
        let Waiting { mempool, pool, .. } = &self.waiting;
        let made = self
            .proposer
            .make_next(&self.state, mempool, pool, wanted.round, now);
        let (Some((block, next)), Some(wanted)) = (made, self.wanted.take()) else {
            return None;
        };
        let whole = Whole {
            height: block.get().header.height,
            round: wanted.round,
            valid_round: None,
            block: block.get().hash(),
            bytes: codec::encode(block.get()),
        };
        let (hash, round) = (whole.block, whole.round);
        let dir = self.dir.clone();
        self.bodies.insert(Body {
            block,
            is_approved: true,
            round,
            valid_round: None,
            next: Box::new(next),
        });
        self.jobs.spawn_blocking(move || {
            let kept = bodies::keep(&dir, &whole);
            Done::Kept(wanted, hash, kept)
        });
        None
    }

    /// Sends a body's parts to the others, for a round.
    pub(super) async fn publish(&self, block: &BlockHash, round: u32, valid_round: Option<u32>) {
        let Some(body) = self.bodies.get(block) else {
            return;
        };
        let height = body.block.get().header.height;
        let bytes = codec::encode(body.block.get());
        let stream = [&block.0[..], &round.to_le_bytes()].concat();
        for part in cut(height, (round, valid_round), *block, &bytes) {
            let (id, index) = (StreamId::new(stream.clone().into()), part.index);
            let message = StreamMessage::new(id, index.into(), StreamContent::Data(part));
            let message = NetworkMsg::PublishProposalPart(message);
            if self.engine.channels.network.send(message).await.is_err() {
                return;
            }
        }
    }

    /// Our own body is on the disk: the engine may have its name.
    pub(super) async fn proposed(&self, wanted: Wanted, block: BlockHash) {
        self.publish(&block, wanted.round, None).await;
        let height = Height(self.state.head().height.saturating_add(1));
        let round = Round::new(wanted.round);
        let value = LocallyProposedValue::new(height, round, Value(block));
        drop(wanted.reply.send(value));
    }

    /// Our share of a block's certificate.
    pub(super) fn share(&mut self, of: Final) -> Share {
        let vote = self.proposer.vote(&of, &self.state.genesis_hash());
        let share = vote.to_bytes();
        self.own_share = Some((of, share));
        share
    }
}
