//! The trace: what happened when, to whom and with what result, as one hash. Two runs are the same
//! if their hashes are.

use crate::faults::Fault;
use larder_engine::io::{
    BulkEffect, Command, DeviceCommand, Effect, Input, Job, Notice, Outcome, PeerInput, Submission,
};
use larder_types::{BlockHash, Time, codec};
use serde::Serialize;

/// The growing hash.
#[derive(Debug, Default)]
pub(crate) struct Trace(blake3::Hasher);

impl Trace {
    /// A node came or went.
    pub(crate) fn session(&mut self, now: Time, node: usize, up: bool) {
        self.head(now, node, if up { b'U' } else { b'D' });
    }

    /// Something went wrong.
    pub(crate) fn fault(&mut self, now: Time, fault: &Fault) {
        self.head(now, usize::MAX, b'F');
        self.text(fault);
    }

    /// A block was made.
    pub(crate) fn block(&mut self, now: Time, hash: &BlockHash) {
        self.head(now, usize::MAX, b'B');
        self.0.update(&hash.0);
    }

    /// A node's engine was told something.
    pub(crate) fn input(&mut self, now: Time, node: usize, input: &Input) {
        match input {
            Input::Started => self.head(now, node, b's'),
            Input::Tick => self.head(now, node, b't'),
            Input::Block(block) => {
                self.head(now, node, b'b');
                self.0.update(&block.hash.0);
            }
            Input::Offer(offer) => {
                self.head(now, node, b'o');
                self.0.update(&offer.sig.0);
            }
            Input::Peer(peer) => {
                self.head(now, node, b'p');
                self.peer(peer);
            }
            Input::Command(command) => {
                self.head(now, node, b'c');
                self.command(command);
            }
            Input::Acked { from, ack } => {
                self.head(now, node, b'a');
                self.0.update(&from.0);
                self.0.update(&ack.sig.0);
            }
            Input::Done { op, outcome } => {
                self.head(now, node, b'd');
                self.number(op.0);
                self.outcome(outcome);
            }
        }
    }

    /// A node's engine wants something.
    pub(crate) fn effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Persist(writes) => {
                self.kind(b'P');
                for write in writes {
                    self.kind(write.kind as u8);
                    self.0.update(&write.key);
                    self.0.update(write.value.as_deref().unwrap_or_default());
                }
            }
            Effect::Request { op, to, request } => {
                self.kind(b'Q');
                self.number(op.0);
                self.0.update(&to.0);
                self.encoded(request);
            }
            Effect::Reply { token, response } => {
                self.kind(b'R');
                self.number(token.0);
                self.encoded(response);
            }
            Effect::Bulk(bulk) => {
                self.kind(b'K');
                self.bulk(bulk);
            }
            Effect::Meet { node, addrs } => {
                self.kind(b'M');
                self.0.update(&node.0);
                self.text(addrs);
            }
            Effect::Publish(offer) => {
                self.kind(b'O');
                self.0.update(&offer.sig.0);
            }
            Effect::Submit { op, what } => {
                self.kind(b'S');
                self.number(op.0);
                match what {
                    Submission::Tx(tx) => self.0.update(&tx.id().0),
                    Submission::Proof { blob, .. } => self.0.update(blob),
                };
            }
            Effect::Run { op, job, deadline } => {
                self.kind(b'J');
                self.number(op.0);
                self.number(deadline.0);
                self.job(job);
            }
            Effect::Tell(notice) => {
                self.kind(b'N');
                self.notice(notice);
            }
        }
    }

    /// The hash of all of it, hex.
    pub(crate) fn finish(&self) -> String {
        hex::encode(self.0.finalize().as_bytes())
    }

    fn head(&mut self, now: Time, node: usize, kind: u8) {
        self.number(now.0);
        self.number(node as u64);
        self.kind(kind);
    }

    fn kind(&mut self, kind: u8) {
        self.0.update(&[kind]);
    }

    fn number(&mut self, n: u64) {
        self.0.update(&n.to_le_bytes());
    }

    fn encoded<T: Serialize>(&mut self, value: &T) {
        self.0.update(&codec::encode(value));
    }

    fn text(&mut self, value: &impl std::fmt::Debug) {
        self.0.update(format!("{value:?}").as_bytes());
    }

    fn peer(&mut self, peer: &PeerInput) {
        match peer {
            PeerInput::Request { token, request, .. } => {
                self.number(token.0);
                self.encoded(request);
            }
            PeerInput::Bulk { token, header, .. } => {
                self.number(token.0);
                self.encoded(header);
            }
            PeerInput::Received { token, stored } => {
                self.number(token.0);
                self.kind(u8::from(stored.is_ok()));
            }
        }
    }

    fn command(&mut self, command: &Command) {
        match command {
            Command::Prepare { job, bytes, .. } => {
                self.kind(1);
                self.number(*job);
                self.number(*bytes);
            }
            Command::Store { segment, len, .. } => {
                self.kind(2);
                self.0.update(&segment.0);
                self.number(*len);
            }
            Command::Fetch { segment } => {
                self.kind(3);
                self.0.update(&segment.0);
            }
            Command::Rent { provider, size } => {
                self.kind(15);
                self.0.update(&provider.0);
                self.number(size.0);
            }
            Command::Renew { contract } => {
                self.kind(16);
                self.0.update(&contract.0);
            }
            Command::Friends(command) => {
                self.kind(18);
                self.text(command);
            }
            Command::Allow(allowance) => {
                self.kind(17);
                self.encoded(allowance);
            }
            Command::Release { segment } => {
                self.kind(4);
                self.0.update(&segment.0);
            }
            Command::Probe { segment } => {
                self.kind(19);
                self.0.update(&segment.0);
            }
            Command::Repair => self.kind(20),
            Command::Send { job, to, amount } => {
                self.kind(5);
                self.number(*job);
                self.0.update(&to.0);
                self.number(amount.0);
            }
            Command::Submit { job, tx } => {
                self.kind(11);
                self.number(*job);
                self.0.update(&tx.id().0);
            }
            Command::Withdraw { job, amount } => {
                self.kind(13);
                self.number(*job);
                self.number(amount.0);
            }
            Command::Stand(bls) => {
                self.kind(14);
                self.0.update(&bls.public().to_bytes());
            }
            Command::Addresses(addrs) => {
                self.kind(6);
                self.text(addrs);
            }
            Command::Damaged(roots) => {
                self.kind(7);
                self.encoded(roots);
            }
            Command::Provider(command) => {
                self.kind(12);
                self.text(command);
            }
            Command::Listed {
                catalogue,
                segments,
            } => {
                self.kind(8);
                self.0.update(&catalogue.0);
                self.encoded(segments);
            }
            Command::Borrow(segments) => {
                self.kind(27);
                for segment in segments {
                    self.encoded(&segment.manifest);
                }
            }
            Command::Return(segments) => {
                self.kind(28);
                self.encoded(segments);
            }
            Command::Revoke {
                reader,
                until,
                contracts,
            } => {
                self.kind(29);
                self.0.update(&reader.0);
                self.number(until.0);
                self.encoded(contracts);
            }
            Command::Known { catalogue, entries } => {
                self.kind(9);
                self.0.update(&catalogue.0);
                self.encoded(entries);
            }
            Command::Recovered { heads, alone } => {
                self.kind(10);
                self.number(u64::from(*alone));
                self.encoded(heads);
            }
            Command::Drop(segments) => {
                self.kind(31);
                self.encoded(segments);
            }
            Command::Reduce(reductions) => {
                self.kind(32);
                self.encoded(reductions);
            }
            Command::Device(command) => {
                self.kind(30);
                self.device(command);
            }
        }
    }

    fn device(&mut self, command: &DeviceCommand) {
        match command {
            DeviceCommand::Call(name) => self.encoded(name),
            DeviceCommand::Merged { device, seq } => {
                self.encoded(device);
                self.number(*seq);
            }
            DeviceCommand::Doom(segments) => self.encoded(segments),
            DeviceCommand::Revoke(revocation) => self.encoded(revocation),
        }
    }

    fn outcome(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Response(Ok(response)) => self.encoded(response),
            Outcome::Encoded(Ok(roots)) | Outcome::Rebuilt(Ok(roots)) => self.encoded(roots),
            Outcome::Put(Ok(ack)) => self.encoded(ack),
            Outcome::Proved(Ok(blob)) => {
                self.0.update(blob);
            }
            Outcome::Response(Err(_))
            | Outcome::Encoded(Err(_))
            | Outcome::Rebuilt(Err(_))
            | Outcome::Put(Err(_))
            | Outcome::Proved(Err(_))
            | Outcome::Got(_)
            | Outcome::Decoded(_)
            | Outcome::Submitted(_) => self.text(outcome),
        }
    }

    fn bulk(&mut self, bulk: &BulkEffect) {
        match bulk {
            BulkEffect::Reply { token, reply } => {
                self.number(token.0);
                self.encoded(reply);
            }
            BulkEffect::Receive { token, root, .. } | BulkEffect::Serve { token, root } => {
                self.number(token.0);
                self.0.update(&root.0);
            }
            BulkEffect::Drop { root } => {
                self.0.update(&root.0);
            }
        }
    }

    fn job(&mut self, job: &Job) {
        match job {
            Job::Encode { segment, .. } => {
                self.kind(1);
                self.0.update(&segment.0);
            }
            Job::Put {
                segment,
                position,
                to,
                ..
            } => {
                self.kind(2);
                self.0.update(&segment.0);
                self.number(u64::from(*position));
                self.0.update(&to.0);
            }
            Job::Get {
                segment,
                position,
                from,
                ..
            } => {
                self.kind(3);
                self.0.update(&segment.0);
                self.number(u64::from(*position));
                self.0.update(&from.0);
            }
            Job::Decode {
                segment, positions, ..
            } => {
                self.kind(4);
                self.0.update(&segment.0);
                positions.iter().for_each(|j| self.number(u64::from(*j)));
            }
            Job::Prove { challenge, .. } => {
                self.kind(5);
                self.number(challenge.slot_no);
                self.0.update(&challenge.active.hash.0);
            }
            Job::Rebuild {
                segment,
                positions,
                missing,
                ..
            } => {
                self.kind(7);
                self.0.update(&segment.0);
                positions.iter().for_each(|j| self.number(u64::from(*j)));
                missing.iter().for_each(|j| self.number(u64::from(*j)));
            }
            Job::Discard { segment, fetched } => {
                self.kind(6);
                self.0.update(&segment.0);
                self.kind(u8::from(*fetched));
            }
        }
    }

    fn notice(&mut self, notice: &Notice) {
        match notice {
            Notice::SegmentDurable { segment, .. } => {
                self.kind(1);
                self.0.update(&segment.0);
            }
            Notice::SegmentReady { segment } => {
                self.kind(2);
                self.0.update(&segment.0);
            }
            Notice::Prepared { .. }
            | Notice::SegmentFailed { .. }
            | Notice::SegmentUnavailable { .. }
            | Notice::TxQueued { .. }
            | Notice::CatalogueWanted
            | Notice::DevicesChanged
            | Notice::HeadKept { .. }
            | Notice::Befriended { .. }
            | Notice::TxEnded { .. } => self.text(notice),
        }
    }
}
