//! Seeds by label: `seed.derive("fold", 3)` is a hash, not a draw, so no order of work can change it.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// 32 bytes from which a generator starts or further seeds are derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// The seed of a whole run.
    pub fn new(seed: u64) -> Seed {
        Seed([0; 32]).derive("fraudml", seed)
    }

    /// The seed of a labelled part: SHA-256 over this seed, the label and the index.
    pub fn derive(self, label: &str, index: u64) -> Seed {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(label.as_bytes());
        hash.update([0]);
        hash.update(index.to_le_bytes());
        Seed(hash.finalize().into())
    }

    pub fn rng(self) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(self.0)
    }
}
