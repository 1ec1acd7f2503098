//! The zips under the contracts of OpenWhisk's stock runtimes: ActionLoop (descriptor 3) and dockerskeleton (argument,
//! standard input), with `exec` started as those runtimes start it.
#![cfg(feature = "train")]
#![allow(clippy::disallowed_methods)]

mod tiny;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fraudml::scoring::bundle::Bundle;
use fraudml::training::package::{PackageOptions, package};
use serde_json::{Value as Json, json};

/// Name, mode and content of every entry, by the directory at the end.
fn unzipped(zip: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
    let u16_at = |at: usize| usize::from(u16::from_le_bytes(zip[at..at + 2].try_into().unwrap()));
    let u32_at = |at: usize| u32::from_le_bytes(zip[at..at + 4].try_into().unwrap());
    let end = zip.len() - 22;
    assert_eq!(&zip[end..end + 4], b"PK\x05\x06");
    let mut at = u32_at(end + 16) as usize;
    let mut found = BTreeMap::new();
    for _ in 0..u16_at(end + 10) {
        assert_eq!(&zip[at..at + 4], b"PK\x01\x02");
        let (packed, size, name) = (u32_at(at + 20) as usize, u32_at(at + 24), u16_at(at + 28));
        let (mode, local) = (u32_at(at + 38) >> 16, u32_at(at + 42) as usize);
        let name = String::from_utf8(zip[at + 46..at + 46 + name].to_vec()).unwrap();
        let start = local + 30 + u16_at(local + 26) + u16_at(local + 28);
        let mut bytes = Vec::new();
        flate2::read::DeflateDecoder::new(&zip[start..start + packed]).read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u32, size);
        at += 46 + name.len();
        found.insert(name, (mode, bytes));
    }
    found
}

/// A stage's zip, laid out as the runtimes do.
fn laid_out(name: &str, stage: &str) -> PathBuf {
    let files = tiny::files();
    let manifest = Bundle::from_files(&files).unwrap().manifest;
    let packed = package(&files, &manifest, &PackageOptions::default()).unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    for (file, (mode, bytes)) in unzipped(&packed[&format!("action-{stage}.zip")]) {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode & 0o777)).unwrap();
    }
    // `tests/coverage.sh` counts lines of programs that this build made; the packed runner is another build of the same.
    if std::env::var_os("LLVM_PROFILE_FILE").is_some() {
        std::fs::copy(env!("CARGO_BIN_EXE_fraudml-action"), folder.join("exec")).unwrap();
    }
    folder
}

/// As the ActionLoop proxy does it: descriptor 3 is a pipe, the environment is its own.
fn action_loop(folder: &Path, env: &[(&str, &str)]) -> Child {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "exec \"$0\" 3>&1 1>&2"]).arg(folder.join("exec")).env_clear().envs(env.iter().copied());
    command.envs(std::env::var_os("LLVM_PROFILE_FILE").map(|file| ("LLVM_PROFILE_FILE", file)));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn the_zip_of_the_system_is_read_by_others() {
    let files = tiny::files();
    let manifest = Bundle::from_files(&files).unwrap().manifest;
    let packed = package(&files, &manifest, &PackageOptions::default()).unwrap();
    let zip = unzipped(&packed["action-predict.zip"]);
    let names: Vec<&str> = zip.keys().map(String::as_str).collect();
    let bundle = ["bundle/golden.json", "bundle/manifest.json", "bundle/model.safetensors", "bundle/preprocessor.json"];
    assert_eq!(names, [&bundle[..], &["exec", "stage"]].concat());
    assert_eq!((zip["exec"].0, zip["stage"].1.as_slice()), (0o100_755, &b"predict"[..]));
    assert_eq!(zip["bundle/golden.json"].1, files["golden.json"]);
}

#[test]
fn c16_action_loop_answers_a_line_on_descriptor_3_for_a_line_on_standard_input() {
    let folder = laid_out("loop", "pipeline");
    let mut child = action_loop(&folder, &[("__OW_WAIT_FOR_ACK", "1"), ("__OW_ACTION_NAME", "/guest/x/transform")]);
    let (mut input, mut answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let mut next = || {
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        line
    };
    assert_eq!(next(), "{\"ok\":true}\n");
    let golden = tiny::scorer().bundle().golden.clone();
    for record in &golden.records {
        let body = json!({ "value": record.record, "activation_id": "a", "deadline": "1700000060000" });
        writeln!(input, "{body}").unwrap();
        let answer: Json = serde_json::from_str(&next()).unwrap();
        assert_eq!(answer["score"].to_string(), record.predict["score"].to_string(), "the zip's stage is the pipeline");
    }
    for bad in [r#"{"value":{"amt":"five"}}"#, "{", "", r#"{"value":"A"}"#] {
        writeln!(input, "{bad}").unwrap();
        assert!(serde_json::from_str::<Json>(&next()).unwrap()["error"].to_string().len() > 4, "{bad}");
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "the proxy writes the sentinels");
}

#[test]
fn without_an_acknowledgement_asked_for_nothing_comes_before_the_first_answer() {
    let folder = laid_out("loop_silent", "transform");
    let mut child = action_loop(&folder, &[]);
    writeln!(child.stdin.take().unwrap(), r#"{{"value":{{"amt":5}}}}"#).unwrap();
    let output = child.wait_with_output().unwrap();
    let lines: Vec<Json> = output
        .stdout
        .split(|&b| b == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert!(lines.len() == 1 && lines[0]["features"]["amt"] == 5.0, "{lines:?}");
}

#[test]
fn a_damaged_bundle_ends_the_process_with_the_reason() {
    let folder = laid_out("loop_damaged", "predict");
    std::fs::write(folder.join("bundle/model.safetensors"), b"x").unwrap();
    let output = action_loop(&folder, &[("__OW_WAIT_FOR_ACK", "1")]).wait_with_output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("`model.safetensors` was changed"));
}

#[test]
fn c16_dockerskeleton_takes_the_last_line_of_standard_output() {
    let chain = ["transform", "encode", "predict"].map(|stage| laid_out(&format!("skeleton_{stage}"), stage));
    let run = |folder: &Path, argument: Option<&str>, input: &str| -> Json {
        let mut command = Command::new(folder.join("exec"));
        command.args(argument).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Whoever has read the argument need not read the rest.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(text.lines().last().unwrap()).unwrap()
    };
    let record = tiny::scorer().bundle().golden.records[0].clone();
    let raw = json!(record.record).to_string();
    // Beyond the longest argument the value comes by standard input alone.
    let by_argument = run(&chain[0], Some(&raw), &raw);
    assert_eq!(run(&chain[0], None, &raw), by_argument);
    let encoded = run(&chain[1], Some(&by_argument.to_string()), "");
    let predicted = run(&chain[2], Some(&encoded.to_string()), "");
    assert_eq!(predicted["is_fraud"], record.predict["is_fraud"]);
    assert!(run(&chain[0], Some("{}"), "{}")["error"]["message"].is_string());
    assert!(run(&chain[0], None, "")["error"]["message"].is_string());
}
