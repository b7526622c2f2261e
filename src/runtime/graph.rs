//! Opens a bundle's graph and holds its inputs and outputs against the contract, by name, type and
//! shape.

use ort::session::Session;
use ort::value::{Outlet, TensorElementType, ValueType};

use super::{Library, RuntimeError};
use crate::bundle::Bundle;

/// What a graph does not have as the contract asks.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum GraphError {
    /// An input or output is not there.
    #[error("has no {direction} `{name}`; it has {found}")]
    Missing {
        /// `input` or `output`.
        direction: &'static str,
        /// The name that is asked for.
        name: &'static str,
        /// The names that are there.
        found: String,
    },
    /// An input or output has another type or shape.
    #[error("{direction} `{name}` is {found}, but the contract asks for {expected}")]
    Shape {
        /// `input` or `output`.
        direction: &'static str,
        /// The input's or output's name.
        name: &'static str,
        /// Its type and shape.
        found: String,
        /// What they must be.
        expected: String,
    },
    /// The graph wants an input that the contract does not know.
    #[error("wants an input `{0}` that the contract does not know")]
    Unknown(String),
}

/// What the contract asks of one input or output. A dimension of −1 is dynamic.
pub(super) struct Expected {
    pub(super) name: &'static str,
    pub(super) element: TensorElementType,
    pub(super) shape: Vec<i64>,
}

impl Expected {
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

/// The session of a bundle's graph, if it is the contract's.
pub(super) fn open(
    (library, bundle): (&Library, &Bundle),
    threads: usize,
    file: &'static str,
    inputs: &[Expected],
    outputs: &[Expected],
) -> Result<Session, RuntimeError> {
    let session = library
        .session(bundle.file(file)?, threads)
        .map_err(|source| RuntimeError::Session {
            file,
            provider: library.provider(),
            source,
        })?;
    check(&session, inputs, outputs).map_err(|source| RuntimeError::Graph { file, source })?;
    Ok(session)
}

fn check(session: &Session, inputs: &[Expected], outputs: &[Expected]) -> Result<(), GraphError> {
    compare("input", session.inputs(), inputs)?;
    compare("output", session.outputs(), outputs)?;
    let known = |outlet: &&Outlet| !inputs.iter().any(|expected| expected.name == outlet.name());
    match session.inputs().iter().find(known) {
        Some(outlet) => Err(GraphError::Unknown(outlet.name().to_owned())),
        None => Ok(()),
    }
}

fn compare(
    direction: &'static str,
    found: &[Outlet],
    expected: &[Expected],
) -> Result<(), GraphError> {
    for Expected {
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
                // An exporter may leave an output's dimension open; a run then shows its size.
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
