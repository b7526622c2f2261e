//! Whether a stretch of sound can hold speech at all.

/// A level gate. Wide open: real speech lies as low as −64 dBFS, so this tells sound from digital
/// silence and an idle line, not speech from noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gate {
    /// In dBFS; a full-scale square wave is 0.
    pub level_dbfs: f32,
}

impl Gate {
    /// Whether samples (±1 full scale) are loud enough: their RMS level reaches the gate's.
    #[must_use]
    pub fn holds_speech(&self, samples: &[f32]) -> bool {
        let energy: f64 = samples
            .iter()
            .map(|sample| f64::from(*sample).powi(2))
            .sum();
        let mean = energy / samples.len().max(1) as f64;
        10.0 * mean.log10() >= f64::from(self.level_dbfs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_opens_at_its_level() {
        let gate = Gate { level_dbfs: -60.0 };
        assert!(gate.holds_speech(&[0.0011, -0.0011]));
        assert!(!gate.holds_speech(&[0.0009, -0.0009]));
        assert!(!gate.holds_speech(&[0.0; 100]));
        assert!(!gate.holds_speech(&[]));
    }
}
