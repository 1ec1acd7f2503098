//! `fraudml config init | check | show | schema`.

use std::io::{ErrorKind, Write};
use std::path::Path;

use serde_json::json;

use super::{Context, io_error, load};
use crate::cli::args::ConfigCommand;
use crate::cli::config::{SCHEMA, STARTER, show};
use crate::cli::diagnostics::Failure;
use crate::training::config::ModelConfig;
use crate::training::error::{Error, Result};

pub fn run(command: &ConfigCommand, context: &Context) -> std::result::Result<(), Failure> {
    let printer = context.printer;
    match command {
        ConfigCommand::Init(args) => match &args.out {
            None => {
                printer.document(&json!({"config": STARTER}))?;
                printer.result(STARTER)?;
            }
            Some(path) => {
                write_new(path, STARTER)?;
                let path = path.display().to_string();
                printer.document(&json!({"written": path}))?;
                printer.confirm(&format!("wrote `{path}`"))?;
            }
        },
        ConfigCommand::Check(args) => {
            let config = load(args)?.config;
            let path = args.config.display().to_string();
            let models = config.models.iter().filter(|model| model.model != ModelConfig::Logistic).count();
            let cases = config.imbalance.len();
            let protocols = config.split.protocols.len();
            printer.document(&json!({"ok": true, "config": path}))?;
            printer.confirm(&format!(
                "ok: `{path}`: models x cases x protocols = {models} x {cases} x {protocols}, {} folds",
                config.split.folds
            ))?;
        }
        ConfigCommand::Show(args) => {
            let loaded = load(args)?;
            printer.document(&json!({"config": loaded.config, "origins": loaded.origins}))?;
            printer.result(&show::yaml(&loaded.config, Some(&loaded.origins)))?;
        }
        // It is a document itself: with `--json` and without.
        ConfigCommand::Schema => printer.data(SCHEMA.as_bytes())?,
    }
    Ok(())
}

/// Writes a file that must not exist: all of it, or nothing.
fn write_new(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let readable = std::fs::Permissions::from_mode(0o644);
    let mut file =
        tempfile::Builder::new().permissions(readable).tempfile_in(folder).map_err(|error| io_error(folder, &error))?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(|error| io_error(path, &error))?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {
            let message = format!("`{}` exists already", path.display());
            Err(Error::permanent(message).hint("name another file; nothing is overwritten"))
        }
        Err(error) => Err(io_error(path, &error.error)),
        Ok(_) => Ok(()),
    }
}
