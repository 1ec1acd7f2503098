//! Named arrays in safetensors: written in one fixed order, read with their shape and finiteness checked.

use std::collections::BTreeMap;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::ScoringError;

/// Serialises named arrays (dtype, shape, little-endian bytes); the same arrays give the same bytes.
pub fn write(arrays: BTreeMap<&str, (Dtype, Vec<usize>, Vec<u8>)>) -> Vec<u8> {
    let views = arrays.iter().filter_map(|(name, (dtype, shape, bytes))| {
        TensorView::new(*dtype, shape.clone(), bytes).ok().map(|view| (*name, view))
    });
    safetensors::serialize(views, None).unwrap_or_default()
}

/// Hostile bytes read as named arrays.
pub struct Tensors<'a>(SafeTensors<'a>);

impl<'a> Tensors<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self, ScoringError> {
        SafeTensors::deserialize(bytes).map(Self).map_err(|error| damaged(&format!("is not safetensors: {error}")))
    }

    /// The raw bytes and length of a one-dimensional array of this type.
    fn array(&self, name: &str, dtype: Dtype) -> Result<(&'a [u8], Vec<usize>), ScoringError> {
        let view = self.0.tensor(name).map_err(|_| damaged(&format!("has no array `{name}`")))?;
        if view.dtype() != dtype {
            return Err(damaged(&format!("array `{name}`: expected {dtype:?}, found {:?}", view.dtype())));
        }
        Ok((view.data(), view.shape().to_vec()))
    }

    fn shaped(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<&'a [u8], ScoringError> {
        let (bytes, found) = self.array(name, dtype)?;
        if found != shape {
            return Err(damaged(&format!("array `{name}`: expected shape {shape:?}, found {found:?}")));
        }
        Ok(bytes)
    }

    pub fn shape(&self, name: &str) -> Result<Vec<usize>, ScoringError> {
        self.0.tensor(name).map(|view| view.shape().to_vec()).map_err(|_| damaged(&format!("has no array `{name}`")))
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.tensor(name).is_ok()
    }

    /// All bytes of a one-dimensional u8 array.
    pub fn u8s(&self, name: &str) -> Result<&'a [u8], ScoringError> {
        self.array(name, Dtype::U8).map(|(bytes, _)| bytes)
    }

    pub fn u16s(&self, name: &str) -> Result<Vec<u16>, ScoringError> {
        let (bytes, _) = self.array(name, Dtype::U16)?;
        Ok(bytes.as_chunks().0.iter().map(|chunk| u16::from_le_bytes(*chunk)).collect())
    }

    pub fn u32s(&self, name: &str) -> Result<Vec<u32>, ScoringError> {
        let (bytes, _) = self.array(name, Dtype::U32)?;
        Ok(bytes.as_chunks().0.iter().map(|chunk| u32::from_le_bytes(*chunk)).collect())
    }

    /// Finite f32 of any one-dimensional length.
    pub fn f32s(&self, name: &str) -> Result<Vec<f32>, ScoringError> {
        let (bytes, _) = self.array(name, Dtype::F32)?;
        finite_f32(name, bytes)
    }

    /// f32 of any one-dimensional length, infinities included, NaN refused.
    pub fn f32s_or_infinite(&self, name: &str) -> Result<Vec<f32>, ScoringError> {
        let (bytes, _) = self.array(name, Dtype::F32)?;
        let values: Vec<f32> = bytes.as_chunks().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
        if values.iter().any(|value| value.is_nan()) {
            return Err(damaged(&format!("array `{name}` holds NaN")));
        }
        Ok(values)
    }

    /// Finite f32 of exactly this shape.
    pub fn f32s_shaped(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ScoringError> {
        finite_f32(name, self.shaped(name, Dtype::F32, shape)?)
    }

    /// Finite f64 of exactly this shape.
    pub fn f64s(&self, name: &str, shape: &[usize]) -> Result<Vec<f64>, ScoringError> {
        let bytes = self.shaped(name, Dtype::F64, shape)?;
        let values: Vec<f64> = bytes.as_chunks().0.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect();
        values.iter().all(|value| value.is_finite()).then_some(values).ok_or_else(|| not_finite(name))
    }
}

fn finite_f32(name: &str, bytes: &[u8]) -> Result<Vec<f32>, ScoringError> {
    let values: Vec<f32> = bytes.as_chunks().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
    values.iter().all(|value| value.is_finite()).then_some(values).ok_or_else(|| not_finite(name))
}

fn not_finite(name: &str) -> ScoringError {
    damaged(&format!("array `{name}` holds a number that is not finite"))
}

/// An error about `model.safetensors`.
pub fn damaged(what: &str) -> ScoringError {
    ScoringError::new(format!("`model.safetensors` {what}")).hint("restore the bundle, or run `fraudml train` again")
}
