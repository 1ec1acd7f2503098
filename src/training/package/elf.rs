//! Whether a file is a static 64-bit Linux executable, read from its ELF header; any bytes are safe to pass.
//!
//! An image made FROM scratch has no dynamic loader: a program that asks for one (PT_INTERP) can't start in it, with an
//! error message that blames the program's own name. Also part of the build script, hence without imports from this crate.

/// The processor, by the name OCI uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arch {
    Amd64,
    Arm64,
}

#[allow(dead_code)] // the build script only checks
impl Arch {
    pub fn as_str(self) -> &'static str {
        match self {
            Arch::Amd64 => "amd64",
            Arch::Arm64 => "arm64",
        }
    }
}

const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;
const PROGRAM_HEADER_BYTES: usize = 56;

/// The processor of a static executable, or what is wrong with it.
pub fn static_executable(bytes: &[u8]) -> Result<Arch, String> {
    let u16_at = |at: usize| bytes.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    if bytes.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err("is not a 64-bit little-endian ELF file".into());
    }
    let cut = || "is cut off".to_string();
    let arch = match (u16_at(16).ok_or_else(cut)?, u16_at(18).ok_or_else(cut)?) {
        (2 | 3, 62) => Arch::Amd64,
        (2 | 3, 183) => Arch::Arm64,
        (2 | 3, machine) => return Err(format!("is for ELF machine {machine}: expected 62 (amd64) or 183 (arm64)")),
        _ => return Err("is not an executable".into()),
    };
    let start = bytes.get(32..40).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes).ok_or_else(cut)?;
    let (size, count) = (u16_at(54).ok_or_else(cut)?, u16_at(56).ok_or_else(cut)?);
    let length = usize::from(count) * PROGRAM_HEADER_BYTES;
    let start = usize::try_from(start).ok().filter(|start| start.checked_add(length).is_some()).ok_or_else(cut)?;
    let headers = bytes.get(start..start + length).ok_or_else(cut)?;
    if usize::from(size) != PROGRAM_HEADER_BYTES || count == 0 {
        return Err("has no program headers".into());
    }
    if bytes.get(24..32).is_none_or(|entry| entry == [0; 8]) {
        return Err("has no entry point: it is a library".into());
    }
    let interpreted = headers.chunks_exact(PROGRAM_HEADER_BYTES).any(|header| header[..4] == PT_INTERP.to_le_bytes());
    if interpreted {
        return Err("is linked dynamically: it asks for an interpreter".into());
    }
    if headers.chunks_exact(PROGRAM_HEADER_BYTES).any(|header| needs_libraries(bytes, header)) {
        return Err("is linked dynamically: it needs libraries".into());
    }
    Ok(arch)
}

/// Whether the header is PT_DYNAMIC and its table has a DT_NEEDED entry.
fn needs_libraries(bytes: &[u8], header: &[u8]) -> bool {
    let u64_at =
        |bytes: &[u8], at: usize| bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
    if header[..4] != PT_DYNAMIC.to_le_bytes() {
        return false;
    }
    let range = u64_at(header, 8).zip(u64_at(header, 32));
    let table = range.and_then(|(start, length)| {
        let start = usize::try_from(start).ok()?;
        bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)
    });
    table.is_some_and(|table| table.chunks_exact(16).any(|entry| u64_at(entry, 0) == Some(DT_NEEDED)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A static amd64 executable of one program header of this type.
    fn elf(program_header: u32) -> Vec<u8> {
        let mut bytes = vec![0; 64 + PROGRAM_HEADER_BYTES];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[16..20].copy_from_slice(&[3, 0, 62, 0]);
        bytes[24] = 1;
        bytes[32] = 64;
        bytes[54] = PROGRAM_HEADER_BYTES as u8;
        bytes[56] = 1;
        bytes[64..68].copy_from_slice(&program_header.to_le_bytes());
        bytes
    }

    #[test]
    fn an_interpreter_is_refused() {
        assert_eq!(static_executable(&elf(1)), Ok(Arch::Amd64));
        assert!(static_executable(&elf(PT_INTERP)).unwrap_err().contains("dynamically"));
        let test_program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(static_executable(&test_program).unwrap_err().contains("dynamically"));
        let mut library = elf(1);
        library[24] = 0;
        assert!(static_executable(&library).unwrap_err().contains("library"));
        let mut needy = elf(PT_DYNAMIC);
        (needy[72], needy[96]) = (120, 16);
        needy.extend([1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
        assert!(static_executable(&needy).unwrap_err().contains("needs libraries"));
    }

    #[test]
    fn no_bytes_can_make_it_panic() {
        let good = elf(1);
        for length in 0..good.len() {
            assert!(static_executable(&good[..length]).is_err(), "cut at {length}");
        }
        for at in 0..64 {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = value;
                let _ = static_executable(&bytes);
            }
        }
        let mut far = good;
        far[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(static_executable(&far).is_err());
    }
}
