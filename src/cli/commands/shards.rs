//! `fraudml plan`, `cell`, `collect`, `submit`: one grid on many machines.

use std::process::{Child, Command};
use std::time::Duration;

use serde_json::json;

use super::{Context, config_of, load, train};
use crate::cli::args::{CellArgs, CollectArgs, EngineArg, PlanArgs, SubmitArgs};
use crate::cli::config::{Loaded, show};
use crate::cli::diagnostics::Failure;
use crate::training::config::OutputConfig;
use crate::training::error::{Error, Result};
use crate::training::pipeline;
use crate::training::progress::Progress;
use crate::training::run::Run;
use crate::training::run_dir::{CellStore, write_atomic};
use crate::training::shards::engines::{Engine, Submission};
use crate::training::shards::{PlanFile, Shard};

/// Where engines say which part of an array a process is.
const INDEX_VARIABLES: [&str; 4] =
    ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX", "PBS_ARRAY_INDEX"];
/// Between two looks at cells that others make.
const PAUSE: Duration = Duration::from_millis(500);
/// Between two looks at processes of this machine.
const GLANCE: Duration = Duration::from_millis(50);
/// A shard on this machine is started so often.
const ATTEMPTS: u8 = 3;

pub fn plan(args: &PlanArgs, context: &Context) -> std::result::Result<(), Failure> {
    let Loaded { config, .. } = load(&args.config)?;
    let progress = context.progress()?;
    let (run, plan) = pipeline::plan_run(&config, &show::yaml(&config, None), &progress)?;
    let core_hours = plan.cells.iter().map(|planned| planned.core_seconds).sum::<f64>() / 3600.0;
    let largest = plan.cells.iter().map(|planned| planned.memory_bytes).max().unwrap_or(0) as f64 / 1e9;
    context.printer.document(&json!({ "run": run.folder, "plan": plan }))?;
    context.printer.confirm(&format!("run     {}", run.folder.display()))?;
    let told = format!("{} cells, about {core_hours:.2} core hours, at most {largest:.1} GB for one", plan.cells.len());
    Ok(context.printer.confirm(&told)?)
}

pub fn cell(args: &CellArgs, context: &Context) -> std::result::Result<(), Failure> {
    let shard = shard(&args.shard, |name| std::env::var(name).ok())?;
    let run = Run::find(&OutputConfig::default(), Some(&args.run))?;
    let (loaded, _) = config_of(&run)?;
    let progress = context.progress()?;
    let n_done = pipeline::fit_shard(&loaded.config, &run, shard, &progress)?;
    context.printer.document(&json!({ "run": run.file.run_id, "shard": [shard.index, shard.of], "done": n_done }))?;
    Ok(context.printer.confirm(&format!("shard {} of {}: {n_done} cells done", shard.index, shard.of))?)
}

pub fn collect(args: &CollectArgs, context: &Context) -> std::result::Result<(), Failure> {
    let run = Run::find(&OutputConfig::default(), Some(&args.run))?;
    let (plan, store) = (PlanFile::read(&run.folder)?, CellStore::beside(&run.folder));
    let progress = context.progress()?;
    wait_for_cells(args, &run, &plan, &store, &progress)?;
    if run.file.bundle.is_some() && run.folder.join("leaderboard.json").is_file() {
        context.printer.document(&json!({ "run": run.file.run_id, "bundle": run.file.bundle }))?;
        return Ok(context.printer.confirm(&format!("run `{}` is finished already", run.file.run_id))?);
    }
    let (loaded, resolved) = config_of(&run)?;
    let trained = pipeline::train(&loaded.config, &resolved, &progress)?;
    train::say(&trained, context)
}

/// Until all cells are there; without `--watch` an error if they are not.
fn wait_for_cells(
    args: &CollectArgs,
    run: &Run,
    plan: &PlanFile,
    store: &CellStore,
    progress: &dyn Progress,
) -> Result<()> {
    let (mut told, mut missing) = (usize::MAX, plan.missing(store));
    loop {
        let Some(first) = missing.first() else { return Ok(()) };
        let line = format!("{} of {} cells are missing", missing.len(), plan.cells.len());
        if !args.watch {
            let missing = Error::transient(format!("{line}, the first {first}"));
            let run = run.folder.display();
            return Err(missing.hint(format!("`fraudml cell --run {run} --shard ..` makes them, `--watch` waits")));
        }
        if missing.len() < told {
            told = missing.len();
            progress.say(&line);
        }
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        std::thread::sleep(PAUSE);
        // What was there once was hashed, and stays.
        missing.retain(|cell| !store.has(&cell.key));
    }
}

/// `I/N`, or `N` with the index that an engine tells.
fn shard(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Shard> {
    let (index, of) = match text.split_once('/') {
        Some((index, of)) => (index.to_owned(), of),
        None => {
            let told = INDEX_VARIABLES.iter().find_map(|name| variable(name));
            let variables = INDEX_VARIABLES.join(", ");
            let missing = Error::permanent(format!("`--shard {text}` names no part, and none of {variables} is set"));
            (told.ok_or(missing.hint(format!("say which, as in `--shard 0/{text}`")))?, text)
        }
    };
    let number = |text: &str| text.parse::<usize>().ok();
    match (number(&index), number(of)) {
        (Some(index), Some(of)) if index < of => Ok(Shard { index, of }),
        _ => Err(Error::permanent(format!("`--shard`: expected `I/N` with I from 0 to N - 1, found `{index}/{of}`"))
            .hint("`0/4` is the first of four parts; `4` alone takes the part from the engine's variable")),
    }
}

pub fn submit(args: &SubmitArgs, context: &Context) -> std::result::Result<(), Failure> {
    let run = Run::find(&OutputConfig::default(), Some(&args.run))?;
    let plan = PlanFile::read(&run.folder)?;
    let engine = match args.engine {
        EngineArg::Local => return Ok(submit_local(args, &run, context)?),
        EngineArg::Slurm => Engine::Slurm,
        EngineArg::Kubernetes => Engine::Kubernetes,
    };
    let submission = Submission {
        plan: &plan,
        run: &run.folder.display().to_string(),
        shards: usize::from(args.shards),
        at_once: args.at_once.map(usize::from),
        cores: usize::from(args.cores),
        image: &args.image,
        claim: &args.claim,
    };
    let folder = run.folder.join("submit");
    let mut written = Vec::new();
    for (name, text) in submission.files(engine) {
        let path = folder.join(name);
        write_atomic(&path, text.as_bytes())?;
        context.printer.result(&format!("# {}\n{text}", path.display()))?;
        written.push(path);
    }
    let sent = if args.go { Some(send(engine, &run)?) } else { None };
    context.printer.document(&json!({ "run": run.file.run_id, "files": written, "sent": sent }))?;
    Ok(context.printer.confirm(sent.as_deref().unwrap_or("nothing was sent: `--go` does it"))?)
}

fn send(engine: Engine, run: &Run) -> Result<String> {
    let file = |name: &str| run.folder.join("submit").join(name).display().to_string();
    match engine {
        Engine::Slurm => {
            let shards = asked(&["sbatch", "--parsable", &file("shards.sbatch")])?;
            // `id` or `id;cluster`.
            let job = shards.split(';').next().unwrap_or_default();
            let after = format!("--dependency=afterany:{job}");
            let collect = asked(&["sbatch", "--parsable", &after, &file("collect.sbatch")])?;
            Ok(format!("array job {job}, then job {collect} collects"))
        }
        Engine::Kubernetes => asked(&["kubectl", "apply", "-f", &file("shards.yaml")]),
    }
}

/// What a program of the engine answers.
fn asked(words: &[&str]) -> Result<String> {
    let failed = |why: &str| Error::failed(format!("`{}`: {why}", words.join(" ")));
    let output = Command::new(words[0]).args(&words[1..]).output().map_err(|error| {
        failed(&error.to_string()).hint(format!("`{}` must be on the path; without `--go` nothing is sent", words[0]))
    })?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Parts as processes of this machine, `--at-once` of them; one that a retry may help is started again.
fn submit_local(args: &SubmitArgs, run: &Run, context: &Context) -> Result<()> {
    if !args.go {
        let line = |index| format!("fraudml cell --run {} --shard {index}/{}", run.folder.display(), args.shards);
        let lines: Vec<String> = (0..args.shards).map(line).collect();
        context.printer.document(&json!({ "run": run.file.run_id, "commands": lines }))?;
        context.printer.result(&lines.join("\n"))?;
        return context.printer.confirm("nothing was started: `--go` does it");
    }
    let progress = context.progress()?;
    let mut waiting: Vec<(u16, u8)> = (0..args.shards).rev().map(|index| (index, 1)).collect();
    let mut running: Vec<(u16, u8, Child)> = Vec::new();
    while !(waiting.is_empty() && running.is_empty()) {
        while running.len() < usize::from(args.at_once.unwrap_or(1)) {
            let Some((index, attempt)) = waiting.pop() else { break };
            running.push((index, attempt, started(args, run, index)?));
        }
        std::thread::sleep(GLANCE);
        let mut still = Vec::new();
        for (index, attempt, mut child) in running {
            let ended = child.try_wait().map_err(|error| Error::failed(format!("shard {index}: {error}")))?;
            match ended.map(|status| status.code()) {
                None => still.push((index, attempt, child)),
                Some(Some(0)) => progress.say(&format!("shard {index} of {} is done", args.shards)),
                Some(_) if progress.interrupted() => return Err(Error::interrupted()),
                Some(code) if code == Some(2) || attempt == ATTEMPTS => return Err(gave_up(index, attempt, code)),
                Some(_) => waiting.push((index, attempt + 1)),
            }
        }
        running = still;
    }
    context.printer.document(&json!({ "run": run.file.run_id, "shards": args.shards }))?;
    context.printer.confirm("all shards are done: `fraudml collect` finishes the run")
}

fn gave_up(index: u16, attempt: u8, code: Option<i32>) -> Error {
    let by = code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
    let message = format!("shard {index} ended by {by}, try {attempt} of {ATTEMPTS}; its own message stands above");
    if code == Some(2) { Error::permanent(message) } else { Error::transient(message) }
}

fn started(args: &SubmitArgs, run: &Run, index: u16) -> Result<Child> {
    let failed = |error: std::io::Error| Error::failed(format!("shard {index} can't be started: {error}"));
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command.args(["--quiet", "--no-progress", "--threads", &args.cores.to_string(), "cell", "--run"]);
    command.arg(&run.folder).args(["--shard", &format!("{index}/{}", args.shards)]);
    command.spawn().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::error::ErrorKind;

    #[test]
    fn a_shard_is_named_whole_or_by_the_engine() {
        let none = |_: &str| None;
        let slurm = |name: &str| (name == "SLURM_ARRAY_TASK_ID").then(|| "3".to_owned());
        assert_eq!(shard("1/4", none).unwrap(), Shard { index: 1, of: 4 });
        assert_eq!(shard("4", slurm).unwrap(), Shard { index: 3, of: 4 });
        let wrong = [("4/4", None), ("1/0", None), ("x", Some("1")), ("4", Some("4")), ("-1/2", None), ("4", None)];
        for (text, variable) in wrong {
            let found = shard(text, |_| variable.map(str::to_owned));
            assert_eq!(found.unwrap_err().kind, ErrorKind::Permanent, "{text}");
        }
    }
}
