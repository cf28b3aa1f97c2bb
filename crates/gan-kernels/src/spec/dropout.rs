//! The key of a dropout mask.

use gan_rng::Key;

/// The sequence that a mask is drawn from: a key's own, or the one that a name has under a key. The latter is what a
/// captured step can find anew at every launch (see [`with_dropout_key`](crate::graph::with_dropout_key)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaskKey {
    pub(crate) key: Key,
    pub(crate) index: Option<u64>,
}

impl MaskKey {
    /// The sequence `key.at_name(name)`.
    pub fn named(key: Key, name: &str) -> Self {
        MaskKey { key, index: Some(Key::index_of(name)) }
    }

    /// The key of the sequence.
    pub(crate) fn sequence(self) -> Key {
        self.index.map_or(self.key, |index| self.key.at(index))
    }
}

impl From<Key> for MaskKey {
    fn from(key: Key) -> Self {
        MaskKey { key, index: None }
    }
}
