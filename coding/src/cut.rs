//! Where a file is cut into blobs: `FastCDC` (v2020, normalisation level 1) whose gear tables carry
//! a seed of the account's own, so that cut points tell nobody which file was cut. The same bytes
//! give the same blobs, however they are fed. Lengths in bytes.

use fastcdc::v2020::{Normalization, cut_gear, get_gear_with_seed, select_masks};
use larder_keys::VaultKeys;
use std::borrow::Cow;
use std::fmt;
use std::io::{ErrorKind, Read};

/// Smallest, average and largest blob of one kind; all even, as `FastCDC` wants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// No blob is shorter, save a file's last.
    pub min: usize,
    /// Where the cut condition is relaxed.
    pub avg: usize,
    /// No blob is longer.
    pub max: usize,
}

/// File contents: 512 KiB / 1 MiB / 8 MiB.
pub const CONTENT: Sizes = Sizes {
    min: 512 << 10,
    avg: 1 << 20,
    max: 8 << 20,
};

/// Directory metadata: 32 / 128 / 512 KiB.
pub const METADATA: Sizes = Sizes {
    min: 32 << 10,
    avg: 128 << 10,
    max: 512 << 10,
};

/// Finds cut points. Cheap to share by reference; it holds no state of a file.
#[derive(Clone)]
pub struct Cutter {
    sizes: Sizes,
    mask_s: u64,
    mask_l: u64,
    gear: Cow<'static, [u64]>,
    gear_ls: Cow<'static, [u64]>,
}

impl Cutter {
    /// The cutter of file contents.
    #[must_use]
    pub fn content(keys: &VaultKeys) -> Self {
        Self::new(keys, CONTENT)
    }

    /// The cutter of directory metadata.
    #[must_use]
    pub fn metadata(keys: &VaultKeys) -> Self {
        Self::new(keys, METADATA)
    }

    fn new(keys: &VaultKeys, sizes: Sizes) -> Self {
        let (mask_s, mask_l) = select_masks(sizes.avg, Normalization::Level1);
        let (gear, gear_ls) = get_gear_with_seed(seed(keys));
        Self {
            sizes,
            mask_s,
            mask_l,
            gear,
            gear_ls,
        }
    }

    /// The sizes it keeps to.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// The length of the next blob at the start of `buf`; `None` if more bytes must come first.
    /// With `eof` (nothing follows `buf`) it is `None` for an empty `buf` only. A buffer of
    /// `sizes().max` bytes always yields one.
    #[must_use]
    pub fn cut(&self, buf: &[u8], eof: bool) -> Option<usize> {
        if buf.is_empty() {
            return None;
        }
        let (_, len) = cut_gear(
            buf,
            self.sizes.min,
            self.sizes.avg,
            self.sizes.max,
            self.mask_s,
            self.mask_l,
            self.mask_s << 1,
            self.mask_l << 1,
            &self.gear,
            &self.gear_ls,
        );
        // A cut inside the buffer stands whatever follows, since the scan runs from the left; one
        // at its end is only where the bytes ran out.
        (len < buf.len() || eof || len >= self.sizes.max).then_some(len)
    }
}

impl fmt::Debug for Cutter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cutter")
            .field("sizes", &self.sizes)
            .finish_non_exhaustive()
    }
}

/// The account's seed: derived, since the gear tables may leak through cut points.
fn seed(keys: &VaultKeys) -> u64 {
    let derived = blake3::derive_key("larder v1 cut seed", keys.blob_id_key());
    let mut first = [0; 8];
    first.copy_from_slice(&derived[..8]);
    u64::from_le_bytes(first)
}

/// How much is asked of the source at a time: about one content blob.
const READ_LEN: usize = 1 << 20;

/// A source's blobs, one after another, in at most `max + 1 MiB` of memory.
pub struct Pieces<'c, R> {
    cutter: &'c Cutter,
    source: R,
    buf: Vec<u8>,
    start: usize,
    end: usize,
    eof: bool,
}

impl<'c, R: Read> Pieces<'c, R> {
    /// The blobs of `source`, from where it stands to its end.
    pub fn new(cutter: &'c Cutter, source: R) -> Self {
        Self {
            cutter,
            source,
            buf: Vec::new(),
            start: 0,
            end: 0,
            eof: false,
        }
    }

    /// The next blob's bytes, `None` at the end. (No `Iterator`: the slice lends the buffer.)
    ///
    /// # Errors
    /// What the source says; the blobs before stand.
    pub fn next_piece(&mut self) -> std::io::Result<Option<&[u8]>> {
        loop {
            if let Some(len) = self.cutter.cut(&self.buf[self.start..self.end], self.eof) {
                let piece = self.start..self.start + len;
                self.start = piece.end;
                return Ok(Some(&self.buf[piece]));
            }
            if self.eof {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    /// Moves what is left to the front and reads a megabyte more.
    fn fill(&mut self) -> std::io::Result<()> {
        self.buf.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let want = self.end + READ_LEN;
        if self.buf.len() < want {
            self.buf.resize(want, 0);
        }
        while self.end < want {
            match self.source.read(&mut self.buf[self.end..want]) {
                Ok(0) => {
                    self.eof = true;
                    break;
                }
                Ok(n) => self.end += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

impl<R> fmt::Debug for Pieces<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces")
            .field("buffered", &(self.end - self.start))
            .field("eof", &self.eof)
            .finish_non_exhaustive()
    }
}
