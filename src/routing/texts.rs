//! A read-only map from texts: why finding a host costs the same among ten thousand as among ten.
//!
//! What a look-up among many costs is cache misses, so it makes two, side by side: the slot, with
//! the value in it, and the key's text, which lies with all others in one buffer. Lengths come
//! first: a text of a length that no key has is refused before anything is hashed, which is how
//! most tries of a wildcard or a path prefix end.
//!
//! The hash is seeded per process, so that nobody can write a config whose keys all collide;
//! requests only read.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

#[derive(Debug)]
pub(super) struct Texts<V> {
    slots: HashTable<Slot<V>>,
    text: Vec<u8>,
    lengths: Lengths,
    seed: RandomState,
}

/// 32 bits for places keep a slot small; a config is nowhere near 4 GiB.
#[derive(Debug)]
struct Slot<V> {
    start: u32,
    length: u32,
    value: V,
}

impl<V> Texts<V> {
    /// The first of two equal keys counts.
    pub(super) fn new<'k>(pairs: impl ExactSizeIterator<Item = (&'k str, V)>) -> Self {
        let mut texts = Self {
            slots: HashTable::with_capacity(pairs.len()),
            text: Vec::new(),
            lengths: Lengths::default(),
            seed: RandomState::default(),
        };
        for (key, value) in pairs {
            texts.insert(key, value);
        }
        texts.text.shrink_to_fit();
        texts
    }

    fn insert(&mut self, key: &str, value: V) {
        const SMALL: &str = "the keys of a config are below 4 GiB";
        if self.get(key).is_some() {
            return;
        }
        let slot = Slot {
            start: u32::try_from(self.text.len()).expect(SMALL),
            length: u32::try_from(key.len()).expect(SMALL),
            value,
        };
        self.text.extend_from_slice(key.as_bytes());
        self.lengths.add(key.len());
        let (seed, text) = (&self.seed, &self.text);
        self.slots
            .insert_unique(hash(seed, key.as_bytes()), slot, |slot| {
                hash(seed, slot.key(text))
            });
    }

    pub(super) fn get(&self, key: &str) -> Option<&V> {
        if !self.lengths.has(key.len()) {
            return None;
        }
        let key = key.as_bytes();
        self.slots
            .find(hash(&self.seed, key), |slot| slot.key(&self.text) == key)
            .map(|slot| &slot.value)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes of the longest key.
    pub(super) fn longest(&self) -> usize {
        self.lengths.longest
    }
}

impl<V> Slot<V> {
    fn key<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize;
        text.get(start..start + self.length as usize)
            .unwrap_or_default()
    }
}

fn hash(seed: &RandomState, key: &[u8]) -> u64 {
    let mut hasher = seed.build_hasher();
    hasher.write(key);
    hasher.finish()
}

/// Which lengths there are: a bit for each up to 254, and one for all that are longer.
#[derive(Debug, Default)]
struct Lengths {
    bits: [u64; 4],
    longest: usize,
}

impl Lengths {
    fn add(&mut self, length: usize) {
        let (word, bit) = Self::place(length);
        if let Some(word) = self.bits.get_mut(word) {
            *word |= bit;
        }
        self.longest = self.longest.max(length);
    }

    fn has(&self, length: usize) -> bool {
        let (word, bit) = Self::place(length);
        length <= self.longest && self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    fn place(length: usize) -> (usize, u64) {
        let at = length.min(255);
        (at / 64, 1 << (at % 64))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_finds_what_a_sorted_map_finds(
            keys in proptest::collection::vec("[ab]{0,6}|a{250,260}", 0..40),
            asked in "[ab]{0,6}|a{250,260}",
        ) {
            let mut sorted = BTreeMap::new();
            for (at, key) in keys.iter().enumerate() {
                sorted.entry(key.as_str()).or_insert(at);
            }
            let texts = Texts::new(keys.iter().map(String::as_str).zip(0..keys.len()));
            for key in keys.iter().chain([&asked]) {
                prop_assert_eq!(texts.get(key), sorted.get(key.as_str()), "{}", key);
            }
            prop_assert_eq!(texts.is_empty(), sorted.is_empty());
            prop_assert_eq!(texts.longest(), keys.iter().map(String::len).max().unwrap_or(0));
        }
    }
}
