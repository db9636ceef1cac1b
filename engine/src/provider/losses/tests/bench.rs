//! A provider with its disk's rows, before a ledger that makes active what it is told.

use super::*;

/// The provider's side asks for no randomness.
pub(super) struct NoDice;

impl rand_core::TryRng for NoDice {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(0);
        Ok(())
    }
}

pub(super) fn shard(n: u8) -> ShardLeaf {
    ShardLeaf {
        root: ShardRoot([n; 32]),
        chunks: 16,
        tag: [n; 8],
    }
}

pub(super) fn root(n: u8) -> ShardRoot {
    shard(n).root
}

pub(super) fn holes_and(shards: &[u8]) -> Vec<ShardLeaf> {
    let leaf = |n: &u8| if *n == 0 { ShardLeaf::EMPTY } else { shard(*n) };
    shards.iter().map(leaf).collect()
}

/// A provider, its disk, its renter's key and the leaf that is active on the ledger.
pub(super) struct Bench {
    pub(super) me: Identity,
    pub(super) renter: AccountSigner,
    pub(super) rows: BTreeMap<(u8, Vec<u8>), Vec<u8>>,
    pub(super) engine: Engine,
    pub(super) active: ContractLeaf,
    pub(super) epoch: Epoch,
    pub(super) faulted: bool,
    /// What the ledger's accounts have authorised.
    pub(super) subkeys: SubKeys,
    pub(super) next_token: u64,
}

impl Bench {
    /// A contract whose tree is `active` on the ledger, with `signed` co-signed beyond, and `loose`
    /// shards beside it.
    pub(super) fn new(active: &[u8], signed: &[u8], loose: &[u8]) -> Self {
        let params = Params::profile(Profile::Dev);
        let me = Identity {
            genesis: NET,
            schedule: Schedule::new(Time(0), &params),
            params,
            node_key: Signer::from_seed(&[1; 32]),
            ledger_key: AccountSigner::own(Signer::from_seed(&[2; 32])),
            delegation: None,
            device_key: Signer::from_seed(&[8; 32]),
            cert: None,
            recovery: crate::head::RecoveryKeys::new(
                &[7; 32],
                &larder_keys::VaultKeys::from_root(&[7; 32]),
                &NET,
            ),
        };
        let renter = AccountSigner::own(Signer::from_seed(&[3; 32]));
        let draft = Draft {
            provider: me.node(),
            renter: renter.account(),
            nonce16: [0; 16],
            start: 2,
            term: 35,
            capacity_chunks: 256,
            price: Amount::from_credits(1_000),
            collateral_epochs: 30,
        };
        let empty = draft.leaf(&me.params);
        let put = |leaf, tree: &ContentTree, shards: &[u8]| {
            let puts = holes_and(shards);
            if puts.is_empty() {
                (leaf, tree.clone())
            } else {
                revise(&leaf, tree, &puts).unwrap()
            }
        };
        let (first, tree) = put(empty, &ContentTree::new(), active);
        let (newest, tree) = put(first, &tree, signed);
        let revision = SignedLeaf::sign(newest, None, &me.node(), &renter, &NET)
            .countersign(&me.node_key, &NET);
        let id = newest.contract_id;
        let mut rows = vec![Write::held(&id, Some(&revision))];
        for (index, leaf) in (0..).zip(tree.leaves()) {
            let row = ShardRow {
                index: Some(index),
                ..ShardRow::loose(id, *leaf)
            };
            rows.push(Write::shard(&leaf.root, Some(&row)));
        }
        for n in loose {
            let row = ShardRow::loose(id, shard(*n));
            rows.push(Write::shard(&root(*n), Some(&row)));
        }
        let engine = Engine::restore(me.clone(), None, Vec::new()).unwrap();
        let mut bench = Self {
            me,
            renter,
            rows: BTreeMap::new(),
            engine,
            active: ContractLeaf {
                slash_acc: 1 << 63,
                unpaid_at_start: 1,
                ..first
            },
            epoch: EPOCH,
            faulted: false,
            subkeys: SubKeys::default(),
            next_token: 0,
        };
        bench.persist(rows);
        bench.restart();
        bench.block();
        bench
    }

    pub(super) fn persist(&mut self, writes: Vec<Write>) {
        for write in writes {
            let key = (write.kind as u8, write.key);
            match write.value {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
    }

    /// The process is killed and starts again from its rows.
    pub(super) fn restart(&mut self) {
        let rows = self.rows.iter();
        let rows = rows.map(|((kind, key), value)| (*kind, key.clone(), value.clone()));
        let provide = Provide {
            quota: Bytes(1 << 30),
            price: Amount::from_credits(1_000),
            egress_price: Amount::ZERO,
            region: String::new(),
            operator: String::new(),
            taking: crate::Taking::All,
        };
        self.engine = Engine::restore(self.me.clone(), Some(provide), rows.collect()).unwrap();
        self.step(Input::Started);
    }

    /// One step in the middle of the epoch; rows are durable at once.
    pub(super) fn step(&mut self, input: Input) -> Vec<Effect> {
        let now = Time(self.me.schedule.epoch_start(self.epoch).0 + 1_000);
        let effects = self.engine.step(now, &mut NoDice, input);
        for effect in &effects {
            if let Effect::Persist(rows) = effect {
                self.persist(rows.clone());
            }
        }
        effects
    }

    /// The epoch's first block, with what is active.
    pub(super) fn block(&mut self) -> Vec<Effect> {
        let block = self.opened();
        self.step(Input::Block(Box::new(block)))
    }

    pub(super) fn opened(&self) -> BlockInput {
        let held = ProviderTree::from_leaves(0, vec![Some(self.active)]).unwrap();
        BlockInput {
            beacon: None,
            height: u64::from(self.epoch),
            hash: BlockHash([0; 32]),
            time: self.me.schedule.epoch_start(self.epoch),
            epoch: self.epoch,
            account: None,
            subkeys: self.subkeys.clone(),
            provider: Some(ProviderView {
                free: Amount::from_credits(1_000),
                locked: Amount::ZERO,
                faulted: self.faulted,
                capacity_most: u64::MAX,
            }),
            active: Some(ActiveView {
                held: Arc::new(held),
                rented: Vec::new(),
                faulted: BTreeSet::new(),
            }),
            challenge: None,
            targeted: Vec::new(),
            withheld: Vec::new(),
            is_on_roll: false,
            posted: Vec::new(),
            txs: Vec::new(),
        }
    }

    pub(super) fn damage(&mut self, shards: &[u8]) -> Vec<Effect> {
        let roots = shards.iter().map(|n| root(*n)).collect();
        self.step(Input::Command(Command::Damaged(roots)))
    }

    /// The boundary: a declared loss acts as the ledger lets it act.
    pub(super) fn boundary(&mut self, loss: Option<&Loss>) -> Vec<Effect> {
        if let Some(loss) = loss {
            let ContractLeaf {
                content_root,
                used_chunks,
                depth,
                revision,
                ..
            } = self.active;
            assert!(loss.revision > revision);
            let left = cleared(content_root, used_chunks, depth, &loss.shards);
            let (content_root, chunks) = left.expect("the paths are those of the active tree");
            let remains = Remains {
                content_root,
                chunks,
                revision: loss.revision,
            };
            self.active = lose(&self.active, &remains, &self.me.params).unwrap();
        }
        self.epoch += 1;
        self.block()
    }

    pub(super) fn ask(&mut self, request: Request) -> Response {
        self.asked(request).0
    }

    /// The answer, and what else the request sets off.
    pub(super) fn asked(&mut self, request: Request) -> (Response, Vec<Effect>) {
        self.next_token += 1;
        let effects = self.step(Input::Peer(PeerInput::Request {
            from: self.me.node(),
            token: Token(self.next_token),
            request,
            renter_balance: Amount::from_credits(1_000_000),
        }));
        let mut answers = effects.iter().filter_map(|effect| match effect {
            Effect::Reply { response, .. } => Some(response.clone()),
            _ => None,
        });
        let answer = answers.next().expect("a request is answered");
        drop(answers);
        (answer, effects)
    }

    pub(super) fn stream(&mut self, header: BulkHeader) -> BulkEffect {
        self.next_token += 1;
        let effects = self.step(Input::Peer(PeerInput::Bulk {
            from: self.me.node(),
            token: Token(self.next_token),
            header,
        }));
        let mut answers = effects.into_iter().filter_map(|effect| match effect {
            Effect::Bulk(bulk) => Some(bulk),
            _ => None,
        });
        answers.next().expect("a stream is answered")
    }

    pub(super) fn id(&self) -> ContractId {
        self.active.contract_id
    }

    pub(super) fn read(&mut self, n: u8) -> BulkEffect {
        let (far, reader) = (Time(u64::MAX), self.me.node());
        let cap = ReadCap::sign(self.id(), root(n), reader, far, &self.renter, &NET);
        self.stream(BulkHeader::Read(cap))
    }

    pub(super) fn place(&mut self, n: u8) -> BulkEffect {
        let place = PlaceShard::sign(self.id(), shard(n), &self.renter, &NET);
        self.stream(BulkHeader::Place(place))
    }

    /// The newest leaf and the whole list, as a renter gets them.
    pub(super) fn latest(&mut self) -> (ContractLeaf, Vec<ShardLeaf>) {
        let request = Request::GetLatest {
            contract: self.id(),
            have: 0,
        };
        match self.ask(request) {
            Response::Latest { signed, puts, .. } => (signed.leaf, puts),
            other => panic!("{other:?}"),
        }
    }

    /// The renter wants `shards` co-signed, on top of what it was told.
    pub(super) fn revise(&mut self, shards: &[u8]) -> Response {
        let (leaf, leaves) = self.latest();
        let tree = ContentTree::from_leaves(leaves).unwrap();
        let puts = holes_and(shards);
        let (next, _) = revise(&leaf, &tree, &puts).unwrap();
        let signed = SignedLeaf::sign(next, None, &self.me.node(), &self.renter, &NET);
        self.ask(Request::Revise {
            contract: self.id(),
            puts,
            signed,
        })
    }

    /// Everything that the disk and the ledger say agrees with the leaf and list that are told.
    pub(super) fn check(&mut self, newest: &ContractLeaf, list: &[u8]) {
        let (leaf, leaves) = self.latest();
        assert_eq!(leaves, holes_and(list));
        let tree = ContentTree::from_leaves(leaves).unwrap();
        let told = (leaf.content_root, leaf.used_chunks, leaf.depth);
        assert_eq!((tree.root(), tree.chunks(), tree.depth()), told);
        let filled = |leaf: &ContractLeaf| ContractLeaf {
            slash_acc: 0,
            unpaid_at_start: 0,
            ..*leaf
        };
        assert_eq!(filled(&leaf), filled(newest));
    }
}
