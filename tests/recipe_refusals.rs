//! What is wrong with a recipe or its files, from outside: exit code, words, place and hint of each, and nothing written.
#![cfg(feature = "train")]
#![expect(clippy::disallowed_methods, reason = "a test may leave half a file behind")]

mod tool;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use tool::fraudml;

const ROWS: usize = 90;

/// `id,fraud,time,amount,card,serial`: 90 rows, every sixth a fraud; `serial` never comes back.
fn rows() -> Vec<String> {
    let row = |at: usize| {
        let fraud = u8::from(at.is_multiple_of(6));
        let card = ["visa", "amex", "mastercard"][at % 3];
        format!("{at},{fraud},{},{}.5,{card},{}", at * 10, at % 7 + usize::from(fraud) * 5, 5000 + at)
    };
    (0..ROWS).map(row).collect()
}

const HEADER: &str = "id,fraud,time,amount,card,serial";

fn config(path: &str, columns: &str, extra: &str) -> String {
    format!(
        "name: tiny\ndata:\n  tables: [ {{ path: \"{path}\" }} ]\n  target: fraud\n  id: id\n  time: time\n  \
         columns: {{ {columns} }}\nsplit: {{ folds: 2, protocols: [random] }}\nimbalance: [ raw ]\nmodels:\n  \
         random-forest: {{ trees: 3 }}\n{extra}\n"
    )
}

/// What `train` says; a run that was refused has written nothing but empty folders.
fn train(folder: &Path, config: &str) -> String {
    fs::write(folder.join("c.yaml"), config).unwrap();
    let output = fraudml(folder, &["train", "--config", "c.yaml", "--quiet"]);
    let written = fs::read_dir(folder.join("experiments")).map_or(0, |entries| {
        entries.flatten().filter(|entry| entry.path().is_dir() && entry.path().join("run.json").exists()).count()
    });
    let code = output.status.code().unwrap_or(-1);
    assert!(code == 0 || written == 0, "a refused run was begun");
    format!("exit code {code}\n{}", String::from_utf8_lossy(&output.stderr))
}

/// What is wrong, and what writes it and tells the answer.
type Case<'a> = (&'a str, &'a dyn Fn(&Path) -> String);

/// Cases one below the other, each in a folder of its own.
fn told(cases: &[Case]) -> String {
    let mut told = String::new();
    for (name, case) in cases {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("train.csv"), format!("{HEADER}\n{}\n", rows().join("\n"))).unwrap();
        let _ = writeln!(told, "## {name}\n{}", case(folder.path()).trim_end());
    }
    told
}

/// A snapshot without the code that made it.
macro_rules! snapshot {
    ($told:expr) => {
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!($told) })
    };
}

#[test]
fn features_that_cannot_be() {
    let feature = |features: &'static str| {
        move |folder: &Path| train(folder, &config("train.csv", "", &format!("features:\n{features}")))
    };
    snapshot!(told(&[
        ("an absent column", &feature("  - { name: share, ratio: [ amuont, 2 ] }")),
        ("an absent column in a key", &feature("  - { name: n, count: [ card, shop ] }")),
        ("a pattern that names nothing", &feature("  - { name: gaps, missing: [ V* ] }")),
        ("a cycle", &feature("  - { name: a, log: b }\n  - { name: b, log1p: c }\n  - { name: c, log: a }")),
        ("a feature of itself", &feature("  - { name: a, log: a }")),
        ("a key that never comes back", &feature("  - { name: n, count: serial }")),
        (
            "such a key made of others",
            &feature("  - { name: both, concat: [ card, serial ] }\n  - { name: n, mean: amount, by: both }"),
        ),
        ("an aggregate over the target", &feature("  - { name: rate, mean: fraud, by: card }")),
        ("a group by the target", &feature("  - { name: rate, count: [ card, fraud ] }")),
        ("a group by the id", &feature("  - { name: n, count: id }")),
        ("target encoding outside folds", &feature("  - { name: rate, target: card, folds: 1 }")),
        ("target encoding with folds left out", &feature("  - { name: rate, target: card, folds: none }")),
        ("a number of a text", &feature("  - { name: l, log: card }")),
        ("a name that is taken", &feature("  - { name: amount, log: serial }")),
    ]));
}

#[test]
fn files_that_cannot_be() {
    /// Some rows changed.
    fn changed(folder: &Path, columns: &str, change: impl Fn(usize, &mut Vec<String>)) -> String {
        let mut rows = rows();
        for (at, row) in rows.iter_mut().enumerate() {
            let mut cells: Vec<String> = row.split(',').map(String::from).collect();
            change(at, &mut cells);
            *row = cells.join(",");
        }
        fs::write(folder.join("train.csv"), format!("{HEADER}\n{}\n", rows.join("\n"))).unwrap();
        train(folder, &config("train.csv", columns, ""))
    }
    fn parts(folder: &Path, header: &str, row: impl Fn(&str) -> String) -> String {
        let rows = rows();
        fs::write(folder.join("part-1.csv"), format!("{HEADER}\n{}\n", rows[..50].join("\n"))).unwrap();
        let second: Vec<String> = rows[50..].iter().map(|line| row(line)).collect();
        fs::write(folder.join("part-2.csv"), format!("{header}\n{}\n", second.join("\n"))).unwrap();
        train(folder, &config("part-*.csv", "", ""))
    }
    let comma = |cells: &mut Vec<String>| cells[3] = format!("\"{}\"", cells[3].replace('.', ","));
    snapshot!(told(&[
        ("an empty glob", &|folder| train(folder, &config("nothing-*.csv", "", ""))),
        ("parts of one header", &|folder| parts(folder, HEADER, str::to_owned)),
        ("a part with a column less", &|folder| {
            parts(folder, "id,fraud,time,amount,card", |row| row.rsplit_once(',').unwrap().0.to_owned())
        }),
        ("a part with another name", &|folder| parts(folder, "id,fraud,time,sum,card,serial", str::to_owned)),
        ("a part in another order", &|folder| parts(folder, "fraud,id,time,amount,card,serial", |row| {
            let mut cells: Vec<&str> = row.split(',').collect();
            cells.swap(0, 1);
            cells.join(",")
        })),
        ("comma decimals in one cell", &|folder| changed(folder, "", |at, cells| if at == 40 {
            comma(cells)
        })),
        ("comma decimals throughout", &|folder| changed(folder, "", |_, cells| comma(cells))),
        ("comma decimals, declared a category", &|folder| changed(folder, "amount: categorical", |_, cells| comma(
            cells
        ))),
        ("dates where numbers are declared", &|folder| {
            changed(folder, "serial: numeric", |at, cells| cells[5] = format!("2017-12-{:02}", at % 28 + 1))
        }),
        ("dates as times", &|folder| changed(folder, "", |at, cells| cells[2] = format!("2017-12-{:02}", at % 28 + 1))),
        ("inf", &|folder| changed(folder, "", |at, cells| if at == 7 {
            cells[3] = "inf".into()
        })),
        ("-Infinity, declared numeric", &|folder| {
            changed(folder, "amount: numeric", |at, cells| {
                if at == 7 {
                    cells[3] = "-Infinity".into()
                }
            })
        }),
        ("1e999", &|folder| changed(folder, "", |at, cells| if at == 7 {
            cells[3] = "1e999".into()
        })),
        ("a few words among numbers", &|folder| changed(folder, "", |at, cells| if at % 40 == 3 {
            cells[3] = "n.a. (old)".into()
        })),
        ("as many words as numbers: categories", &|folder| {
            changed(folder, "", |at, cells| {
                if at % 2 == 0 {
                    cells[3] = "high".into()
                }
            })
        }),
        ("10 MB in a cell of a number column", &|folder| {
            changed(folder, "", |at, cells| {
                if at == 7 {
                    cells[3] = "x".repeat(10 << 20)
                }
            })
        }),
        ("10 MB in a cell of a category", &|folder| {
            changed(folder, "", |at, cells| {
                if at == 7 {
                    cells[4] = "x".repeat(10 << 20)
                }
            })
        }),
    ]));
}

/// Wide is no error: 50,000 columns are looked at and learned from, and an error in one has its place.
#[test]
fn fifty_thousand_columns() {
    let header = (0..50_000).fold(HEADER.to_owned(), |header, column| format!("{header},c{column}"));
    let wide = |row: &String| {
        let at: usize = row.split(',').next().unwrap().parse().unwrap();
        (0..50_000usize).fold(row.clone(), |row, column| row + "," + &((at * 31 + column * 17) % 23).to_string())
    };
    let mut lines: Vec<String> = [header].into_iter().chain(rows().iter().map(wide)).collect();
    let write = |lines: &[String]| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("train.csv"), lines.join("\n")).unwrap();
        folder
    };
    let folder = write(&lines);
    assert_eq!(train(folder.path(), &config("train.csv", "", "")), "exit code 0\n");
    let output = fraudml(folder.path(), &["eda", "--config", "c.yaml", "--quiet"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    lines[3] = lines[3].rsplit_once(',').unwrap().0.to_owned();
    let said = train(write(&lines).path(), &config("train.csv", "", ""));
    assert!(said.contains("line 4, column `c49999`: expected 50006 fields in the row, found 50005"), "{said}");
}
