//! Builds the static action runner that `fraudml package` puts into images, and leaves it compressed in `OUT_DIR`.
//!
//! Only for the full tool (feature `train`); the runner itself is built without it, so there is no recursion. The nested
//! cargo has a target folder of its own (the outer one is locked) and names its target, because static linking of
//! proc-macros does not work. Its paths are mapped away, so that the bytes do not tell where they were built.
// A build script speaks to cargo by printing, and its folder is nobody else's.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods)]

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "train")]
    runner::embed();
}

#[cfg(feature = "train")]
#[path = "src/training/package/elf.rs"]
mod elf;
#[cfg(feature = "train")]
#[path = "src/training/package/gzip.rs"]
mod gzip;

#[cfg(feature = "train")]
mod runner {
    use std::env;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};

    use super::{elf, gzip};

    const SOURCES: [&str; 8] = [
        "src/scoring",
        "src/serving",
        "src/bin/fraudml-action.rs",
        "src/lib.rs",
        "src/training/package/elf.rs",
        "src/training/package/gzip.rs",
        "Cargo.toml",
        "Cargo.lock",
    ];

    /// What a cell's result depends on beside its inputs.
    const LEARNING: [&str; 3] = ["src/training", "src/scoring", "Cargo.lock"];

    pub fn embed() {
        for source in SOURCES.iter().chain(&LEARNING) {
            println!("cargo:rerun-if-changed={source}");
        }
        println!("cargo:rustc-env=FRAUDML_CODE={:016x}", code_hash());
        let out = folder("OUT_DIR");
        let target = variable("TARGET");
        // An image holds a Linux program; elsewhere `package --runner` names one.
        let packed = if target.contains("-linux-") { gzip::compress(&build(&out, &target)) } else { Vec::new() };
        std::fs::write(out.join("fraudml-action.gz"), packed).expect("OUT_DIR must be writable");
        std::fs::write(out.join("runner-crates.tsv"), crates(&target)).expect("OUT_DIR must be writable");
    }

    /// FNV-1a over the names and bytes of all files that learn: a cell of other code is another cell.
    fn code_hash() -> u64 {
        let root = folder("CARGO_MANIFEST_DIR");
        let mut open: Vec<PathBuf> = LEARNING.iter().map(PathBuf::from).collect();
        let mut files = Vec::new();
        while let Some(path) = open.pop() {
            match std::fs::read_dir(root.join(&path)) {
                Ok(entries) => open.extend(entries.flatten().map(|entry| path.join(entry.file_name()))),
                Err(_) => files.push(path),
            }
        }
        files.sort();
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for file in files {
            let bytes = std::fs::read(root.join(&file)).expect("a source file is readable");
            for byte in file.to_string_lossy().bytes().chain(bytes) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            }
        }
        hash
    }

    fn build(out: &Path, target: &str) -> Vec<u8> {
        // OUT_DIR is <target folder>/<profile>/build/<package>/out.
        let beside = out.ancestors().nth(4).expect("OUT_DIR is deep").join("action-runner");
        if !run(&beside, target, &["--offline"]) && !run(&beside, target, &[]) {
            panic!("the action runner does not build: see cargo's messages above");
        }
        let path = beside.join(target).join("runner/fraudml-action");
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
        if let Err(why) = elf::static_executable(&bytes) {
            panic!("`{}` {why}; an image FROM scratch can't run it", path.display());
        }
        bytes
    }

    /// The crates of the runner: name, version, licence, checksum, a line each.
    fn crates(target: &str) -> String {
        let mut cargo = Command::new(variable("CARGO"));
        cargo.args(["tree", "--locked", "--offline", "--no-default-features", "--edges", "normal", "--prefix", "none"]);
        cargo.args(["--format", "{p}\t{l}", "--target", target]).current_dir(folder("CARGO_MANIFEST_DIR"));
        let printed = cargo.stdin(Stdio::null()).output().expect("cargo runs");
        assert!(printed.status.success(), "cargo tree: {}", String::from_utf8_lossy(&printed.stderr));
        let lock = std::fs::read_to_string(folder("CARGO_MANIFEST_DIR").join("Cargo.lock")).expect("a lock file");
        let checksum = |name: &str, version: &str| {
            let wanted = format!("name = \"{name}\"\nversion = \"{version}\"\n");
            let package = lock.split("[[package]]\n").find(|package| package.starts_with(&wanted))?;
            let line = package.lines().find_map(|line| line.strip_prefix("checksum = \""))?;
            Some(line.trim_end_matches('"').to_owned())
        };
        let line = |line: &str| {
            let (package, licence) = line.split_once('\t')?;
            let mut words = package.split(' ');
            let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
            let checksum = checksum(name, version).unwrap_or_default();
            (name != "fraudml")
                .then(|| format!("{name}\t{version}\t{}\t{checksum}\n", licence.trim_end_matches(" (*)")))
        };
        let mut lines: Vec<String> = String::from_utf8_lossy(&printed.stdout).lines().filter_map(line).collect();
        lines.sort();
        lines.dedup();
        lines.concat()
    }

    fn run(beside: &Path, target: &str, more: &[&str]) -> bool {
        let mut cargo = Command::new(variable("CARGO"));
        cargo.args(["build", "--locked", "--no-default-features", "--bin", "fraudml-action", "--profile", "runner"]);
        cargo.args(["--target", target, "--target-dir"]).arg(beside).args(more);
        cargo.current_dir(folder("CARGO_MANIFEST_DIR"));
        // What the outer cargo told this script (flags, wrappers of clippy, features) must not reach the inner one.
        let kept = ["CARGO_HOME", "CARGO_MAKEFLAGS", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_TERM_"];
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            let wrapper = ["RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "OUT_DIR"].contains(&name.as_str());
            if wrapper || (name.starts_with("CARGO_") && !kept.iter().any(|kept| name.starts_with(kept))) {
                cargo.env_remove(&name);
            }
        }
        // The unit separator keeps paths with spaces whole.
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags().join("\x1f"));
        cargo.stdin(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    fn flags() -> Vec<String> {
        let remap = |from: PathBuf, to: &str| format!("--remap-path-prefix={}={to}", from.display());
        let mut flags = vec!["-Ctarget-feature=+crt-static".into(), remap(folder("CARGO_MANIFEST_DIR"), "/fraudml")];
        let home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
        flags.extend(home.map(|home| remap(home, "/cargo")));
        flags.extend(sysroot().map(|sysroot| remap(sysroot.join("lib/rustlib/src/rust"), "/rustc")));
        flags
    }

    fn sysroot() -> Option<PathBuf> {
        let printed = Command::new(variable("RUSTC")).args(["--print", "sysroot"]).output().ok()?;
        Some(PathBuf::from(String::from_utf8(printed.stdout).ok()?.trim()))
    }

    fn variable(name: &str) -> String {
        env::var(name).unwrap_or_else(|_| panic!("cargo sets `{name}` for build scripts"))
    }

    fn folder(name: &str) -> PathBuf {
        PathBuf::from(variable(name))
    }
}
