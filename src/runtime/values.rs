//! A large output, left where it lies.

use std::ops::Deref;

use ort::value::{DynValue, Tensor};

/// Values of a tensor: in the runtime's memory, as a run gave them, or in our own.
#[derive(Debug)]
pub struct Values(Held);

#[derive(Debug)]
enum Held {
    /// The runtime's memory is free again once this is dropped.
    Given(Tensor<f32>),
    Own(Vec<f32>),
}

impl Values {
    /// Takes a run's output as it is.
    pub(super) fn of(output: DynValue) -> ort::Result<Self> {
        let tensor: Tensor<f32> = output.downcast()?;
        // It fails where the processor cannot read it; from now on it does not.
        tensor.try_extract_tensor::<f32>()?;
        Ok(Self(Held::Given(tensor)))
    }

    /// In memory of our own, copied if need be.
    pub(super) fn into_vec(self) -> Vec<f32> {
        match self.0 {
            Held::Given(tensor) => tensor.extract_tensor().1.to_vec(),
            Held::Own(values) => values,
        }
    }
}

impl From<Vec<f32>> for Values {
    fn from(values: Vec<f32>) -> Self {
        Self(Held::Own(values))
    }
}

impl Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &self.0 {
            Held::Given(tensor) => tensor.extract_tensor().1,
            Held::Own(values) => values,
        }
    }
}
