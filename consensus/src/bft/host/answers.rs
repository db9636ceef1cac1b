//! The engine's questions, one by one.

use super::*;
use crate::bft::codec::Cbor;
use crate::bft::context::{Height, Part};
use crate::bft::engine::core::{ExtendedCommitCertificate, Round, Validity};
use crate::bft::engine::sync::RawDecidedValue;
use crate::bft::engine::{Codec, PeerId, StreamContent, StreamMessage};
use crate::bft::jobs::{Check, Shares};
use crate::bft::parts::MAX_BLOCK;
use larder_ledger::{Authority, Block};
use larder_types::codec;

impl Host {
    pub(super) async fn answer(&mut self, message: AppMsg<Larder>) -> Result<(), BftEnd> {
        // Whoever asked may have gone on: an answer that nobody waits for is dropped.
        match message {
            AppMsg::ConsensusReady { reply } => self.start = Some(Start::First(reply)),
            AppMsg::StartedRound {
                round, reply_value, ..
            } => self.opening(round, reply_value),
            AppMsg::GetValue {
                round,
                timeout,
                reply,
                ..
            } => {
                self.wanted = Some(Wanted {
                    round: round.as_u32().unwrap_or_default(),
                    until: Instant::now() + timeout,
                    reply,
                });
            }
            AppMsg::ExtendVote {
                height,
                round,
                value_id,
                reply,
                ..
            } => drop(reply.send(Some(self.share(of(height, round, value_id))))),
            AppMsg::VerifyVoteExtensions {
                height,
                round,
                value_id,
                extensions,
                reply,
            } => self.check_shares(of(height, round, value_id), extensions, reply),
            AppMsg::RestreamProposal {
                round,
                valid_round,
                value_id,
                ..
            } => {
                let round = round.as_u32().unwrap_or_default();
                self.publish(&value_id.0, round, valid_round.as_u32()).await;
            }
            AppMsg::GetHistoryMinHeight { reply } => {
                let first = self.commits.first(self.state.head().height);
                reply.send(Height(first)).ok();
            }
            AppMsg::ReceivedProposalPart {
                published_by,
                part,
                reply,
                ..
            } => self.part(published_by, part, reply),
            AppMsg::Decided {
                certificate,
                extensions,
                reply,
            } => self.decide(certificate, extensions, reply)?,
            AppMsg::Finalized {
                evidence, reply, ..
            } => {
                self.accuse(evidence);
                self.start = Some(Start::Next(reply));
            }
            AppMsg::GetDecidedValues { range, reply } => {
                self.send_old(range.start().0, range.end().0, reply);
            }
            AppMsg::ProcessSyncedValue {
                height,
                round,
                value_bytes,
                reply,
                ..
            } => self.synced(height.0, round, value_bytes.to_vec(), reply),
        }
        Ok(())
    }

    pub(super) async fn done(&mut self, done: Done) -> Result<(), BftEnd> {
        match done {
            Done::Checked(about, asker, outcome) => {
                self.checking -= 1;
                let outcome = outcome?;
                self.checked(about, asker, outcome);
            }
            Done::Kept(wanted, block, kept) => {
                kept?;
                self.proposed(wanted, block).await;
            }
            Done::Shares(reply, verdicts) => drop(reply.send(verdicts)),
            Done::Nothing(result) => result?,
        }
        Ok(())
    }

    /// A round begins: the bodies for it that are here are told, after those that wait were checked.
    fn opening(&mut self, round: Round, reply: Reply<Vec<ProposedValue<Larder>>>) {
        let next = self.state.head().height.saturating_add(1);
        let (mine, later) = std::mem::take(&mut self.early)
            .into_iter()
            .partition(|(whole, _): &(Whole, Origin)| whole.height == next);
        self.early = later;
        for (whole, origin) in mine {
            self.check(whole, origin, Asker::Round);
        }
        self.round = round.as_u32().unwrap_or_default();
        self.opening = Some(Opening {
            round: self.round,
            reply,
        });
    }

    pub(super) fn open_round(&mut self) {
        if self.checking > 0 {
            return;
        }
        let Some(opening) = self.opening.take() else {
            return;
        };
        let bodies = self.bodies.of_round(opening.round);
        let values = bodies.map(|body| proposed(&about(body), body));
        let values = values.collect();
        drop(opening.reply.send(values));
    }

    fn part(
        &mut self,
        published_by: Option<PeerId>,
        part: StreamMessage<Part>,
        reply: Reply<Option<ProposedValue<Larder>>>,
    ) {
        let head = self.state.head().height;
        let whole = match (published_by, part.content) {
            (Some(publisher), StreamContent::Data(part)) => self.collect(head, publisher, part),
            (_, StreamContent::Data(_) | StreamContent::Fin) => None,
        };
        match whole {
            Some(whole) if whole.height == head.saturating_add(1) && self.pending.is_none() => {
                match self.bodies.get(&whole.block) {
                    Some(body) => drop(reply.send(Some(proposed(&whole_about(&whole), body)))),
                    None => self.check(whole, Origin::Proposed, Asker::Part(reply)),
                }
            }
            Some(whole) => {
                if self.early.len() < MAX_EARLY {
                    self.early.push((whole, Origin::Proposed));
                }
                drop(reply.send(None));
            }
            None => drop(reply.send(None)),
        }
    }

    /// A part counts if a validator published it.
    fn collect(&mut self, head: u64, publisher: PeerId, part: Part) -> Option<Whole> {
        let members = self.state.validators().members();
        let member = members.iter().find(|m| peer(&m.node) == publisher)?.node;
        if part.height == head.saturating_add(1) {
            self.pace.heard = self.pace.heard.max(part.height);
        }
        self.collector.take(head, member, part)
    }

    fn check(&mut self, whole: Whole, origin: Origin, asker: Asker) {
        let about = whole_about(&whole);
        let check = Check {
            whole,
            origin,
            state: self.state.clone(),
            pool: self.waiting.pool.clone(),
            known: self.waiting.mempool.ids(),
            now: self.now(),
            dir: self.dir.clone(),
        };
        self.checking += 1;
        self.jobs
            .spawn_blocking(move || Done::Checked(about, asker, check.run()));
    }

    fn checked(&mut self, about: About, asker: Asker, outcome: Outcome) {
        let outcome = match (outcome, &asker) {
            (Outcome::Good(body), Asker::Part(_))
                if !self.bodies.has_room(&body.block.get().header, self.round) =>
            {
                Outcome::Junk
            }
            (outcome, Asker::Part(_) | Asker::Sync(_) | Asker::Round) => outcome,
        };
        let value = match &outcome {
            Outcome::Good(body) => Some(proposed(&about, body)),
            Outcome::Bad => Some(refused(&about, self.state.proposer(about.round))),
            Outcome::Junk => None,
        };
        match asker {
            Asker::Part(reply) => drop(reply.send(value)),
            Asker::Sync(reply) => drop(reply.send(match value {
                Some(value) => SyncedValueOutcome::Verdict(value),
                None => SyncedValueOutcome::PeerFault,
            })),
            Asker::Round => {}
        }
        let next = self.state.head().height.saturating_add(1);
        if let Outcome::Good(body) = outcome
            && about.height == next
        {
            self.bodies.insert(*body);
        }
    }

    /// A block that others say is final, and show the votes for.
    fn synced(
        &mut self,
        height: u64,
        round: Round,
        bytes: Vec<u8>,
        reply: Reply<SyncedValueOutcome<Larder>>,
    ) {
        // Others may be further: the next height begins at once, or it would not be asked for. So it is
        // even if the engine has decided this one meanwhile, by a body that was here.
        self.pace.heard = self.pace.heard.max(height.saturating_add(1));
        let next = self.state.head().height.saturating_add(1);
        if height != next || self.pending.is_some() || self.decided.is_some() {
            return drop(reply.send(SyncedValueOutcome::LocalTransientError));
        }
        let block = codec::decode::<Block>(&bytes).ok();
        let block = block.filter(|_| bytes.len() <= MAX_BLOCK);
        let Some(block) = block.map(|block| block.hash()) else {
            return drop(reply.send(SyncedValueOutcome::PeerFault));
        };
        let whole = Whole {
            height,
            round: round.as_u32().unwrap_or_default(),
            valid_round: None,
            block,
            bytes,
        };
        self.check(whole, Origin::Settled, Asker::Sync(reply));
    }

    fn check_shares(&mut self, of: Final, shares: Vec<(Node, Share)>, reply: Reply<Verdicts>) {
        let own = self.proposer.node();
        let is_own =
            |(node, share): &(Node, Share)| node.0 == own && self.own_share == Some((of, *share));
        if shares.iter().all(is_own) {
            let verdicts = shares.into_iter().map(|(node, _)| (node, Ok(())));
            return drop(reply.send(verdicts.collect()));
        }
        let validators = match of.height > self.state.head().height {
            true => self.state.validators(),
            false => &self.before,
        };
        let authority = Authority {
            genesis: self.state.genesis_hash(),
            validators: Arc::clone(validators),
        };
        let shares = Shares {
            of,
            authority,
            shares,
        };
        self.jobs
            .spawn_blocking(move || Done::Shares(reply, shares.run()));
    }

    /// Sends old blocks with the votes for them, as far as both are here.
    fn send_old(&mut self, first: u64, last: u64, reply: Reply<Vec<RawDecidedValue<Larder>>>) {
        let head = self.state.head().height;
        let last = last.min(head).min(first.saturating_add(MAX_OLD - 1));
        if first < self.commits.first(head) || first > last {
            return drop(reply.send(Vec::new()));
        }
        let paths: Vec<PathBuf> = (first..=last).map(|h| self.commits.path(h)).collect();
        let blocks = Arc::clone(&self.blocks);
        self.jobs.spawn(async move {
            let certified = blocks.certified(first..=last).await;
            let read = move || -> Vec<_> { paths.iter().map_while(read_commit).collect() };
            let commits = tokio::task::spawn_blocking(read).await.unwrap_or_default();
            let values = certified.iter().zip(commits).map_while(|(one, commit)| {
                let is_it = one.block.hash() == commit.value_id.0;
                let bytes = codec::encode(&one.block).into();
                is_it.then(|| RawDecidedValue::new(bytes, commit))
            });
            drop(reply.send(values.collect()));
            Done::Nothing(Ok(()))
        });
    }
}

/// Old blocks of one answer: the engine asks for five at a time.
const MAX_OLD: u64 = 8;

fn read_commit(path: &PathBuf) -> Option<ExtendedCommitCertificate<Larder>> {
    let bytes = std::fs::read(path).ok()?;
    Cbor.decode(bytes.into()).ok()
}

fn of(height: Height, round: Round, value: Value) -> Final {
    Final {
        height: height.0,
        round: round.as_u32().unwrap_or_default(),
        block: value.0,
    }
}

fn about(body: &Body) -> About {
    About {
        height: body.block.get().header.height,
        block: body.block.get().hash(),
        round: body.round,
        valid_round: body.valid_round,
    }
}

fn whole_about(whole: &Whole) -> About {
    About {
        height: whole.height,
        block: whole.block,
        round: whole.round,
        valid_round: whole.valid_round,
    }
}

/// What the engine is told of a body that came for a round.
fn proposed(about: &About, body: &Body) -> ProposedValue<Larder> {
    ProposedValue {
        validity: Validity::from_bool(body.is_approved),
        ..refused(about, body.block.get().header.proposer)
    }
}

/// What the engine is told of one that breaks a rule.
fn refused(about: &About, by: larder_types::NodeId) -> ProposedValue<Larder> {
    ProposedValue {
        height: Height(about.height),
        round: Round::new(about.round),
        valid_round: about.valid_round.map_or(Round::Nil, Round::new),
        proposer: Node(by),
        value: Value(about.block),
        validity: Validity::Invalid,
    }
}
