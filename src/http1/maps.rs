//! Header maps that were used before.
//!
//! A map for an ordinary head is 2.5 KiB in two pieces. Two of them a request come from here, warm,
//! instead of from the allocator, which has a slower way for pieces of that size.

use std::cell::RefCell;

use http::HeaderMap;

/// Maps that a thread keeps.
const KEPT_MAX: usize = 64;
/// Larger ones are left to the allocator.
const CAPACITY_MAX: usize = 48;

thread_local! {
    static SPARE: RefCell<Vec<HeaderMap>> = const { RefCell::new(Vec::new()) };
}

/// An empty map with room for so many fields.
pub(super) fn spare(capacity: usize) -> HeaderMap {
    let spare = SPARE.with_borrow_mut(Vec::pop);
    let spare = spare.filter(|map| map.capacity() >= capacity);
    spare.unwrap_or_else(|| HeaderMap::with_capacity(capacity))
}

/// Keeps a map that nobody needs any more.
pub(crate) fn recycle(mut map: HeaderMap) {
    if map.capacity() == 0 || map.capacity() > CAPACITY_MAX {
        return;
    }
    // Now, and not when it is used again: the fields hold on to the buffer that they lie in.
    map.clear();
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < KEPT_MAX {
            spare.push(map);
        }
    });
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_map_that_comes_back_is_empty_and_large_enough() {
        let mut map = HeaderMap::with_capacity(16);
        map.append("x", HeaderValue::from_static("1"));
        map.append("x", HeaderValue::from_static("2"));
        recycle(map);
        let again = spare(10);
        assert!(again.is_empty() && again.capacity() >= 10);
        recycle(again);
        let larger = spare(40);
        assert!(larger.is_empty() && larger.capacity() >= 40);
    }
}
