//! The order of a report: eleven sections, the same for every format.

use super::table::Section;
use super::{
    RunReport, calibration, headline, importance, money, operating_point, provenance, resampling, statistics,
    subgroups, table1, validation,
};

/// What a fraud desk and an auditor read, in this order.
pub(super) fn sections(report: &RunReport) -> [Section; 11] {
    [
        headline::section(report),
        table1::section(report),
        validation::section(report),
        operating_point::section(report),
        money::section(report),
        calibration::section(report),
        statistics::section(report),
        resampling::section(report),
        importance::section(report),
        subgroups::section(report),
        provenance::section(report),
    ]
}
