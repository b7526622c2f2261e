//! Samples that stand in the bytes one after the other: linear PCM, floats, G.711.
//!
//! Shared by raw input and WAV: both come down to a coding, a shape and a stretch of bytes, which is
//! taken in pieces cut anywhere.

use super::disguise::Head;
use super::input::Input;
use super::lanes::Lanes;
use super::{AudioError, Ending, Job, RawFormat, Sink, Source, g711};

/// Bytes converted at a time; bounds the scratch whatever the input.
const BLOCK: usize = 48 << 10;

/// How one sample is written; little endian unless the name says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// Unsigned 8 bits, 128 is zero.
    U8,
    S8,
    S16,
    S16Be,
    S24,
    S24Be,
    /// 24 bits, sign extended, in the low bytes of 32.
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

impl Coding {
    /// Bytes of one sample.
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

    /// Appends the samples of `bytes` to `out`; a part of a sample at the end is left out.
    fn expand(self, bytes: &[u8], out: &mut Vec<f32>) {
        match self {
            Self::U8 => out.extend(bytes.iter().map(|&b| (f32::from(b) - 128.0) / 128.0)),
            Self::Mulaw => out.extend(bytes.iter().map(|&b| g711::MULAW[usize::from(b)])),
            Self::Alaw => out.extend(bytes.iter().map(|&b| g711::ALAW[usize::from(b)])),
            Self::S8 => each(bytes, out, |b| f32::from(i8::from_be_bytes(b)) / 128.0),
            Self::S16 => each(bytes, out, |b| f32::from(i16::from_le_bytes(b)) / 32_768.0),
            Self::S16Be => each(bytes, out, |b| f32::from(i16::from_be_bytes(b)) / 32_768.0),
            Self::S24 => each(bytes, out, |[a, b, c]| {
                // Into the upper bytes, so that the sign lands where i32 has it.
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

/// Interleaved samples on their way to lanes.
#[derive(Debug)]
pub(super) struct Pcm {
    coding: Coding,
    source: Source,
    lanes: Lanes,
    /// Bytes of a frame.
    frame: usize,
    /// The beginning of a frame whose rest is still to come.
    carry: Vec<u8>,
    /// Samples of the block under way.
    samples: Vec<f32>,
    /// Bytes of the whole recording, if they are all there.
    size: Option<u64>,
    /// Of samples without a header: their beginning, which may be that of a file or text.
    head: Option<(Head, RawFormat)>,
}

impl Pcm {
    /// Samples of this shape; `origin` names who claims it in errors.
    pub(super) fn new(
        origin: &'static str,
        coding: Coding,
        sample_rate: u32,
        channels: u16,
        job: &Job,
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
            carry: Vec::new(),
            samples: Vec::with_capacity(BLOCK / coding.width()),
            size: job.size,
            head: None,
        })
    }

    /// Samples without a header, of the shape that the request says.
    pub(super) fn raw(
        format: RawFormat,
        sample_rate: u32,
        channels: u16,
        job: &Job,
    ) -> Result<Self, AudioError> {
        let samples = Self::new("the request", format.into(), sample_rate, channels, job)?;
        Ok(Self {
            head: Some((Head::default(), format)),
            ..samples
        })
    }

    /// Takes the next bytes, cut anywhere.
    pub(super) fn push(&mut self, bytes: &[u8], sink: Sink<'_>) -> Result<(), AudioError> {
        if let Some((head, format)) = &mut self.head {
            head.push(bytes, *format)?;
        }
        let missing = (self.frame - self.carry.len()) % self.frame;
        let (first, rest) = bytes.split_at(missing.min(bytes.len()));
        self.carry.extend_from_slice(first);
        if self.carry.len() == self.frame {
            let mut frame = std::mem::take(&mut self.carry);
            self.take(&frame, sink)?;
            frame.clear();
            self.carry = frame;
        }
        let (whole, begun) = rest.split_at(rest.len() / self.frame * self.frame);
        for block in whole.chunks((BLOCK / self.frame).max(1) * self.frame) {
            self.take(block, sink)?;
        }
        self.carry.extend_from_slice(begun);
        Ok(())
    }

    /// Ends the samples; `short` says that more were promised.
    pub(super) fn finish(mut self, short: bool, sink: Sink<'_>) -> Result<Ending, AudioError> {
        if let Some((head, format)) = &mut self.head {
            head.finish(*format)?;
        }
        let cut_inside_a_frame = !self.carry.is_empty();
        self.lanes.finish(sink)?;
        Ok(Ending {
            source: self.source,
            truncated: short || cut_inside_a_frame,
            remixed: false,
            held: false,
        })
    }

    /// Reads `most` bytes, or as many as there are; `owed` says that fewer are too few.
    pub(super) fn read(
        mut self,
        mut input: Input<'_>,
        most: u64,
        owed: bool,
        sink: Sink<'_>,
    ) -> Result<Ending, AudioError> {
        if let Some(size) = self.size {
            // Known beforehand here, so refuse before the work.
            let there = size.saturating_sub(input.position());
            self.lanes
                .check_length(most.min(there) / self.frame as u64)?;
        }
        input.end_after(most);
        let mut read = 0;
        loop {
            let there = input.fill()?;
            let count = there.len();
            if count == 0 {
                return self.finish(owed && read < most, sink);
            }
            self.push(there, sink)?;
            input.consume(count);
            read += count as u64;
        }
    }

    fn take(&mut self, frames: &[u8], sink: Sink<'_>) -> Result<(), AudioError> {
        self.samples.clear();
        self.coding.expand(frames, &mut self.samples);
        self.lanes.count(frames.len());
        self.lanes.push(&self.samples)?;
        self.lanes.hand_over(sink)
    }
}

impl From<RawFormat> for Coding {
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
        let cases: [(Coding, &[u8], &[f32]); 15] = [
            (Coding::U8, &[0, 128, 192], &[-1.0, 0.0, 0.5]),
            (Coding::S8, &[0x80, 0, 0x40], &[-1.0, 0.0, 0.5]),
            (Coding::S16Be, &[0x80, 0, 0, 0, 0x40, 0], &[-1.0, 0.0, 0.5]),
            (Coding::S24Be, &[0x80, 0, 0, 0x40, 0, 0], &[-1.0, 0.5]),
            (Coding::S32Be, &[0x80, 0, 0, 0, 0x40, 0, 0, 0], &[-1.0, 0.5]),
            (
                Coding::F32Be,
                &[0xbf, 0x80, 0, 0, 0x3f, 0, 0, 0],
                &[-1.0, 0.5],
            ),
            (Coding::F64Be, &[0x3f, 0xe0, 0, 0, 0, 0, 0, 0], &[0.5]),
            (Coding::S16, &[0, 0x80, 0, 0, 0, 0x40], &[-1.0, 0.0, 0.5]),
            (
                Coding::S24,
                &[0, 0, 0x80, 0, 0, 0, 0, 0, 0x40],
                &[-1.0, 0.0, 0.5],
            ),
            (
                Coding::S24In32,
                &[0, 0, 0x80, 0xff, 0, 0, 0x40, 0],
                &[-1.0, 0.5],
            ),
            (Coding::S32, &[0, 0, 0, 0x80, 0, 0, 0, 0x40], &[-1.0, 0.5]),
            (
                Coding::F32,
                &[0, 0, 0x80, 0xbf, 0, 0, 0, 0x3f],
                &[-1.0, 0.5],
            ),
            (Coding::F64, &[0, 0, 0, 0, 0, 0, 0xe0, 0x3f], &[0.5]),
            (Coding::Mulaw, &[0xff, 0x80], &[0.0, 32_124.0 / 32_768.0]),
            (
                Coding::Alaw,
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
