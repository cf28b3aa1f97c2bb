//! Decoded images on disk, so that they are decoded once and not once an epoch.
//!
//! An entry is found by its content alone: its name is the BLAKE3 hash of the source file's bytes, of the decoding
//! options, and of the version of this crate. A changed file or option therefore never meets an old entry, renamed and
//! copied files share one, and neither times nor paths matter. Reading and hashing a source takes a small fraction of
//! the time of decoding it, which is why there is no shortcut by size and time of modification.
//!
//! Entries are written under a temporary name and renamed, so processes can share a folder. What cannot be read back
//! whole (its own hash covers every byte) counts as absent and is written again. Failing to *write* an entry, on a full
//! disk say, is no error: the image was decoded and the run goes on. Nothing is ever removed; the folder grows to the
//! size of all decoded images and may be deleted at any time.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use blake3::Hash;
use gan_fs::Durability;

use crate::decode::{AlphaPolicy, DecodeLimits, DecodeOptions, LabelsAs};
use crate::dynamic_image::Image;
use crate::error::{Error, Result};
use crate::ids::IdMap;
use crate::raster::Raster;

const MAGIC: &[u8; 8] = b"GANRASTR";

/// Layout of entries, and which files are taken for whole (2: none that is cut off); part of the magic and of the key.
const VERSION: u32 = 2;

/// Bytes before the samples: magic, then version, kind, depth, channels, width, height (u32 each, little-endian), then
/// the key, then the hash of everything else.
const HEADER: usize = 8 + 6 * 4 + 32 + 32;

/// Where in the header the hash of the entry lies.
const HASH_AT: usize = HEADER - 32;

/// What the samples of an entry are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image = 0,
    Ids = 1,
}

/// A folder of decoded images.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

/// An entry in memory: samples of 8, 16 or 32 bits, little-endian, interleaved, row by row.
struct Entry {
    depth: u32,
    size: (usize, usize),
    channels: usize,
    samples: Vec<u8>,
}

impl Cache {
    /// A cache in `folder`, which is made if need be.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|e| Error::io("create the cache folder", folder, e))?;
        Ok(Self { folder: folder.to_path_buf() })
    }

    /// The image in a file of the given content.
    pub(crate) fn image(
        &self,
        content: &[u8],
        options: &DecodeOptions,
        decode: impl FnOnce() -> Result<Image>,
    ) -> Result<Image> {
        let key = key(Kind::Image, content, options);
        if let Some(image) = self.load(Kind::Image, key).and_then(Entry::into_image) {
            return Ok(image);
        }
        let image = decode()?;
        self.store(Kind::Image, key, &Entry::from_image(&image));
        Ok(image)
    }

    /// The map of ids in a file of the given content.
    pub(crate) fn ids(
        &self,
        content: &[u8],
        options: &DecodeOptions,
        decode: impl FnOnce() -> Result<IdMap>,
    ) -> Result<IdMap> {
        let key = key(Kind::Ids, content, options);
        if let Some(ids) = self.load(Kind::Ids, key).and_then(Entry::into_ids) {
            return Ok(ids);
        }
        let ids = decode()?;
        self.store(Kind::Ids, key, &Entry::from_ids(&ids));
        Ok(ids)
    }

    /// Entries are spread over 256 folders: file systems and people dislike very large ones.
    fn path(&self, key: Hash) -> PathBuf {
        let name = key.to_hex();
        self.folder.join(&name[..2]).join(format!("{}.raster", &name[2..]))
    }

    /// The entry, if there is one and it is whole.
    fn load(&self, kind: Kind, key: Hash) -> Option<Entry> {
        let (mut file, metadata) = gan_fs::open_regular(&self.path(key)).ok()?;
        let mut header = [0; HEADER];
        file.read_exact(&mut header).ok()?;
        let field = |index: usize| {
            let at = MAGIC.len() + 4 * index;
            header[at..at + 4].try_into().map(u32::from_le_bytes).unwrap_or(u32::MAX)
        };
        let (depth, channels) = (field(2), field(3) as usize);
        let size = (field(4) as usize, field(5) as usize);
        let bytes = size.0.checked_mul(size.1)?.checked_mul(channels)?.checked_mul(depth as usize / 8)?;
        // Nothing is allocated for a header that does not fit its file.
        if metadata.len() != (HEADER as u64).checked_add(bytes as u64)? {
            return None;
        }
        let mut samples = Vec::with_capacity(bytes);
        file.take(bytes as u64).read_to_end(&mut samples).ok()?;
        let entry = Entry { depth, size, channels, samples };
        // Rebuilding the header checks all of it at once: magic, version, kind, key and hash.
        (entry.samples.len() == bytes && entry.header(kind, key) == header).then_some(entry)
    }

    /// Keeps an entry if the disk allows.
    fn store(&self, kind: Kind, key: Hash, entry: &Entry) {
        let path = self.path(key);
        if fs::create_dir_all(gan_fs::parent(&path)).is_err() {
            return;
        }
        let header = entry.header(kind, key);
        // Without it, the image is decoded again.
        let _ = gan_fs::replace(&path, Durability::Visible, |file| {
            file.write_all(&header)?;
            file.write_all(&entry.samples)
        });
    }
}

/// The name of an entry. What decides about its samples is all in here.
fn key(kind: Kind, content: &[u8], options: &DecodeOptions) -> Hash {
    // Named one by one: a new option cannot be forgotten here.
    let DecodeOptions { limits, alpha, exif, labels_as, page } = options;
    let DecodeLimits { max_pixels, max_bytes, max_side } = limits;
    let alpha = match alpha {
        AlphaPolicy::Drop => "drop",
        AlphaPolicy::Keep => "keep",
        AlphaPolicy::Composite => "composite",
    };
    let crate_version = env!("CARGO_PKG_VERSION");
    let mut options =
        format!("{VERSION} {crate_version} {kind:?} alpha={alpha} exif={exif} {max_pixels} {max_bytes} {max_side}",);
    // Entries of earlier versions stay good for what those could read.
    if (*labels_as, *page) != (LabelsAs::Ids, 0) {
        options += &format!(" labels_as={labels_as:?} page={page}");
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(options.len() as u64).to_le_bytes()).update(options.as_bytes()).update(content);
    hasher.finalize()
}

impl Entry {
    fn header(&self, kind: Kind, key: Hash) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..MAGIC.len()].copy_from_slice(MAGIC);
        let [channels, width, height] = [self.channels, self.size.0, self.size.1].map(|v| v as u32);
        let fields = [VERSION, kind as u32, self.depth, channels, width, height];
        for (to, field) in header[MAGIC.len()..].chunks_exact_mut(4).zip(fields) {
            to.copy_from_slice(&field.to_le_bytes());
        }
        header[HASH_AT - 32..HASH_AT].copy_from_slice(key.as_bytes());
        let hash = blake3::Hasher::new().update(&header[..HASH_AT]).update(&self.samples).finalize();
        header[HASH_AT..].copy_from_slice(hash.as_bytes());
        header
    }

    fn new<T: Copy + Default>(depth: u32, raster: &Raster<T>, samples: Vec<u8>) -> Self {
        Self { depth, size: raster.size(), channels: raster.channels(), samples }
    }

    fn from_image(image: &Image) -> Self {
        match image {
            Image::U8(raster) => Self::new(8, raster, raster.samples().to_vec()),
            Image::U16(raster) => Self::new(16, raster, packed(raster.samples(), |s| s.to_le_bytes())),
        }
    }

    /// Ids take as few bytes as the largest of them needs.
    fn from_ids(ids: &IdMap) -> Self {
        let raster = ids.raster();
        let samples = raster.samples();
        let most = samples.iter().copied().max().unwrap_or(0);
        if most <= u32::from(u8::MAX) {
            Self::new(8, raster, packed(samples, |s| [s as u8]))
        } else if most <= u32::from(u16::MAX) {
            Self::new(16, raster, packed(samples, |s| (s as u16).to_le_bytes()))
        } else {
            Self::new(32, raster, packed(samples, |s| s.to_le_bytes()))
        }
    }

    fn into_image(self) -> Option<Image> {
        let ((width, height), channels) = (self.size, self.channels);
        match self.depth {
            8 => Some(Image::U8(Raster::new(width, height, channels, self.samples))),
            16 => Some(Image::U16(Raster::new(width, height, channels, unpacked(&self.samples, u16::from_le_bytes)))),
            _ => None,
        }
    }

    fn into_ids(self) -> Option<IdMap> {
        let ids = match self.depth {
            8 => self.samples.iter().map(|&s| u32::from(s)).collect(),
            16 => unpacked(&self.samples, |s| u32::from(u16::from_le_bytes(s))),
            32 => unpacked(&self.samples, u32::from_le_bytes),
            _ => return None,
        };
        (self.channels == 1).then(|| IdMap::new(Raster::new(self.size.0, self.size.1, 1, ids)))
    }
}

fn packed<T: Copy, const N: usize>(samples: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    samples.iter().flat_map(|&sample| bytes(sample)).collect()
}

fn unpacked<T, const N: usize>(bytes: &[u8], sample: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|&chunk| sample(chunk)).collect()
}
