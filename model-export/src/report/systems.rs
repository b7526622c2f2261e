//! The fourteen systems of an ablation: two representations, each heard by seven sequence models.

use std::fmt;

use crate::preset::Representation;

/// A sequence model of the paper's Table 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sequence {
    /// Elman's recurrent network.
    SimpleRnn,
    /// Gated recurrent units.
    Gru,
    /// Gated recurrent units in both directions.
    Bgru,
    /// Long short-term memory.
    Lstm,
    /// Long short-term memory in both directions.
    Blstm,
    /// Dilated causal convolutions.
    Tcn,
    /// The same with attention over the taps.
    Tacn,
}

impl Sequence {
    /// All, in the order of the paper's Table 1.
    pub const ALL: [Self; 7] = [
        Self::SimpleRnn,
        Self::Gru,
        Self::Bgru,
        Self::Lstm,
        Self::Blstm,
        Self::Tcn,
        Self::Tacn,
    ];

    /// The name in folders and in JSON.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::SimpleRnn => "simple-rnn",
            Self::Gru => "gru",
            Self::Bgru => "bgru",
            Self::Lstm => "lstm",
            Self::Blstm => "blstm",
            Self::Tcn => "tcn",
            Self::Tacn => "tacn",
        }
    }

    /// The name that the paper uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SimpleRnn => "SimpRNN",
            Self::Gru => "GRU",
            Self::Bgru => "BGRU",
            Self::Lstm => "LSTM",
            Self::Blstm => "BLSTM",
            Self::Tcn => "TCN",
            Self::Tacn => "TACN",
        }
    }

    /// Whether the model is recurrent.
    #[must_use]
    pub fn is_recurrent(self) -> bool {
        !matches!(self, Self::Tcn | Self::Tacn)
    }
}

/// One system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct System {
    /// What the sequence model hears.
    pub representation: Representation,
    /// What hears it.
    pub sequence: Sequence,
}

impl System {
    /// All fourteen, the Deep ones first.
    pub fn all() -> impl Iterator<Item = Self> {
        [Representation::Deep, Representation::Fusion]
            .into_iter()
            .flat_map(|representation| {
                Sequence::ALL.map(|sequence| Self {
                    representation,
                    sequence,
                })
            })
    }

    /// The four of the paper's Table 2, in its order.
    #[must_use]
    pub fn of_table_2() -> [Self; 4] {
        [
            (Representation::Deep, Sequence::Tcn),
            (Representation::Fusion, Sequence::Tcn),
            (Representation::Deep, Sequence::Tacn),
            (Representation::Fusion, Sequence::Tacn),
        ]
        .map(|(representation, sequence)| Self {
            representation,
            sequence,
        })
    }

    /// The name in folders and in JSON, such as `fusion-tacn`.
    #[must_use]
    pub fn slug(self) -> String {
        let representation = match self.representation {
            Representation::Deep => "deep",
            Representation::Fusion => "fusion",
        };
        format!("{representation}-{}", self.sequence.slug())
    }
}

/// As the paper writes it, such as `Fusion TACN`.
impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let representation = match self.representation {
            Representation::Deep => "Deep",
            Representation::Fusion => "Fusion",
        };
        write!(f, "{representation} {}", self.sequence.name())
    }
}
