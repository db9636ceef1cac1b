//! Whole segments through the stripes: C ⇄ n shards over readers and writers, hashing on the way.
//! Memory: a few MiB (about 2n rows of 64 KiB), whatever the segment's length. `docs/protocol.md` §3.2.

use crate::layout::{Code, STRIPE_LEN, decode_step, shard_len, stripe_range, stripes};
use crate::stripes::{StripeDecoder, StripeEncoder, StripeError};
use larder_types::ShardRoot;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

/// Why a segment could not be coded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum ShardsError {
    /// A source or a sink failed.
    #[error("reading or writing a shard")]
    Io(#[from] io::Error),
    /// Sources and code do not fit.
    #[error(transparent)]
    Stripe(#[from] StripeError),
    /// Not one sink for each position.
    #[error("{got} sinks for {want} positions")]
    Sinks {
        /// Positions to be written.
        want: usize,
        /// Sinks given.
        got: usize,
    },
}

/// Encodes C, all `segment_len` bytes of `source` from its start, into one sink for each of the n
/// positions. Gives the n roots `R_j`.
///
/// # Errors
/// [`ShardsError`]; then what the sinks hold is of no use.
pub fn encode_segment<R: Read + Seek, W: Write>(
    code: Code,
    mask_key: &[u8; 32],
    source: &mut R,
    segment_len: u64,
    sinks: &mut [W],
) -> Result<Vec<ShardRoot>, ShardsError> {
    let (k, n) = (code.k(), usize::from(code.n()));
    expect_sinks(n, sinks)?;
    let shard_len = shard_len(segment_len, k);
    let mut encoder = StripeEncoder::new(code, shard_len, mask_key)?;
    let mut hashers = vec![blake3::Hasher::new(); n];
    let mut data = vec![0; usize::from(k) * STRIPE_LEN];
    for stripe in 0..stripes(shard_len) {
        let range = stripe_range(shard_len, stripe);
        let len = span(&range);
        for (j, row) in (0..k).zip(data.chunks_exact_mut(len)) {
            read_padded(
                source,
                u64::from(j) * shard_len + range.start,
                segment_len,
                row,
            )?;
        }
        let rows: Vec<&[u8]> = data.chunks_exact(len).take(k.into()).collect();
        let shards = encoder.encode(&range, &rows)?;
        write_rows(shards, sinks, &mut hashers)?;
    }
    flush(sinks)?;
    Ok(roots(&hashers))
}

/// Decodes C, `segment_len` bytes, into `sink` from the shards of at least k positions. Their
/// roots must have been verified before: nothing here tells a wrong shard from a right one (the
/// blobs inside do).
///
/// # Errors
/// [`ShardsError`]; then what the sink holds is of no use.
pub fn decode_segment<R: Read + Seek, W: Write + Seek>(
    code: Code,
    mask_key: &[u8; 32],
    sources: &mut [(u16, R)],
    segment_len: u64,
    sink: &mut W,
) -> Result<(), ShardsError> {
    let shard_len = shard_len(segment_len, code.k());
    let mut decoder = StripeDecoder::new(code, shard_len, mask_key)?;
    let mut columns = Columns::new(code, sources);
    for range in columns.ranges(shard_len) {
        let rows = columns.read(range.start, span(&range))?;
        let data = decoder.decode(&range, &rows)?;
        for (j, row) in (0_u64..).zip(data) {
            let at = j * shard_len + range.start;
            let inside = segment_len.saturating_sub(at).min(row.len() as u64);
            if inside > 0 {
                sink.seek(SeekFrom::Start(at))?;
                sink.write_all(&row[..span(&(0..inside))])?;
            }
        }
    }
    sink.flush()?;
    Ok(())
}

/// Rebuilds the shards of the positions `missing`, `shard_len` bytes each, from those of at least
/// k positions, whose roots must have been verified. Gives the rebuilt shards' roots, which the
/// caller compares with the manifest's.
///
/// # Errors
/// [`ShardsError`]; then what the sinks hold is of no use.
pub fn rebuild_shards<R: Read + Seek, W: Write>(
    code: Code,
    mask_key: &[u8; 32],
    sources: &mut [(u16, R)],
    shard_len: u64,
    missing: &[u16],
    sinks: &mut [W],
) -> Result<Vec<ShardRoot>, ShardsError> {
    expect_sinks(missing.len(), sinks)?;
    let mut decoder = StripeDecoder::new(code, shard_len, mask_key)?;
    let mut hashers = vec![blake3::Hasher::new(); missing.len()];
    let mut columns = Columns::new(code, sources);
    for range in columns.ranges(shard_len) {
        let rows = columns.read(range.start, span(&range))?;
        let rebuilt = decoder.rebuild(&range, &rows, missing)?;
        write_rows(rebuilt, sinks, &mut hashers)?;
    }
    flush(sinks)?;
    Ok(roots(&hashers))
}

/// The k sources that are read, data positions first, and a buffer for their column.
struct Columns<'s, R> {
    sources: Vec<&'s mut (u16, R)>,
    buf: Vec<u8>,
    step: usize,
}

impl<'s, R: Read + Seek> Columns<'s, R> {
    fn new(code: Code, sources: &'s mut [(u16, R)]) -> Self {
        let mut sources: Vec<_> = sources.iter_mut().collect();
        sources.sort_by_key(|(j, _)| *j);
        sources.dedup_by_key(|(j, _)| *j);
        sources.truncate(code.k().into());
        let all_data = sources.last().is_some_and(|(j, _)| *j < code.k());
        let step = if all_data {
            STRIPE_LEN
        } else {
            decode_step(code)
        };
        let buf = vec![0; sources.len() * step];
        Self { sources, buf, step }
    }

    /// The columns that are read at a time.
    fn ranges(&self, shard_len: u64) -> impl Iterator<Item = Range<u64>> + use<R> {
        let step = self.step as u64;
        (0..shard_len.div_ceil(step)).map(move |i| i * step..((i + 1) * step).min(shard_len))
    }

    fn read(&mut self, at: u64, len: usize) -> io::Result<Vec<(u16, &[u8])>> {
        for ((_, source), row) in self
            .sources
            .iter_mut()
            .map(|s| &mut **s)
            .zip(self.buf.chunks_exact_mut(len))
        {
            source.seek(SeekFrom::Start(at))?;
            source.read_exact(row)?;
        }
        let positions = self.sources.iter().map(|s| s.0);
        Ok(positions.zip(self.buf.chunks_exact(len)).collect())
    }
}

/// Bytes of C at `at`, zeros beyond its end.
fn read_padded<R: Read + Seek>(
    source: &mut R,
    at: u64,
    segment_len: u64,
    row: &mut [u8],
) -> io::Result<()> {
    let inside = segment_len.saturating_sub(at).min(row.len() as u64);
    let (front, rest) = row.split_at_mut(span(&(0..inside)));
    rest.fill(0);
    if front.is_empty() {
        return Ok(());
    }
    source.seek(SeekFrom::Start(at))?;
    source.read_exact(front)
}

/// Writes each row to its sink and hashes it.
fn write_rows<'r, W: Write>(
    rows: impl Iterator<Item = &'r [u8]>,
    sinks: &mut [W],
    hashers: &mut [blake3::Hasher],
) -> io::Result<()> {
    for ((row, sink), hasher) in rows.zip(sinks).zip(hashers) {
        hasher.update(row);
        sink.write_all(row)?;
    }
    Ok(())
}

fn expect_sinks<W>(want: usize, sinks: &[W]) -> Result<(), ShardsError> {
    let got = sinks.len();
    if got == want {
        Ok(())
    } else {
        Err(ShardsError::Sinks { want, got })
    }
}

fn flush<W: Write>(sinks: &mut [W]) -> io::Result<()> {
    sinks.iter_mut().try_for_each(Write::flush)
}

fn roots(hashers: &[blake3::Hasher]) -> Vec<ShardRoot> {
    let root = |h: &blake3::Hasher| ShardRoot(*h.finalize().as_bytes());
    hashers.iter().map(root).collect()
}

/// A stripe's length as a `usize`.
fn span(range: &Range<u64>) -> usize {
    usize::try_from(range.end - range.start).expect("at most a MiB of columns at a time")
}
