//! Response times: a few requests one by one, then load from several connections.
//!
//! In: a [`Call`] and its inputs. Out: milliseconds, and percentiles from an HDR histogram (three digits). Closed load
//! asks again as soon as it is answered and tells the throughput. Open load asks at a fixed rate whatever the answers do,
//! and counts from when a request should have been sent, so that a stall is felt by all who would have come meanwhile
//! (no coordinated omission).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::target::Call;
use crate::training::error::{Error, Result};

/// Longer than any time limit, in microseconds.
const MAX_US: u64 = 120_000_000;

/// Requests one by one.
#[derive(Debug, Clone, Serialize)]
pub struct Individual {
    pub name: String,
    /// The first request from a stopped action, or the first one at all where nothing can be stopped.
    pub cold_ms: Option<f64>,
    pub warm_ms: Vec<f64>,
}

impl Individual {
    pub fn min(&self) -> f64 {
        self.warm_ms.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub fn mean(&self) -> f64 {
        self.warm_ms.iter().sum::<f64>() / self.warm_ms.len().max(1) as f64
    }

    pub fn max(&self) -> f64 {
        self.warm_ms.iter().copied().fold(0.0, f64::max)
    }
}

/// Milliseconds of one request.
pub fn once(call: &Call, input: &[u8]) -> Result<f64> {
    let begun = Instant::now();
    call.send(input).map_err(Error::failed)?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

pub fn individual(call: &Call, input: &[u8], n: usize, cold_ms: Option<f64>) -> Result<Individual> {
    let warm_ms = (0..n).map(|_| once(call, input)).collect::<Result<_>>()?;
    Ok(Individual { name: call.name.to_owned(), cold_ms, warm_ms })
}

/// How load is put on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    pub connections: usize,
    pub duration: Duration,
    /// Requests per second; none: as fast as answers come.
    pub rate: Option<f64>,
}

/// What load came to.
#[derive(Debug, Clone, Serialize)]
pub struct Loaded {
    pub name: String,
    pub kind: &'static str,
    pub connections: usize,
    /// Requests per second that were to be sent; none: closed load.
    pub rate: Option<f64>,
    pub records_per_request: usize,
    pub requests: u64,
    pub failed: u64,
    pub first_failure: Option<String>,
    pub seconds: f64,
    pub requests_per_second: f64,
    pub records_per_second: f64,
    pub percentiles_ms: Vec<Percentile>,
    pub max_ms: f64,
}

#[derive(Debug, Clone, Copy, Serialize, PartialEq)]
pub struct Percentile {
    pub percentile: f64,
    pub ms: f64,
}

pub const PERCENTILES: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 99.99];

/// Puts load on; inputs are taken in turn, each holds so many records.
pub fn load(call: &Call, inputs: &[Vec<u8>], records_per_request: usize, plan: Plan) -> Result<Loaded> {
    if inputs.is_empty() || plan.connections == 0 {
        return Err(Error::permanent("load needs an input and a connection"));
    }
    let begun = Instant::now();
    let next = AtomicU64::new(0);
    let workers = std::thread::scope(|scope| {
        let start = || scope.spawn(|| worker(call, inputs, plan, begun, &next));
        let running: Vec<_> = (0..plan.connections).map(|_| start()).collect();
        running.into_iter().map(|worker| worker.join()).collect::<Vec<_>>()
    });
    let seconds = begun.elapsed().as_secs_f64();
    let mut times = histogram()?;
    let (mut failed, mut first_failure) = (0, None);
    for worker in workers {
        let worker = worker.map_err(|_| Error::failed("a load generator failed, which is a bug"))??;
        times.add(&worker.times).map_err(|error| Error::failed(error.to_string()))?;
        failed += worker.failed;
        first_failure = first_failure.or(worker.first_failure);
    }
    let requests = times.len();
    let ms = |us: u64| us as f64 / 1e3;
    let percentile = |percentile: f64| Percentile { percentile, ms: ms(times.value_at_percentile(percentile)) };
    Ok(Loaded {
        name: call.name.to_owned(),
        kind: if plan.rate.is_some() { "open" } else { "closed" },
        connections: plan.connections,
        rate: plan.rate,
        records_per_request,
        requests,
        failed,
        first_failure,
        seconds,
        requests_per_second: requests as f64 / seconds,
        records_per_second: requests as f64 * records_per_request as f64 / seconds,
        percentiles_ms: PERCENTILES.map(percentile).to_vec(),
        max_ms: ms(times.max()),
    })
}

struct Worked {
    times: Histogram<u64>,
    failed: u64,
    first_failure: Option<String>,
}

fn worker(call: &Call, inputs: &[Vec<u8>], plan: Plan, begun: Instant, next: &AtomicU64) -> Result<Worked> {
    let mut worked = Worked { times: histogram()?, failed: 0, first_failure: None };
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let intended = match plan.rate {
            None => begun.elapsed(),
            Some(rate) => Duration::from_secs_f64(number as f64 / rate),
        };
        if intended >= plan.duration {
            return Ok(worked);
        }
        if let Some(wait) = intended.checked_sub(begun.elapsed()) {
            std::thread::sleep(wait);
        }
        match call.send(&inputs[number as usize % inputs.len()]) {
            Ok(_) => {
                let took = begun.elapsed().saturating_sub(intended).as_micros() as u64;
                worked.times.record(took.clamp(1, MAX_US)).map_err(|error| Error::failed(error.to_string()))?;
            }
            Err(why) => {
                worked.failed += 1;
                worked.first_failure.get_or_insert(why);
            }
        }
    }
}

fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, MAX_US, 3).map_err(|error| Error::failed(error.to_string()))
}
