//! The fourteen systems of an ablation: two representations with seven sequence models each.

use std::fmt;

use crate::preset::{Representation, SequenceModel};

/// One system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct System {
    /// The input of the sequence model.
    pub representation: Representation,
    /// The sequence model.
    pub sequence: SequenceModel,
}

impl System {
    /// Returns all fourteen, the Deep systems first.
    pub fn all() -> impl Iterator<Item = Self> {
        Representation::ALL.into_iter().flat_map(|representation| {
            SequenceModel::ALL.map(|sequence| Self {
                representation,
                sequence,
            })
        })
    }

    /// Returns the four systems of the paper's Table 2, in its order.
    #[must_use]
    pub fn of_table_2() -> [Self; 4] {
        [
            (Representation::Deep, SequenceModel::Tcn),
            (Representation::Fusion, SequenceModel::Tcn),
            (Representation::Deep, SequenceModel::Tacn),
            (Representation::Fusion, SequenceModel::Tacn),
        ]
        .map(|(representation, sequence)| Self {
            representation,
            sequence,
        })
    }

    /// Returns the name in folders and in JSON, such as `fusion-tacn`.
    #[must_use]
    pub fn slug(self) -> String {
        format!("{}-{}", self.representation.name(), self.sequence.name())
    }
}

/// The paper's name, such as `Fusion TACN`.
impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let representation = match self.representation {
            Representation::Deep => "Deep",
            Representation::Fusion => "Fusion",
        };
        write!(f, "{representation} {}", self.sequence.title())
    }
}
