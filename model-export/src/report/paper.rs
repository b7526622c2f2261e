//! The paper's results: IEMOCAP, four classes, a random split of utterances, in per cent.

use crate::evaluate::systems::System;
use crate::preset::{Representation, SequenceModel};

/// Why the paper's figures and ours are not comparable.
pub const PROTOCOL: &str = "The paper splits IEMOCAP's 5,531 utterances at random into 80 % for training \
    and 20 % for testing, so its test speakers were trained on. It gives neither intervals nor seeds.";

/// The contradiction between its tables.
pub const DEEP_TCN: &str = "The paper's Deep TCN has WA 64.38 in its Table 1 and 66.38 in its Table 2; \
    the text's +2.08 for Deep TACN fits 64.38, which is used here.";

/// Returns the accuracy in Table 1. The paper does not name the metric; its last two rows are the WA of Table 2.
#[must_use]
pub fn table_1(system: System) -> f64 {
    let [deep, fusion] = match system.sequence {
        SequenceModel::SimpleRnn => [57.41, 59.76],
        SequenceModel::Gru => [59.58, 61.21],
        SequenceModel::Bgru => [62.12, 64.20],
        SequenceModel::Lstm => [59.13, 61.57],
        SequenceModel::Blstm => [61.75, 64.56],
        SequenceModel::Tcn => [64.38, 66.73],
        SequenceModel::Tacn => [66.46, 69.44],
    };
    match system.representation {
        Representation::Deep => deep,
        Representation::Fusion => fusion,
    }
}

/// Returns F1, WA and UA in Table 2, which has only the convolutional systems.
#[must_use]
pub fn table_2(system: System) -> Option<[f64; 3]> {
    match (system.representation, system.sequence) {
        (Representation::Deep, SequenceModel::Tcn) => Some([64.68, 66.38, 63.80]),
        (Representation::Fusion, SequenceModel::Tcn) => Some([67.00, 66.73, 67.48]),
        (Representation::Deep, SequenceModel::Tacn) => Some([66.98, 66.46, 67.18]),
        (Representation::Fusion, SequenceModel::Tacn) => Some([69.75, 69.44, 70.16]),
        _ => None,
    }
}
