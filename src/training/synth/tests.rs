//! The files as a reader sees them: names, shares, keys, gaps; and the same bytes however many threads write them.

use super::normal::probit;
use super::*;
use crate::training::progress::Silent;

/// Both files, and the summary.
fn generate(rows: usize, seed: u64, threads: usize) -> (String, String, SynthSummary) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let (mut transactions, mut identities) = (Vec::new(), Vec::new());
    let config = SynthConfig { rows, seed };
    let summary = pool.install(|| synth(&config, &mut transactions, &mut identities, &Silent)).unwrap();
    (String::from_utf8(transactions).unwrap(), String::from_utf8(identities).unwrap(), summary)
}

/// The cells of a column by name, without the header.
fn column<'a>(file: &'a str, name: &str) -> Vec<&'a str> {
    let (header, rows) = file.split_once('\n').unwrap();
    let at = header.split(',').position(|known| known == name).unwrap();
    rows.lines().map(|row| row.split(',').nth(at).unwrap()).collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes_for_any_threads() {
    let one = generate(9_000, 42, 1);
    assert!(one == generate(9_000, 42, 2), "bytes depend on the number of threads");
    assert!(one.0 != generate(9_000, 43, 2).0, "the seed has no effect");
}

#[test]
fn headers_are_the_originals_and_every_row_is_as_wide() {
    let (transactions, identities, _) = generate(200, 1, 2);
    let header: Vec<&str> = transactions.lines().next().unwrap().split(',').collect();
    assert_eq!(header.len(), 394);
    let keys = "TransactionID,isFraud,TransactionDT,TransactionAmt,ProductCD,card1,card2,card3,card4,card5,card6,addr1,\
                addr2,dist1,dist2,P_emaildomain,R_emaildomain,C1";
    assert_eq!(header[..18].join(","), keys);
    assert_eq!((header[30], header[31], header[45], header[46]), ("C14", "D1", "D15", "M1"));
    assert_eq!((header[54], header[55], header[393]), ("M9", "V1", "V339"));
    let identity: Vec<&str> = identities.lines().next().unwrap().split(',').collect();
    assert_eq!(identity.len(), 41);
    assert_eq!((identity[0], identity[1], identity[38]), ("TransactionID", "id_01", "id_38"));
    assert_eq!(identity[39..], ["DeviceType", "DeviceInfo"]);
    for (file, width) in [(&transactions, 394), (&identities, 41)] {
        assert!(file.lines().all(|row| row.split(',').count() == width));
    }
}

#[test]
fn shares_keys_and_times_are_those_of_the_profile() {
    let (transactions, identities, summary) = generate(20_000, 42, 2);
    let ids = column(&transactions, "TransactionID");
    let frauds = column(&transactions, "isFraud").iter().filter(|&&label| label == "1").count();
    assert_eq!((summary.rows, summary.frauds), (ids.len() as u64, frauds as u64));
    assert!((0.033..=0.037).contains(&(frauds as f64 / 20_000.0)), "{frauds} frauds");

    let known: std::collections::BTreeSet<&str> = ids.into_iter().collect();
    let identity_ids = column(&identities, "TransactionID");
    assert_eq!((known.len(), identity_ids.len() as u64), (20_000, summary.identity_rows));
    assert!(identity_ids.iter().all(|id| known.contains(id)));
    assert!((0.22..0.27).contains(&(identity_ids.len() as f64 / 20_000.0)));

    let times: Vec<u64> = column(&transactions, "TransactionDT").iter().map(|time| time.parse().unwrap()).collect();
    assert!(times.is_sorted() && times[0] >= 86_400 && times[19_999] <= 15_811_131);
    assert!(times[19_999] - times[0] > 181 * 86_400);

    let risky = |product: &str| {
        let rows = column(&transactions, "ProductCD").into_iter().zip(column(&transactions, "isFraud"));
        let labels: Vec<bool> = rows.filter(|row| row.0 == product).map(|row| row.1 == "1").collect();
        labels.iter().filter(|&&fraud| fraud).count() as f64 / labels.len() as f64
    };
    assert!((0.09..0.15).contains(&risky("C")) && (0.015..0.027).contains(&risky("W")));
}

#[test]
fn groups_go_missing_together_and_at_their_rates() {
    let (transactions, _, _) = generate(20_000, 5, 2);
    let gaps = |name: &str| column(&transactions, name).iter().map(|cell| cell.is_empty()).collect::<Vec<_>>();
    let rate = |gaps: &[bool]| gaps.iter().filter(|&&gap| gap).count() as f64 / 20_000.0;
    assert!(gaps("V322") == gaps("V339") && gaps("addr1") == gaps("addr2") && gaps("M1") == gaps("V11"));
    assert!(gaps("V13") != gaps("V35"));
    for (name, expected) in [("V322", 0.861), ("D15", 0.151), ("addr1", 0.111), ("C1", 0.0), ("V13", 0.129)] {
        let rate = rate(&gaps(name));
        assert!((rate - expected).abs() < 0.02, "`{name}` is missing in {rate}, expected {expected}");
    }
}

#[test]
fn one_row_is_enough_and_none_is_refused() {
    for rows in [1, 2, 4097] {
        assert_eq!(generate(rows, 3, 2).2.rows, rows as u64);
    }
    let config = SynthConfig { rows: 0, seed: 3 };
    assert!(synth(&config, &mut Vec::new(), &mut Vec::new(), &Silent).is_err());
}

#[test]
fn a_full_disk_is_an_error() {
    let config = SynthConfig { rows: 100, seed: 3 };
    let mut full = [0u8; 8000];
    let error = synth(&config, &mut &mut full[..], &mut Vec::new(), &Silent).unwrap_err();
    assert_eq!(error.kind, crate::training::error::ErrorKind::Failed);
}

#[test]
fn every_column_has_a_profile_and_the_file_is_small() {
    let profile = Profile::embedded().unwrap();
    assert!(
        columns::transaction()[11..].iter().chain(&columns::identity()[1..]).all(|name| profile.column(name).is_ok())
    );
    assert!(include_str!("profile.json").len() < 150_000);
}

#[test]
fn probit_inverts_the_normal_distribution() {
    for (p, z) in [(0.5, 0.0), (0.975, 1.959963984540054), (0.001, -3.090232306167813), (0.99, 2.3263478740408408)] {
        assert!((probit(p) - z).abs() < 1e-8, "{p}");
    }
}
