//! Which lanes the caller wants from a recording's channels.

/// The rule that makes lanes from channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LaneChoice {
    /// One channel gives one lane. Two channels give two lanes, because they are usually two people. More
    /// channels give one lane with their mean.
    #[default]
    Auto,
    /// The mean of all channels, as one lane.
    Mix,
    /// One channel as the only lane. Channels are counted from 0.
    Select(u16),
    /// One lane for each channel.
    Each,
}

impl LaneChoice {
    /// Returns the number of lanes that this rule makes from `channels`.
    #[must_use]
    pub fn count(self, channels: u16) -> u16 {
        match (self, channels) {
            (Self::Each, _) | (Self::Auto, 2) => channels,
            (Self::Mix | Self::Select(_) | Self::Auto, _) => 1,
        }
    }
}
