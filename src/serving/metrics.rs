//! Counters of one process, in the text format of Prometheus (exposition format 0.0.4).
//!
//! In: what was asked, how it was answered, how long it took. Out: the text of `GET /metrics`. Names and labels are
//! closed sets, so that no caller can make the text grow.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::stage::Tally;

/// What is counted apart.
pub const PATHS: [&str; 7] = ["/run", "/score", "/init", "/healthz", "/metrics", "/schema", "other"];
const CODES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];
const OUTCOMES: [&str; 4] = ["fraudulent", "authorised", "prepared", "refused"];

/// Upper bounds in microseconds.
const BUCKETS: [u64; 12] = [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 100_000, 1_000_000, 10_000_000];

/// Pages of `/proc/self/statm`; the same on every Linux this runs on by default.
const PAGE_BYTES: u64 = 4096;

#[derive(Debug, Default)]
pub struct Metrics {
    requests: [[AtomicU64; CODES.len()]; PATHS.len()],
    records: [AtomicU64; OUTCOMES.len()],
    /// Scoring requests (`/run`, `/score`) by duration, not cumulative; the last holds all above.
    durations: [AtomicU64; BUCKETS.len() + 1],
    microseconds: AtomicU64,
}

impl Metrics {
    pub fn count(&self, path: &str, status: u16, took: Duration) {
        let at = PATHS.iter().position(|known| *known == path).unwrap_or(PATHS.len() - 1);
        let class = usize::from(status / 100).saturating_sub(2).min(CODES.len() - 1);
        self.requests[at][class].fetch_add(1, Relaxed);
        if at < 2 {
            let took = took.as_micros() as u64;
            let bucket = BUCKETS.iter().position(|&bound| took <= bound).unwrap_or(BUCKETS.len());
            self.durations[bucket].fetch_add(1, Relaxed);
            self.microseconds.fetch_add(took, Relaxed);
        }
    }

    pub fn count_records(&self, tally: Tally) {
        let counts = [tally.fraudulent, tally.authorised, tally.prepared, tally.refused];
        for (counter, count) in self.records.iter().zip(counts) {
            counter.fetch_add(count, Relaxed);
        }
    }

    /// `about` are the labels of the loaded bundle, if there is one.
    pub fn text(&self, about: &[(&str, &str)]) -> String {
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, samples: Vec<(String, String)>| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (sample, value) in samples {
                let _ = writeln!(text, "{name}{sample} {value}");
            }
        };
        let labels = about.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
        let labels = labels.collect::<Vec<_>>().join(",");
        let bundle = if about.is_empty() { Vec::new() } else { vec![(format!("{{{labels}}}"), "1".to_owned())] };
        family("fraudml_bundle_info", "gauge", "The bundle that is loaded.", bundle);
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        let mut samples = Vec::new();
        for (path, counters) in PATHS.iter().zip(&self.requests) {
            for (code, counter) in CODES.iter().zip(counters).filter(|(_, counter)| read(counter) > 0) {
                samples.push((format!("{{path=\"{path}\",code=\"{code}\"}}"), read(counter).to_string()));
            }
        }
        family("fraudml_requests_total", "counter", "Requests by path and class of status.", samples);
        let outcomes = OUTCOMES.iter().zip(&self.records);
        let samples = outcomes.map(|(name, count)| (format!("{{outcome=\"{name}\"}}"), read(count).to_string()));
        family("fraudml_records_total", "counter", "Records by what became of them.", samples.collect());
        let mut so_far = 0;
        let mut samples = Vec::new();
        for (at, counter) in self.durations.iter().enumerate() {
            so_far += read(counter);
            let bound = BUCKETS.get(at).map_or("+Inf".into(), |&bound| (bound as f64 / 1e6).to_string());
            samples.push((format!("_bucket{{le=\"{bound}\"}}"), so_far.to_string()));
        }
        samples.push(("_sum".into(), (read(&self.microseconds) as f64 / 1e6).to_string()));
        samples.push(("_count".into(), so_far.to_string()));
        family("fraudml_request_seconds", "histogram", "Time from the whole request to its answer.", samples);
        let memory = resident_bytes().map(|bytes| (String::new(), bytes.to_string()));
        let help = "Resident memory size in bytes.";
        family("process_resident_memory_bytes", "gauge", help, memory.into_iter().collect());
        text
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split(' ').nth(1)?.parse::<u64>().ok().map(|pages| pages * PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_can_be_read() {
        let metrics = Metrics::default();
        for (path, status, took) in [("/run", 200, 60), ("/run", 200, 70_000_000), ("/score", 400, 1), ("/x", 404, 1)] {
            metrics.count(path, status, Duration::from_micros(took));
        }
        metrics.count_records(Tally { fraudulent: 1, authorised: 2, prepared: 0, refused: 3 });
        let text = metrics.text(&[("bundle", "a\"b"), ("model", "mlp")]);
        for line in [
            "fraudml_bundle_info{bundle=\"a\\\"b\",model=\"mlp\"} 1",
            "fraudml_requests_total{path=\"/run\",code=\"2xx\"} 2",
            "fraudml_requests_total{path=\"other\",code=\"4xx\"} 1",
            "fraudml_records_total{outcome=\"refused\"} 3",
            "fraudml_request_seconds_bucket{le=\"0.00005\"} 1",
            "fraudml_request_seconds_bucket{le=\"0.0001\"} 2",
            "fraudml_request_seconds_bucket{le=\"10\"} 2",
            "fraudml_request_seconds_bucket{le=\"+Inf\"} 3",
            "fraudml_request_seconds_count 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(resident_bytes().is_none_or(|bytes| bytes > 1 << 20));
    }
}
