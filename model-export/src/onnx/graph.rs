//! A builder of graphs: from inputs, constants and operators to a serialised ONNX model.
//!
//! Values are named by number; [`Graph::output`] gives outputs the names that the server expects. Shapes are not
//! checked here: the tests run every graph.

use prost::Message;

use super::proto::{self, attribute_type, data_type};

/// ONNX Runtime 1.20 and later load this version with the operator set below.
const IR_VERSION: i64 = 10;
/// 18 is the first operator set with axes as an input of all reductions.
const OPSET: i64 = 18;

/// A tensor somewhere in the graph.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value(String);

/// Element type of an input or output.
#[derive(Clone, Copy, Debug)]
pub(super) enum Element {
    F32,
    I64,
}

impl Element {
    fn code(self) -> i32 {
        match self {
            Self::F32 => data_type::FLOAT,
            Self::I64 => data_type::INT64,
        }
    }
}

/// Size of one axis of an input or output.
#[derive(Clone, Copy, Debug)]
pub(super) enum Dim {
    Fixed(usize),
    /// Different in each call.
    Named(&'static str),
}

/// An operator's attribute.
#[derive(Clone, Debug)]
pub(super) enum Attribute {
    Int(&'static str, i64),
    Ints(&'static str, Vec<i64>),
}

impl Attribute {
    fn into_proto(self) -> proto::AttributeProto {
        match self {
            Self::Int(name, value) => proto::AttributeProto {
                name: name.into(),
                i: Some(value),
                r#type: attribute_type::INT,
                ..Default::default()
            },
            Self::Ints(name, values) => proto::AttributeProto {
                name: name.into(),
                ints: values,
                r#type: attribute_type::INTS,
                ..Default::default()
            },
        }
    }
}

/// The builder.
#[derive(Debug)]
pub(super) struct Graph {
    proto: proto::GraphProto,
    values: usize,
}

impl Graph {
    pub(super) fn new(name: &str) -> Self {
        Self {
            proto: proto::GraphProto {
                name: name.into(),
                ..Default::default()
            },
            values: 0,
        }
    }

    pub(super) fn input(&mut self, name: &str, element: Element, dims: &[Dim]) -> Value {
        self.proto.input.push(value_info(name, element, dims));
        Value(name.into())
    }

    /// Makes `value` an output with the name that the server expects.
    ///
    /// The value is renamed wherever it is used, which saves an Identity node. It must be an operator's
    /// result and not already an output.
    pub(super) fn output(&mut self, value: &Value, name: &str, element: Element, dims: &[Dim]) {
        for node in &mut self.proto.node {
            for used in node.input.iter_mut().chain(&mut node.output) {
                if *used == value.0 {
                    *used = name.into();
                }
            }
        }
        self.proto.output.push(value_info(name, element, dims));
    }

    /// Adds a constant; equal ones are stored once.
    pub(super) fn floats(&mut self, shape: &[usize], data: &[f32]) -> Value {
        let raw = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(Element::F32, shape, raw)
    }

    /// Adds a vector of integers; equal ones are stored once.
    pub(super) fn ints(&mut self, data: &[i64]) -> Value {
        let raw = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(Element::I64, &[data.len()], raw)
    }

    /// Adds an integer without axes.
    pub(super) fn int(&mut self, value: i64) -> Value {
        self.constant(Element::I64, &[], value.to_le_bytes().into())
    }

    /// Adds an operator with one result.
    pub(super) fn node(
        &mut self,
        operator: &str,
        inputs: &[&Value],
        attributes: impl IntoIterator<Item = Attribute>,
    ) -> Value {
        let result = self.fresh();
        self.push(operator, inputs, vec![result.0.clone()], attributes);
        result
    }

    /// Adds an operator with this many results, the first of its possible ones.
    pub(super) fn nodes(
        &mut self,
        operator: &str,
        inputs: &[&Value],
        results: usize,
        attributes: impl IntoIterator<Item = Attribute>,
    ) -> Vec<Value> {
        let results: Vec<Value> = (0..results).map(|_| self.fresh()).collect();
        let names = results.iter().map(|result| result.0.clone()).collect();
        self.push(operator, inputs, names, attributes);
        results
    }

    /// Returns the placeholder of an omitted optional input.
    pub(super) fn absent() -> Value {
        Value(String::new())
    }

    /// Cuts `value` along `axis` into parts of these sizes.
    pub(super) fn split(&mut self, value: &Value, axis: i64, sizes: &[usize]) -> Vec<Value> {
        if sizes.len() == 1 {
            return vec![value.clone()];
        }
        let parts = sizes.len();
        let sizes: Vec<i64> = sizes.iter().map(|&size| size as i64).collect();
        let sizes = self.ints(&sizes);
        self.nodes(
            "Split",
            &[value, &sizes],
            parts,
            [Attribute::Int("axis", axis)],
        )
    }

    pub(super) fn concat(&mut self, values: &[&Value], axis: i64) -> Value {
        self.node("Concat", values, [Attribute::Int("axis", axis)])
    }

    /// Reshapes a value: 0 keeps the size of the same axis, −1 is the remaining size.
    pub(super) fn reshape(&mut self, value: &Value, shape: &[i64]) -> Value {
        let shape = self.ints(shape);
        self.node("Reshape", &[value, &shape], [])
    }

    pub(super) fn transpose(&mut self, value: &Value, order: &[i64]) -> Value {
        self.node(
            "Transpose",
            &[value],
            [Attribute::Ints("perm", order.into())],
        )
    }

    /// Returns the serialised model.
    pub(super) fn finish(self) -> Vec<u8> {
        proto::ModelProto {
            ir_version: IR_VERSION,
            producer_name: "undertone model-export".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(self.proto),
            opset_import: vec![proto::OperatorSetId {
                domain: Some(String::new()),
                version: OPSET,
            }],
        }
        .encode_to_vec()
    }

    fn push(
        &mut self,
        operator: &str,
        inputs: &[&Value],
        output: Vec<String>,
        attributes: impl IntoIterator<Item = Attribute>,
    ) {
        self.proto.node.push(proto::NodeProto {
            input: inputs.iter().map(|value| value.0.clone()).collect(),
            output,
            name: format!("{operator}_{}", self.proto.node.len()),
            op_type: operator.into(),
            attribute: attributes.into_iter().map(Attribute::into_proto).collect(),
        });
    }

    fn constant(&mut self, element: Element, shape: &[usize], raw_data: Vec<u8>) -> Value {
        let dims: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        let data_type = element.code();
        let known = self.proto.initializer.iter().find(|known| {
            known.data_type == data_type && known.dims == dims && known.raw_data == raw_data
        });
        if let Some(known) = known {
            return Value(known.name.clone());
        }
        let value = self.fresh();
        let name = value.0.clone();
        self.proto.initializer.push(proto::TensorProto {
            dims,
            data_type,
            name,
            raw_data,
        });
        value
    }

    fn fresh(&mut self) -> Value {
        self.values += 1;
        Value(format!("v{}", self.values))
    }
}

fn value_info(name: &str, element: Element, dims: &[Dim]) -> proto::ValueInfoProto {
    let dim = dims
        .iter()
        .map(|dim| proto::Dimension {
            value: Some(match *dim {
                Dim::Fixed(size) => proto::DimensionValue::Fixed(size as i64),
                Dim::Named(name) => proto::DimensionValue::Named(name.into()),
            }),
        })
        .collect();
    let tensor_type = proto::TensorType {
        elem_type: element.code(),
        shape: Some(proto::TensorShapeProto { dim }),
    };
    proto::ValueInfoProto {
        name: name.into(),
        r#type: Some(proto::TypeProto {
            tensor_type: Some(tensor_type),
        }),
    }
}
