//! The two classes of jobs, and a value for each of them.

use super::per_variant::per_variant;

/// Whether somebody waits for the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Somebody waits: this class is served first.
    #[default]
    Interactive,
    /// Nobody waits: this class gets the device time that interactive work leaves, and a guaranteed share.
    Bulk,
}

impl Class {
    /// Both classes.
    pub const ALL: [Self; 2] = [Self::Interactive, Self::Bulk];

    /// Returns the class's name, as metrics label it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Bulk => "bulk",
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Interactive => Self::Bulk,
            Self::Bulk => Self::Interactive,
        }
    }
}

per_variant! {
    /// One value for each class, indexed by [`Class`].
    PerClass by Class {
        interactive: Interactive,
        bulk: Bulk,
    }
}
