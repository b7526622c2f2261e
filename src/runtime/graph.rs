//! Opens a bundle's graphs, and checks the name, type and shape of their inputs and outputs against the
//! contract.

use ort::session::Session;
use ort::value::{Outlet, TensorElementType, ValueType};

use super::error::{GraphError, RuntimeError};
use super::library::Library;
use crate::bundle::Bundle;

/// One input or output, as the contract requires it. A dimension of −1 is dynamic.
pub(super) struct TensorContract {
    name: &'static str,
    element: TensorElementType,
    shape: Vec<i64>,
}

impl TensorContract {
    pub(super) fn f32(name: &'static str, shape: &[i64]) -> Self {
        Self {
            name,
            element: TensorElementType::Float32,
            shape: shape.to_vec(),
        }
    }

    pub(super) fn i64(name: &'static str, shape: &[i64]) -> Self {
        Self {
            name,
            element: TensorElementType::Int64,
            shape: shape.to_vec(),
        }
    }
}

/// Opens the graphs of one bundle.
#[derive(Clone, Copy)]
pub(super) struct GraphLoader<'a> {
    pub(super) library: &'a Library,
    pub(super) bundle: &'a Bundle,
    /// Threads in each session.
    pub(super) threads: usize,
}

impl GraphLoader<'_> {
    /// Returns a session of a graph that fulfils the contract.
    pub(super) fn open(
        self,
        file: &'static str,
        inputs: &[TensorContract],
        outputs: &[TensorContract],
    ) -> Result<Session, RuntimeError> {
        let session = self
            .library
            .session(self.bundle.file(file)?, self.threads)
            .map_err(|source| RuntimeError::Session {
                file,
                provider: self.library.provider(),
                source,
            })?;
        check(&session, inputs, outputs).map_err(|source| RuntimeError::Graph { file, source })?;
        Ok(session)
    }
}

fn check(
    session: &Session,
    inputs: &[TensorContract],
    outputs: &[TensorContract],
) -> Result<(), GraphError> {
    compare("input", session.inputs(), inputs)?;
    compare("output", session.outputs(), outputs)?;
    let is_unknown =
        |outlet: &&Outlet| !inputs.iter().any(|expected| expected.name == outlet.name());
    match session.inputs().iter().find(is_unknown) {
        Some(outlet) => Err(GraphError::Unknown(outlet.name().to_owned())),
        None => Ok(()),
    }
}

fn compare(
    direction: &'static str,
    found: &[Outlet],
    expected: &[TensorContract],
) -> Result<(), GraphError> {
    for TensorContract {
        name,
        element,
        shape,
    } in expected
    {
        let Some(outlet) = found.iter().find(|outlet| outlet.name() == *name) else {
            let names: Vec<_> = found
                .iter()
                .map(|outlet| format!("`{}`", outlet.name()))
                .collect();
            return Err(GraphError::Missing {
                direction,
                name,
                found: names.join(", "),
            });
        };
        let matches = match outlet.dtype() {
            ValueType::Tensor {
                ty,
                shape: dimensions,
                ..
            } => {
                // An exporter may leave an output's dimension open. `outputs` checks the size after a run.
                let fits = |(found, expected): (&i64, &i64)| found == expected || *found == -1;
                ty == element
                    && dimensions.len() == shape.len()
                    && dimensions.iter().zip(shape).all(fits)
            }
            _ => false,
        };
        if !matches {
            return Err(GraphError::Shape {
                direction,
                name,
                found: outlet.dtype().to_string(),
                expected: format!("{element} {shape:?}"),
            });
        }
    }
    Ok(())
}
