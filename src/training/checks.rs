//! What can be known before the long run starts: neighbours enough, work that fits the machine, values a model can take.

use super::config::{Case, Config};
use super::error::{Error, Result};
use super::progress::Progress;
use super::resample::{LIMIT_HOURS, estimate};
use super::split::Split;

/// Fails cheaply what would fail late, and says what the slow cases will cost.
pub fn before_fitting(config: &Config, splits: &[Split], progress: &dyn Progress) -> Result<()> {
    for named in &config.imbalance {
        let Case::SmoteTomek { k, .. } = &named.case else { continue };
        let mut seconds = 0.0;
        for split in splits {
            for part in split.parts() {
                let (train, _) = split.rows(part);
                let n_positives = train.labels().iter().filter(|&&label| label == 1).count();
                let n_minority = n_positives.min(train.n_rows() - n_positives);
                if n_minority <= *k {
                    return Err(Error::permanent(format!(
                        "case `{}`: expected more than {k} minority rows for {k} neighbours, found {n_minority} in {} {part}",
                        named.name,
                        split.protocol.as_str()
                    ))
                    .hint("lower `k`, use fewer folds, or leave the case out with `--only`"));
                }
                seconds += estimate(&named.case, train.n_rows(), n_minority, train.table().n_columns()).seconds;
            }
        }
        if seconds > LIMIT_HOURS * 3600.0 {
            return Err(Error::permanent(format!(
                "case `{}`: the search for neighbours would take about {:.0} hours on this machine, more than {LIMIT_HOURS}",
                named.name,
                seconds / 3600.0
            ))
            .hint("leave the case out with `--only`, or use fewer rows or folds"));
        }
        if seconds > 60.0 {
            progress.say(&format!(
                "case `{}`: the search for neighbours will take about {:.0} minutes",
                named.name,
                seconds / 60.0
            ));
        }
    }
    Ok(())
}
