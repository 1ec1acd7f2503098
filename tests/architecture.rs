//! Rules as tests: who may name whom, which crate lives where, what the lean build must not contain, and that held-out
//! rows cannot be learned from (compile-fail cases under `tests/compile_fail/`).

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file under a folder, with its path relative to `src`.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("src is readable").flatten() {
            let path = entry.path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let src = root().join("src");
    let mut files = Vec::new();
    walk(&src, &mut files);
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.sort();
    assert!(files.len() > 40, "the walk found only {} files", files.len());
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&src).expect("under src").to_string_lossy().replace('\\', "/");
        (name, std::fs::read_to_string(&path).expect("source is text"))
    };
    files.into_iter().map(read).collect()
}

/// Lines of code: without comments, and without what stands in string literals.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, String)> + '_ {
    let code = |line: &str| line.split("//").next().unwrap_or_default().split('"').step_by(2).collect::<String>();
    text.lines().enumerate().map(move |(at, line)| (at + 1, code(line)))
}

fn room(file: &str) -> &str {
    file.split('/').next().unwrap_or_default()
}

/// The rooms a line of code names through `crate::`, `fraudml::` or (from the top of a room) `super::`.
fn rooms_named(line: &str) -> Vec<&'static str> {
    let named = |room: &&'static str| {
        [format!("crate::{room}::"), format!("fraudml::{room}::"), format!("crate::{room};")]
            .iter()
            .any(|path| line.contains(path))
            || (line.contains("use crate::{") && line.contains(*room))
    };
    ["cli", "platform", "training", "scoring", "serving"].into_iter().filter(named).collect()
}

#[test]
fn arrows_go_one_way() {
    let allowed = |from: &str, to: &str| {
        from == to
            || matches!(
                (from, to),
                ("cli", _)
                    | ("platform", "training" | "scoring" | "serving")
                    | ("training", "scoring")
                    | ("serving", "scoring")
                    | ("bin" | "bench.rs" | "lib.rs", _)
            )
    };
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        for (line, code) in code_lines(&text) {
            for to in rooms_named(&code) {
                if !allowed(room(&file), to) {
                    wrong.push(format!("src/{file}:{line}: `{}` names `{to}`", room(&file)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "arrows go cli -> platform -> training -> scoring <- serving:\n{}", wrong.join("\n"));
}

#[test]
fn heavy_crates_stay_in_their_rooms() {
    let homes: [(&str, &[&str]); 15] = [
        ("polars", &["training/read/", "training/explore/", "training/table_file.rs"]),
        ("burn", &["training/fit/mlp"]),
        ("argmin", &["training/fit/logistic"]),
        ("plotters", &["training/report/"]),
        ("clap", &["cli/"]),
        ("indicatif", &["cli/"]),
        ("tracing_subscriber", &["cli/"]),
        ("saphyr_parser", &["cli/config/"]),
        ("hyper", &["serving/"]),
        ("tokio", &["serving/", "training/run_store/objects.rs"]),
        ("rustls", &["training/run_store/objects.rs"]),
        ("object_store", &["training/run_store/"]),
        ("futures_util", &["training/run_store"]),
        ("ureq", &["platform/"]),
        ("hdrhistogram", &["platform/"]),
    ];
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        for (krate, homes) in homes {
            if homes.iter().any(|home| file.starts_with(home)) {
                continue;
            }
            for (line, code) in code_lines(&text) {
                if code.contains(&format!("{krate}::")) || code.contains(&format!("use {krate};")) {
                    wrong.push(format!("src/{file}:{line}: `{krate}` outside {homes:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Beside `lib.rs`, the file where a network's device is chosen, for the type of a GPU backend exists in its build alone;
/// and the one that leaks on purpose, which no build that people use may.
#[test]
fn features_are_named_in_three_files_alone() {
    for (file, text) in sources() {
        let found = code_lines(&text).any(|(_, code)| code.contains("cfg(feature"));
        let allowed = ["lib.rs", "training/fit/mlp/device.rs", "training/planted.rs"].contains(&file.as_str());
        assert!(!found || allowed, "src/{file} names a cargo feature");
    }
}

/// `bench` makes training sets outside any split: a normal build must not have it, and nothing else may do the same.
#[test]
fn training_sets_outside_a_split_are_for_benches_alone() {
    let text = |file: &str| std::fs::read_to_string(root().join(file)).expect("source is text");
    assert!(
        text("src/lib.rs").contains("#[cfg(feature = \"bench\")]\npub mod bench;"),
        "`bench` hides behind its feature"
    );
    let manifest = text("Cargo.toml");
    let asks_for_it = |line: &&str| line.contains("\"bench\"") && !line.starts_with("required-features");
    assert_eq!(manifest.lines().find(asks_for_it), None, "no feature turns `bench` on");
    let makers: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| {
            let tests = text.find("#[cfg(test)]").unwrap_or(text.len());
            code_lines(&text[..tests]).any(|(_, code)| code.contains("TrainingSet::of_all_rows("))
        })
        .map(|(file, _)| file)
        .filter(|file| !file.ends_with("/tests.rs"))
        .collect();
    assert_eq!(makers, ["bench.rs"], "who makes a training set of a whole matrix");
}

#[test]
fn every_file_says_what_it_is_for() {
    for (file, text) in sources() {
        assert!(text.starts_with("//!"), "src/{file} starts without `//!`");
    }
}

#[test]
fn binaries_are_short() {
    for (file, limit) in [("src/bin/fraudml.rs", 40), ("src/bin/fraudml-action.rs", 30)] {
        let n_lines = std::fs::read_to_string(root().join(file)).expect("binary source").lines().count();
        assert!(n_lines <= limit, "{file} has {n_lines} lines, at most {limit}");
    }
}

#[test]
fn the_lean_build_is_lean() {
    for krate in ["polars", "burn", "plotters", "clap", "rayon", "rand", "object_store", "reqwest"] {
        let tree = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--locked",
                "--offline",
                "--no-default-features",
                "-e",
                "normal",
                "--prefix",
                "none",
                "--format",
                "{p}",
            ])
            .current_dir(root())
            .output()
            .expect("cargo runs");
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        let listed = String::from_utf8_lossy(&tree.stdout).into_owned();
        assert!(listed.lines().count() > 10, "the tree is empty:\n{listed}");
        let found = listed.lines().find(|line| line.split(' ').next() == Some(krate));
        assert!(found.is_none(), "`{krate}` is in the lean build: {found:?}");
    }
}

/// Compiles one file against the library that this test was built with.
fn compile(source: &Path, out: &Path) -> (bool, String) {
    let deps = std::env::current_exe().expect("own path").parent().expect("deps folder").to_owned();
    let library = std::fs::read_dir(&deps)
        .expect("deps folder")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with("libfraudml-") && name.ends_with(".rlib")
        })
        .max_by_key(|path| path.metadata().and_then(|metadata| metadata.modified()).ok())
        .expect("libfraudml was built");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--edition", "2024", "--crate-type", "lib", "--emit", "metadata", "--error-format", "short"])
        .arg("--extern")
        .arg(format!("fraudml={}", library.display()))
        .arg("-L")
        .arg(format!("dependency={}", deps.display()))
        .arg("--out-dir")
        .arg(out)
        .arg(source)
        .output()
        .expect("rustc runs");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn held_out_rows_cannot_be_misused_and_compile() {
    let out = tempfile::tempdir().expect("temporary folder");
    let folder = root().join("tests/compile_fail");
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(&folder).expect("cases").flatten().map(|entry| entry.path()).collect();
    cases.sort();
    assert!(cases.len() >= 6);
    for case in cases {
        let text = std::fs::read_to_string(&case).expect("case is text");
        let (compiled, stderr) = compile(&case, out.path());
        let name = case.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // The first line says what the compiler must answer, so that a case fails for its own reason and no other.
        match text.lines().next().and_then(|line| line.strip_prefix("// error: ")) {
            None => assert!(compiled, "{name} is the twin that must compile:\n{stderr}"),
            Some(expected) => {
                assert!(!compiled, "{name} compiled, but must not");
                assert!(stderr.contains(expected), "{name}: expected `{expected}`, found:\n{stderr}");
                assert_eq!(stderr.matches(": error").count(), 1, "{name} must fail once:\n{stderr}");
            }
        }
    }
}
