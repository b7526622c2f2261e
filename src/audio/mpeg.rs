//! Headers of the frames of MPEG audio: layers I to III, and AAC in ADTS.
//!
//! symphonia reads the frames. Their headers are read here too, because symphonia does not report that a stream
//! changes midway, that its last frame is cut, or that bytes sent as samples are MPEG audio.

/// The header of a frame of layer I, II or III (ISO/IEC 11172-3, section 2.4.1.3, and 13818-3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct FrameHeader {
    /// What the frames of a stream have in common unless it changes.
    pub(super) shape: FrameShape,
    /// Bits a second.
    pub(super) bit_rate: u32,
    /// Bytes of the frame, including the header.
    pub(super) size: usize,
}

/// The properties that a decoder is created for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameShape {
    /// 1 to 3.
    pub(super) layer: u8,
    /// Hz.
    pub(super) rate: u32,
    /// 1 or 2.
    pub(super) channels: u16,
}

/// Bytes of the header.
pub(super) const HEADER: usize = 4;

/// Bytes of the longest frame, rounded up. Layer II at 384 kbit/s and 32 kHz has 1,729, and layer III of MPEG-2.5
/// at 160 kbit/s and 8 kHz has 1,441.
pub(super) const LONGEST_FRAME: usize = 4 << 10;

/// Bit rates in kbit/s by index, for layers I, II and III of MPEG-1, then for layer I and for layers II and III
/// of MPEG-2.
const BIT_RATES: [[u16; 14]; 5] = [
    [
        32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448,
    ],
    [
        32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
    ],
    [
        32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
    ],
    [
        32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256,
    ],
    [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

impl FrameHeader {
    /// Returns the header at the start of `bytes`, if there is one. Free bit rates are not supported, because
    /// nobody uses them.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let [0xff, second, third, fourth, ..] = *bytes else {
            return None;
        };
        if second & 0xe0 != 0xe0 {
            return None;
        }
        let halvings = match second >> 3 & 3 {
            3 => 0,
            2 => 1,
            0 => 2,
            _ => return None,
        };
        let layer = match second >> 1 & 3 {
            3 => 1,
            2 => 2,
            1 => 3,
            _ => return None,
        };
        let rates = match (halvings, layer) {
            (0, layer) => BIT_RATES[usize::from(layer) - 1],
            (_, 1) => BIT_RATES[3],
            _ => BIT_RATES[4],
        };
        let kilobits = *rates.get(usize::from(third >> 4).checked_sub(1)?)?;
        let rate = *[44_100_u32, 48_000, 32_000].get(usize::from(third >> 2 & 3))? >> halvings;
        let bit_rate = u32::from(kilobits) * 1_000;
        let padding = u32::from(third >> 1 & 1);
        let size = match layer {
            1 => (12 * bit_rate / rate + padding) * 4,
            2 => 144 * bit_rate / rate + padding,
            _ if halvings == 0 => 144 * bit_rate / rate + padding,
            _ => 72 * bit_rate / rate + padding,
        };
        Some(Self {
            shape: FrameShape {
                layer,
                rate,
                channels: if fourth >> 6 == 3 { 1 } else { 2 },
            },
            bit_rate,
            size: size as usize,
        })
    }

    /// Returns the seconds of sound in the frame.
    pub(super) fn seconds(&self) -> f64 {
        let FrameShape { layer, rate, .. } = self.shape;
        let frames = match layer {
            1 => 384.0,
            3 if rate < 32_000 => 576.0,
            _ => 1_152.0,
        };
        frames / f64::from(rate)
    }

    /// Returns the position of the encoder's tag in a frame of layer III that has one. It follows the side
    /// information.
    pub(super) fn tag_position(&self) -> usize {
        HEADER
            + match (self.shape.rate >= 32_000, self.shape.channels) {
                (true, 2) => 32,
                (false, 1) => 9,
                _ => 17,
            }
    }
}

/// The header of an ADTS frame of AAC (ISO/IEC 14496-3, section 1.A.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AdtsHeader {
    /// What the frames of a stream have in common unless it changes.
    pub(super) shape: AdtsShape,
    /// Bytes of the frame, including the header.
    pub(super) size: usize,
}

/// The properties that a decoder of AAC is created for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AdtsShape {
    pub(super) profile: u8,
    /// Index of the rate.
    pub(super) rate_index: u8,
    pub(super) channels: u8,
}

/// Bytes of an ADTS header without its checksum.
pub(super) const ADTS_HEADER: usize = 7;

impl AdtsHeader {
    /// Returns the header at the start of `bytes`, if there is one.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let [0xff, second, third, fourth, fifth, sixth, _, ..] = *bytes else {
            return None;
        };
        let rate_index = third >> 2 & 0xf;
        let size =
            usize::from(fourth & 3) << 11 | usize::from(fifth) << 3 | usize::from(sixth) >> 5;
        (second & 0xf6 == 0xf0 && rate_index <= 12 && size >= ADTS_HEADER).then_some(Self {
            shape: AdtsShape {
                profile: third >> 6,
                rate_index,
                channels: (third & 1) << 2 | fourth >> 6,
            },
            size,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_every_layer_and_version_are_parsed() {
        let shape = |layer, rate, channels| FrameShape {
            layer,
            rate,
            channels,
        };
        let cases = [
            // 128 kbit/s at 44.1 kHz in stereo, padded and not.
            ([0xff, 0xfb, 0x92, 0x00], shape(3, 44_100, 2), 128_000, 418),
            ([0xff, 0xfb, 0x90, 0x00], shape(3, 44_100, 2), 128_000, 417),
            ([0xff, 0xf3, 0x48, 0xc0], shape(3, 16_000, 1), 32_000, 144),
            ([0xff, 0xe3, 0x18, 0xc0], shape(3, 8_000, 1), 8_000, 72),
            ([0xff, 0xfd, 0x84, 0x00], shape(2, 48_000, 2), 128_000, 384),
            ([0xff, 0xff, 0x40, 0x00], shape(1, 44_100, 2), 128_000, 136),
        ];
        for (bytes, shape, bit_rate, size) in cases {
            let header = FrameHeader::parse(&bytes).unwrap();
            assert_eq!(
                (header.shape, header.bit_rate, header.size),
                (shape, bit_rate, size)
            );
        }
        for bytes in [
            [0xff, 0xfb, 0xf0, 0],
            [0xff, 0xfb, 0x00, 0],
            [0xff, 0xfb, 0x9c, 0],
            [0xff, 0xeb, 0x90, 0],
            [0xff, 0xf9, 0x90, 0],
            [0xff, 0x1b, 0x90, 0],
        ] {
            assert_eq!(FrameHeader::parse(&bytes), None, "{bytes:x?}");
        }
    }

    #[test]
    fn adts_headers_are_parsed() {
        let header = AdtsHeader::parse(&[0xff, 0xf1, 0x60, 0x40, 0x2e, 0x7f, 0xfc]).unwrap();
        let shape = AdtsShape {
            profile: 1,
            rate_index: 8,
            channels: 1,
        };
        assert_eq!((header.shape, header.size), (shape, 0x173));
        assert_eq!(
            AdtsHeader::parse(&[0xff, 0xf1, 0x60, 0x40, 0, 0x1f, 0xfc]),
            None
        );
        assert_eq!(AdtsHeader::parse(&[0xff, 0xf1, 0x60, 0x40, 0x2e]), None);
    }
}
