//! A row as a damaged database may give it: it is read or refused.

use super::*;

/// One durable row, as a damaged database may give it: kind ‖ length of the key ‖ key ‖ value.
pub fn row(bytes: &[u8]) {
    if let [kind, len, rest @ ..] = bytes
        && let Some((key, value)) = rest.split_at_checked(usize::from(*len))
    {
        let rows = vec![(*kind, key.to_vec(), value.to_vec())];
        drop(Engine::restore(identity(), None, rows));
    }
}

/// A row of each kind.
pub(crate) fn row_seeds() -> Vec<Vec<u8>> {
    let dice = &mut Dice::noise("rows", 0);
    let id = ContractId([1; 32]);
    [
        Write::held(&id, Some(&Make::make(dice))),
        Write::shard(&ShardRoot([1; 32]), Some(&Make::make(dice))),
        Write::rented(&id, Some(&Make::make(dice))),
        Write::rented_leaf(&id, 1, Some(&Make::make(dice))),
        Write::segment(&SegmentId([1; 32]), Some(&Make::make(dice))),
        Write::outbox(&TxId([1; 32]), Some(&Make::make(dice))),
        Write::head(&Hash([1; 32]), &[1; 32], Some(&Make::make(dice))),
        Write::own_head(&Make::make(dice)),
        Write::loss(&id, Some(&Make::make(dice))),
        Write::losses(&Make::make(dice)),
        Write::repair_totals(&Make::make(dice)),
        Write::audited(&NodeId([1; 32]), Some(&Make::make(dice))),
        Write::place(&ShardRoot([1; 32]), Some(VolumeId(1))),
        Write::asked(&NodeId([1; 32]), Some(&Make::make(dice))),
        Write::revoked(&id, &NodeId([1; 32]), Some(Make::make(dice))),
        Write::revoking(&NodeId([1; 32]), Some(&Make::make(dice))),
        Write::ack(7, &NodeId([1; 32]), Some(&Make::make(dice))),
    ]
    .into_iter()
    .map(|write| {
        let len = u8::try_from(write.key.len()).expect("a key of at most 64 bytes");
        let head = [write.kind as u8, len];
        [&head[..], &write.key, &write.value.unwrap_or_default()].concat()
    })
    .collect()
}
