//! `fraudml demo`: the whole chain on generated data, by the config that is built in.

use std::path::Path;

use super::{Context, below, package, synth, train};
use crate::cli::args::DemoArgs;
use crate::cli::config::{self, Loaded, show};
use crate::cli::diagnostics::Failure;
use crate::training::package::PackageOptions;
use crate::training::pipeline;
use crate::training::synth::SynthConfig;

/// `configs/demo.yaml`.
const DEMO: &str = include_str!("../../../configs/demo.yaml");

pub fn run(args: &DemoArgs, context: &Context) -> Result<(), Failure> {
    let Loaded { config, .. } = demo_config(&args.out)?;
    let progress = context.progress()?;
    let synthetic = SynthConfig { rows: args.rows as usize, seed: config.seed };
    synth::write(&synthetic, &below(&args.out, "data"), &progress)?;
    let trained = pipeline::train(&config, &show::yaml(&config, None), &progress)?;
    let (folder, image) = package::write(&trained.bundle, &PackageOptions::default())?;
    train::say(&trained, context)?;
    context.printer.confirm(&package::said(&folder, &image))?;
    Ok(())
}

/// The built-in config, with all paths below `out`.
fn demo_config(out: &Path) -> Result<Loaded, Failure> {
    let set = |key: &str, part: &str| {
        let path = below(out, part).display().to_string();
        format!("{key}={}", serde_json::Value::from(path))
    };
    let sets = [
        set("data.tables.0.path", "data/train_transaction.csv"),
        set("data.tables.1.path", "data/train_identity.csv"),
        set("output.experiments", "experiments"),
        set("output.reports", "reports"),
        set("output.artifacts", "artifacts"),
    ];
    let name = "configs/demo.yaml".to_owned();
    config::parse(DEMO, &name, &sets, &[]).map_err(|problems| Failure::Config { name, problems })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_the_demo_lies_below_its_folder() {
        let loaded = demo_config(Path::new("/tmp/it's \"here\"")).expect("valid");
        let config = loaded.config;
        let folders = [config.output.experiments, config.output.reports, config.output.artifacts];
        let paths = config.data.tables.into_iter().map(|table| table.path).chain(folders);
        assert_eq!(paths.filter(|path| path.starts_with("/tmp/it's \"here\"")).count(), 5);
    }
}
