//! The column names of the two files, in their order.

/// Leading columns that are not drawn by a plan of their own: ids, label, time, amount, product, card and address.
pub const N_TRANSACTION_KEYS: usize = 13;

/// The 394 columns of `train_transaction.csv`.
pub fn transaction() -> Vec<String> {
    let numbered = |prefix: &'static str, n: usize| (1..=n).map(move |i| format!("{prefix}{i}"));
    let fixed = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let mut names = fixed(&["TransactionID", "isFraud", "TransactionDT", "TransactionAmt", "ProductCD"]);
    names.extend(numbered("card", 6));
    names.extend(fixed(&["addr1", "addr2", "dist1", "dist2", "P_emaildomain", "R_emaildomain"]));
    for (prefix, n) in [("C", 14), ("D", 15), ("M", 9), ("V", 339)] {
        names.extend(numbered(prefix, n));
    }
    names
}

/// The 41 columns of `train_identity.csv`.
pub fn identity() -> Vec<String> {
    let mut names = vec!["TransactionID".to_owned()];
    names.extend((1..=38).map(|i| format!("id_{i:02}")));
    names.extend(["DeviceType".to_owned(), "DeviceInfo".to_owned()]);
    names
}
