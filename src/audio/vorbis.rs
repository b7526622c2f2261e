//! What a Vorbis setup header would have its decoder allocate, known before one is made.
//!
//! A codebook of 131,072 entries in 32 dimensions takes 20 bytes to write and 16 MiB to hold, and a
//! header may have 256 of them: 5 KiB become 4 GiB. The decoder bounds each codebook, not their sum;
//! here they are walked as it does (Vorbis I specification, section 3.2.1) and only counted.

use super::AudioError;

/// Values that all codebooks of a stream may hold together, 4 MiB of f32. libvorbis' headers have 114,000
/// to 126,000 at quality 0 and 40,000 at quality 10; the largest met has 128,156.
const MAX_VALUES: u64 = 1 << 20;

/// Values of the codeword tables that an entry needs beside its vector.
const VALUES_OF_AN_ENTRY: u64 = 6;

/// What one codebook may have; beyond, the decoder refuses it by itself.
const MAX_ENTRIES: u32 = 128 << 10;
const MAX_DIMENSIONS: u32 = 32;

/// How a setup header begins.
const SETUP: &[u8] = b"\x05vorbis";

/// Refuses headers whose codebooks are larger than any encoder's. `extra` is what the container says of
/// the codec; the setup header lies somewhere in it.
pub(super) fn check_codebooks(name: &str, extra: &[u8]) -> Result<(), AudioError> {
    let starts = extra.windows(SETUP.len()).enumerate();
    let mut setups = starts.filter(|(_, bytes)| *bytes == SETUP);
    let values = setups
        .next()
        .map_or(0, |(at, _)| values(&extra[at + SETUP.len()..]));
    // Which of two is believed depends on how the container laces them.
    if values > MAX_VALUES || setups.next().is_some() {
        return Err(AudioError::malformed(format!(
            "the Vorbis header in this {name} claims codebooks larger than any encoder writes"
        )));
    }
    Ok(())
}

/// Values that the codebooks expand to, as far as the header can be read.
fn values(setup: &[u8]) -> u64 {
    let mut bits = Bits {
        bytes: setup,
        at: 0,
    };
    let count = bits.take(8).map_or(0, |count| count + 1);
    let mut total = 0;
    for _ in 0..count {
        let Some(values) = codebook(&mut bits) else {
            break;
        };
        total += values;
        if total > MAX_VALUES {
            break;
        }
    }
    total
}

/// Walks over one codebook and gives what it expands to; nothing where the decoder would refuse it.
fn codebook(bits: &mut Bits<'_>) -> Option<u64> {
    let _sync = bits.take(24)?;
    let dimensions = bits.take(16)?;
    let entries = bits.take(24)?;
    if !(1..=MAX_DIMENSIONS).contains(&dimensions) || entries > MAX_ENTRIES {
        return None;
    }
    let ordered = bits.take(1)? == 1;
    if ordered {
        let _shortest = bits.take(5)?;
        let mut left = entries;
        while left > 0 {
            let of_this_length = bits.take(u32::BITS - left.leading_zeros())?;
            left = left.checked_sub(of_this_length)?;
        }
    } else {
        let sparse = bits.take(1)? == 1;
        for _ in 0..entries {
            if !sparse || bits.take(1)? == 1 {
                let _length = bits.take(5)?;
            }
        }
    }
    let multiplicands = match bits.take(4)? {
        0 => return Some(u64::from(entries) * VALUES_OF_AN_ENTRY),
        1 => root(entries, dimensions),
        2 => entries * dimensions,
        _ => return None,
    };
    let (_least, _step) = (bits.take(32)?, bits.take(32)?);
    let width = bits.take(4)? + 1;
    let _accumulates = bits.take(1)?;
    bits.skip(u64::from(multiplicands) * u64::from(width))?;
    Some(u64::from(entries) * (u64::from(dimensions) + VALUES_OF_AN_ENTRY))
}

/// The largest number whose power of `exponent` is at most `bound`.
fn root(bound: u32, exponent: u32) -> u32 {
    let fits = |x: u32| x.checked_pow(exponent).is_some_and(|power| power <= bound);
    (1..=bound).take_while(|&x| fits(x)).last().unwrap_or(0)
}

/// Bits from the lowest of each byte on, as Vorbis packs them.
struct Bits<'a> {
    bytes: &'a [u8],
    at: u64,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for place in 0..count {
            let byte = self.bytes.get(usize::try_from(self.at / 8).ok()?)?;
            value |= u32::from(byte >> (self.at % 8) & 1) << place;
            self.at += 1;
        }
        Some(value)
    }

    fn skip(&mut self, count: u64) -> Option<()> {
        self.at = self.at.checked_add(count)?;
        (self.at <= 8 * self.bytes.len() as u64).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packs values into so many bits each, from the lowest on.
    fn packed(fields: &[(u32, u32)]) -> Vec<u8> {
        let bits: Vec<u8> = fields
            .iter()
            .flat_map(|&(value, count)| (0..count).map(move |place| (value >> place & 1) as u8))
            .collect();
        bits.chunks(8)
            .map(|byte| byte.iter().rev().fold(0, |sum, bit| sum << 1 | bit))
            .collect()
    }

    /// As few bits as a codebook can have: all entries of one length, one multiplicand of one bit.
    fn dense(entries: u32, dimensions: u32) -> Vec<(u32, u32)> {
        let wide = u32::BITS - entries.leading_zeros();
        let multiplicands = root(entries, dimensions);
        let head = [(0x56_4342, 24), (dimensions, 16), (entries, 24), (1, 1)];
        let lengths = [(wide - 2, 5), (entries, wide)];
        let vectors = [(1, 4), (0, 32), (0, 32), (0, 4), (0, 1)];
        [&head[..], &lengths, &vectors, &[(0, multiplicands)]].concat()
    }

    fn header(books: &[Vec<(u32, u32)>]) -> Vec<u8> {
        let fields = [vec![(books.len() as u32 - 1, 8)], books.concat()].concat();
        [SETUP, &packed(&fields)].concat()
    }

    #[test]
    fn codebooks_are_counted_however_they_are_written() {
        let sparse = [
            vec![(0x56_4342, 24), (2, 16), (9, 24), (0, 1), (1, 1)],
            [(1, 1), (3, 5), (0, 1)].repeat(4),
            vec![(0, 1), (2, 4), (0, 32), (0, 32), (3, 4), (1, 1)],
            vec![(7, 4); 18],
        ]
        .concat();
        let scalar = [
            vec![(0x56_4342, 24), (1, 16), (4, 24), (0, 1), (0, 1)],
            vec![(1, 5); 4],
            vec![(0, 4)],
        ]
        .concat();
        let books = [sparse, scalar, dense(81, 4)];
        let expected = 9 * (2 + 6) + 4 * 6 + 81 * (4 + 6);
        assert_eq!(values(&header(&books)[SETUP.len()..]), expected);
    }

    #[test]
    fn a_header_that_expands_a_millionfold_is_refused() {
        let whole = header(&vec![dense(128 << 10, 31); 256]);
        assert!(whole.len() < 6_000, "{}", whole.len());
        let error = check_codebooks("Ogg", &whole).unwrap_err().to_string();
        assert!(error.contains("larger than any encoder writes"), "{error}");
        assert!(check_codebooks("Ogg", &header(&vec![dense(6_561, 8); 11])).is_ok());
        let two = header(&[dense(81, 4)]).repeat(2);
        assert!(check_codebooks("Ogg", &two).is_err(), "two setup headers");
        assert!(check_codebooks("Ogg", b"no header at all").is_ok());
    }
}
