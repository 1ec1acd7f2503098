//! Sixteen bytes in one vector: the operations that the search wants and that compilers do not find in loops over arrays.
//!
//! SSE2, which every x86-64 has (and three-operand forms within wider dispatch); plain loops elsewhere.

/// Bytes side by side.
pub const LANES: usize = 16;

/// Calls what is compiled for each number of columns with the one there is: from 1 to [`LANES`].
macro_rules! with_number_of_columns {
    ($n:expr, $N:ident => $call:expr) => {
        with_number_of_columns!(@ $n, $N, $call, 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
    };
    (@ $n:expr, $N:ident, $call:expr, $($number:literal)*) => {
        match $n {
            $($number => {
                const $N: usize = $number;
                $call
            })*
            n => unreachable!("{n} columns at once: from 1 to {LANES}"),
        }
    };
}
pub(super) use with_number_of_columns;

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::x86_64::__m128i;

    use pulp::core_arch::x86::Sse2;

    use super::LANES;

    /// The leave to use the processor's instructions.
    #[derive(Clone, Copy)]
    pub struct Vectors(Sse2);

    pub type Sixteen = __m128i;

    impl Vectors {
        #[inline(always)]
        pub fn new() -> Self {
            Self(Sse2::try_new().unwrap_or_else(|| unreachable!("every x86-64 has SSE2")))
        }

        #[inline(always)]
        pub fn of(self, bytes: [u8; LANES]) -> Sixteen {
            pulp::cast(bytes)
        }

        #[inline(always)]
        pub fn all(self, byte: u8) -> Sixteen {
            self.0._mm_set1_epi8(byte as i8)
        }

        #[inline(always)]
        pub fn bytes(self, bytes: Sixteen) -> [u8; LANES] {
            pulp::cast(bytes)
        }

        #[inline(always)]
        pub fn min(self, a: Sixteen, b: Sixteen) -> Sixteen {
            self.0._mm_min_epu8(a, b)
        }

        #[inline(always)]
        pub fn max(self, a: Sixteen, b: Sixteen) -> Sixteen {
            self.0._mm_max_epu8(a, b)
        }

        #[inline(always)]
        pub fn add(self, a: Sixteen, b: Sixteen) -> Sixteen {
            self.0._mm_add_epi8(a, b)
        }

        #[inline(always)]
        pub fn and(self, a: Sixteen, b: Sixteen) -> Sixteen {
            self.0._mm_and_si128(a, b)
        }

        /// 255 where `a` is at most `b`, else 0.
        #[inline(always)]
        pub fn at_most(self, a: Sixteen, b: Sixteen) -> Sixteen {
            self.0._mm_cmpeq_epi8(self.min(a, b), a)
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86_64::Vectors;

#[cfg(any(test, not(target_arch = "x86_64")))]
mod plain {
    use super::LANES;

    #[derive(Clone, Copy)]
    pub struct Vectors;

    pub type Sixteen = [u8; LANES];

    impl Vectors {
        #[inline(always)]
        pub fn new() -> Self {
            Self
        }

        #[inline(always)]
        pub fn of(self, bytes: [u8; LANES]) -> Sixteen {
            bytes
        }

        #[inline(always)]
        pub fn all(self, byte: u8) -> Sixteen {
            [byte; LANES]
        }

        #[inline(always)]
        pub fn bytes(self, bytes: Sixteen) -> [u8; LANES] {
            bytes
        }

        #[inline(always)]
        pub fn min(self, a: Sixteen, b: Sixteen) -> Sixteen {
            std::array::from_fn(|lane| a[lane].min(b[lane]))
        }

        #[inline(always)]
        pub fn max(self, a: Sixteen, b: Sixteen) -> Sixteen {
            std::array::from_fn(|lane| a[lane].max(b[lane]))
        }

        #[inline(always)]
        pub fn add(self, a: Sixteen, b: Sixteen) -> Sixteen {
            std::array::from_fn(|lane| a[lane].wrapping_add(b[lane]))
        }

        #[inline(always)]
        pub fn and(self, a: Sixteen, b: Sixteen) -> Sixteen {
            std::array::from_fn(|lane| a[lane] & b[lane])
        }

        /// 255 where `a` is at most `b`, else 0.
        #[inline(always)]
        pub fn at_most(self, a: Sixteen, b: Sixteen) -> Sixteen {
            std::array::from_fn(|lane| if a[lane] <= b[lane] { 255 } else { 0 })
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub use plain::Vectors;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_do_what_loops_do() {
        let some = |shift: u32| std::array::from_fn(|lane| ((lane as u32 * 37 + shift * 91) >> (shift % 3)) as u8);
        let (fast, slow) = (Vectors::new(), plain::Vectors::new());
        for shift in 0..200 {
            let (a, b) = (some(shift), some(shift * 7 + 3));
            let (x, y) = (fast.of(a), fast.of(b));
            let pairs = [
                (fast.min(x, y), slow.min(a, b)),
                (fast.max(x, y), slow.max(a, b)),
                (fast.add(x, y), slow.add(a, b)),
                (fast.and(x, y), slow.and(a, b)),
                (fast.at_most(x, y), slow.at_most(a, b)),
                (fast.all(a[1]), slow.all(a[1])),
            ];
            for (found, expected) in pairs {
                assert_eq!(fast.bytes(found), slow.bytes(slow.of(expected)));
            }
        }
    }
}
