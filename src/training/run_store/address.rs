//! Addresses in a store: `SCHEME://BUCKET/PREFIX` of a run, `SCHEME://BUCKET/FOLDER/NAME` of a table's files.
//!
//! In: text of a command line or a config. Out: its parts, or what is wrong with it; nothing is asked of a store. An address
//! holds no credentials: one that may is refused unseen.

use crate::training::error::{Error, Result};

const SCHEMES: [&str; 3] = ["s3", "gs", "az"];

/// `prefix` is what follows the bucket.
#[derive(Debug, PartialEq)]
pub(super) struct Address<'u> {
    pub scheme: &'u str,
    pub bucket: &'u str,
    pub prefix: &'u str,
}

impl<'u> Address<'u> {
    pub fn of_run(url: &'u str) -> Result<Address<'u>> {
        let hint = "name a run as `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://CONTAINER/PREFIX`";
        if after_scheme(url).contains(['@', '?', '#']) {
            return Err(unseen(url, "a URL", "prefix"));
        }
        Self::parts(url, &['/'], "a prefix", hint)
    }

    /// The last part may be a pattern. `?` is one byte of it: what follows one in a signed URL has `=` or `&`.
    pub fn of_table(url: &'u str) -> Result<Address<'u>> {
        let hint = "name a table as `s3://BUCKET/FOLDER/NAME`, `gs://BUCKET/FOLDER/NAME` or \
                    `az://CONTAINER/FOLDER/NAME`; `*` and `?` in the name: many objects";
        let rest = after_scheme(url);
        let has_query = rest.split_once('?').is_some_and(|(_, query)| query.contains(['=', '&']));
        if has_query || rest.contains(['@', '#']) {
            return Err(unseen(url, "an address", "name"));
        }
        Self::parts(url, &[], "a name", hint)
    }

    fn parts(url: &'u str, around: &[char], prefix_of: &str, hint: &str) -> Result<Address<'u>> {
        let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
        if !SCHEMES.contains(&scheme) {
            return Err(Error::permanent(format!("`{url}`: expected s3, gs or az, found `{scheme}`")).hint(hint));
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_matches(around);
        match bucket.is_empty() || prefix.split('/').any(|part| part.is_empty()) {
            true => Err(Error::permanent(format!("`{url}`: expected a bucket and {prefix_of}")).hint(hint)),
            false => Ok(Address { scheme, bucket, prefix }),
        }
    }
}

/// Whether a table's files can be looked for there.
pub fn check_table(url: &str) -> Result<()> {
    Address::of_table(url).map(drop)
}

fn after_scheme(url: &str) -> &str {
    url.split_once("://").map_or("", |(_, rest)| rest)
}

/// Not shown: it may hold a secret.
fn unseen(url: &str, what: &str, last: &str) -> Error {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    Error::permanent(format!("{what} of `{scheme}` that holds more than bucket and {last}"))
        .hint("credentials come from the environment, as the provider's own tools read them")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_bucket_and_prefix() {
        let address = Address { scheme: "s3", bucket: "b", prefix: "x/y" };
        assert_eq!(Address::of_run("s3://b/x/y/").unwrap(), address);
        for wrong in ["s3://", "s3://b", "s3://b/", "s3://b/x//y", "ftp://b/x", "http://b/x", "s3:b/x"] {
            assert!(Address::of_run(wrong).unwrap_err().message.contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_table_is_bucket_and_names() {
        for (url, prefix) in [("gs://b/x.csv", "x.csv"), ("az://b/day=1/part-??.pq", "day=1/part-??.pq")] {
            assert_eq!(Address::of_table(url).unwrap().prefix, prefix);
        }
        for wrong in ["s3://", "s3://b", "s3://b//x.csv", "s3://b/x/", "https://b/x.csv"] {
            assert!(Address::of_table(wrong).unwrap_err().message.contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        for secret in
            ["s3://key:hidden@b/x.csv", "az://b/x.csv?sig=hidden", "az://b/x?sv=1&sig=hid/den", "s3://b/x#hidden"]
        {
            for error in [Address::of_run(secret).unwrap_err(), Address::of_table(secret).unwrap_err()] {
                assert!(!format!("{error:?}").contains("hid"), "{error:?}");
            }
        }
    }
}
