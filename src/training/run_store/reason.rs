//! What a store's refusal means: in one sentence, whether a retry may help, and what to do.
//!
//! In: an error of crate `object_store`, which wraps status, the provider's XML or JSON, or the network's own words. Out: our
//! error; permanent what stays wrong until a person acts, retryable what time or another machine may heal. No credentials:
//! queries of URLs are cut off, for a signature may stand there, and headers are never in these errors.

use std::path::Path;

use crate::training::error::{Error, io_reason};

type Made = fn(String) -> Error;

/// What is looked for in an error's text, what it is, what to do.
const KNOWN: [(&[&str], Made, &str, &str); 8] = [
    (
        &["NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist"],
        permanent,
        "the bucket does not exist",
        "check its name, and that region and endpoint are those of the bucket",
    ),
    (
        &["RequestTimeTooSkewed", "RequestExpired"],
        transient,
        "this machine's clock and the store's differ too much",
        "set the clock (NTP); another machine may do better",
    ),
    (
        &["ExpiredToken", "TokenRefreshRequired"],
        permanent,
        "the credentials have expired",
        "get new ones, then run the same command again: what is finished is kept",
    ),
    (
        &[
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "InvalidToken",
            "AuthenticationFailed",
            "InvalidClientTokenId",
        ],
        permanent,
        "the credentials are refused",
        "check them in the environment (`AWS_ACCESS_KEY_ID`, `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_KEY`, ..)",
    ),
    (
        &["AccessDenied", "lacked the necessary privileges", "Forbidden", "AuthorizationFailure", "AllAccessDisabled"],
        permanent,
        "these credentials may not do that",
        "reading, writing and listing under the prefix must be allowed",
    ),
    (
        &["latest/api/token", "latest/meta-data", "computeMetadata", "metadata.google", "169.254.169.254"],
        permanent,
        "there are no credentials",
        "set those of the provider in the environment (`AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, \
         `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_NAME` and `_KEY`), or run where the machine has a role",
    ),
    (
        &["URL scheme is not allowed", "scheme is not allowed", "HTTP scheme", "builder error"],
        permanent,
        "the endpoint is not https",
        "`AWS_ALLOW_HTTP=true` allows a plain one, on a network that you trust",
    ),
    (
        &["lacked valid authentication credentials"],
        permanent,
        "the credentials are refused",
        "check them in the environment",
    ),
];

fn permanent(message: String) -> Error {
    Error::permanent(message)
}

fn transient(message: String) -> Error {
    Error::transient(message)
}

/// Every error's own words, from the outermost to its cause.
fn words(error: &object_store::Error) -> Vec<String> {
    let mut words = vec![error.to_string()];
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        words.push(error.to_string());
        source = error.source();
    }
    words
}

pub(super) fn names_no_bucket(error: &object_store::Error) -> bool {
    let text = words(error).join("\n");
    KNOWN[0].0.iter().any(|word| text.contains(word))
}

/// `url` can't be read, written or listed.
pub(super) fn explained(url: &str, doing: &str, error: &object_store::Error) -> Error {
    let words = words(error);
    let text = words.join("\n");
    let known = KNOWN.iter().find(|(names, ..)| names.iter().any(|name| text.contains(name)));
    if let Some((_, made, what, hint)) = known {
        return made(format!("`{url}` can't be {doing}: {what}")).hint(*hint);
    }
    let reason = code(&text).unwrap_or_else(|| without_queries(words.last().map_or("", String::as_str)));
    let message = format!("`{url}` can't be {doing}: {reason}");
    match error {
        object_store::Error::NotFound { .. } => {
            Error::permanent(format!("`{url}` is not there")).hint("`fraudml plan --run ..` brings it there")
        }
        object_store::Error::Generic { .. } if is_of_config(&text) => {
            Error::permanent(message).hint("check the store's variables in the environment")
        }
        _ => Error::transient(message).hint("the store is away or busy, or the network to it is"),
    }
}

/// What the builder misses is never healed by time.
fn is_of_config(text: &str) -> bool {
    ["must be specified", "Missing", "Unable to parse", "not a valid", "Invalid"].iter().any(|word| text.contains(word))
}

/// The provider's name of the error.
fn code(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    Some(code.chars().take(60).collect())
}

/// The first line, without what follows a `?` and without the system's numbers.
fn without_queries(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.split(" (os error").next().unwrap_or_default();
    let words = line.split(' ').map(|word| word.split('?').next().unwrap_or_default());
    words.collect::<Vec<_>>().join(" ").chars().take(200).collect::<String>().to_lowercase()
}

pub(super) fn of_io(path: &Path, doing: &str, error: &std::io::Error) -> Error {
    Error::failed(format!("`{}` can't be {doing}: {}", path.display(), io_reason(error)))
        .hint("the cache holds what was brought from the store: check its room, or name another by `FRAUDML_CACHE`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::error::ErrorKind;

    fn explained_by(text: &str) -> Error {
        explained("s3://b/x", "read", &object_store::Error::Generic { store: "S3", source: text.into() })
    }

    #[test]
    fn what_stays_wrong_is_told_from_what_may_heal() {
        let xml = |code: &str| format!("status 403: <Error><Code>{code}</Code><Message>m</Message></Error>");
        let (permanent, transient) = (ErrorKind::Permanent, ErrorKind::Transient);
        for (text, kind, said) in [
            (xml("NoSuchBucket"), permanent, "the bucket does not exist"),
            (xml("RequestTimeTooSkewed"), transient, "clock"),
            (xml("ExpiredToken"), permanent, "expired"),
            (xml("InvalidAccessKeyId"), permanent, "refused"),
            (xml("AccessDenied"), permanent, "may not"),
            (xml("SlowDown"), transient, "SlowDown"),
            ("error sending request: PUT http://169.254.169.254/latest/api/token".into(), permanent, "no credentials"),
            ("URL scheme is not allowed".into(), permanent, "not https"),
            ("Connection refused (os error 111)".into(), transient, "connection refused"),
        ] {
            let error = explained_by(&text);
            assert!(error.kind == kind && error.message.contains(said) && error.hint.is_some(), "{text}: {error:?}");
        }
    }

    #[test]
    fn signatures_are_cut_off() {
        let error = explained_by("error for https://a.blob.core.windows.net/c/x?sv=1&sig=hidden now");
        assert!(!format!("{error:?}").contains("hidden") && error.message.contains("/c/x now"), "{error:?}");
    }
}
