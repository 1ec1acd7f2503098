//! Bytes from rows to columns, eight by eight in registers.

/// Writes `to[at * stride + row] = rows[row * width + at]` for whole rows of `width` bytes, at most `stride` of them.
pub fn turn(rows: &[u8], width: usize, to: &mut [u8], stride: usize) {
    let (eights, rest) = rows.split_at(rows.len() / (8 * width) * (8 * width));
    let mut start = 0;
    for rows in eights.chunks_exact(8 * width) {
        let each: [&[u8]; 8] = std::array::from_fn(|row| &rows[row * width..][..width]);
        for (at, columns) in (0..width / 8).zip(to.chunks_mut(8 * stride)) {
            let number = |row: usize| each[row][at * 8..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            let turned = turn_eight(std::array::from_fn(number));
            for (offset, codes) in turned.into_iter().enumerate() {
                columns[offset * stride + start..][..8].copy_from_slice(&codes.to_le_bytes());
            }
        }
        for at in width / 8 * 8..width {
            for (offset, row) in rows.chunks_exact(width).enumerate() {
                to[at * stride + start + offset] = row[at];
            }
        }
        start += 8;
    }
    for (offset, row) in rest.chunks_exact(width).enumerate() {
        for (at, &code) in row.iter().enumerate() {
            to[at * stride + start + offset] = code;
        }
    }
}

/// An 8 x 8 matrix of bytes, a row per number (its lowest byte first), turned: corners change places, then corners of
/// corners (Warren, Hacker's Delight, 7-3, on bytes). Written out: as a loop it ran at a third of the speed.
#[inline(always)]
fn turn_eight([mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h]: [u64; 8]) -> [u64; 8] {
    #[inline(always)]
    fn swap(above: &mut u64, below: &mut u64, shift: u32, mask: u64) {
        let changed = ((*above >> shift) ^ *below) & mask;
        *below ^= changed;
        *above ^= changed << shift;
    }
    const FOUR: u64 = 0x0000_0000_ffff_ffff;
    swap(&mut a, &mut e, 32, FOUR);
    swap(&mut b, &mut f, 32, FOUR);
    swap(&mut c, &mut g, 32, FOUR);
    swap(&mut d, &mut h, 32, FOUR);
    const TWO: u64 = 0x0000_ffff_0000_ffff;
    swap(&mut a, &mut c, 16, TWO);
    swap(&mut b, &mut d, 16, TWO);
    swap(&mut e, &mut g, 16, TWO);
    swap(&mut f, &mut h, 16, TWO);
    const ONE: u64 = 0x00ff_00ff_00ff_00ff;
    swap(&mut a, &mut b, 8, ONE);
    swap(&mut c, &mut d, 8, ONE);
    swap(&mut e, &mut f, 8, ONE);
    swap(&mut g, &mut h, 8, ONE);
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_finds_its_place() {
        for (n_rows, width) in [(0, 3), (1, 1), (7, 9), (8, 8), (16, 24), (19, 21), (64, 434)] {
            let bytes: Vec<u8> = (0..n_rows * width).map(|at| (at * 31 % 251) as u8).collect();
            let stride = n_rows + 5;
            let mut columns = vec![0; stride * width];
            turn(&bytes, width, &mut columns, stride);
            for row in 0..n_rows {
                for at in 0..width {
                    assert_eq!(columns[at * stride + row], bytes[row * width + at]);
                }
            }
            let beside = columns.iter().enumerate().filter(|(at, _)| at % stride >= n_rows);
            assert!(beside.into_iter().all(|(_, &byte)| byte == 0), "wrote beside its place");
        }
    }
}
