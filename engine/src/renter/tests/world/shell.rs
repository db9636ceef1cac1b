//! What the keeper's effects meet: its disk, its providers, the ledger's ear. All answer at once.

use super::{Manner, Seen, World, root};
use crate::io::{Effect, Job, JobError, OpId, Outcome, PutError, Submission, Unreachable};
use crate::rows::Write;
use crate::wire::{Deny, Request, Response};
use larder_contracts::ShardAck;
use larder_ledger::Tx;
use larder_types::NodeId;

impl World {
    fn manner(&self, node: &NodeId) -> Manner {
        self.manners.get(node).copied().unwrap_or_default()
    }

    pub(super) fn effect(&mut self, effect: Effect) -> Option<(OpId, Outcome)> {
        match effect {
            Effect::Persist(writes) => {
                self.persist(writes);
                None
            }
            Effect::Request { op, to, request } => {
                Some((op, Outcome::Response(self.request(to, request))))
            }
            Effect::Run { op, job, .. } => self.run(op, job).map(|outcome| (op, outcome)),
            Effect::Submit { op, what } => {
                if let Submission::Tx(tx) = what {
                    self.submitted(&tx);
                    self.sent.push(tx.id());
                }
                Some((op, Outcome::Submitted(Ok(()))))
            }
            Effect::Tell(notice) => {
                self.notices.push(notice);
                None
            }
            Effect::Reply { .. } | Effect::Bulk(_) | Effect::Publish(_) | Effect::Meet { .. } => {
                None
            }
        }
    }

    fn submitted(&mut self, tx: &Tx) {
        if let Tx::CloseFaulted(close) = tx {
            self.seen.push(Seen::CloseFaulted(close.contract));
        }
        if let Tx::ForceRevision(force) = tx {
            let leaf = force.revision.signed().leaf;
            self.seen
                .push(Seen::Forced(leaf.contract_id, leaf.revision));
            self.active.insert(leaf.contract_id, (force.provider, leaf));
        }
    }

    fn persist(&mut self, writes: Vec<Write>) {
        for write in writes {
            let key = (write.kind as u8, write.key);
            match write.value {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
    }

    fn request(&mut self, to: NodeId, request: Request) -> Result<Response, Unreachable> {
        let key = self.providers.iter().find(|k| k.node() == to).unwrap();
        match (self.manner(&to), request) {
            (Manner::Down, _) => Err(Unreachable::NoAnswer),
            (Manner::Declines, Request::Propose(_)) => Ok(Response::Denied(Deny::UnknownContract)),
            (_, Request::Propose(signed) | Request::Revise { signed, .. }) => {
                let id = signed.leaf.contract_id;
                let revision = signed.clone().countersign(key, &self.me.genesis);
                if self.signed.insert(id, (to, signed)).is_none() {
                    self.seen.push(Seen::Open(to));
                }
                Ok(Response::Signed(revision.sig_provider))
            }
            (_, Request::GetLatest { contract, .. }) => {
                let Some((_, signed)) = self.signed.get(&contract) else {
                    return Ok(Response::Denied(Deny::UnknownContract));
                };
                let revision = signed.clone().countersign(key, &self.me.genesis);
                Ok(Response::Latest {
                    signed: revision.signed,
                    sig_provider: revision.sig_provider,
                    puts: Vec::new(),
                })
            }
            (
                _,
                Request::GetOffers
                | Request::PutHead(_)
                | Request::GetHeads { .. }
                | Request::Reduce(_)
                | Request::Befriend(_)
                | Request::GetGift
                | Request::Audit(_)
                | Request::Revoke(_),
            ) => Ok(Response::Denied(Deny::NotProviding)),
        }
    }

    fn run(&mut self, op: OpId, job: Job) -> Option<Outcome> {
        match job {
            Job::Encode { segment, code, .. } => {
                self.seen.push(Seen::Encode(segment));
                self.spool.extend((0..code.n()).map(|j| (segment, j)));
                let roots = (0..code.n()).map(|j| root(&segment, j)).collect();
                Some(Outcome::Encoded(Ok(roots)))
            }
            Job::Put {
                segment,
                position,
                to,
                place,
            } => {
                let seen = Seen::Put(segment, position, to);
                self.seen.push(seen.clone());
                if !self.spool.contains(&(segment, position)) {
                    let gone = JobError::Damaged("gone".into());
                    return Some(Outcome::Put(Err(PutError::Local(gone))));
                }
                if self.manner(&to) == Manner::Slow {
                    self.hanging.push((op, seen));
                    return None;
                }
                if self.manner(&to) == Manner::Down {
                    return Some(Outcome::Put(Err(PutError::Peer(Unreachable::NoAnswer))));
                }
                if self.manner(&to) == Manner::Refuses {
                    return Some(Outcome::Put(Err(PutError::Refused(Deny::NotProviding))));
                }
                let key = self.providers.iter().find(|k| k.node() == to).unwrap();
                let leaf = place.leaf;
                let (id, net) = (place.contract, &self.me.genesis);
                Some(Outcome::Put(Ok(ShardAck::sign(
                    id,
                    leaf.root,
                    leaf.chunks,
                    key,
                    net,
                ))))
            }
            Job::Get {
                segment,
                position,
                from,
                cap,
                ..
            } => {
                assert_eq!(cap.root, root(&segment, position));
                let seen = Seen::Get(segment, position, from);
                self.seen.push(seen.clone());
                let end = match self.manner(&from) {
                    Manner::Good | Manner::Declines | Manner::Refuses => Ok(()),
                    Manner::Down => Err(PutError::Peer(Unreachable::NoAnswer)),
                    Manner::Wrong => Err(PutError::WrongBytes),
                    Manner::Forgot => Err(PutError::Refused(Deny::UnknownShard)),
                    Manner::Slow => {
                        self.hanging.push((op, seen));
                        return None;
                    }
                };
                Some(Outcome::Got(end))
            }
            Job::Decode { segment, .. } => {
                self.seen.push(Seen::Decode(segment));
                Some(Outcome::Decoded(Ok(())))
            }
            Job::Rebuild {
                segment,
                code,
                positions,
                missing,
                ..
            } => {
                assert_eq!(positions.len(), usize::from(code.k()));
                self.seen.push(Seen::Rebuild(segment, missing.clone()));
                self.spool.extend(missing.iter().map(|j| (segment, *j)));
                let roots: Vec<_> = missing.iter().map(|j| root(&segment, *j)).collect();
                if self.holds_rebuilds {
                    self.held_rebuilds.push((op, roots));
                    return None;
                }
                Some(Outcome::Rebuilt(Ok(roots)))
            }
            Job::Discard { segment, fetched } => {
                self.seen.push(Seen::Discard(segment, fetched));
                if !fetched {
                    self.spool.retain(|(id, _)| *id != segment);
                }
                None
            }
            Job::Prove { .. } => unreachable!("a keeper proves nothing"),
        }
    }
}
