//! Decodes samples that follow one another in the bytes: linear PCM, floats, G.711.
//!
//! Samples without a header and those in WAV, AU, AIFF and CAF are decoded here. Each has a coding, a rate, a
//! channel count and a range of bytes, which may be pushed in pieces of any size.

use super::input::Input;
use super::job::{DecodeJob, LaneSink};
use super::lanes::Lanes;
use super::raw_content::RawContentCheck;
use super::{AudioError, Ending, RawFormat, Source, g711};

/// Bytes converted at a time. It bounds the buffer for any input.
const BLOCK: usize = 48 << 10;

/// The coding of one sample. It is little endian unless its name ends in `Be`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SampleCoding {
    /// Unsigned 8 bits. 128 is zero.
    U8,
    S8,
    S16,
    S16Be,
    S24,
    S24Be,
    /// 24 bits in the low bytes of 32, sign extended.
    S24In32,
    S32,
    S32Be,
    F32,
    F32Be,
    F64,
    F64Be,
    Mulaw,
    Alaw,
}

impl SampleCoding {
    /// Returns the bytes of one sample.
    pub(super) fn width(self) -> usize {
        match self {
            Self::U8 | Self::S8 | Self::Mulaw | Self::Alaw => 1,
            Self::S16 | Self::S16Be => 2,
            Self::S24 | Self::S24Be => 3,
            Self::S24In32 | Self::S32 | Self::S32Be | Self::F32 | Self::F32Be => 4,
            Self::F64 | Self::F64Be => 8,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::U8 => "pcm_u8",
            Self::S8 => "pcm_s8",
            Self::S16 => "pcm_s16le",
            Self::S16Be => "pcm_s16be",
            Self::S24 | Self::S24In32 => "pcm_s24le",
            Self::S24Be => "pcm_s24be",
            Self::S32 => "pcm_s32le",
            Self::S32Be => "pcm_s32be",
            Self::F32 => "pcm_f32le",
            Self::F32Be => "pcm_f32be",
            Self::F64 => "pcm_f64le",
            Self::F64Be => "pcm_f64be",
            Self::Mulaw => "pcm_mulaw",
            Self::Alaw => "pcm_alaw",
        }
    }

    /// Appends the samples of `bytes` to `out`. Ignores an incomplete sample at the end.
    fn expand(self, bytes: &[u8], out: &mut Vec<f32>) {
        match self {
            Self::U8 => out.extend(bytes.iter().map(|&b| (f32::from(b) - 128.0) / 128.0)),
            Self::Mulaw => out.extend(bytes.iter().map(|&b| g711::MULAW[usize::from(b)])),
            Self::Alaw => out.extend(bytes.iter().map(|&b| g711::ALAW[usize::from(b)])),
            Self::S8 => each(bytes, out, |b| f32::from(i8::from_be_bytes(b)) / 128.0),
            Self::S16 => each(bytes, out, |b| f32::from(i16::from_le_bytes(b)) / 32_768.0),
            Self::S16Be => each(bytes, out, |b| f32::from(i16::from_be_bytes(b)) / 32_768.0),
            Self::S24 => each(bytes, out, |[a, b, c]| {
                // The bytes go into the upper part of the i32, so that its sign is that of the sample.
                i32::from_le_bytes([0, a, b, c]) as f32 / 2_147_483_648.0
            }),
            Self::S24Be => each(bytes, out, |[a, b, c]| {
                i32::from_be_bytes([a, b, c, 0]) as f32 / 2_147_483_648.0
            }),
            Self::S24In32 => each(bytes, out, |[a, b, c, _]| {
                i32::from_le_bytes([0, a, b, c]) as f32 / 2_147_483_648.0
            }),
            Self::S32 => each(bytes, out, |b| {
                i32::from_le_bytes(b) as f32 / 2_147_483_648.0
            }),
            Self::S32Be => each(bytes, out, |b| {
                i32::from_be_bytes(b) as f32 / 2_147_483_648.0
            }),
            Self::F32 => each(bytes, out, f32::from_le_bytes),
            Self::F32Be => each(bytes, out, f32::from_be_bytes),
            Self::F64 => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
            Self::F64Be => each(bytes, out, |b| f64::from_be_bytes(b) as f32),
        }
    }
}

fn each<const W: usize>(bytes: &[u8], out: &mut Vec<f32>, sample: impl Fn([u8; W]) -> f32) {
    let (samples, _rest) = bytes.as_chunks::<W>();
    out.extend(samples.iter().map(|&b| sample(b)));
}

/// Converts interleaved samples to lanes.
#[derive(Debug)]
pub(super) struct PcmDecoder {
    coding: SampleCoding,
    source: Source,
    lanes: Lanes,
    /// Bytes of a frame.
    frame: usize,
    /// The start of a frame that is not complete yet.
    partial_frame: Vec<u8>,
    /// Samples of the current block.
    samples: Vec<f32>,
    /// Bytes of the whole recording, if all of them are there.
    size: Option<u64>,
    /// Checks that samples without a header are not a file or text.
    check: Option<(RawContentCheck, RawFormat)>,
}

impl PcmDecoder {
    /// Creates a decoder. `origin` names in errors who claims this rate and channel count.
    pub(super) fn new(
        origin: &'static str,
        coding: SampleCoding,
        sample_rate: u32,
        channels: u16,
        job: &DecodeJob,
    ) -> Result<Self, AudioError> {
        job.captured_rate.set(sample_rate);
        Ok(Self {
            coding,
            source: Source {
                codec: coding.name().into(),
                sample_rate,
                captured_rate: sample_rate,
                channels,
            },
            lanes: Lanes::new(origin, sample_rate, u32::from(channels), job)?,
            frame: coding.width() * usize::from(channels),
            partial_frame: Vec::new(),
            samples: Vec::with_capacity(BLOCK / coding.width()),
            size: job.size,
            check: None,
        })
    }

    /// Creates a decoder of samples without a header, with the rate and channel count of the request.
    pub(super) fn raw(
        format: RawFormat,
        sample_rate: u32,
        channels: u16,
        job: &DecodeJob,
    ) -> Result<Self, AudioError> {
        let samples = Self::new("the request", format.into(), sample_rate, channels, job)?;
        Ok(Self {
            check: Some((RawContentCheck::default(), format)),
            ..samples
        })
    }

    /// Decodes the next bytes. A frame may be divided between two calls.
    pub(super) fn push(&mut self, bytes: &[u8], sink: LaneSink<'_>) -> Result<(), AudioError> {
        if let Some((check, format)) = &mut self.check {
            check.push(bytes, *format)?;
        }
        let missing = (self.frame - self.partial_frame.len()) % self.frame;
        let (first, rest) = bytes.split_at(missing.min(bytes.len()));
        self.partial_frame.extend_from_slice(first);
        if self.partial_frame.len() == self.frame {
            let mut frame = std::mem::take(&mut self.partial_frame);
            self.convert(&frame, sink)?;
            frame.clear();
            self.partial_frame = frame;
        }
        let (whole, rest) = rest.split_at(rest.len() / self.frame * self.frame);
        for block in whole.chunks((BLOCK / self.frame).max(1) * self.frame) {
            self.convert(block, sink)?;
        }
        self.partial_frame.extend_from_slice(rest);
        Ok(())
    }

    /// Ends the samples. `short` means that the header promised more.
    pub(super) fn finish(mut self, short: bool, sink: LaneSink<'_>) -> Result<Ending, AudioError> {
        if let Some((check, format)) = &mut self.check {
            check.finish(*format)?;
        }
        let cut_inside_a_frame = !self.partial_frame.is_empty();
        self.lanes.finish(sink)?;
        Ok(Ending {
            source: self.source,
            truncated: short || cut_inside_a_frame,
            channels_changed: false,
            held: false,
        })
    }

    /// Decodes up to `limit` bytes of `input`. `size_is_reliable` means that fewer bytes are a sign of a cut file.
    pub(super) fn read(
        mut self,
        mut input: Input<'_>,
        limit: u64,
        size_is_reliable: bool,
        sink: LaneSink<'_>,
    ) -> Result<Ending, AudioError> {
        if let Some(size) = self.size {
            // The length is known in advance, so a recording that is too long is refused before any work.
            let available = size.saturating_sub(input.position());
            self.lanes
                .check_length(limit.min(available) / self.frame as u64)?;
        }
        input.end_after(limit);
        let mut read = 0;
        loop {
            let available = input.fill()?;
            let count = available.len();
            if count == 0 {
                return self.finish(size_is_reliable && read < limit, sink);
            }
            self.push(available, sink)?;
            input.consume(count);
            read += count as u64;
        }
    }

    fn convert(&mut self, frames: &[u8], sink: LaneSink<'_>) -> Result<(), AudioError> {
        self.samples.clear();
        self.coding.expand(frames, &mut self.samples);
        self.lanes.count_bytes(frames.len());
        self.lanes.push(&self.samples)?;
        self.lanes.deliver(sink)
    }
}

impl From<RawFormat> for SampleCoding {
    fn from(format: RawFormat) -> Self {
        match format {
            RawFormat::PcmS16Le => Self::S16,
            RawFormat::PcmF32Le => Self::F32,
            RawFormat::Mulaw => Self::Mulaw,
            RawFormat::Alaw => Self::Alaw,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_scale_and_zero_of_every_coding() {
        let cases: [(SampleCoding, &[u8], &[f32]); 15] = [
            (SampleCoding::U8, &[0, 128, 192], &[-1.0, 0.0, 0.5]),
            (SampleCoding::S8, &[0x80, 0, 0x40], &[-1.0, 0.0, 0.5]),
            (
                SampleCoding::S16Be,
                &[0x80, 0, 0, 0, 0x40, 0],
                &[-1.0, 0.0, 0.5],
            ),
            (SampleCoding::S24Be, &[0x80, 0, 0, 0x40, 0, 0], &[-1.0, 0.5]),
            (
                SampleCoding::S32Be,
                &[0x80, 0, 0, 0, 0x40, 0, 0, 0],
                &[-1.0, 0.5],
            ),
            (
                SampleCoding::F32Be,
                &[0xbf, 0x80, 0, 0, 0x3f, 0, 0, 0],
                &[-1.0, 0.5],
            ),
            (SampleCoding::F64Be, &[0x3f, 0xe0, 0, 0, 0, 0, 0, 0], &[0.5]),
            (
                SampleCoding::S16,
                &[0, 0x80, 0, 0, 0, 0x40],
                &[-1.0, 0.0, 0.5],
            ),
            (
                SampleCoding::S24,
                &[0, 0, 0x80, 0, 0, 0, 0, 0, 0x40],
                &[-1.0, 0.0, 0.5],
            ),
            (
                SampleCoding::S24In32,
                &[0, 0, 0x80, 0xff, 0, 0, 0x40, 0],
                &[-1.0, 0.5],
            ),
            (
                SampleCoding::S32,
                &[0, 0, 0, 0x80, 0, 0, 0, 0x40],
                &[-1.0, 0.5],
            ),
            (
                SampleCoding::F32,
                &[0, 0, 0x80, 0xbf, 0, 0, 0, 0x3f],
                &[-1.0, 0.5],
            ),
            (SampleCoding::F64, &[0, 0, 0, 0, 0, 0, 0xe0, 0x3f], &[0.5]),
            (
                SampleCoding::Mulaw,
                &[0xff, 0x80],
                &[0.0, 32_124.0 / 32_768.0],
            ),
            (
                SampleCoding::Alaw,
                &[0xaa, 0x2a],
                &[32_256.0 / 32_768.0, -32_256.0 / 32_768.0],
            ),
        ];
        for (coding, bytes, expected) in cases {
            let mut out = Vec::new();
            coding.expand(bytes, &mut out);
            assert_eq!(out, expected, "{coding:?}");
        }
    }
}
