//! One grid in parts, from outside: whatever the shards, done twice, killed, in any order, the result has the bytes of a run
//! in one process; refusals by exit code.
#![cfg(feature = "train")]
#![expect(clippy::disallowed_methods, reason = "a test may leave half a file behind")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use insta::assert_snapshot;

/// 200 rows, every eighth a fraud; two numbers and a word that tell something of it.
fn rows() -> String {
    let row = |at: usize| {
        let fraud = usize::from(at.is_multiple_of(8));
        let (a, b) = (at * 37 % 101 + 25 * fraud, at * 53 % 89 + 9 * fraud);
        format!("{at},{fraud},{},{a}.5,{b},{}", at * 10, ["visa", "amex", ""][(at + fraud) % 3])
    };
    format!("id,fraud,time,amount,hours,card\n{}\n", (0..200).map(row).collect::<Vec<_>>().join("\n"))
}

const CONFIG: &str = "\
name: tiny
data: { tables: [ { path: train.csv } ], target: fraud, id: id, time: time, amount: amount }
split: { folds: 2 }
imbalance: [ raw, oversample: { target_share: 0.4 } ]
models:
  random-forest: { trees: 6 }
  mlp: { hidden: [4], epochs: 2, batch: 32 }
";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().expect("a folder"));
        fs::write(folder.path().join("train.csv"), rows()).expect("data");
        fs::write(folder.path().join("c.yaml"), CONFIG).expect("config");
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fraudml"));
        command.args(arguments).arg("--no-progress").current_dir(self.path()).env("NO_COLOR", "1");
        for engine in ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX", "PBS_ARRAY_INDEX"] {
            command.env_remove(engine);
        }
        command
    }

    /// Exit code and what was said.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(arguments).output().expect("it runs");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8")).concat();
        (output.status.code().unwrap_or(-1), text)
    }

    fn done(&self, arguments: &[&str]) -> String {
        let (code, text) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {text}");
        text
    }

    /// A planned run whose data are gone: what is left is what the plan keeps.
    fn planned() -> Folder {
        let folder = Folder::new();
        folder.done(&["plan", "--config", "c.yaml"]);
        fs::remove_file(folder.path().join("train.csv")).expect("data");
        folder
    }

    /// The folder of the planned run.
    fn run_folder(&self) -> PathBuf {
        let runs = fs::read_dir(self.path().join("experiments")).expect("runs").flatten();
        runs.map(|entry| entry.path()).find(|path| path.join("plan.json").is_file()).expect("a planned run")
    }

    /// Every file that is the same from run to run, by its path.
    fn bytes(&self) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut open = ["experiments", "artifacts", "reports"].map(|name| self.path().join(name)).to_vec();
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(&folder).expect("a folder").flatten() {
                let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
                match path.is_dir() {
                    // Parts of forests stay beside the cells that they became.
                    true if name == "trees" => {}
                    true => open.push(path),
                    // Times, the plan and its table stand outside of what must be equal.
                    false if name.starts_with("tim") || name == "run.json" => {}
                    false if name == "plan.json" || name.starts_with("table.") => {}
                    false => {
                        let within = path.strip_prefix(self.path()).unwrap().display().to_string();
                        found.insert(within, fs::read(path).unwrap());
                    }
                }
            }
        }
        found
    }
}

fn whole() -> BTreeMap<String, Vec<u8>> {
    let folder = Folder::new();
    folder.done(&["train", "--config", "c.yaml"]);
    folder.bytes()
}

fn assert_same(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>) {
    let names = found.keys().chain(expected.keys());
    let different: BTreeSet<&String> = names.filter(|name| found.get(*name) != expected.get(*name)).collect();
    assert!(different.is_empty(), "these differ, or are on one side alone: {different:?}");
}

#[test]
fn any_shards_give_the_bytes_of_one_run() {
    let expected = whole();
    assert!(expected.keys().any(|name| name.ends_with("manifest.json")), "{:?}", expected.keys());
    for n_shards in [1, 2, 7] {
        let folder = Folder::planned();
        // Last to first, and the first one twice.
        for index in (0..n_shards).rev().chain([0]) {
            let told =
                folder.done(&["cell", "--run", "tiny", "--shard", &format!("{index}/{n_shards}"), "--threads", "1"]);
            assert!(told.contains("cells done"), "{told}");
        }
        let again = folder.done(&["cell", "--run", "tiny", "--shard", &format!("0/{n_shards}")]);
        assert!(again.contains("0 cells done"), "{again}");
        folder.done(&["collect", "--run", "tiny"]);
        assert_same(&folder.bytes(), &expected);
        let again = folder.done(&["collect", "--run", "tiny"]);
        assert!(again.contains("is finished already"), "{again}");
    }
}

#[test]
fn killed_shards_and_shards_of_this_machine_give_them_too() {
    let expected = whole();
    let folder = Folder::planned();
    for wait in [20, 60, 120] {
        let mut command = folder.command(&["cell", "--run", "tiny", "--shard", "0/1"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }
    let told =
        folder.done(&["submit", "--run", "tiny", "--engine", "local", "--shards", "3", "--at-once", "2", "--go"]);
    assert!(told.contains("all shards are done"), "{told}");
    folder.done(&["collect", "--watch", "--run", "tiny"]);
    let mut found = folder.bytes();
    // What a kill leaves behind is swept by nobody who could still be writing it.
    found.retain(|name, _| !name.contains("/.writing-"));
    assert_same(&found, &expected);
}

/// What `--only` left out of the plan stays out: the baseline is in no file.
#[test]
fn a_narrowed_plan_is_collected_as_it_was_planned() {
    // By name, and to a case that the baseline does not run on.
    for narrowed in [["--only", "random-forest,raw"], ["--set", "imbalance=[oversample]"]] {
        let whole = Folder::new();
        whole.done(&[&["train", "--config", "c.yaml"][..], &narrowed].concat());
        let folder = Folder::new();
        folder.done(&[&["plan", "--config", "c.yaml"][..], &narrowed].concat());
        folder.done(&["cell", "--run", "tiny", "--shard", "0/1"]);
        folder.done(&["collect", "--run", "tiny"]);
        assert_same(&folder.bytes(), &whole.bytes());
    }
}

/// As a Ray task does, which starts in its package.
#[test]
fn a_run_is_collected_beside_itself_wherever_that_is_started() {
    let folder = Folder::planned();
    let (run, elsewhere) = (folder.run_folder().display().to_string(), tempfile::tempdir().expect("a folder"));
    for arguments in [&["cell", "--run", &run, "--shard", "0/1"][..], &["collect", "--run", &run]] {
        let output = folder.command(arguments).current_dir(elsewhere.path()).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_same(&folder.bytes(), &whole());
    assert_eq!(fs::read_dir(elsewhere.path()).expect("a folder").count(), 0);
}

#[test]
fn what_is_wrong_is_told_from_what_is_worth_a_retry() {
    let folder = Folder::planned();
    let mut told = Vec::new();
    let mut tell = |folder: &Folder, arguments: &[&str]| {
        let (code, text) = folder.run(arguments);
        told.push(format!("$ fraudml {}\nexit code {code}\n{text}", arguments.join(" ")));
    };
    tell(&folder, &["collect", "--run", "tiny"]);
    tell(&folder, &["cell", "--run", "tiny", "--shard", "4/4"]);
    tell(&folder, &["cell", "--run", "tiny", "--shard", "4"]);
    tell(&folder, &["cell", "--run", "nothing", "--shard", "0/4"]);
    let run = folder.run_folder();
    let table = fs::read(run.join("table.parquet")).unwrap();
    fs::write(run.join("table.parquet"), &table[..table.len() / 2]).unwrap();
    tell(&folder, &["cell", "--run", "tiny", "--shard", "0/4"]);
    fs::remove_file(run.join("table.parquet")).unwrap();
    tell(&folder, &["cell", "--run", "tiny", "--shard", "0/4"]);
    let plan = fs::read_to_string(run.join("plan.json")).unwrap();
    fs::write(run.join("plan.json"), plan.replacen("\"format\": 2", "\"format\": 9", 1)).unwrap();
    tell(&folder, &["cell", "--run", "tiny", "--shard", "0/4"]);
    fs::write(run.join("plan.json"), &plan[..plan.len() / 2]).unwrap();
    tell(&folder, &["cell", "--run", "tiny", "--shard", "0/4"]);
    fs::remove_file(run.join("plan.json")).unwrap();
    tell(&folder, &["collect", "--run", "tiny"]);
    let id = run.file_name().unwrap().to_string_lossy().into_owned();
    let code = serde_json::from_str::<serde_json::Value>(&plan).unwrap()["code"].as_str().unwrap().to_owned();
    let text = told.join("\n").replace(&id, "RUN").replace(&code, "CODE");
    assert_snapshot!(hashes_hidden(&text));
}

#[test]
fn forests_that_grow_in_parts_are_those_of_one_run() {
    let expected = whole();
    for (trees, n_shards) in [("1", 2), ("4", 7), ("6", 1)] {
        let folder = Folder::new();
        let told = folder.done(&["plan", "--config", "c.yaml", "--trees-per-cell", trees]);
        fs::remove_file(folder.path().join("train.csv")).unwrap();
        // Two protocols, three parts, two cases: a network and six trees for each; the baseline as the rows are.
        let n_cells = 12 * (1 + 6usize.div_ceil(trees.parse().unwrap())) + 6;
        assert!(told.contains(&format!("{n_cells} cells")), "{told}");
        let shard = |index: usize| format!("{index}/{n_shards}");
        for index in (0..n_shards).chain([0]) {
            folder.done(&["cell", "--run", "tiny", "--shard", &shard(index)]);
        }
        let parts = folder.path().join("experiments/trees");
        if let Some(part) = fs::read_dir(&parts).ok().and_then(|parts| parts.flatten().next()) {
            fs::write(part.path(), &fs::read(part.path()).unwrap()[..100]).unwrap();
            let (code, told) = folder.run(&["collect", "--run", "tiny"]);
            assert!(code == 75 && told.contains("1 of") && told.contains(", trees "), "{told}");
            let (_, again) = folder.run(&["cell", "--run", "tiny", "--shard", "0/1"]);
            assert!(again.contains("1 cells done"), "{again}");
        } else {
            assert_eq!(trees, "6", "nothing grew in parts");
        }
        folder.done(&["collect", "--run", "tiny"]);
        assert_same(&folder.bytes(), &expected);
        let again = folder.done(&["cell", "--run", "tiny", "--shard", "0/1"]);
        assert!(again.contains("0 cells done"), "{again}");
    }
}

/// Compressed bytes are those of a version of a library.
fn hashes_hidden(text: &str) -> String {
    let is_hash = |word: &str| word.len() == 64 && word.chars().all(|c| c.is_ascii_hexdigit());
    let word = |word: &str| match word.trim_end_matches(',') {
        hash if is_hash(hash) => word.replace(hash, "SHA"),
        _ => word.to_owned(),
    };
    text.split('\n').map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join("\n")
}

/// What becomes of the files after the plan changes nothing; a cell that lost bytes is made again.
#[test]
fn other_data_and_damaged_cells_change_nothing() {
    let expected = whole();
    let folder = Folder::planned();
    fs::write(folder.path().join("train.csv"), rows().replace("visa", "amex")).unwrap();
    folder.done(&["cell", "--run", "tiny", "--shard", "0/1"]);
    let cells = folder.path().join("experiments/cells");
    let cut = fs::read_dir(&cells).unwrap().flatten().map(|entry| entry.path().join("scores.parquet")).min().unwrap();
    fs::write(&cut, &fs::read(&cut).unwrap()[..20]).unwrap();
    let (code, told) = folder.run(&["collect", "--run", "tiny"]);
    assert!(code == 75 && told.contains("1 of"), "{told}");
    let again = folder.done(&["cell", "--run", "tiny", "--shard", "0/1"]);
    assert!(again.contains("1 cells done"), "{again}");
    folder.done(&["collect", "--run", "tiny"]);
    assert_same(&folder.bytes(), &expected);
}

#[test]
fn engines_get_what_they_read() {
    let folder = Folder::planned();
    let slurm = folder.done(&["submit", "--run", "tiny", "--engine", "slurm", "--shards", "4", "--at-once", "2"]);
    let kubernetes =
        folder.done(&["submit", "--run", "tiny", "--engine", "kubernetes", "--shards", "4", "--image", "r/t:1"]);
    let run = folder.run_folder();
    let id = run.file_name().unwrap().to_string_lossy().into_owned();
    assert_snapshot!("engines", format!("{slurm}\n{kubernetes}").replace(&id, "RUN"));
    let script = run.join("submit/shards.sbatch");
    assert!(Command::new("sh").arg("-n").arg(&script).status().unwrap().success(), "a shell can read it");
    // With a stand-in for the tool on the path the batch script does its part of the work.
    let tools = folder.path().join("bin");
    fs::create_dir(&tools).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_fraudml"), tools.join("fraudml")).unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap_or_default());
    for index in 0..4 {
        let mut batch = Command::new("sh");
        batch.arg(&script).current_dir(folder.path()).env("PATH", &path).env("SLURM_ARRAY_TASK_ID", index.to_string());
        assert!(batch.status().unwrap().success(), "shard {index}");
    }
    folder.done(&["collect", "--run", "tiny"]);
}
