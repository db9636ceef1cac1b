//! What the engine's peers and its pool say: now and then the right thing.

use super::*;

impl Shell {
    /// A peer asks something.
    pub(super) fn asks(&mut self, dice: &mut Dice<'_>) {
        let from = peer(dice);
        let (request, asked) = match dice.below(11) {
            0..=2 => self.proposal(from, dice),
            3..=5 => self.revision(dice),
            6 => (Request::PutHead(Box::new(head_of(from, dice))), Asked::Else),
            7 => {
                let key = recovery_keys().key;
                (
                    Request::GetHeads {
                        key,
                        have: Vec::new(),
                    },
                    Asked::Else,
                )
            }
            8 => {
                let contract = self.a_contract(dice);
                let have = dice.below(3);
                (Request::GetLatest { contract, have }, Asked::Else)
            }
            9 => self.befriends(from, dice),
            _ => (Make::make(dice), Asked::Else),
        };
        let token = self.token(asked);
        let input = PeerInput::Request {
            from: signer(from).node(),
            token,
            request,
            renter_balance: Amount::from_credits(1_000),
        };
        self.feed(Input::Peer(input));
    }

    pub(super) fn a_contract(&self, dice: &mut Dice<'_>) -> ContractId {
        let ids: Vec<ContractId> = self.sold.keys().copied().collect();
        match dice.pick(&ids) {
            Some(id) if !dice.once_in(8) => *id,
            Some(_) | None => Make::make(dice),
        }
    }

    /// A peer accepts our invitation, or says so; or asks for what it was given.
    fn befriends(&self, from: u8, dice: &mut Dice<'_>) -> (Request, Asked) {
        if dice.once_in(2) {
            return (Request::GetGift, Asked::Else);
        }
        let party = |key: &Signer, gives| Party {
            node: key.node(),
            account: key.account(),
            gives,
        };
        let guest = signer(from);
        let gives = Bytes(u64::from(dice.byte()) << 20);
        let pact = Pact {
            token: Hash([dice.byte() % 4; 32]),
            host: party(&self.me.node_key, gives),
            guest: party(&guest, Make::make(dice)),
        };
        let pact = Pact {
            host: Party {
                account: self.me.account(),
                ..pact.host
            },
            ..pact
        };
        let befriend = Befriend {
            sig: pact.sign(&guest, &NET),
            pact,
            addrs: Make::make(dice),
        };
        (Request::Befriend(Box::new(befriend)), Asked::Else)
    }

    /// A new contract, or more of one.
    pub(super) fn proposal(&self, from: u8, dice: &mut Dice<'_>) -> (Request, Asked) {
        let offer = self
            .offer
            .clone()
            .unwrap_or_else(|| self.offer_of(from).offer);
        let epoch = self.me.schedule.epoch_at(self.now);
        let known = self.sold.values().find(|sold| sold.peer == from);
        let more = known.and_then(|sold| {
            let (leaf, start) = (&sold.signed.leaf, epoch.saturating_add(1));
            let capacity = leaf.capacity_chunks.saturating_add(1 << dice.below(20));
            let (price, epochs) = (offer.price, offer.collateral_epochs);
            extend(leaf, capacity, price, epochs, start, &self.me.params).ok()
        });
        let mut leaf = more.unwrap_or_else(|| {
            let draft = Draft {
                provider: self.me.node(),
                renter: signer(from).account(),
                nonce16: [dice.byte(); 16],
                start: epoch.saturating_add(1),
                term: 1 + u32::from(dice.byte()),
                capacity_chunks: 1 << dice.below(22),
                price: offer.price,
                collateral_epochs: offer.collateral_epochs,
            };
            draft.leaf(&self.me.params)
        });
        if dice.once_in(4) {
            crate::bend::bend(&mut leaf, dice);
        }
        let auth = Some(Auth {
            nonce: dice.below(8),
            expiry: self.height.saturating_add(1_000),
        });
        let signed = SignedLeaf::sign(leaf, auth, &self.me.node(), &payer(from), &NET);
        (Request::Propose(signed.clone()), Asked::Open(from, signed))
    }

    /// A peer wants its acknowledged shards signed for, or others.
    pub(super) fn revision(&self, dice: &mut Dice<'_>) -> (Request, Asked) {
        let contract = self.a_contract(dice);
        let Some(sold) = self.sold.get(&contract) else {
            return (Make::make(dice), Asked::Else);
        };
        let mut puts = sold.acked.clone();
        if dice.once_in(4) {
            puts = Make::make(dice);
        }
        let next = revise(&sold.signed.leaf, &sold.tree, &puts);
        let (mut leaf, tree) = next.unwrap_or((sold.signed.leaf, sold.tree.clone()));
        if dice.once_in(8) {
            crate::bend::bend(&mut leaf, dice);
        }
        let auth = sold.signed.auth.filter(|_| !dice.once_in(8));
        let signed = SignedLeaf::sign(leaf, auth, &self.me.node(), &payer(sold.peer), &NET);
        let asked = Asked::Add(contract, signed.clone(), tree);
        let request = Request::Revise {
            contract,
            puts,
            signed,
        };
        (request, asked)
    }

    /// A peer opens a stream, or one that is open ends.
    pub(super) fn streams(&mut self, dice: &mut Dice<'_>) {
        let receiving: Vec<Token> = self
            .waiting
            .iter()
            .filter(|(_, asked)| matches!(asked, Asked::Place(..)))
            .map(|(token, _)| *token)
            .collect();
        if let Some(token) = dice.pick(&receiving)
            && !dice.once_in(3)
        {
            let stored = match dice.below(4) {
                0 => Err(Deny::make(dice)),
                _ => Ok(VolumeId::make(dice)),
            };
            let token = *token;
            return self.feed(Input::Peer(PeerInput::Received { token, stored }));
        }
        let contract = self.a_contract(dice);
        let from = self.sold.get(&contract).map_or(PEERS[0], |sold| sold.peer);
        let mut leaf = ShardLeaf {
            root: ShardRoot([dice.byte(); 32]),
            chunks: 16 * (1 + dice.below(64)),
            tag: [0; 8],
        };
        if dice.once_in(8) {
            leaf.chunks = Make::make(dice);
        }
        let (header, asked) = match dice.below(4) {
            0 => (Make::make(dice), Asked::Else),
            1 => {
                let (reader, key) = (signer(from).node(), payer(from));
                let cap = ReadCap::sign(contract, leaf.root, reader, self.now, &key, &NET);
                (BulkHeader::Read(cap), Asked::Else)
            }
            _ => {
                let place = PlaceShard::sign(contract, leaf, &payer(from), &NET);
                (BulkHeader::Place(place), Asked::Place(contract, leaf))
            }
        };
        let token = self.token(asked);
        let from = signer(from).node();
        let input = PeerInput::Bulk {
            from,
            token,
            header,
        };
        self.feed(Input::Peer(input));
    }

    /// What an honest peer answers.
    pub(super) fn answer(&mut self, to: NodeId, request: Request) -> Response {
        let Some(key) = PEERS.map(signer).into_iter().find(|key| key.node() == to) else {
            return Response::Denied(Deny::NotProviding);
        };
        match request {
            Request::Propose(signed) | Request::Revise { signed, .. } => {
                let leaf = signed.leaf;
                self.reached.insert("a contract bought");
                self.bought.insert(leaf.contract_id, (to, leaf));
                Response::Signed(signed.countersign(&key, &NET).sig_provider)
            }
            Request::Reduce(ask) => {
                let sig = ask.reduction.signed.countersign(&key, &NET).sig_provider;
                Response::Signed(sig)
            }
            Request::PutHead(head) => Response::Kept { seq: head.seq },
            Request::GetOffers => Response::Offers(vec![self.offer_of(PEERS[0])]),
            Request::GetGift => {
                let offer = Offer {
                    provider: to,
                    price: Amount::ZERO,
                    egress_price: Amount::ZERO,
                    ..self.offer_of(PEERS[0]).offer
                };
                let gift = Gift::sign(offer, self.me.account(), &key, &NET);
                Response::Gift(Some(Box::new(gift)))
            }
            Request::Befriend(asked) => Response::Signed(asked.pact.sign(&key, &NET)),
            Request::GetHeads { .. } => Response::Heads(Vec::new()),
            Request::Revoke(_) => Response::Revoked,
            Request::GetLatest { .. } | Request::Audit(_) => {
                Response::Denied(Deny::UnknownContract)
            }
        }
    }
}

/// How the pool ends a job; `None` for one that has no outcome.
pub(super) fn job_done(job: Job, dice: &mut Dice<'_>) -> Option<Outcome> {
    let failed = dice.once_in(6).then_some(JobError::Cancelled);
    let roots = |segment: SegmentId, positions: &[u16]| {
        let root = |j: &u16| {
            let mut root = segment.0;
            root[..2].copy_from_slice(&j.to_le_bytes());
            ShardRoot(root)
        };
        positions.iter().map(root).collect::<Vec<_>>()
    };
    let done = |failed: Option<JobError>| failed.map_or(Ok(()), Err);
    let put = |dice: &mut Dice<'_>| match dice.below(4) {
        0 => PutError::Refused(Make::make(dice)),
        1 => PutError::WrongBytes,
        2 => PutError::Peer(Unreachable::Garbage),
        _ => PutError::Peer(Unreachable::NoAnswer),
    };
    Some(match job {
        Job::Encode { segment, code, .. } => {
            let all: Vec<u16> = (0..code.n()).collect();
            Outcome::Encoded(failed.map_or_else(|| Ok(roots(segment, &all)), Err))
        }
        Job::Rebuild {
            segment, missing, ..
        } => Outcome::Rebuilt(failed.map_or_else(|| Ok(roots(segment, &missing)), Err)),
        Job::Put { to, place, .. } => {
            let key = PEERS.map(signer).into_iter().find(|key| key.node() == to);
            Outcome::Put(match (failed, key) {
                (None, Some(key)) => Ok(acked(&place, &key, dice)),
                (Some(_), _) | (_, None) => Err(put(dice)),
            })
        }
        Job::Get { .. } => Outcome::Got(match failed {
            Some(_) => Err(put(dice)),
            None => Ok(()),
        }),
        Job::Decode { .. } => Outcome::Decoded(done(failed)),
        Job::Prove { .. } => Outcome::Proved(failed.map_or(Ok(vec![1; 100]), Err)),
        Job::Discard { .. } => return None,
    })
}

/// A peer's acknowledgement, now and then of something else.
pub(super) fn acked(place: &PlaceShard, key: &Signer, dice: &mut Dice<'_>) -> ShardAck {
    match dice.below(8) {
        0 => Make::make(dice),
        _ => ShardAck::sign(
            place.contract,
            place.leaf.root,
            place.leaf.chunks,
            key,
            &NET,
        ),
    }
}

/// A head of a peer's device.
pub(super) fn head_of(seed: u8, dice: &mut Dice<'_>) -> SignedHead {
    let (device, expiry) = (signer(dice.byte()), Time(u64::MAX));
    let cert = DeviceCert::sign(&signer(seed), &signer(90), device.public(), expiry, &NET);
    let head = Head::empty(Make::make(dice));
    let sealed = SignedHead::seal(&head, [1; 12], &recovery_keys(), (&device, &cert), &NET);
    let mut signed = sealed.expect("it is short");
    if dice.once_in(4) {
        signed.key = Hash::make(dice);
    }
    signed
}
