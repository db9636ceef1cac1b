//! Erasure coding and masks, one column stripe at a time: k data slices ⇄ n masked shard slices of
//! at most 64 KiB. Every 64-byte column of the code stands alone, so that stripes give the same
//! shards as whole shards would, at the caches' speed. `docs/protocol.md` §3.2.

use crate::layout::{Code, GROUP_LEN, Rate, STRIPE_LEN};
use crate::mask::Mask;
use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};
use std::fmt;
use std::ops::Range;
use std::slice::ChunksExact;

/// The code's unit: 64-byte columns stand alone.
const COLUMN_LEN: u64 = 64;
/// Most bytes of one position at a time; bounds memory.
pub const MAX_COLUMNS: usize = 1 << 20;

/// Why a stripe cannot be worked on. All of these are about the caller's slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StripeError {
    /// Shards are not a positive multiple of 16 KiB.
    #[error("a shard of {0} bytes is no multiple of 16 KiB")]
    ShardLen(u64),
    /// The columns do not lie in the shard, are none or too many, or split a 64-byte column.
    #[error("no columns {start}..{end} in a shard of {shard_len} bytes")]
    Columns {
        /// First byte.
        start: u64,
        /// Behind the last byte.
        end: u64,
        /// L.
        shard_len: u64,
    },
    /// A slice that is not as long as the stripe.
    #[error("a slice of {got} bytes in a stripe of {want}")]
    SliceLen {
        /// Bytes of the stripe.
        want: usize,
        /// Bytes of the slice.
        got: usize,
    },
    /// Too few slices: distinct positions are counted.
    #[error("{got} positions given, {need} needed")]
    TooFew {
        /// How many it takes: k.
        need: u16,
        /// Distinct positions given.
        got: usize,
    },
    /// A position that the code does not have.
    #[error("no position {position} among {n}")]
    Position {
        /// The position.
        position: u16,
        /// Positions of the code.
        n: u16,
    },
}

/// Rows of equal length in one buffer.
struct Rows {
    bytes: Vec<u8>,
    len: usize,
}

impl Rows {
    /// No rows, no memory yet.
    const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            len: 0,
        }
    }

    /// Makes room for `count` rows of `len` bytes; what they hold is of no meaning.
    fn shape(&mut self, count: usize, len: usize) {
        self.len = len;
        if self.bytes.len() < count * len {
            self.bytes.resize(count * len, 0);
        }
    }

    /// The first `count` rows.
    fn rows(&self, count: usize) -> ChunksExact<'_, u8> {
        self.bytes[..count * self.len].chunks_exact(self.len)
    }

    fn row(&self, i: usize) -> &[u8] {
        &self.bytes[i * self.len..(i + 1) * self.len]
    }

    fn row_mut(&mut self, i: usize) -> &mut [u8] {
        &mut self.bytes[i * self.len..(i + 1) * self.len]
    }
}

/// The geometry that encoder and decoder share.
#[derive(Clone, Copy)]
struct Frame {
    code: Code,
    shard_len: u64,
}

impl Frame {
    fn new(code: Code, shard_len: u64) -> Result<Self, StripeError> {
        if shard_len == 0 || !shard_len.is_multiple_of(GROUP_LEN) {
            return Err(StripeError::ShardLen(shard_len));
        }
        Ok(Self { code, shard_len })
    }

    /// Checks a range of columns: its offset in the shard and its length.
    fn columns(self, columns: &Range<u64>) -> Result<(u64, usize), StripeError> {
        let Range { start, end } = *columns;
        let whole = start.is_multiple_of(COLUMN_LEN) && end.is_multiple_of(COLUMN_LEN);
        match end.checked_sub(start).map(usize::try_from) {
            Some(Ok(len @ 1..=MAX_COLUMNS)) if whole && end <= self.shard_len => Ok((start, len)),
            Some(_) | None => Err(StripeError::Columns {
                start,
                end,
                shard_len: self.shard_len,
            }),
        }
    }

    fn position(self, position: u16) -> Result<usize, StripeError> {
        let n = self.code.n();
        if position < n {
            Ok(usize::from(position))
        } else {
            Err(StripeError::Position { position, n })
        }
    }
}

fn same_len(want: usize, slice: &[u8]) -> Result<(), StripeError> {
    let got = slice.len();
    if got == want {
        Ok(())
    } else {
        Err(StripeError::SliceLen { want, got })
    }
}

/// The package's encoder, whose working space is reused from stripe to stripe.
struct Parity {
    code: Code,
    len: usize,
    encoder: Option<ReedSolomonEncoder>,
}

impl Parity {
    fn new(code: Code) -> Self {
        let encoder = match code.rate() {
            Rate::Copy => None,
            Rate::High | Rate::Low => Some(
                ReedSolomonEncoder::new(code.k().into(), code.parity().into(), STRIPE_LEN)
                    .expect("at most 256 positions and a stripe length that the package takes"),
            ),
        };
        Self {
            code,
            len: STRIPE_LEN,
            encoder,
        }
    }

    /// Hands each wanted parity row (0 is position k) of `data` to `put`.
    fn compute<'d>(
        &mut self,
        data: impl Fn(usize) -> &'d [u8],
        len: usize,
        mut put: impl FnMut(usize, &[u8]),
    ) {
        let (k, parity) = (usize::from(self.code.k()), usize::from(self.code.parity()));
        let Some(encoder) = &mut self.encoder else {
            // k = 1: every parity position is a copy. k = n: there is none.
            (0..parity).for_each(|i| put(i, data(0)));
            return;
        };
        if self.len != len {
            encoder
                .reset(k, parity, len)
                .expect("a stripe is a positive multiple of 64 bytes");
            self.len = len;
        }
        for j in 0..k {
            encoder
                .add_original_shard(data(j))
                .expect("k rows of the stripe's length");
        }
        let result = encoder.encode().expect("all k rows were added");
        result
            .recovery_iter()
            .enumerate()
            .for_each(|(i, row)| put(i, row));
    }
}

/// Encodes a segment stripe by stripe.
pub struct StripeEncoder {
    frame: Frame,
    parity: Parity,
    masks: Vec<Mask>,
    out: Rows,
}

impl StripeEncoder {
    /// An encoder for shards of `shard_len` bytes under the segment's `mask_key` (`MK_seg`).
    ///
    /// # Errors
    /// [`StripeError::ShardLen`] unless `shard_len` is a positive multiple of 16 KiB.
    pub fn new(code: Code, shard_len: u64, mask_key: &[u8; 32]) -> Result<Self, StripeError> {
        Ok(Self {
            frame: Frame::new(code, shard_len)?,
            parity: Parity::new(code),
            masks: masks(code, mask_key),
            out: Rows::new(),
        })
    }

    /// The n masked slices of the bytes `columns` of each shard, in order of position, from the k
    /// slices of C (`data[j]` = C\[j·L + columns\], zeros beyond C's end). Best fed the stripes of
    /// [`crate::layout::stripe_range`], in order.
    ///
    /// # Errors
    /// [`StripeError`] unless there are exactly k slices of the columns' length.
    pub fn encode(
        &mut self,
        columns: &Range<u64>,
        data: &[&[u8]],
    ) -> Result<impl ExactSizeIterator<Item = &[u8]>, StripeError> {
        let (offset, len) = self.frame.columns(columns)?;
        let k = self.frame.code.k();
        if data.len() != usize::from(k) {
            return Err(StripeError::TooFew {
                need: k,
                got: data.len(),
            });
        }
        data.iter().try_for_each(|slice| same_len(len, slice))?;
        self.out.shape(self.frame.code.n().into(), len);
        for (j, slice) in data.iter().enumerate() {
            self.out.row_mut(j).copy_from_slice(slice);
        }
        let out = &mut self.out;
        self.parity.compute(
            |j| data[j],
            len,
            |i, row| out.row_mut(usize::from(k) + i).copy_from_slice(row),
        );
        for (j, mask) in self.masks.iter_mut().enumerate() {
            mask.apply(offset, self.out.row_mut(j));
        }
        let n = usize::from(self.frame.code.n());
        Ok(self.out.rows(n))
    }
}

/// Decodes a segment stripe by stripe, and rebuilds what is missing.
pub struct StripeDecoder {
    frame: Frame,
    masks: Vec<Mask>,
    /// The k unmasked data slices of the stripe at hand.
    data: Rows,
    scratch: Vec<u8>,
    decoder: Option<(usize, ReedSolomonDecoder)>,
    rebuild: Option<(Parity, Rows)>,
}

impl StripeDecoder {
    /// A decoder for shards of `shard_len` bytes under the segment's `mask_key` (`MK_seg`).
    ///
    /// # Errors
    /// [`StripeError::ShardLen`] unless `shard_len` is a positive multiple of 16 KiB.
    pub fn new(code: Code, shard_len: u64, mask_key: &[u8; 32]) -> Result<Self, StripeError> {
        Ok(Self {
            frame: Frame::new(code, shard_len)?,
            masks: masks(code, mask_key),
            data: Rows::new(),
            scratch: Vec::new(),
            decoder: None,
            rebuild: None,
        })
    }

    /// The k slices of C in the bytes `columns` of each shard (multiples of 64, at most
    /// [`MAX_COLUMNS`] long; any range, so that a few groups can be had alone), from masked slices
    /// of at least k distinct positions; which more are given is of no matter. Data positions are preferred: with all of
    /// them at hand nothing is decoded. The slices are taken as true (their roots were verified).
    ///
    /// # Errors
    /// [`StripeError`] for too few positions, one that does not exist, or a wrong length.
    pub fn decode(
        &mut self,
        columns: &Range<u64>,
        shards: &[(u16, &[u8])],
    ) -> Result<impl ExactSizeIterator<Item = &[u8]>, StripeError> {
        self.restore(columns, shards)?;
        let k = usize::from(self.frame.code.k());
        Ok(self.data.rows(k))
    }

    /// The masked slices of the positions `missing`, in that order, from masked slices of at least
    /// k distinct positions. Bit for bit what the encoder gave.
    ///
    /// # Errors
    /// As [`Self::decode`], and for a missing position that does not exist.
    pub fn rebuild(
        &mut self,
        columns: &Range<u64>,
        shards: &[(u16, &[u8])],
        missing: &[u16],
    ) -> Result<impl ExactSizeIterator<Item = &[u8]>, StripeError> {
        for position in missing {
            self.frame.position(*position)?;
        }
        let (offset, len) = self.restore(columns, shards)?;
        let code = self.frame.code;
        let k = code.k();
        let (parity, rows) = self
            .rebuild
            .get_or_insert_with(|| (Parity::new(code), Rows::new()));
        rows.shape(missing.len(), len);
        let data = &self.data;
        for (i, j) in missing.iter().enumerate().filter(|(_, j)| **j < k) {
            rows.row_mut(i).copy_from_slice(data.row(usize::from(*j)));
        }
        if missing.iter().any(|j| *j >= k) {
            parity.compute(
                |j| data.row(j),
                len,
                |p, row| {
                    let position = usize::from(k) + p;
                    for i in (0..missing.len()).filter(|i| usize::from(missing[*i]) == position) {
                        rows.row_mut(i).copy_from_slice(row);
                    }
                },
            );
        }
        for (i, j) in missing.iter().enumerate() {
            self.masks[usize::from(*j)].apply(offset, rows.row_mut(i));
        }
        Ok(rows.rows(missing.len()))
    }

    /// Fills `data` with the stripe's k unmasked slices; the stripe's offset and length.
    fn restore(
        &mut self,
        columns: &Range<u64>,
        shards: &[(u16, &[u8])],
    ) -> Result<(u64, usize), StripeError> {
        let (offset, len) = self.frame.columns(columns)?;
        let chosen = self.choose(len, shards)?;
        let k = usize::from(self.frame.code.k());
        self.data.shape(k, len);
        let mut have = vec![false; k];
        for (j, slice) in chosen.iter().filter(|(j, _)| *j < k) {
            let row = self.data.row_mut(*j);
            row.copy_from_slice(slice);
            self.masks[*j].apply(offset, row);
            have[*j] = true;
        }
        if have.contains(&false) {
            let parity = chosen.iter().filter(|(j, _)| *j >= k);
            match self.frame.code.rate() {
                Rate::Copy => self.copy_back(offset, parity),
                Rate::High | Rate::Low => self.solve(offset, len, &have, parity),
            }
        }
        Ok((offset, len))
    }

    /// k slices by position, data positions first.
    fn choose<'s>(
        &self,
        len: usize,
        shards: &[(u16, &'s [u8])],
    ) -> Result<Vec<(usize, &'s [u8])>, StripeError> {
        let mut by_position = vec![None; usize::from(self.frame.code.n())];
        for (position, slice) in shards {
            let j = self.frame.position(*position)?;
            same_len(len, slice)?;
            by_position[j] = Some(*slice);
        }
        let need = self.frame.code.k();
        let chosen: Vec<_> = by_position
            .into_iter()
            .enumerate()
            .filter_map(|(j, slice)| Some((j, slice?)))
            .take(usize::from(need))
            .collect();
        let got = chosen.len();
        if got < usize::from(need) {
            return Err(StripeError::TooFew { need, got });
        }
        Ok(chosen)
    }

    /// k = 1: any position's slice is the data.
    fn copy_back<'i, 's: 'i>(
        &mut self,
        offset: u64,
        mut parity: impl Iterator<Item = &'i (usize, &'s [u8])>,
    ) {
        if let Some((j, slice)) = parity.next() {
            let row = self.data.row_mut(0);
            row.copy_from_slice(slice);
            self.masks[*j].apply(offset, row);
        }
    }

    /// Computes the data slices that are missing from those that are here and the parity.
    fn solve<'i, 's: 'i>(
        &mut self,
        offset: u64,
        len: usize,
        have: &[bool],
        parity: impl Iterator<Item = &'i (usize, &'s [u8])>,
    ) {
        const FITS: &str = "k distinct slices of the stripe's length, as choose() gave them";
        let code = self.frame.code;
        let (k, m) = (usize::from(code.k()), usize::from(code.parity()));
        let (decoder_len, decoder) = self
            .decoder
            .get_or_insert_with(|| (len, ReedSolomonDecoder::new(k, m, len).expect(FITS)));
        if *decoder_len != len {
            decoder.reset(k, m, len).expect(FITS);
            *decoder_len = len;
        }
        for j in (0..k).filter(|j| have[*j]) {
            decoder.add_original_shard(j, self.data.row(j)).expect(FITS);
        }
        for (j, slice) in parity {
            self.scratch.clear();
            self.scratch.extend_from_slice(slice);
            self.masks[*j].apply(offset, &mut self.scratch);
            decoder
                .add_recovery_shard(j - k, &self.scratch)
                .expect(FITS);
        }
        let solved = decoder.decode().expect(FITS);
        for (j, slice) in solved.restored_original_iter() {
            self.data.row_mut(j).copy_from_slice(slice);
        }
    }
}

fn masks(code: Code, mask_key: &[u8; 32]) -> Vec<Mask> {
    (0..code.n()).map(|j| Mask::new(mask_key, j)).collect()
}

impl fmt::Debug for StripeEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripeEncoder")
            .field("code", &self.frame.code)
            .field("shard_len", &self.frame.shard_len)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StripeDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripeDecoder")
            .field("code", &self.frame.code)
            .field("shard_len", &self.frame.shard_len)
            .finish_non_exhaustive()
    }
}
