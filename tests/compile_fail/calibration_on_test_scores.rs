// error: expected `&OutOfFold`, found `&TestScores`
use fraudml::scoring::calibration::Method;
use fraudml::training::calibrate::fit;
use fraudml::training::evaluate::ResamplingReport;
use fraudml::training::select::TestScores;

pub fn leak(method: Method, test: &TestScores, resampling: &ResamplingReport) {
    let _ = fit(method, test, resampling);
}
