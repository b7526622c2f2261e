//! Limits the memory that a Vorbis setup header makes its decoder allocate.
//!
//! A codebook of 131,072 entries in 32 dimensions takes 20 bytes in the header and 16 MiB in the decoder. A
//! header may have 256 of them, so 5 KiB become 4 GiB. The decoder limits each codebook but not their sum.
//! Here the codebooks are parsed as the decoder does it (Vorbis I specification, section 3.2.1), and only
//! counted.

use super::AudioError;
use super::bits::BitReader;

/// Values that all codebooks of a stream may have together, 4 MiB of f32. The headers of libvorbis have 114,000
/// to 126,000 at quality 0 and 40,000 at quality 10. The largest seen has 128,156.
const MAX_VALUES: u64 = 1 << 20;

/// Values of the codeword tables that an entry needs in addition to its vector.
const VALUES_PER_ENTRY: u64 = 6;

/// Entries that one codebook may have. The decoder refuses more.
const MAX_ENTRIES: u32 = 128 << 10;

/// Dimensions that one codebook may have. The decoder refuses more.
const MAX_DIMENSIONS: u32 = 32;

/// The first bytes of a setup header.
const SETUP: &[u8] = b"\x05vorbis";

/// Refuses a header with codebooks larger than those of any encoder. `extra` is the container's description of
/// the codec, which contains the setup header. `name` is the format's name in errors.
pub(super) fn check_codebooks(name: &str, extra: &[u8]) -> Result<(), AudioError> {
    let starts = extra.windows(SETUP.len()).enumerate();
    let mut setups = starts.filter(|(_, bytes)| *bytes == SETUP);
    let values = setups
        .next()
        .map_or(0, |(at, _)| values(&extra[at + SETUP.len()..]));
    // With two setup headers, the container's lacing decides which of them is used.
    if values > MAX_VALUES || setups.next().is_some() {
        return Err(AudioError::malformed(format!(
            "the Vorbis header in this {name} claims codebooks larger than any encoder writes"
        )));
    }
    Ok(())
}

/// Returns the number of values of all codebooks, as far as the header can be read.
fn values(setup: &[u8]) -> u64 {
    let mut bits = BitReader::lowest_first(setup);
    let count = bits.read(8).map_or(0, |count| count + 1);
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

/// Reads one codebook and returns the number of its values. `None` if the decoder refuses it.
fn codebook(bits: &mut BitReader<'_>) -> Option<u64> {
    let _sync = bits.read(24)?;
    let dimensions = bits.read(16)?;
    let entries = bits.read(24)?;
    if !(1..=MAX_DIMENSIONS).contains(&dimensions) || entries > MAX_ENTRIES {
        return None;
    }
    let ordered = bits.read(1)? == 1;
    if ordered {
        let _shortest = bits.read(5)?;
        let mut left = entries;
        while left > 0 {
            let of_this_length = bits.read(u32::BITS - left.leading_zeros())?;
            left = left.checked_sub(of_this_length)?;
        }
    } else {
        let sparse = bits.read(1)? == 1;
        for _ in 0..entries {
            if !sparse || bits.read(1)? == 1 {
                let _length = bits.read(5)?;
            }
        }
    }
    let multiplicands = match bits.read(4)? {
        0 => return Some(u64::from(entries) * VALUES_PER_ENTRY),
        1 => root(entries, dimensions),
        2 => entries * dimensions,
        _ => return None,
    };
    let (_least, _step) = (bits.read(32)?, bits.read(32)?);
    let width = bits.read(4)? + 1;
    let _accumulates = bits.read(1)?;
    bits.skip(u64::from(multiplicands) * u64::from(width))?;
    Some(u64::from(entries) * (u64::from(dimensions) + VALUES_PER_ENTRY))
}

/// Returns the largest number that, raised to `exponent`, is at most `bound`.
fn root(bound: u32, exponent: u32) -> u32 {
    let fits = |x: u32| x.checked_pow(exponent).is_some_and(|power| power <= bound);
    (1..=bound).take_while(|&x| fits(x)).last().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packs fields of (value, number of bits), from the lowest bit on.
    fn packed(fields: &[(u32, u32)]) -> Vec<u8> {
        let bits: Vec<u8> = fields
            .iter()
            .flat_map(|&(value, count)| (0..count).map(move |place| (value >> place & 1) as u8))
            .collect();
        bits.chunks(8)
            .map(|byte| byte.iter().rev().fold(0, |sum, bit| sum << 1 | bit))
            .collect()
    }

    /// Returns a codebook of as few bits as possible: all entries of one length, multiplicands of one bit.
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
    fn codebooks_of_every_coding_are_counted() {
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
