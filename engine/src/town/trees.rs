//! Trees that changed without us: paging, holes, promises taken back.

use super::*;
use crate::rows::{RentedRow, SegmentRow};
use crate::wire::MAX_LEAVES;
use larder_coding::layout::Code;
use larder_contracts::{Revision, SignedLeaf};
use larder_proofs::{ContentTree, ShardLeaf};
use larder_types::Signature;

/// The contract between words 50 and machine 1.
const CONTRACT: ContractId = ContractId([3; 32]);

fn shard(index: u64) -> ShardLeaf {
    let segment = SegmentId([1; 32]);
    let mut root = root(&segment, 0);
    root.0[..8].copy_from_slice(&index.to_le_bytes());
    ShardLeaf {
        root,
        chunks: 16,
        tag: larder_coding::manifest::shard_tag(
            &larder_coding::manifest::repair_id(&segment),
            u16::try_from(index).unwrap(),
        ),
    }
}

fn tree(count: u64) -> ContentTree {
    ContentTree::from_leaves((0..count).map(shard).collect()).unwrap()
}

fn leaf(content: &ContentTree, revision: u64) -> ContractLeaf {
    let draft = larder_contracts::Draft {
        provider: identity(1, 1).node(),
        renter: identity(50, 50).account(),
        nonce16: [0; 16],
        start: 1,
        term: 100,
        capacity_chunks: 1 << 20,
        price: Amount::from_credits(1),
        collateral_epochs: 0,
    };
    ContractLeaf {
        contract_id: CONTRACT,
        depth: content.depth(),
        content_root: content.root(),
        used_chunks: content.chunks(),
        revision,
        ..draft.leaf(&params())
    }
}

fn cosigned(leaf: ContractLeaf) -> Revision {
    let (renter, provider) = (identity(50, 50), identity(1, 1));
    SignedLeaf::sign(leaf, None, &provider.node(), &renter.ledger_key, &NET)
        .countersign(&provider.node_key, &NET)
}

/// A keeper whose rows say that it knows `content`, all of it one segment's.
fn keeper(content: &ContentTree, revision: u64) -> Node {
    let mut node = Node::new(identity(50, 50), None);
    let signed = cosigned(leaf(content, revision));
    let row = RentedRow {
        provider: identity(1, 1).node(),
        signed: signed.signed,
        sig_provider: Some(signed.sig_provider),
        opened: true,
        tried: None,
        of: None,
        claim: 0,
    };
    let n = u16::try_from(content.leaves().len()).unwrap();
    let segment = SegmentRow {
        class: Class::Normal,
        meta: false,
        code: Code::new(1, n, 1).unwrap(),
        len: 16 << 10,
        shard_len: 16 << 10,
        roots: content.leaves().iter().map(|l| l.root).collect(),
        holders: vec![Some(CONTRACT); n.into()],
        spooled: Vec::new(),
        catalogue: false,
        listed: false,
        denied: Vec::new(),
        dropped: false,
        of: None,
    };
    let leaves = (0..).zip(content.leaves());
    let mut rows = vec![
        Write::rented(&CONTRACT, Some(&row)),
        Write::segment(&SegmentId([1; 32]), Some(&segment)),
    ];
    rows.extend(leaves.map(|(i, l)| Write::rented_leaf(&CONTRACT, i, Some(l))));
    node.persist(rows);
    node
}

/// A provider whose rows say that it co-signed `content`.
fn provider(content: &ContentTree, revision: u64) -> Node {
    let mut node = Node::new(identity(1, 1), Some(provides()));
    let mut rows = vec![Write::held(
        &CONTRACT,
        Some(&cosigned(leaf(content, revision))),
    )];
    for (i, shard) in (0..).zip(content.leaves()) {
        let row = crate::rows::ShardRow {
            contract: CONTRACT,
            leaf: *shard,
            index: Some(i),
            damaged: false,
        };
        rows.push(Write::shard(&shard.root, Some(&row)));
    }
    node.persist(rows);
    node
}

/// A town whose ledger holds the contract with this leaf.
fn town(active: ContractLeaf) -> Town {
    let mut town = Town::new(0);
    let provider = identity(1, 1).node();
    town.active.insert(CONTRACT, (provider, active));
    town
}

/// The keeper's positions that are held.
fn held(town: &Town, i: usize) -> Vec<u16> {
    let row = &town.nodes[i].engine().renter.segments[&SegmentId([1; 32])];
    (0..)
        .zip(&row.holders)
        .filter(|(_, h)| h.is_some())
        .map(|(j, _)| j)
        .collect()
}

fn requested(effect: &Effect) -> Option<(OpId, &Request)> {
    let Effect::Request { op, request, .. } = effect else {
        return None;
    };
    Some((*op, request))
}

/// After how many leaves a list is asked for.
fn asked_after(request: &Request) -> Option<u64> {
    let Request::GetLatest { have, .. } = request else {
        return None;
    };
    Some(*have)
}

#[test]
fn a_long_list_comes_page_by_page() {
    for count in [MAX_LEAVES as u64 * 2 + 77, MAX_LEAVES as u64] {
        let content = tree(count);
        let active = leaf(&content, 7);
        let mut town = town(active);
        town.add(provider(&content, 7));
        // A device that knows nothing.
        let b = town.keeper(51, 50);
        town.pass(Millis(1_000));
        let state = town.nodes[b].engine().recovery_state();
        assert!(state.settled);
        assert_eq!(state.strangers, count);
        let asked = town.nodes[b].asked.iter();
        let have: Vec<u64> = asked.filter_map(|(_, r)| asked_after(r)).collect();
        let pages: Vec<u64> = (0..=count / MAX_LEAVES as u64)
            .map(|page| page * MAX_LEAVES as u64)
            .collect();
        assert_eq!(have, pages);
        // And it is all in its rows.
        town.start(b);
        assert_eq!(town.nodes[b].engine().recovery_state().strangers, count);
        assert!(town.nodes[b].engine().renter.leases[&CONTRACT].tree_is_known());
    }
}

#[test]
fn what_the_active_tree_lost_is_lost_and_what_lies_beyond_is_signed_again() {
    // Both signed six shards, four were active, and of those the second was lost.
    let six = tree(6);
    let mut after = tree(4);
    after.clear(1).unwrap();
    let lost = leaf(&after, 9);
    let mut town = town(lost);
    let a = town.add(keeper(&six, 8));
    assert_eq!(held(&town, a), [0, 1, 2, 3, 4, 5], "the provider is silent");

    // The provider has no leaf that both signed, only the ledger's.
    let shown = |puts: &[ShardLeaf]| Response::Latest {
        signed: SignedLeaf {
            leaf: lost,
            auth: None,
            by: None,
            sig_renter: Signature::default(),
        },
        sig_provider: Signature::default(),
        puts: puts.to_vec(),
    };
    town.nodes[a].asked.clear();
    let node = &mut town.nodes[a];
    let lease = node
        .engine
        .as_mut()
        .unwrap()
        .renter
        .leases
        .get_mut(&CONTRACT)
        .unwrap();
    assert!(lease.unsure, "it saw that the active tree is another");
    let mut effects = Vec::new();
    for (have, puts) in [(6, &[][..]), (0, after.leaves())] {
        town.now = town.now.after(Millis(120_000));
        let engine = town.nodes[a].engine.as_mut().unwrap();
        let mut out = if effects.is_empty() {
            engine.step(town.now, &mut town.rng, Input::Tick)
        } else {
            std::mem::take(&mut effects)
        };
        let asked = out.iter().find_map(|e| {
            let (op, request) = requested(e)?;
            Some((op, asked_after(request)?))
        });
        let (op, asked) = asked.expect("it asks");
        assert_eq!(asked, have);
        out.clear();
        let outcome = Outcome::Response(Ok(shown(puts)));
        effects = engine.step(town.now, &mut town.rng, Input::Done { op, outcome });
    }
    assert_eq!(held(&town, a), [0, 2, 3, 4, 5]);
    let revise = effects.iter().find_map(|e| {
        let (op, request) = requested(e)?;
        let Request::Revise { puts, signed, .. } = request else {
            return None;
        };
        Some((op, puts.clone(), signed.leaf))
    });
    let (op, puts, next) = revise.expect("the two beyond are signed for again");
    assert_eq!(puts, [shard(4), shard(5)]);
    assert_eq!(next.revision, 10);
    for effect in effects {
        if let Effect::Persist(rows) = effect {
            town.nodes[a].persist(rows);
        }
    }
    // It starts again before the answer, and asks the same.
    let rows = town.nodes[a].snapshot();
    let again = Engine::restore(town.nodes[a].me.clone(), None, rows).unwrap();
    assert_eq!(again.renter.leases[&CONTRACT].content, after);

    // The provider has none of them any more: they are lost too.
    let engine = town.nodes[a].engine.as_mut().unwrap();
    let outcome = Outcome::Response(Ok(Response::Denied(crate::wire::Deny::UnknownShard)));
    engine.step(town.now, &mut town.rng, Input::Done { op, outcome });
    assert_eq!(held(&town, a), [0, 2, 3]);
}

#[test]
fn a_provider_cannot_show_an_older_or_another_tree() {
    let (three, five) = (tree(3), tree(5));
    let mut town = town(leaf(&five, 5));
    town.add(provider(&three, 3));
    let b = town.keeper(51, 50);
    town.pass(Millis(5_000));
    let state = town.nodes[b].engine().recovery_state();
    assert!(
        !state.settled && state.trees == 0,
        "older than the ledger's"
    );
    // The right leaf, the wrong shards.
    town.nodes.remove(0);
    let mut liar = provider(&five, 5);
    let row = crate::rows::ShardRow {
        contract: CONTRACT,
        leaf: shard(99),
        index: Some(4),
        damaged: false,
    };
    liar.persist(vec![
        Write::shard(&shard(4).root, None),
        Write::shard(&shard(99).root, Some(&row)),
    ]);
    town.add(liar);
    town.pass(Millis(5_000));
    assert!(!town.nodes[0].engine().recovery_state().settled);
}

#[test]
fn a_keeper_that_is_behind_takes_what_both_signed() {
    let (two, five) = (tree(2), tree(5));
    let mut town = town(leaf(&two, 2));
    town.add(provider(&five, 5));
    let a = town.add(keeper(&two, 2));
    town.pass(Millis(1_000));
    let lease = &town.nodes[a].engine().renter.leases[&CONTRACT];
    assert_eq!(lease.content, five);
    assert_eq!(lease.leaf().revision, 5);
}
