//! Reduces the configuration of an AAC stream (ISO/IEC 14496-3, section 1.6.2) to the part that is decoded.
//!
//! HE-AAC is AAC-LC at half the rate, with extra data from which a decoder can compute the upper octave (SBR) or
//! the second channel (PS). Any AAC-LC decoder can play such a stream if the configuration names AAC-LC only. So a
//! configuration that names HE-AAC is rewritten here to name AAC-LC.

use super::AudioError;
use super::bits::{BitReader, BitWriter};

/// Types of audio object that are decoded, wholly or in part.
const LC: u32 = 2;
const SBR: u32 = 5;
const PS: u32 = 29;

/// The rate index that is followed by a rate in Hz.
const ESCAPE: u32 = 15;

/// Returns the AAC-LC configuration of a stream with the configuration `config`. `None` means that `config` must
/// be used as it is, because it cannot be read.
///
/// # Errors
/// [`AudioError::Unsupported`] names a stream that contains no AAC-LC.
pub(super) fn core_config(config: &[u8]) -> Result<Option<Vec<u8>>, AudioError> {
    match rewrite(&mut BitReader::highest_first(config)) {
        Some(Ok(core)) => Ok(Some(core)),
        Some(Err(name)) => Err(AudioError::Unsupported { codec: name }),
        // The configuration is cut, or defines its own channel layout. The decoder returns the error.
        None => Ok(None),
    }
}

/// Returns the rewritten configuration, or the name of what cannot be decoded. `None` if it cannot be read.
fn rewrite(bits: &mut BitReader<'_>) -> Option<Result<Vec<u8>, String>> {
    let outer = object_type(bits)?;
    let (index, hertz) = rate(bits)?;
    let channels = bits.read(4)?;
    let mut object = outer;
    if outer == SBR || outer == PS {
        rate(bits)?;
        object = object_type(bits)?;
    }
    if object != LC {
        return Some(Err(name(object)));
    }
    if bits.read(1)? == 1 {
        return Some(Err("AAC with frames of 960 samples".into()));
    }
    let depends = bits.read(1)?;
    let delay = if depends == 1 { bits.read(14)? } else { 0 };
    if channels == 0 {
        return None;
    }
    if channels > 2 {
        let count = if channels == 7 { 8 } else { channels };
        return Some(Err(format!("AAC of {count} channels")));
    }
    let mut core = BitWriter::default();
    core.write(LC, 5);
    core.write(index, 4);
    if index == ESCAPE {
        core.write(hertz, 24);
    }
    core.write(channels, 4);
    core.write(0, 1);
    core.write(depends, 1);
    if depends == 1 {
        core.write(delay, 14);
    }
    core.write(0, 1);
    Some(Ok(core.into_bytes()))
}

/// Returns the common name of a type of audio object.
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

/// Reads the type of audio object.
fn object_type(bits: &mut BitReader<'_>) -> Option<u32> {
    match bits.read(5)? {
        31 => Some(32 + bits.read(6)?),
        object => Some(object),
    }
}

/// Reads the index of a rate, and the rate in Hz if the index does not define it.
fn rate(bits: &mut BitReader<'_>) -> Option<(u32, u32)> {
    let index = bits.read(4)?;
    let rate = if index == ESCAPE { bits.read(24)? } else { 0 };
    Some((index, rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signalling_of_he_aac_becomes_aac_lc() {
        // 24 kHz, one channel: AAC-LC of an HE-AAC stream at 48 kHz.
        let plain = vec![0x13, 0x08];
        let cases: [&[u8]; 4] = [
            &[0x13, 0x08],
            // SBR to 48 kHz, then AAC-LC.
            &[0x2b, 0x09, 0x88, 0x00],
            // The same with PS.
            &[0xeb, 0x09, 0x88, 0x00],
            // Backward compatible: AAC-LC, then the sync word of the extension SBR.
            &[0x13, 0x08, 0x56, 0xe5, 0x98],
        ];
        for config in cases {
            assert_eq!(
                core_config(config).unwrap(),
                Some(plain.clone()),
                "{config:x?}"
            );
        }
        // 24,000 Hz as a number, and a delay of the core coder.
        let escaped = [0x17, 0x80, 0x2e, 0xe0, 0x0a, 0, 0x20, 0];
        let written = core_config(&escaped).unwrap().unwrap();
        assert_eq!(written, escaped[..written.len()]);
    }

    #[test]
    fn streams_without_aac_lc_are_refused_by_name() {
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
            let error = core_config(config).unwrap_err().to_string();
            assert!(error.contains(words), "{words:?} is not in {error:?}");
        }
        for config in [&[][..], &[0x13], &[0x2b, 0x09], &[0x13, 0x00]] {
            assert_eq!(core_config(config).unwrap(), None, "{config:x?}");
        }
    }
}
