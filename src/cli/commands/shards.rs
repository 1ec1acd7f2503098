//! `fraudml plan`, `cell`, `collect`, `submit`: one grid on many machines.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use serde_json::json;

use super::{Context, config_of, load, train};
use crate::cli::args::{CellArgs, CollectArgs, EngineArg, PlanArgs, SubmitArgs};
use crate::cli::config::{Loaded, show};
use crate::cli::diagnostics::Failure;
use crate::platform::ray::Head;
use crate::training::config::{Config, OutputConfig};
use crate::training::error::{Error, Result};
use crate::training::pipeline;
use crate::training::progress::Progress;
use crate::training::run::Run;
use crate::training::run_dir::{CellStore, write_atomic};
use crate::training::run_store::{self, RemoteRun};
use crate::training::shards::engines::{DRIVER, Engine, Submission};
use crate::training::shards::{PlanFile, Shard};

/// Where engines say which part of an array a process is.
const INDEX_VARIABLES: [&str; 4] =
    ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX", "PBS_ARRAY_INDEX"];
/// Between two looks at cells that others make.
const PAUSE: Duration = Duration::from_millis(500);
/// The same in an object store, where every look is paid for.
const REMOTE_PAUSE: Duration = Duration::from_secs(3);
/// Between two looks at processes of this machine.
const GLANCE: Duration = Duration::from_millis(50);
/// A shard on this machine is started so often.
const ATTEMPTS: u8 = 3;

/// A planned run: its folder, or its mirror if it lies in an object store.
struct Planned {
    run: Run,
    remote: Option<RemoteRun>,
}

impl Planned {
    fn find(named: &str) -> Result<Planned> {
        if !run_store::is_url(named) {
            return Ok(Planned { run: Run::find(&OutputConfig::default(), Some(named))?, remote: None });
        }
        let remote = RemoteRun::open(named, &cache())?;
        Ok(Planned { run: remote.fetch_run()?, remote: Some(remote) })
    }

    /// As every machine calls it.
    fn name(&self) -> String {
        self.remote.as_ref().map_or_else(|| self.run.folder.display().to_string(), |remote| remote.url().to_owned())
    }

    /// The config that it was planned with, on the folders where it is worked on.
    fn config(&self) -> std::result::Result<(Config, String), Failure> {
        let (Loaded { mut config, .. }, resolved) = config_of(&self.run)?;
        config.output = self.run.output();
        Ok((config, resolved))
    }
}

/// Where mirrors of remote runs lie.
fn cache() -> PathBuf {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("FRAUDML_CACHE")
        .or_else(|| folder("XDG_CACHE_HOME").map(|folder| folder.join("fraudml")))
        .or_else(|| folder("HOME").map(|folder| folder.join(".cache/fraudml")))
        .unwrap_or_else(|| std::env::temp_dir().join("fraudml"))
}

pub fn plan(args: &PlanArgs, context: &Context) -> std::result::Result<(), Failure> {
    let Loaded { mut config, .. } = load(&args.config)?;
    let resolved = show::yaml(&config, None);
    let remote = args.run.as_ref().map(|url| RemoteRun::open(url, &cache())).transpose()?;
    if let Some(remote) = &remote {
        config.output = remote.output();
    }
    let progress = context.progress()?;
    let (run, plan) = pipeline::plan_run(&config, &resolved, args.trees_per_cell.map(usize::from), &progress)?;
    remote.as_ref().map_or(Ok(()), |remote| remote.push_plan(&run))?;
    let name = Planned { run, remote }.name();
    let core_hours = plan.cells.iter().map(|planned| planned.core_seconds).sum::<f64>() / 3600.0;
    let largest = plan.largest_cell() as f64 / 1e9;
    context.printer.document(&json!({ "run": name, "plan": plan }))?;
    context.printer.confirm(&format!("run     {name}"))?;
    let told = format!("{} cells, about {core_hours:.2} core hours, at most {largest:.1} GB for one", plan.cells.len());
    Ok(context.printer.confirm(&told)?)
}

pub fn cell(args: &CellArgs, context: &Context) -> std::result::Result<(), Failure> {
    let shard = shard(&args.shard, |name| std::env::var(name).ok())?;
    let planned = Planned::find(&args.run)?;
    let (config, _) = planned.config()?;
    let progress = context.progress()?;
    let n_done = pipeline::fit_shard(&config, &planned.run, shard, planned.remote.as_ref(), &progress)?;
    let run = &planned.run.file.run_id;
    context.printer.document(&json!({ "run": run, "shard": [shard.index, shard.of], "done": n_done }))?;
    Ok(context.printer.confirm(&format!("shard {} of {}: {n_done} cells done", shard.index, shard.of))?)
}

pub fn collect(args: &CollectArgs, context: &Context) -> std::result::Result<(), Failure> {
    let planned = Planned::find(&args.run)?;
    let (run, remote) = (&planned.run, planned.remote.as_ref());
    let plan = PlanFile::read(&run.folder)?;
    let progress = context.progress()?;
    let is_finished = match remote {
        Some(remote) => remote.is_finished(run)?,
        None => {
            wait_for_cells(args, &planned, &plan, &progress)?;
            run.file.bundle.is_some() && run.folder.join("leaderboard.json").is_file()
        }
    };
    if is_finished {
        context.printer.document(&json!({ "run": run.file.run_id, "bundle": run.file.bundle }))?;
        return Ok(context.printer.confirm(&format!("run `{}` is finished already", run.file.run_id))?);
    }
    if let Some(remote) = remote {
        wait_for_cells(args, &planned, &plan, &progress)?;
        remote.fetch_table(run)?;
        remote.fetch_timings(run)?;
    }
    let (config, resolved) = planned.config()?;
    let trained = pipeline::finish_planned(&config, &resolved, run, &progress)?;
    remote.map_or(Ok(()), |remote| remote.push_results(&trained.run, &plan))?;
    train::say(&trained, context)
}

/// Until all cells are there; without `--watch` an error if they are not.
fn wait_for_cells(args: &CollectArgs, planned: &Planned, plan: &PlanFile, progress: &dyn Progress) -> Result<()> {
    let store = match planned.remote {
        Some(_) => CellStore::open(planned.run.folder.parent().unwrap_or(Path::new(".")))?,
        None => CellStore::beside(&planned.run.folder),
    };
    let (mut told, mut missing) = (usize::MAX, plan.cells.iter().collect::<Vec<_>>());
    loop {
        if let Some(remote) = &planned.remote {
            remote.exchange(&missing, &store)?;
        }
        // What was there once was hashed, and stays.
        missing.retain(|planned| !planned.is_there(&store));
        let Some(first) = missing.first() else { return Ok(()) };
        let line = format!("{} of {} cells are missing", missing.len(), plan.cells.len());
        if !args.watch {
            let missing = Error::transient(format!("{line}, the first {first}"));
            let run = planned.name();
            return Err(missing.hint(format!("`fraudml cell --run {run} --shard ..` makes them, `--watch` waits")));
        }
        if missing.len() < told {
            told = missing.len();
            progress.say(&line);
        }
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        std::thread::sleep(if planned.remote.is_some() { REMOTE_PAUSE } else { PAUSE });
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
    let planned = Planned::find(&args.run)?;
    let (run, name) = (&planned.run, planned.name());
    let plan = PlanFile::read(&run.folder)?;
    let engine = match args.engine {
        EngineArg::Local => return Ok(submit_local(args, &planned, context)?),
        EngineArg::Slurm => Engine::Slurm,
        EngineArg::Kubernetes => Engine::Kubernetes,
        EngineArg::Ray => Engine::Ray,
    };
    // A driver starts in a folder of its own.
    let name = if engine == Engine::Ray && planned.remote.is_none() { absolute(&run.folder) } else { name };
    let submission = Submission {
        plan: &plan,
        run: &name,
        shards: usize::from(args.shards),
        at_once: args.at_once.map(usize::from),
        cores: usize::from(args.cores),
        image: &args.image,
        claim: &args.claim,
        secret: &args.secret,
    };
    let folder = run.folder.join("submit");
    let mut written = Vec::new();
    for (name, text) in submission.files(engine) {
        let path = folder.join(name);
        write_atomic(&path, text.as_bytes())?;
        context.printer.result(&format!("# {}\n{text}", path.display()))?;
        written.push(path);
    }
    let sent = if args.go { Some(send(engine, run, &submission, args, context)?) } else { None };
    context.printer.document(&json!({ "run": run.file.run_id, "files": written, "sent": sent }))?;
    Ok(context.printer.confirm(sent.as_deref().unwrap_or("nothing was sent: `--go` does it"))?)
}

fn absolute(path: &Path) -> String {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

fn send(engine: Engine, run: &Run, submission: &Submission, args: &SubmitArgs, context: &Context) -> Result<String> {
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
        Engine::Ray => send_to_ray(run, submission, args, context),
    }
}

fn send_to_ray(run: &Run, submission: &Submission, args: &SubmitArgs, context: &Context) -> Result<String> {
    let token = std::env::var("RAY_AUTH_TOKEN").ok().filter(|token| !token.is_empty());
    let head = Head::new(&args.address, token)?;
    if head.is_open()? {
        let open = format!("`{}` takes jobs from whoever reaches it, and a job is any command", args.address);
        context.progress()?.say(&format!("{open}: give the cluster a token (RAY_AUTH_MODE=token), or keep others out"));
    }
    let unreadable = |error: std::io::Error| Error::failed(format!("the program can't be read: {error}"));
    let program = std::env::current_exe().and_then(std::fs::read).map_err(unreadable)?;
    let id = head.submit(&submission.ray_entrypoint(), DRIVER, &program, &run.file.run_id)?;
    Ok(format!("job {id} does the cells and collects: `ray job logs --follow --address {} {id}`", args.address))
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
fn submit_local(args: &SubmitArgs, planned: &Planned, context: &Context) -> Result<()> {
    let (run, name) = (&planned.run, planned.name());
    if !args.go {
        let line = |index| format!("fraudml cell --run {name} --shard {index}/{}", args.shards);
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
            running.push((index, attempt, started(args, &name, index)?));
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

fn started(args: &SubmitArgs, run: &str, index: u16) -> Result<Child> {
    let failed = |error: std::io::Error| Error::failed(format!("shard {index} can't be started: {error}"));
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command.args(["--quiet", "--no-progress", "--threads", &args.cores.to_string(), "cell", "--run"]);
    command.arg(run).args(["--shard", &format!("{index}/{}", args.shards)]);
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
