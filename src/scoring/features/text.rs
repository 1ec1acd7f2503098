//! Functions of texts, as the columns of IEEE-CIS spell them: e-mail domains, devices, operating systems, browsers,
//! screens. What a text does not tell is missing.
//!
//! Families are words in lower case, whatever the case of the text; versions are numbers of at most two parts
//! (`10_12_6` -> 10.12).

use serde::{Deserialize, Serialize};

use crate::scoring::record::Value;
use crate::scoring::schema::ColumnKind;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextFunction {
    /// `live.com.mx` -> `microsoft`.
    EmailProvider,
    /// `live.com.mx` -> `mx`; `com`, `net`, `edu`, `org` and the like -> `generic`.
    EmailSuffix,
    /// `SAMSUNG SM-G892A Build/NRD90M` -> `samsung`.
    Device,
    /// Number of the build or release in a device: `rv:57.0` -> 57.
    DeviceVersion,
    /// `Mac OS X 10_12_6` -> `mac`.
    Os,
    /// `Mac OS X 10_12_6` -> 10.12.
    OsVersion,
    /// `mobile safari 11.0` -> `safari`.
    Browser,
    /// `mobile safari 11.0` -> 11.
    BrowserVersion,
    /// `1920x1080` -> 1920.
    ScreenWidth,
    /// `1920x1080` -> 1080.
    ScreenHeight,
}

impl TextFunction {
    pub fn kind(self) -> ColumnKind {
        match self {
            TextFunction::EmailProvider
            | TextFunction::EmailSuffix
            | TextFunction::Device
            | TextFunction::Os
            | TextFunction::Browser => ColumnKind::Categorical,
            TextFunction::DeviceVersion
            | TextFunction::OsVersion
            | TextFunction::BrowserVersion
            | TextFunction::ScreenWidth
            | TextFunction::ScreenHeight => ColumnKind::Numeric,
        }
    }

    pub(super) fn apply(self, text: &str) -> Value {
        let text = text.to_ascii_lowercase();
        let word = |word: Option<String>| word.filter(|word| !word.is_empty()).map_or(Value::Missing, Value::Text);
        let number = |number: Option<f64>| number.filter(|n| n.is_finite()).map_or(Value::Missing, Value::Number);
        match self {
            TextFunction::EmailProvider => word(Some(email_provider(&text))),
            TextFunction::EmailSuffix => word(email_suffix(&text)),
            TextFunction::Device => word(Some(family(&DEVICES, &text))),
            TextFunction::Os => word(Some(family(&SYSTEMS, &text))),
            TextFunction::Browser => word(Some(family(&BROWSERS, &text))),
            TextFunction::DeviceVersion | TextFunction::OsVersion | TextFunction::BrowserVersion => {
                number(version(&text))
            }
            TextFunction::ScreenWidth => number(screen(&text).map(|(width, _)| width)),
            TextFunction::ScreenHeight => number(screen(&text).map(|(_, height)| height)),
        }
    }
}

/// Providers by the first label of their domains.
const PROVIDERS: [(&str, &[&str]); 8] = [
    ("google", &["gmail", "googlemail"]),
    ("microsoft", &["hotmail", "outlook", "live", "msn", "passport"]),
    ("yahoo", &["yahoo", "ymail", "rocketmail", "frontier", "frontiernet"]),
    ("apple", &["icloud", "me", "mac"]),
    ("aol", &["aol", "aim", "netscape"]),
    ("att", &["att", "sbcglobal", "bellsouth", "prodigy", "ameritech"]),
    ("proton", &["protonmail", "proton", "pm"]),
    ("spectrum", &["charter", "twc", "roadrunner", "rr", "spectrum"]),
];

fn email_provider(domain: &str) -> String {
    let label = domain.rsplit('@').next().unwrap_or(domain).split('.').next().unwrap_or_default();
    let known = PROVIDERS.iter().find(|(_, labels)| labels.contains(&label));
    known.map_or(label, |(provider, _)| provider).to_owned()
}

fn email_suffix(domain: &str) -> Option<String> {
    let (_, suffix) = domain.rsplit_once('.')?;
    let generic = ["com", "net", "edu", "org", "info", "biz", "gov", "mil"].contains(&suffix);
    Some(if generic { "generic" } else { suffix }.to_owned())
}

type Families = [(&'static str, &'static [&'static str])];

/// In this order: `samsung browser` is no device name, `sm-` is one of samsung's.
const DEVICES: [(&str, &[&str]); 16] = [
    ("samsung", &["samsung", "sm-", "gt-", "sgh-", "sch-"]),
    ("windows", &["windows", "trident"]),
    ("ios", &["ios", "iphone", "ipad"]),
    ("mac", &["macos", "mac os"]),
    ("huawei", &["huawei", "ale-", "hi6", "cam-", "ane-", "bll-", "rne-", "was-", "pra-"]),
    ("motorola", &["moto"]),
    ("lg", &["lg-", "lgms", "lm-", "lgus"]),
    ("xiaomi", &["redmi", "mi ", "xiaomi"]),
    ("zte", &["zte", "blade"]),
    ("google", &["pixel", "nexus"]),
    ("htc", &["htc"]),
    ("asus", &["asus"]),
    ("alcatel", &["alcatel", "5010", "5011", "5025"]),
    ("linux", &["linux"]),
    ("firefox", &["rv:"]),
    ("blackberry", &["blackberry", "bb"]),
];
const SYSTEMS: [(&str, &[&str]); 5] =
    [("windows", &["windows"]), ("ios", &["ios"]), ("mac", &["mac"]), ("android", &["android"]), ("linux", &["linux"])];
const BROWSERS: [(&str, &[&str]); 11] = [
    ("samsung", &["samsung"]),
    ("edge", &["edge"]),
    ("opera", &["opera"]),
    ("chrome", &["chrome", "chromium"]),
    ("firefox", &["firefox", "mozilla"]),
    ("safari", &["safari"]),
    ("ie", &["ie ", "internet explorer"]),
    ("google", &["google"]),
    ("android", &["android"]),
    ("facebook", &["facebook"]),
    ("silk", &["silk"]),
];

/// The family one of whose marks is in the text, else the text's letters before its first digit or separator.
fn family(families: &Families, text: &str) -> String {
    let known = families.iter().find(|(_, marks)| marks.iter().any(|mark| text.contains(mark)));
    match known {
        Some((family, _)) => (*family).to_owned(),
        None => text.chars().take_while(|c| c.is_alphabetic()).collect(),
    }
}

/// The first number, with one decimal part of at most three digits.
fn version(text: &str) -> Option<f64> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    let whole = digits(&text[start..]);
    let rest = &text[start + whole.len()..];
    let part = rest.strip_prefix(['.', '_']).map(digits).unwrap_or_default();
    let part: String = part.chars().take(3).collect();
    if whole.len() > 9 { None } else { format!("{whole}.{part}0").parse().ok() }
}

fn screen(text: &str) -> Option<(f64, f64)> {
    let (width, height) = text.split_once('x')?;
    let side = |side: &str| side.trim().parse::<u32>().ok().map(f64::from);
    side(width).zip(side(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_real_columns() {
        let text = |function: TextFunction, of: &str| match function.apply(of) {
            Value::Text(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Missing => "missing".into(),
        };
        use TextFunction::*;
        for (function, of, expected) in [
            (EmailProvider, "gmail.com", "google"),
            (EmailProvider, "GMAIL", "google"),
            (EmailProvider, "live.com.mx", "microsoft"),
            (EmailProvider, "q.com", "q"),
            (EmailSuffix, "yahoo.co.uk", "uk"),
            (EmailSuffix, "gmail.com", "generic"),
            (EmailSuffix, "gmail", "missing"),
            (Device, "SAMSUNG SM-G892A Build/NRD90M", "samsung"),
            (Device, "SM-J700M Build/MMB29K", "samsung"),
            (Device, "Moto G (4) Build/NPJ25.93-14.7", "motorola"),
            (Device, "rv:57.0", "firefox"),
            (Device, "iOS Device", "ios"),
            (Device, "MacOS", "mac"),
            (Device, "hi6210sft Build/MRA58K", "huawei"),
            (Device, "0PJA2 Build/MMB29M", "missing"),
            (DeviceVersion, "rv:57.0", "57"),
            (Os, "Mac OS X 10_12_6", "mac"),
            (OsVersion, "Mac OS X 10_12_6", "10.12"),
            (OsVersion, "iOS 11.1.2", "11.1"),
            (Os, "func", "func"),
            (OsVersion, "Windows Vista", "missing"),
            (Browser, "mobile safari 11.0", "safari"),
            (Browser, "chrome 63.0 for android", "chrome"),
            (Browser, "samsung browser 6.2", "samsung"),
            (Browser, "ie 11.0 for desktop", "ie"),
            (Browser, "Samsung/SM-G532M", "samsung"),
            (BrowserVersion, "chrome 63.0 for android", "63"),
            (ScreenWidth, "1920x1080", "1920"),
            (ScreenHeight, "1920X1080", "1080"),
            (ScreenHeight, "1920", "missing"),
        ] {
            assert_eq!(text(function, of), expected, "{function:?} of `{of}`");
        }
    }
}
