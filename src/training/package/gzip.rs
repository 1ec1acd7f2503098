//! Gzip whose bytes depend on the input alone: our own header and trailer around one fixed deflate implementation.
//!
//! (flate2 picks its backend by the features of the whole build, and some backends look at the CPU.) Also part of the
//! build script, hence without imports from this crate.

const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
const LEVEL: u8 = 6;

/// Compresses: no name, no time, no operating system.
pub fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut packed = HEADER.to_vec();
    packed.extend(miniz_oxide::deflate::compress_to_vec(bytes, LEVEL));
    packed.extend(crc32fast::hash(bytes).to_le_bytes());
    packed.extend((bytes.len() as u32).to_le_bytes());
    packed
}

/// Undoes [`compress`]; `None` for anything that it did not write.
#[allow(dead_code)] // the build script only compresses
pub fn decompress(packed: &[u8]) -> Option<Vec<u8>> {
    let deflated = packed.strip_prefix(&HEADER)?.split_last_chunk::<8>()?;
    let bytes = miniz_oxide::inflate::decompress_to_vec(deflated.0).ok()?;
    (deflated.1[..4] == crc32fast::hash(&bytes).to_le_bytes()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back_and_what_is_damaged_does_not() {
        let bytes: Vec<u8> = (0..100_000u32).flat_map(|at| (at / 7).to_le_bytes()).collect();
        let packed = compress(&bytes);
        assert!(packed.len() < bytes.len());
        assert_eq!(decompress(&packed), Some(bytes));
        assert_eq!(decompress(&compress(b"")), Some(Vec::new()));
        for at in [0, 20, packed.len() - 6] {
            let mut damaged = packed.clone();
            damaged[at] ^= 0x10;
            assert_eq!(decompress(&damaged), None);
        }
        assert_eq!(decompress(&[]), None);
    }
}
