//! A large output of a run, which is not copied.

use std::ops::Deref;

use ort::value::{DynValue, Tensor};

/// Values of a tensor, in the memory of ONNX Runtime or in our own.
#[derive(Debug)]
pub struct Values(Storage);

#[derive(Debug)]
enum Storage {
    /// ONNX Runtime's memory, which it uses again once this is dropped.
    Runtime(Tensor<f32>),
    Own(Vec<f32>),
}

impl Values {
    /// Keeps a run's output where it is.
    pub(super) fn of(output: DynValue) -> ort::Result<Self> {
        let tensor: Tensor<f32> = output.downcast()?;
        // Extraction fails if the processor cannot read the memory. After this check it cannot fail.
        tensor.try_extract_tensor::<f32>()?;
        Ok(Self(Storage::Runtime(tensor)))
    }
}

impl From<Vec<f32>> for Values {
    fn from(values: Vec<f32>) -> Self {
        Self(Storage::Own(values))
    }
}

impl Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &self.0 {
            Storage::Runtime(tensor) => tensor.extract_tensor().1,
            Storage::Own(values) => values,
        }
    }
}
