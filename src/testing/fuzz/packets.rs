//! Bytes cut into packets, as the network may do it.

/// The ways in which `data` is to be fed: whole, byte by byte, and cut at places of its own choice.
pub(super) struct Packets<'a> {
    pub(super) bytes: &'a [u8],
    seed: u64,
}

impl<'a> Packets<'a> {
    /// The first two bytes choose the places.
    pub(super) fn of(data: &'a [u8]) -> Option<Self> {
        let (seed, bytes) = data.split_first_chunk::<2>()?;
        let seed = u64::from(u16::from_le_bytes(*seed));
        Some(Self { bytes, seed })
    }

    /// Every way of cutting, each as the pieces in order.
    pub(super) fn ways(&self) -> [Vec<&'a [u8]>; 3] {
        // Many single bytes are slow and show no more than some.
        let step = 1 + self.bytes.len() / 4_096;
        [
            vec![self.bytes],
            self.bytes.chunks(step).collect(),
            self.random(),
        ]
    }

    fn random(&self) -> Vec<&'a [u8]> {
        let mut state = self.seed;
        let mut pieces = Vec::new();
        let mut rest = self.bytes;
        while !rest.is_empty() {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            // Mostly a few bytes, sometimes many.
            let most = 1 << (mixed >> 60);
            let length = 1 + usize::try_from((mixed >> 20) % most).unwrap_or(0);
            let (piece, after) = rest.split_at(length.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces
    }
}
