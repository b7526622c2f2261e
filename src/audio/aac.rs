//! Which AAC a stream is, by its configuration (ISO/IEC 14496-3, section 1.6.2), and the part of it that is
//! decoded.
//!
//! HE-AAC is AAC-LC of half the rate, with data for a decoder that also makes the upper octave (SBR) or the
//! second channel (PS). Any AAC-LC decoder plays such a stream where the configuration says AAC-LC and
//! leaves the rest to be found. Here a configuration that names HE-AAC is rewritten to say that.

use super::AudioError;

/// Types of audio object that matter here.
const LC: u32 = 2;
const SBR: u32 = 5;
const PS: u32 = 29;

/// The index that says that a rate in Hz follows.
const ESCAPE: u32 = 15;

/// The configuration of what is decoded: `None` if it is `config`.
///
/// # Errors
/// [`AudioError::Unsupported`] names what has no AAC-LC in it.
pub(super) fn core(config: &[u8]) -> Result<Option<Vec<u8>>, AudioError> {
    let mut bits = Bits {
        bytes: config,
        at: 0,
    };
    match read(&mut bits) {
        Some(Ok(core)) => Ok(Some(core)),
        Some(Err(name)) => Err(AudioError::Unsupported { codec: name }),
        // Cut, or with a channel layout of its own: the decoder tells what is wrong.
        None => Ok(None),
    }
}

fn read(bits: &mut Bits<'_>) -> Option<Result<Vec<u8>, String>> {
    let outer = bits.object_type()?;
    let (index, rate) = bits.rate()?;
    let channels = bits.take(4)?;
    let mut object = outer;
    if outer == SBR || outer == PS {
        bits.rate()?;
        object = bits.object_type()?;
    }
    if object != LC {
        return Some(Err(name(object)));
    }
    if bits.take(1)? == 1 {
        return Some(Err("AAC with frames of 960 samples".into()));
    }
    let depends = bits.take(1)?;
    let delay = if depends == 1 { bits.take(14)? } else { 0 };
    if channels == 0 {
        return None;
    }
    if channels > 2 {
        let count = if channels == 7 { 8 } else { channels };
        return Some(Err(format!("AAC of {count} channels")));
    }
    let mut core = Writer::default();
    core.put(LC, 5);
    core.put(index, 4);
    if index == ESCAPE {
        core.put(rate, 24);
    }
    core.put(channels, 4);
    core.put(0, 1);
    core.put(depends, 1);
    if depends == 1 {
        core.put(delay, 14);
    }
    core.put(0, 1);
    Some(Ok(core.bytes))
}

/// What people call the type of audio object.
fn name(object: u32) -> String {
    let name = match object {
        1 => "AAC Main",
        3 => "AAC SSR",
        4 => "AAC LTP",
        6 => "AAC Scalable",
        7 => "TwinVQ",
        8 => "MPEG-4 CELP",
        9 => "HVXC",
        17 => "error-resilient AAC-LC",
        19 => "error-resilient AAC LTP",
        20 => "error-resilient AAC Scalable",
        22 => "BSAC",
        23 => "AAC-LD",
        32..=34 => "MPEG audio in an AAC track",
        36 => "MPEG-4 ALS",
        37 | 38 => "MPEG-4 SLS",
        39 => "AAC-ELD",
        42 => "xHE-AAC (USAC)",
        _ => return format!("MPEG-4 audio of object type {object}"),
    };
    name.into()
}

/// Bits, the highest of a byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for at in self.at..self.at + count {
            let bit = self.bytes.get(at / 8)? >> (7 - at % 8) & 1;
            value = value << 1 | u32::from(bit);
        }
        self.at += count;
        Some(value)
    }

    fn object_type(&mut self) -> Option<u32> {
        match self.take(5)? {
            31 => Some(32 + self.take(6)?),
            object => Some(object),
        }
    }

    /// The index of a rate, and Hz where the index leaves it open.
    fn rate(&mut self) -> Option<(u32, u32)> {
        let index = self.take(4)?;
        let rate = if index == ESCAPE { self.take(24)? } else { 0 };
        Some((index, rate))
    }
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    bits: usize,
}

impl Writer {
    fn put(&mut self, value: u32, count: usize) {
        for shift in (0..count).rev() {
            if self.bits.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> shift & 1) as u8) << (7 - self.bits % 8);
            }
            self.bits += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_of_he_aac_is_aac_lc_whoever_signals_it() {
        // 24 kHz, one channel: AAC-LC of an HE-AAC stream at 48 kHz.
        let plain = vec![0x13, 0x08];
        let cases: [&[u8]; 4] = [
            &[0x13, 0x08],
            // SBR to 48 kHz, then AAC-LC.
            &[0x2b, 0x09, 0x88, 0x00],
            // The same with PS.
            &[0xeb, 0x09, 0x88, 0x00],
            // Backward compatible: AAC-LC, then the mark of an extension that is SBR.
            &[0x13, 0x08, 0x56, 0xe5, 0x98],
        ];
        for config in cases {
            assert_eq!(core(config).unwrap(), Some(plain.clone()), "{config:x?}");
        }
        // 24,000 Hz in full, and a core coder's delay.
        let escaped = [0x17, 0x80, 0x2e, 0xe0, 0x0a, 0, 0x20, 0];
        let written = core(&escaped).unwrap().unwrap();
        assert_eq!(written, escaped[..written.len()]);
    }

    #[test]
    fn what_has_no_core_is_named() {
        let cases: [(&[u8], &str); 6] = [
            // xHE-AAC: the escape, then 42 - 32.
            (&[0xf9, 0x46, 0x20, 0], "xHE-AAC (USAC) is not supported"),
            (&[0xb9, 0x88, 0], "AAC-LD is not"),
            (&[0xf8, 0xe6, 0x20, 0], "AAC-ELD is not"),
            (&[0x0b, 0x08], "AAC Main is not"),
            (&[0x13, 0x0c], "frames of 960"),
            (&[0x13, 0x30], "AAC of 6 channels"),
        ];
        for (config, words) in cases {
            let error = core(config).unwrap_err().to_string();
            assert!(error.contains(words), "{words:?} is not in {error:?}");
        }
        for config in [&[][..], &[0x13], &[0x2b, 0x09], &[0x13, 0x00]] {
            assert_eq!(core(config).unwrap(), None, "{config:x?}");
        }
    }
}
