//! How the caller describes the bytes of a recording.

/// The encoding of a recording's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A file in a container. Its first bytes decide the format; file names and media types are ignored.
    Auto,
    /// Interleaved samples without a header.
    Raw {
        /// The format of one sample.
        format: RawFormat,
        /// Sample rate in Hz.
        sample_rate: u32,
        /// Samples in a frame.
        channels: u16,
    },
}

/// The format of one sample in a recording without a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawFormat {
    /// Signed 16 bits, little endian. Full scale is 32,768.
    PcmS16Le,
    /// IEEE 754 with 32 bits, little endian. Full scale is 1.0.
    PcmF32Le,
    /// ITU-T G.711 µ-law.
    Mulaw,
    /// ITU-T G.711 A-law.
    Alaw,
}
