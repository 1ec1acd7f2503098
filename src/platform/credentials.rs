//! Who we are on a platform or a registry, as their own clients say it: never on a command line.
//!
//! OpenWhisk: a file, else `OW_AUTH` and `OW_APIHOST` (`__OW_API_KEY`, `__OW_API_HOST` inside an action), else
//! `~/.wskprops` (or `WSK_CONFIG_FILE`). Lines are `NAME=value`, as `wsk property set` writes them.

use std::path::{Path, PathBuf};

use crate::training::error::{Error, Result, io_reason};

const MAX_BYTES: u64 = 64 << 10;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenWhisk {
    /// `uuid:key`.
    pub auth: Option<String>,
    /// A host, or a URL.
    pub api_host: Option<String>,
}

/// What is said first counts; `variable` reads the environment.
pub fn openwhisk(file: Option<&Path>, variable: impl Fn(&str) -> Option<String>) -> Result<OpenWhisk> {
    let set = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    let mut found = OpenWhisk::default();
    if let Some(file) = file {
        found = properties(&read(file)?);
        if found.auth.is_none() {
            return Err(Error::permanent(format!("`{}`: expected a line `AUTH=uuid:key`", file.display())));
        }
    }
    let first = |known: Option<String>, names: [&str; 2]| known.or_else(|| names.into_iter().find_map(set));
    found.auth = first(found.auth, ["OW_AUTH", "__OW_API_KEY"]);
    found.api_host = first(found.api_host, ["OW_APIHOST", "__OW_API_HOST"]);
    let usual = set("WSK_CONFIG_FILE").map(PathBuf::from).or_else(|| Some(Path::new(&set("HOME")?).join(".wskprops")));
    if let Some(usual) = usual.filter(|usual| usual.is_file()) {
        let usual = properties(&read(&usual)?);
        found = OpenWhisk { auth: found.auth.or(usual.auth), api_host: found.api_host.or(usual.api_host) };
    }
    match &found.auth {
        Some(auth) if !auth.contains(':') || auth.contains(char::is_whitespace) => {
            Err(Error::permanent("the OpenWhisk key: expected `uuid:key`").hint("`wsk property get --auth` shows it"))
        }
        _ => Ok(found),
    }
}

fn properties(text: &str) -> OpenWhisk {
    let value = |name: &str| {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        let mut found = lines.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned());
        found.rfind(|value| !value.is_empty())
    };
    // A file that holds the key alone is one too.
    let bare = || Some(text.trim().to_owned()).filter(|text| text.contains(':') && !text.contains(['=', '\n']));
    OpenWhisk { auth: value("AUTH").or_else(bare), api_host: value("APIHOST") }
}

pub(super) fn read(path: &Path) -> Result<String> {
    use std::io::Read;
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
    read.map_err(|error| Error::permanent(format!("`{}`: {}", path.display(), io_reason(&error))))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_goes_before_the_environment_before_wskprops() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str, text: &str| {
            let path = folder.path().join(name);
            crate::training::run_dir::write_atomic(&path, text.as_bytes()).unwrap();
            path
        };
        path(".wskprops", "APIHOST=props.example\nAUTH=p:p\n");
        let file = path("auth", "# mine\nAUTH = f:f\n");
        let home = folder.path().to_string_lossy().into_owned();
        let variable = |auth: Option<&'static str>| {
            let home = home.clone();
            move |name: &str| match name {
                "HOME" => Some(home.clone()),
                "OW_AUTH" => auth.map(str::to_owned),
                _ => None,
            }
        };
        let auth = |file: Option<&Path>, env| openwhisk(file, variable(env)).unwrap().auth.unwrap();
        assert_eq!(auth(Some(&file), Some("e:e")), "f:f");
        assert_eq!(auth(None, Some("e:e")), "e:e");
        assert_eq!(auth(None, None), "p:p");
        assert_eq!(openwhisk(None, variable(Some("e:e"))).unwrap().api_host.unwrap(), "props.example");
        assert_eq!(auth(Some(&path("bare", "b:b\n")), None), "b:b");
        assert!(openwhisk(None, variable(Some("no key"))).is_err());
        assert!(openwhisk(Some(&path("none", "APIHOST=x\n")), variable(None)).is_err());
    }
}
