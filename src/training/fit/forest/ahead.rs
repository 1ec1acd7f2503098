//! Codes that will be read soon: the processor is told, and brings them while others are worked on.
//!
//! A node's rows lie apart, and a processor does not guess where the next one is. Told six rows ahead, histograms filled row by
//! row from the second cache take a third less time, copies of rows from the third cache half.

/// How many rows ahead.
pub const AHEAD: usize = 6;

/// These bytes are about to be read: a hint, which changes no result.
#[inline(always)]
#[allow(unsafe_code)]
pub fn expect(bytes: &[u8]) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    for line in bytes.chunks(LINE) {
        // SAFETY: the address is that of a byte of the slice, and the instruction reads nothing.
        unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line.as_ptr().cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = bytes;
}

/// Bytes that come together.
pub const LINE: usize = 64;
