//! Stand-in.
use super::config::*; use super::error::Result; use super::evaluate::*;
pub struct OutOfFold { _l: Vec<u8>, s: Vec<f32> }
pub struct TestScores { _l: Vec<u8>, _s: Vec<f32> }
impl OutOfFold { pub(in crate::training) fn collect<'a>(f: impl Iterator<Item = (&'a [u8], &'a [f32])>) -> Self { let (mut l, mut s) = (vec![], vec![]); for (a, b) in f { l.extend(a); s.extend(b) } Self { _l: l, s } } }
impl TestScores { pub(in crate::training) fn new(_l: Vec<u8>, _s: Vec<f32>) -> Self { Self { _l, _s } } }
pub fn choose_threshold(_: ThresholdPolicy, o: &OutOfFold) -> Result<f32> { Ok(o.s.iter().copied().fold(0.0, f32::max)) }
pub fn operating_point(p: ThresholdPolicy, o: &OutOfFold, _: &TestScores) -> Result<OperatingPoint> {
    let pm = PointMetrics { confusion: Confusion::default(), recall: None, precision: None, fpr: None };
    Ok(OperatingPoint { policy: serde_json::to_value(p).unwrap_or_default(), threshold: choose_threshold(p, o)?, out_of_fold: pm.clone(), test: pm })
}
pub fn select(rows: &[LeaderboardRow], c: SelectConfig) -> Result<Selection> {
    let r = rows.iter().filter(|r| r.model != "logistic" && r.protocol == c.protocol.as_str()).max_by(|a, b| a.test.auc.partial_cmp(&b.test.auc).unwrap()).unwrap();
    Ok(Selection { protocol: r.protocol.clone(), by: "ap".into(), model: r.model.clone(), case: r.case.clone(), value: 0.0, reason: "stand-in".into() })
}
