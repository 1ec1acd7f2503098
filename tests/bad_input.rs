//! Every kind of bad input, and the words it is answered with, in one snapshot: exit code 2, an error with file, line and
//! column where there are any, a hint, and nothing written.
#![expect(clippy::disallowed_methods, reason = "bad input is written on purpose")]

mod planted;

use std::fs;
use std::io::Write as _;

use planted::Folder;

/// Two columns that tell nothing and one label.
fn text() -> String {
    let row = |at: usize| format!("{at},{},{},{}.5,visa\n", u8::from(at.is_multiple_of(6)), at * 10, at % 7);
    format!("id,fraud,time,amount,card\n{}", (0..60).map(row).collect::<String>())
}

fn config(path: &str) -> String {
    format!(
        "name: bad\ndata: {{ tables: [ {{ path: '{path}' }} ], target: fraud, id: id, time: time }}\n\
         split: {{ folds: 2, protocols: [random] }}\nselect: {{ protocol: random }}\nimbalance: [ raw ]\n\
         models: {{ random-forest: {{ trees: 3 }} }}\n"
    )
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(bytes).expect("memory");
    packed.finish().expect("memory")
}

/// Files that no table is made of, by what is wrong with them.
fn bad_files() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let text = text();
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1).into_bytes()
    };
    let header = text.lines().next().unwrap();
    let cut = gzip(text.as_bytes())[..200].to_vec();
    let mut latin = text.clone().into_bytes();
    let at = text.find("visa").unwrap();
    latin[at] = 0xe9;
    vec![
        ("an empty file", "t.csv", Vec::new()),
        ("nothing but line breaks", "t.csv", b"\n\n\n".to_vec()),
        ("a header alone", "t.csv", header.into()),
        ("semicolons", "t.csv", text.replace(',', ";").into_bytes()),
        ("tabs", "t.csv", text.replace(',', "\t").into_bytes()),
        ("bytes that are no UTF-8", "t.csv", latin),
        ("UTF-16", "t.csv", text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("a column name twice", "t.csv", with("amount", "time")),
        ("a column without a name", "t.csv", with("amount", "")),
        ("a label that is missing", "t.csv", with("\n1,0,", "\n1,,")),
        ("a label of a third kind", "t.csv", with("\n1,0,", "\n1,maybe,")),
        ("a number that is none", "t.csv", with(",3.5,", ",3.5 EUR,")),
        ("a number that is infinite", "t.csv", with(",3.5,", ",1e999,")),
        ("a number that says so", "t.csv", with(",3.5,", ",inf,")),
        ("a time that is none", "t.csv", with("\n1,0,10,", "\n1,0,yesterday,")),
        ("a time that is missing", "t.csv", with("\n1,0,10,", "\n1,0,,")),
        ("a row too short", "t.csv", with(",1.5,visa", ",1.5")),
        ("a row too long", "t.csv", with(",1.5,visa", ",1.5,visa,x")),
        ("a quote that is never closed", "t.csv", with(",1.5,visa", ",1.5,\"visa")),
        ("gzip that is cut", "t.csv.gz", cut),
        ("gzip that is none", "t.csv.gz", text.clone().into_bytes()),
        ("zstd that is none", "t.csv.zst", text.clone().into_bytes()),
        (
            "a small file that unpacks to one endless record",
            "t.csv.gz",
            gzip(&[b"id,fraud,time\n".to_vec(), vec![b'7'; 80 << 20]].concat()),
        ),
        ("Parquet that is none", "t.parquet", text.into_bytes()),
        ("an empty Parquet file", "t.parquet", Vec::new()),
    ]
}

fn answered(folder: &Folder, what: &str, arguments: &[&str]) -> String {
    let output = folder.run(arguments);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{what}: {stderr}");
    assert!(stdout.is_empty() && stderr.starts_with("error: ") && stderr.contains("\nhint: "), "{what}: {stderr}");
    format!("{what}\n{stderr}\n")
}

#[test]
fn no_table_is_made_of_a_bad_file() {
    let mut told = String::new();
    for (what, name, bytes) in bad_files() {
        let folder = Folder::new();
        fs::write(folder.path().join(name), bytes).unwrap();
        fs::write(folder.path().join("c.yaml"), config(name)).unwrap();
        told += &answered(&folder, what, &["train", "--config", "c.yaml"]);
        assert!(!folder.path().join("experiments/cells").read_dir().unwrap().flatten().any(|_| true), "{what}");
    }
    // What lies where a file should.
    let folder = Folder::new();
    fs::create_dir(folder.path().join("folder.csv")).unwrap();
    for (what, path) in [
        ("a folder", "folder.csv"),
        ("a file below a file", "train.csv/t.csv"),
        ("no file", "absent.csv"),
        ("a pattern that no file has", "absent-*.csv"),
    ] {
        fs::write(folder.path().join("c.yaml"), config(path)).unwrap();
        told += &answered(&folder, what, &["train", "--config", "c.yaml"]);
    }
    insta::assert_snapshot!(told);
}

#[test]
fn nothing_is_scored_of_a_bad_file() {
    let folder = Folder::new();
    fs::write(folder.path().join("t.csv"), text()).unwrap();
    fs::write(folder.path().join("c.yaml"), config("t.csv")).unwrap();
    folder.ok(&["train", "--config", "c.yaml", "--quiet"]);
    let mut told = String::new();
    for (what, name, bytes) in [
        ("an empty file", "p.csv", &b""[..]),
        ("semicolons", "p.csv", b"id;amount;card\n1;2;visa\n"),
        ("a number that is none", "p.csv", b"id,amount,card\n1,2,visa\n2,x,visa\n"),
        ("a row too short", "p.csv", b"id,amount,card\n1,2\n"),
        ("bytes that are no UTF-8", "p.csv", b"id,amount,card\n1,2,\xff\n"),
        ("lines that are no JSON", "p.jsonl", b"{\"id\": 1, \"amount\": 2}\n{\"id\": 1, \"amount\":\n"),
        ("a line that is no record", "p.jsonl", b"{\"id\": 1, \"amount\": 2}\n[1]\n"),
        ("a field of another type", "p.jsonl", b"{\"id\": 1, \"amount\": true}\n"),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
        let output = folder.run(&["predict", name]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && stderr.contains("\nhint: "), "{what}: {stderr}");
        told += &format!("{what}\n{stderr}\n");
    }
    let bundle = fs::read_dir(folder.path().join("artifacts")).unwrap().flatten().next().unwrap().path();
    let model = bundle.join("model.safetensors");
    fs::remove_file(&model).unwrap();
    let output = folder.run(&["predict", "t.csv"]);
    assert_eq!(output.status.code(), Some(2));
    let id = bundle.file_name().unwrap().to_string_lossy().into_owned();
    told += &format!("a bundle without its model\n{}", String::from_utf8_lossy(&output.stderr).replace(&id, "ID"));
    insta::assert_snapshot!(told);
}
