//! When transactions happen: the profile's rows per day and per hour of the day, over 182 days.

/// The original's first and last second: its clock starts a day before the first transaction.
const FIRST: f64 = 86_400.0;
const LAST: f64 = 15_811_131.0;

/// From a share of all rows (0..1) to a second, never backwards.
pub struct Clock {
    /// Share of all rows before the end of each hour.
    ends: Vec<f64>,
}

impl Clock {
    pub fn new(daily_rows: &[f64], hourly_rows: &[f64]) -> Clock {
        let mut below = 0.0;
        let per_hour = daily_rows.iter().flat_map(|day| hourly_rows.iter().map(move |hour| day * hour));
        let mut ends: Vec<f64> = per_hour
            .map(|rows| {
                below += rows;
                below
            })
            .collect();
        ends.iter_mut().for_each(|end| *end /= below);
        Clock { ends }
    }

    /// `TransactionDT`: whole seconds.
    pub fn seconds(&self, share: f64) -> f64 {
        let hour = self.ends.partition_point(|&end| end < share).min(self.ends.len() - 1);
        let start = if hour == 0 { 0.0 } else { self.ends[hour - 1] };
        let part = ((share - start) / (self.ends[hour] - start)).clamp(0.0, 1.0);
        let last = LAST - FIRST;
        (FIRST + (3600.0 * (hour as f64 + part)).min(last)).floor()
    }

    /// The same moment on a time axis from 0 to 1.
    pub fn time(&self, seconds: f64) -> f64 {
        ((seconds - FIRST) / (3600.0 * self.ends.len() as f64)).clamp(0.0, 1.0)
    }
}
