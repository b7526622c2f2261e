//! A large output, left where it lies.

use std::ops::Deref;

use ort::value::{DynValue, Tensor};

/// Values of a tensor: in the runtime's memory, as a run gave them, or in our own.
#[derive(Debug)]
pub enum Values {
    /// In the runtime's memory, which is free again once they are dropped.
    Given(Tensor<f32>),
    /// In our own.
    Own(Vec<f32>),
}

impl Values {
    /// Takes a run's output as it is.
    pub(super) fn of(output: DynValue) -> ort::Result<Self> {
        output.downcast().map(Self::Given)
    }

    /// In memory of our own, copied if need be.
    pub(super) fn into_vec(self) -> Vec<f32> {
        match self {
            Self::Given(tensor) => tensor.extract_tensor().1.to_vec(),
            Self::Own(values) => values,
        }
    }
}

impl From<Vec<f32>> for Values {
    fn from(values: Vec<f32>) -> Self {
        Self::Own(values)
    }
}

impl Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Self::Given(tensor) => tensor.extract_tensor().1,
            Self::Own(values) => values,
        }
    }
}
