//! WAV as it is met: RIFF and RF64, unfinished, cut, with odd chunks and lying sizes.
//!
//! A walk over the chunks of our own. hound refuses G.711, f64, RF64, odd chunks and live headers,
//! symphonia a RIFF size of 0 and data beyond it; both believe 0 Hz. ADPCM and MP3 inside WAV go
//! on to `container`.

use super::pcm::{Coding, Stream};
use super::{AudioError, Job, Recording, container};

const ORIGIN: &str = "the WAV header";

/// Sizes from here on mean "not known yet": 0xFFFFFFFF, and what sox and ffmpeg write to pipes.
const LIVE: u64 = 0x7fff_f000;

/// Decodes `bytes`, which begin with RIFF, RF64 or BW64.
pub(super) fn decode(bytes: &[u8], job: &Job<'_>) -> Result<Recording, AudioError> {
    Wav::parse(bytes)?.decode(Some(bytes), job)
}

/// What the chunks say.
#[derive(Debug)]
pub(super) struct Wav<'a> {
    pub(super) format: WavFormat,
    pub(super) data: &'a [u8],
    /// The header promised more data, in earnest.
    pub(super) short: bool,
}

/// The `fmt ` chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct WavFormat {
    tag: u16,
    channels: u16,
    rate: u32,
    /// Bytes of a frame, as claimed.
    align: u16,
    bits: u16,
}

enum Kind {
    /// Samples one after the other.
    Plain(Coding),
    /// Blocks of packed samples that symphonia reads.
    Packed(&'static str),
    /// An MP3 stream as it is.
    Mp3,
}

impl<'a> Wav<'a> {
    /// Decodes the data; `riff` is the whole file if it is one that symphonia can walk.
    pub(super) fn decode(
        &self,
        riff: Option<&[u8]>,
        job: &Job<'_>,
    ) -> Result<Recording, AudioError> {
        let format = &self.format;
        super::lanes::check_channels(ORIGIN, u32::from(format.channels), job.limits.channels)?;
        super::lanes::check_rate(ORIGIN, format.rate)?;
        let coding = match (format.coding()?, riff) {
            (Kind::Plain(coding), _) => coding,
            (Kind::Packed(name), Some(riff)) => {
                return container::decode(riff, &format!("{name} in WAV"), job);
            }
            (Kind::Packed(name), None) => {
                return Err(AudioError::Unsupported {
                    codec: format!("{name} in Wave64"),
                });
            }
            // symphonia does not know it inside WAV, but on its own.
            (Kind::Mp3, _) => return container::decode(self.data, "MP3 in WAV", job),
        };
        let stream = Stream {
            coding,
            sample_rate: format.rate,
            channels: format.channels,
            data: self.data,
            short: self.short,
            origin: ORIGIN,
        };
        stream.decode(job)
    }

    fn parse(bytes: &'a [u8]) -> Result<Self, AudioError> {
        let riff_size = u64::from(u32_at(bytes, 4).unwrap_or(0));
        let mut format = None;
        let mut wide_data_size = None;
        let mut at = 12;
        loop {
            // Chunk names never begin with 0: zeros are padding, owed or not.
            at += bytes
                .get(at..)
                .map_or(0, |rest| rest.iter().take_while(|&&b| b == 0).count());
            let (Some(name), Some(size)) = (bytes.get(at..at + 4), u32_at(bytes, at + 4)) else {
                return Err(match format {
                    Some(_) => AudioError::NoAudio,
                    None => AudioError::malformed(format!(
                        "the WAV header is cut: {} bytes and no fmt chunk",
                        bytes.len()
                    )),
                });
            };
            let start = at + 8;
            let end = start.saturating_add(size as usize);
            let body = &bytes[start..end.min(bytes.len())];
            match name {
                b"ds64" => wide_data_size = u64_at(body, 8),
                b"fmt " => format = Some(WavFormat::parse(body)?),
                b"data" => {
                    let Some(format) = format else {
                        return Err(AudioError::malformed(
                            "the WAV file has data before its fmt",
                        ));
                    };
                    let size = match (size, wide_data_size) {
                        (u32::MAX, Some(wide)) => wide,
                        _ => u64::from(size),
                    };
                    let (data, short) = extent(&bytes[start..], size, riff_size, start);
                    return Ok(Self {
                        format,
                        data,
                        short,
                    });
                }
                _ => {}
            }
            at = end;
            // The byte that evens out an odd chunk should be 0 and often is not, or not there.
            let named = bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
            if size % 2 == 1 && !named {
                at += 1;
            }
        }
    }
}

/// Which part of `rest` is the data, given the claimed sizes, and whether some is missing.
fn extent(rest: &[u8], size: u64, riff_size: u64, start: usize) -> (&[u8], bool) {
    // Written ahead of the audio and never corrected: what is there is the audio.
    let never_finished = size == 0 && (riff_size + 8 <= start as u64 || riff_size >= LIVE);
    if size >= LIVE && size > rest.len() as u64 || never_finished {
        return (rest, false);
    }
    match rest.get(..usize::try_from(size).unwrap_or(usize::MAX)) {
        Some(data) => (data, false),
        None => (rest, true),
    }
}

impl WavFormat {
    pub(super) fn parse(body: &[u8]) -> Result<Self, AudioError> {
        let field = |at| u16_at(body, at);
        let (Some(tag), Some(channels), Some(rate), Some(align), Some(bits)) = (
            field(0),
            field(2),
            u32_at(body, 4),
            field(12),
            field(14).or(Some(0)),
        ) else {
            let bytes = body.len();
            return Err(AudioError::malformed(format!(
                "the WAV fmt chunk has only {bytes} bytes"
            )));
        };
        // WAVE_FORMAT_EXTENSIBLE: the tag proper begins the sub-format.
        let tag = if tag == 0xfffe {
            field(24).unwrap_or(1)
        } else {
            tag
        };
        Ok(Self {
            tag,
            channels,
            rate,
            align,
            bits,
        })
    }

    fn coding(&self) -> Result<Kind, AudioError> {
        // Padded samples have more bytes than bits; some writers leave `align` 0.
        let width = match self.align / self.channels.max(1) {
            0 => self.bits.div_ceil(8),
            width => width,
        };
        let coding = match (self.tag, width, self.bits) {
            (1, 1, 1..=8) => Coding::U8,
            (1, 2, 9..=16) => Coding::S16,
            (1, 3, 17..=24) => Coding::S24,
            // Where bits and bytes disagree, writers fill the low bytes.
            (1, 4, 24) => Coding::S24In32,
            (1, 4, 25..=32) => Coding::S32,
            (3, 4, 32) => Coding::F32,
            (3, 8, 64) => Coding::F64,
            (6, 1, _) => Coding::Alaw,
            (7, 1, _) => Coding::Mulaw,
            (0x02, ..) => return Ok(Kind::Packed("MS ADPCM")),
            (0x11, ..) => return Ok(Kind::Packed("IMA ADPCM")),
            (0x55, ..) => return Ok(Kind::Mp3),
            (1 | 3 | 6 | 7, width, bits) => {
                return Err(AudioError::Unsupported {
                    codec: format!("WAV with {bits}-bit samples in {width} bytes"),
                });
            }
            (tag, ..) => {
                return Err(AudioError::Unsupported {
                    codec: tag_name(tag),
                });
            }
        };
        Ok(Kind::Plain(coding))
    }
}

/// The name of a WAV codec that is refused.
fn tag_name(tag: u16) -> String {
    let name = match tag {
        0x0020 => "Yamaha ADPCM",
        0x0022 => "TrueSpeech",
        0x0031 | 0x0032 => "GSM 6.10",
        0x0014 | 0x0040 | 0x0045 | 0x0064 => "ADPCM (G.721, G.726)",
        0x0042 | 0x0111 => "G.723.1",
        0x0050 => "MPEG layer II",
        0x0065 | 0x028f => "G.722",
        0x0083 => "G.729",
        0x00ff | 0x1600 | 0x1610 => "AAC",
        0x0160..=0x0163 => "Windows Media Audio (WMA)",
        0x2000 => "AC-3",
        0xa109 => "Speex",
        _ => return format!("WAV codec {tag:#06x}"),
    };
    format!("{name} in WAV")
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array_at(bytes, at).map(u64::from_le_bytes)
}
