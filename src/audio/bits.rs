//! Reading and writing of fields that have any number of bits.

/// Reads fields of 0 to 32 bits.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits read so far.
    position: u64,
    order: BitOrder,
}

/// Which bit of a byte comes first.
#[derive(Clone, Copy)]
enum BitOrder {
    HighestFirst,
    LowestFirst,
}

impl<'a> BitReader<'a> {
    /// Creates a reader of bytes from the highest bit to the lowest, as MPEG packs them.
    pub(super) fn highest_first(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            position: 0,
            order: BitOrder::HighestFirst,
        }
    }

    /// Creates a reader of bytes from the lowest bit to the highest, as Vorbis packs them.
    pub(super) fn lowest_first(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            position: 0,
            order: BitOrder::LowestFirst,
        }
    }

    /// Reads `count` bits; `None` if fewer are left, and then the position is of no further use.
    pub(super) fn read(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for place in 0..count {
            let byte = self
                .bytes
                .get(usize::try_from(self.position / 8).ok()?)
                .copied()?;
            let offset = self.position % 8;
            match self.order {
                BitOrder::HighestFirst => {
                    value = value << 1 | u32::from(byte >> (7 - offset) & 1);
                }
                BitOrder::LowestFirst => value |= u32::from(byte >> offset & 1) << place,
            }
            self.position += 1;
        }
        Some(value)
    }

    /// Skips `count` bits; `None` if fewer are left.
    pub(super) fn skip(&mut self, count: u64) -> Option<()> {
        self.position = self.position.checked_add(count)?;
        (self.position <= 8 * self.bytes.len() as u64).then_some(())
    }
}

/// Writes fields of 0 to 32 bits, the highest bit first.
#[derive(Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits written so far.
    position: usize,
}

impl BitWriter {
    /// Writes the lowest `count` bits of `value`.
    pub(super) fn write(&mut self, value: u32, count: u32) {
        for shift in (0..count).rev() {
            if self.position.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> shift & 1) as u8) << (7 - self.position % 8);
            }
            self.position += 1;
        }
    }

    /// Returns the bytes. Zeros fill the last one.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_of_bits_are_read() {
        let bytes = [0b1010_0001, 0b0000_1111];
        let mut reader = BitReader::highest_first(&bytes);
        assert_eq!(
            (reader.read(3), reader.read(9)),
            (Some(0b101), Some(0b10000))
        );
        assert_eq!((reader.skip(3), reader.read(2)), (Some(()), None));
        let mut reader = BitReader::lowest_first(&bytes);
        assert_eq!(
            (reader.read(3), reader.read(9)),
            (Some(1), Some(0b1_1111_0100))
        );
        assert_eq!(reader.skip(5), None);
    }

    #[test]
    fn written_fields_are_read_back() {
        let mut writer = BitWriter::default();
        writer.write(5, 3);
        writer.write(300, 9);
        let bytes = writer.into_bytes();
        assert_eq!(bytes.len(), 2);
        let mut reader = BitReader::highest_first(&bytes);
        assert_eq!((reader.read(3), reader.read(9)), (Some(5), Some(300)));
    }
}
