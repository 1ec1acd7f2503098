//! What an engine needs to run a plan's shards: scripts and manifests as text. In: a plan, the run's path or URL as all
//! machines see it, how many shards. Out: files by name; nothing is written or sent here.
//!
//! Slurm requeues a job whose node failed, never one that ended with a code: the batch script tries again itself, a few
//! times, where the code says that a retry may help (75, or ended by a signal). Kubernetes retries per index, gives an
//! index up at exit code 2, and counts no pod that was moved away. Ray takes one job, a driver whose tasks are the shards.

use super::{PlanFile, Shard};
use crate::training::run_store::is_url;

/// Where shards run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Slurm,
    Kubernetes,
    Ray,
}

/// How shards are run, whatever the engine.
#[derive(Debug, Clone)]
pub struct Submission<'a> {
    pub plan: &'a PlanFile,
    /// The run folder as every machine sees it, or its URL.
    pub run: &'a str,
    pub shards: usize,
    /// Shards at once; none: as many as the engine will.
    pub at_once: Option<usize>,
    pub cores: usize,
    /// Kubernetes: the image that holds `fraudml`; the claim of the volume that holds runs, or, for a run in an object store,
    /// the secret whose keys are the variables of its credentials.
    pub image: &'a str,
    pub claim: &'a str,
    pub secret: &'a str,
}

/// The driver of a Ray job.
pub const DRIVER: &str = include_str!("driver.py");

/// Tries of a shard that ended with a code worth another.
const ATTEMPTS: usize = 3;

impl Submission<'_> {
    pub fn files(&self, engine: Engine) -> Vec<(&'static str, String)> {
        match engine {
            Engine::Slurm => vec![("shards.sbatch", self.slurm_shards()), ("collect.sbatch", self.slurm_collect())],
            Engine::Kubernetes => vec![("shards.yaml", self.kubernetes())],
            Engine::Ray => vec![("driver.py", DRIVER.to_owned())],
        }
    }

    /// MiB to ask for: what the largest cell takes, which is known within a quarter (`tests/memory.sh`), and that quarter.
    fn memory(&self) -> u64 {
        let largest = self.plan.largest_cell();
        (largest + largest / 4).div_ceil(1 << 20)
    }

    /// Minutes that the longest shard takes, with room for slower machines.
    fn minutes(&self) -> u64 {
        let of_shard = |index: usize| -> f64 {
            Shard { index, of: self.shards }.cells(self.plan).map(|planned| planned.core_seconds).sum()
        };
        let longest = (0..self.shards).map(of_shard).fold(0.0, f64::max);
        (10.0 + 6.0 * longest / self.cores as f64 / 60.0).ceil() as u64
    }

    /// What a Ray job starts in the folder of its package.
    pub fn ray_entrypoint(&self) -> String {
        let (shards, cores, memory) = (self.shards, self.cores, self.memory() << 20);
        format!("python driver.py {} {shards} {cores} {memory} {ATTEMPTS}", quoted(self.run))
    }

    fn slurm_shards(&self) -> String {
        let (last, memory, minutes, cores) = (self.shards - 1, self.memory(), self.minutes(), self.cores);
        let at_once = self.at_once.map_or(String::new(), |n| format!("%{n}"));
        let (name, run, shards) = (&self.plan.run_id, quoted(self.run), self.shards);
        format!(
            "#!/bin/sh
#SBATCH --job-name={name}
#SBATCH --array=0-{last}{at_once}
#SBATCH --requeue
#SBATCH --cpus-per-task={cores}
#SBATCH --mem={memory}M
#SBATCH --time={minutes}
# The shard's number is SLURM_ARRAY_TASK_ID.
for attempt in $(seq {ATTEMPTS}); do
  fraudml --no-progress --threads {cores} cell --run {run} --shard {shards}
  code=$?
  case $code in
    75 | 130 | 13[4-9] | 14[0-9]) sleep $((attempt * 10)) ;;
    *) exit $code ;;
  esac
done
exit $code
"
        )
    }

    fn slurm_collect(&self) -> String {
        let (name, run, memory, cores) = (&self.plan.run_id, quoted(self.run), self.memory(), self.cores);
        format!(
            "#!/bin/sh
#SBATCH --job-name={name}-collect
#SBATCH --cpus-per-task={cores}
#SBATCH --mem={memory}M
exec fraudml --no-progress --threads {cores} collect --run {run}
"
        )
    }

    fn kubernetes(&self) -> String {
        let (shards, at_once) = (self.shards, self.at_once.unwrap_or(self.shards));
        // Names of Kubernetes are lower case letters, digits and dashes.
        let name: String = self.plan.run_id.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let name: String = name.chars().take(50).collect();
        let name = name.trim_matches('-');
        let cell = self.pod(&["--no-progress", "cell", "--run", self.run, "--shard", &shards.to_string()]);
        let collect = self.pod(&["--no-progress", "collect", "--watch", "--run", self.run]);
        format!(
            "# Every shard's number is JOB_COMPLETION_INDEX. Exit code 2 (wrong config or data) gives an index up; others are
# tried again.
apiVersion: batch/v1
kind: Job
metadata: {{ name: {name}-shards }}
spec:
  completionMode: Indexed
  completions: {shards}
  parallelism: {at_once}
  backoffLimitPerIndex: {ATTEMPTS}
  podFailurePolicy:
    rules:
      - action: FailIndex
        onExitCodes: {{ containerName: fraudml, operator: In, values: [2] }}
      - action: Ignore
        onPodConditions: [{{ type: DisruptionTarget, status: \"True\" }}]
  template:
{cell}---
# Waits for the cells, then writes leaderboard, bundle and report.
apiVersion: batch/v1
kind: Job
metadata: {{ name: {name}-collect }}
spec:
  backoffLimit: {ATTEMPTS}
  podFailurePolicy:
    rules:
      - action: FailJob
        onExitCodes: {{ containerName: fraudml, operator: In, values: [2] }}
  template:
{collect}"
        )
    }

    fn pod(&self, arguments: &[&str]) -> String {
        // JSON is YAML: what is quoted so stays one word.
        let (image, arguments) = (serde_json::json!(self.image), serde_json::json!(arguments));
        let (cores, memory) = (self.cores, self.memory());
        let (place, environment, volume) = self.place();
        format!(
            "    spec:
      restartPolicy: Never
      securityContext:
        {{ runAsNonRoot: true, runAsUser: 65532, fsGroup: 65532, seccompProfile: {{ type: RuntimeDefault }} }}
      containers:
        - name: fraudml
          image: {image}
          command: [fraudml]
          args: {arguments}
          workingDir: {place}
{environment}          resources:
            requests: {{ cpu: \"{cores}\", memory: {memory}Mi }}
            limits: {{ memory: {memory}Mi }}
          securityContext: {{ allowPrivilegeEscalation: false, capabilities: {{ drop: [ALL] }} }}
          volumeMounts: [{{ name: work, mountPath: {place} }}]
      volumes: [{{ name: work, {volume} }}]
"
        )
    }

    /// Where a pod works, what it is told, and what lies there: the shared folder, or a cache of what the store holds.
    fn place(&self) -> (&'static str, String, String) {
        if !is_url(self.run) {
            let claim = serde_json::json!(self.claim);
            return ("/work", String::new(), format!("persistentVolumeClaim: {{ claimName: {claim} }}"));
        }
        let secret = serde_json::json!(self.secret);
        let environment = format!(
            "          envFrom: [{{ secretRef: {{ name: {secret} }} }}]
          env: [{{ name: FRAUDML_CACHE, value: /cache }}]
"
        );
        ("/cache", environment, "emptyDir: {}".to_owned())
    }
}

/// A word of a shell script, whatever it holds.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's; rm"), "'it'\\''s; rm'");
    }
}
