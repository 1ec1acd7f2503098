//! `fraudml completions` and `fraudml man`: what shells and readers of manuals need, made of the arguments' own definition.

use clap::CommandFactory;

use super::Context;
use crate::cli::args::{Cli, CompletionsArgs, ManArgs};
use crate::training::error::{Error, Result, io_reason};
use crate::training::run_dir::create_folder;

pub fn completions(args: &CompletionsArgs, context: &Context) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "fraudml", &mut text);
    context.printer.document(&serde_json::json!({ "completions": String::from_utf8_lossy(&text) }))?;
    context.printer.result(&String::from_utf8_lossy(&text))
}

pub fn man(args: &ManArgs, context: &Context) -> Result<()> {
    let unwritten =
        |error: std::io::Error| Error::failed(format!("the manual can't be written: {}", io_reason(&error)));
    let Some(folder) = &args.out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(unwritten)?;
        let page = String::from_utf8_lossy(&page);
        context.printer.document(&serde_json::json!({ "man": page }))?;
        return context.printer.result(&page);
    };
    create_folder(folder)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(unwritten)?;
    let folder = folder.display().to_string();
    context.printer.document(&serde_json::json!({ "written": folder }))?;
    context.printer.confirm(&format!("a page per command in `{folder}`: `man -l {folder}/fraudml.1`"))
}
