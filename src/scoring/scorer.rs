//! The three stages and their fusion over one bundle: raw record -> features -> vector -> score.
//!
//! In and out are the JSON shapes of the stages; the fused pipeline takes the same steps without the JSON between them,
//! so its bits are those of the chain. A scorer exists only if the bundle's golden records replay exactly.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::bundle::{Bundle, GoldenRecord};
use super::error::ScoringError;
use super::input::Names;
use super::matrix::FeatureMatrix;
use super::model::{Classifier, Model};
use super::preprocessor::{FrozenColumn, Plan, Unusual};
use super::reasons::{Reason, raising};
use super::record::{Record, Value, brief};

/// The answer of stage `transform`: imputed, cased features by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transformed {
    pub id: Json,
    pub features: Map<String, Json>,
    /// What the training rows did not hold; absent if there is nothing to say. It goes through all stages.
    #[serde(default, skip_serializing_if = "Unusual::is_nothing")]
    pub unusual: Unusual,
    pub bundle: String,
}

/// The answer of stage `encode`: the vector the model reads; f32 written as its shortest round-trip text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Encoded {
    pub id: Json,
    /// NaN (a value left missing for a forest) travels as null.
    #[serde(deserialize_with = "read_vector")]
    pub vector: Vec<f32>,
    #[serde(default, skip_serializing_if = "Unusual::is_nothing")]
    pub unusual: Unusual,
    pub bundle: String,
}

/// A record as the model reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedRecord {
    pub id: Json,
    pub vector: Vec<f32>,
    pub unusual: Unusual,
}

impl PreparedRecord {
    /// An answer of stage `encode` that was checked.
    pub fn of(encoded: Encoded) -> PreparedRecord {
        PreparedRecord { id: encoded.id, vector: encoded.vector, unusual: encoded.unusual }
    }
}

/// The answer of stage `predict`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    pub id: Json,
    /// Calibrated.
    pub score: f32,
    pub is_fraud: bool,
    pub threshold: f32,
    /// `fraudulent` or `authorised`.
    pub message: String,
    #[serde(default, skip_serializing_if = "Unusual::is_nothing")]
    pub unusual: Unusual,
    pub bundle: String,
}

fn read_vector<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    let values = Vec::<Option<f32>>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|value| value.unwrap_or(f32::NAN)).collect())
}

/// A bundle that proved itself on its golden records.
#[derive(Debug, Clone)]
pub struct Scorer {
    bundle: Bundle,
    plan: Plan,
    names: Names,
    features: Arc<[String]>,
    threshold: f32,
}

impl Scorer {
    /// Replays the golden records; refuses a bundle that answers anything else than it did when it was frozen.
    pub fn new(bundle: Bundle) -> Result<Scorer, ScoringError> {
        let plan = bundle.preprocessor.plan(&bundle.manifest.schema)?;
        let names = Names::new(&bundle.manifest.schema);
        let features = bundle.manifest.features[..].into();
        let threshold = bundle.manifest.threshold;
        let mut scorer = Scorer { bundle, plan, names, features, threshold };
        for (at, golden) in scorer.bundle.golden.records.iter().enumerate() {
            let replayed = scorer.golden(golden.record.clone())?;
            if replayed != *golden {
                return Err(ScoringError::new(format!(
                    "golden record {at} is answered differently than when it was frozen"
                ))
                .hint("this machine computes other bits, or the bundle was put together by hand: freeze it again"));
            }
        }
        scorer.threshold = scorer.bundle.threshold();
        Ok(scorer)
    }

    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The raw columns by name.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// What every stage answers to this record, without the bundle's id.
    pub fn golden(&self, record: Map<String, Json>) -> Result<GoldenRecord, ScoringError> {
        let transformed = self.transform(&record)?;
        let encoded = self.encode(&transformed)?;
        let prediction = self.predict(&encoded)?;
        let bare = |answer: Result<Json, serde_json::Error>| {
            let mut answer = answer.map_err(|error| ScoringError::new(error.to_string()))?;
            answer.as_object_mut().map(|object| object.remove("bundle"));
            Ok::<Json, ScoringError>(answer)
        };
        Ok(GoldenRecord {
            record,
            transform: bare(serde_json::to_value(&transformed))?,
            encode: bare(through_text(&encoded))?,
            predict: bare(through_text(&prediction))?,
        })
    }

    /// Stage 1: coerce, trim and case, impute.
    pub fn transform(&self, object: &Map<String, Json>) -> Result<Transformed, ScoringError> {
        Ok(self.transform_record(Record::from_json(&self.bundle.manifest.schema, object)?))
    }

    pub fn transform_record(&self, record: Record) -> Transformed {
        let features = self.bundle.preprocessor.transform(&self.plan, &record);
        let to_json = |value| match value {
            Value::Missing => Json::Null,
            Value::Number(number) => Json::from(number),
            Value::Text(text) => Json::String(text),
        };
        let columns = self.bundle.preprocessor.columns.iter().map(|column| column.name().to_owned());
        let named = columns.zip(features.into_iter().map(to_json));
        let unusual = self.bundle.preprocessor.unusual(&self.plan, &record);
        Transformed { id: record.id, features: named.collect(), unusual, bundle: self.bundle.manifest.id.clone() }
    }

    /// Stage 2: label codes and scale.
    pub fn encode(&self, transformed: &Transformed) -> Result<Encoded, ScoringError> {
        self.same_bundle(&transformed.bundle)?;
        let feature = |name: &str| match transformed.features.get(name) {
            None => Err(ScoringError::new(format!("feature `{name}` is missing")).field(name)),
            Some(Json::Null) => Ok(Value::Missing),
            Some(Json::String(text)) => Ok(Value::Text(text.clone())),
            Some(Json::Number(number)) => Ok(Value::Number(number.as_f64().unwrap_or(f64::NAN))),
            Some(other) => {
                let message = format!("feature `{name}`: expected a number or a text, found {}", brief(other));
                Err(ScoringError::new(message).field(name))
            }
        };
        let columns = self.bundle.preprocessor.columns.iter().map(FrozenColumn::name);
        let features = columns.map(feature).collect::<Result<Vec<_>, _>>()?;
        let vector = self.bundle.preprocessor.encode(&self.plan, &features)?;
        let (id, unusual) = (transformed.id.clone(), transformed.unusual.clone());
        Ok(Encoded { id, vector, unusual, bundle: self.bundle.manifest.id.clone() })
    }

    /// Stage 3: model, calibration, threshold.
    pub fn predict(&self, encoded: &Encoded) -> Result<Prediction, ScoringError> {
        self.check_vector(encoded)?;
        self.decide_one(&PreparedRecord::of(encoded.clone()))
    }

    /// Whether the model can read a vector that came from outside.
    pub fn check_vector(&self, encoded: &Encoded) -> Result<(), ScoringError> {
        self.same_bundle(&encoded.bundle)?;
        let expected = self.bundle.model.n_features();
        if encoded.vector.len() != expected {
            let message = format!("field `vector`: expected {expected} numbers, found {}", encoded.vector.len());
            return Err(ScoringError::new(message).field("vector"));
        }
        // Only a forest knows what to do with a missing value; a network would make some number of it.
        let gaps_allowed = matches!(self.bundle.model, Model::Forest(_));
        if let Some(at) = encoded.vector.iter().position(|x| x.is_infinite() || (x.is_nan() && !gaps_allowed)) {
            let message = format!("field `vector`: number {at} is missing or infinite");
            return Err(ScoringError::new(message).field("vector"));
        }
        Ok(())
    }

    /// All three stages at once.
    pub fn pipeline(&self, object: &Map<String, Json>) -> Result<Prediction, ScoringError> {
        self.decide_one(&self.prepare(Record::from_json(&self.bundle.manifest.schema, object)?))
    }

    /// Transform and encode without the JSON between them.
    pub fn prepare(&self, record: Record) -> PreparedRecord {
        let (vector, unusual) = self.bundle.preprocessor.prepare(&self.plan, &record);
        PreparedRecord { vector, unusual, id: record.id }
    }

    /// Answers one prepared record.
    pub fn decide_one(&self, prepared: &PreparedRecord) -> Result<Prediction, ScoringError> {
        self.decide(prepared, self.bundle.model.score_row(&prepared.vector))
    }

    /// Answers prepared records together, with the bits that each has alone.
    pub fn decide_all(&self, prepared: &[&PreparedRecord]) -> Vec<Result<Prediction, ScoringError>> {
        if prepared.is_empty() {
            return Vec::new();
        }
        let values = prepared.iter().flat_map(|prepared| &prepared.vector).copied().collect();
        let scores = self.bundle.model.score(&FeatureMatrix::new(Arc::clone(&self.features), values));
        prepared.iter().zip(scores).map(|(prepared, raw)| self.decide(prepared, raw)).collect()
    }

    /// Up to `n` features that raised the raw score of a prepared row most, by path attribution; forests only.
    pub fn reasons(&self, vector: &[f32], n: usize) -> Result<Vec<Reason>, ScoringError> {
        let Model::Forest(forest) = &self.bundle.model else {
            let found = self.bundle.manifest.model.as_str();
            return Err(ScoringError::new(format!("reasons need a forest: the bundle's model is `{found}`")));
        };
        let mut contributions = vec![0.0; vector.len()];
        forest.path_contributions(vector, &mut contributions)?;
        Ok(raising(&self.bundle.manifest.features, &contributions, n))
    }

    /// The score that is answered for a raw one.
    pub fn calibrated(&self, raw: f32) -> f32 {
        self.bundle.manifest.calibration.apply(raw)
    }

    /// On the calibrated score.
    pub fn is_fraud(&self, score: f32) -> bool {
        score >= self.threshold
    }

    /// A score that is no number (huge values overflow in a network) is an error; JSON would turn it into null.
    fn decide(&self, prepared: &PreparedRecord, raw: f32) -> Result<Prediction, ScoringError> {
        if !raw.is_finite() {
            return Err(ScoringError::new("the numbers of the record overflow in the model"));
        }
        let score = self.calibrated(raw);
        let is_fraud = self.is_fraud(score);
        let message = if is_fraud { "fraudulent" } else { "authorised" };
        let (threshold, bundle) = (self.threshold, self.bundle.manifest.id.clone());
        let (id, unusual) = (prepared.id.clone(), prepared.unusual.clone());
        Ok(Prediction { id, score, is_fraud, threshold, message: message.into(), unusual, bundle })
    }

    fn same_bundle(&self, other: &str) -> Result<(), ScoringError> {
        let own = &self.bundle.manifest.id;
        if other == own {
            return Ok(());
        }
        let message = format!("field `bundle`: expected `{own}`, found {}", brief(&Json::from(other)));
        Err(ScoringError::new(message).field("bundle").hint("deploy all stages from one bundle"))
    }
}

/// Through the text that goes over the wire: f32 as its shortest text, where `to_value` would widen it.
fn through_text(answer: &impl Serialize) -> Result<Json, serde_json::Error> {
    serde_json::from_str(&serde_json::to_string(answer)?)
}
