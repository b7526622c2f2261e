//! ONNX Runtime as the server runs it.

use ort::session::{Session, SessionInputValue};
use ort::value::Tensor;
use undertone::runtime::Library;

pub(crate) fn session(model: &[u8]) -> Session {
    Library::load(None).unwrap().session(model, 1).unwrap()
}

pub(crate) type Input = (&'static str, SessionInputValue<'static>);

pub(crate) fn floats(name: &'static str, shape: &[usize], data: &[f32]) -> Input {
    (
        name,
        Tensor::from_array((shape.to_vec(), data.to_vec()))
            .unwrap()
            .into(),
    )
}

pub(crate) fn ints(name: &'static str, data: &[i64]) -> Input {
    (
        name,
        Tensor::from_array(([data.len()], data.to_vec()))
            .unwrap()
            .into(),
    )
}

/// Runs a graph; returns the f32 outputs with these names.
pub(crate) fn run<const OUTPUTS: usize>(
    session: &mut Session,
    inputs: Vec<Input>,
    names: [&str; OUTPUTS],
) -> [Vec<f32>; OUTPUTS] {
    let outputs = session.run(inputs).unwrap();
    names.map(|name| {
        outputs[name]
            .try_extract_tensor::<f32>()
            .unwrap()
            .1
            .to_vec()
    })
}
