//! The static action runner: the one embedded by the build script, or one that the caller brings.

use super::elf::{self, Arch};
use super::gzip;
use crate::training::error::{Error, Result};

static EMBEDDED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/fraudml-action.gz"));

/// A static executable and the processor it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    pub arch: Arch,
    pub bytes: Vec<u8>,
}

impl Runner {
    /// The runner built along with this program.
    pub fn embedded() -> Result<Runner> {
        let missing = || {
            Error::failed("this build of fraudml holds no action runner: it was not made for Linux")
                .hint("name a static Linux runner with `--runner amd64=PATH`")
        };
        let bytes = gzip::decompress(EMBEDDED).ok_or_else(missing)?;
        let arch = elf::static_executable(&bytes).map_err(|why| Error::failed(format!("the action runner {why}")))?;
        Ok(Runner { arch, bytes })
    }

    /// A runner given as `ARCH=PATH`, already read; `named` is what messages call it.
    pub fn given(arch: &str, named: &str, bytes: Vec<u8>) -> Result<Runner> {
        let hint = "build it with `--no-default-features` and `-C target-feature=+crt-static`";
        let found = elf::static_executable(&bytes)
            .map_err(|why| Error::permanent(format!("runner `{named}` {why}")).hint(hint))?;
        if found.as_str() != arch {
            let message = format!("runner `{named}`: expected architecture `{arch}`, found `{}`", found.as_str());
            return Err(Error::permanent(message));
        }
        Ok(Runner { arch: found, bytes })
    }
}
