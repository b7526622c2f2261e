//! WAV as it is met: RIFF and RF64, unfinished, cut, with odd chunks and lying sizes.
//!
//! A walk over the chunks of our own, which keeps none of them. hound refuses G.711, f64, RF64, odd
//! chunks and live headers, symphonia a RIFF size of 0 and data beyond it; both believe 0 Hz. ADPCM
//! and MP3 inside WAV go on to `container`.

use super::input::Input;
use super::pcm::{Coding, Pcm};
use super::{AudioError, Ending, Job, Sink, container};

const ORIGIN: &str = "the WAV header";

/// Sizes from here on mean "not known yet": 0xFFFFFFFF, and what sox and ffmpeg write to pipes.
const LIVE: u64 = 0x7fff_f000;

/// Bytes of a `fmt ` chunk that are looked at; the longest in use, of MS ADPCM, has 50.
pub(super) const FORMAT: usize = 1 << 10;

/// Decodes input that begins with RIFF, RF64 or BW64.
pub(super) fn decode(
    mut input: Input<'_>,
    job: &Job,
    sink: Sink<'_>,
) -> Result<Ending, AudioError> {
    Wav::read(&mut input)?.decode(input, "WAV", job, sink)
}

/// What the chunks say up to the data.
#[derive(Debug)]
pub(super) struct Wav {
    pub(super) format: WavFormat,
    /// The `fmt ` chunk as it is.
    pub(super) body: Vec<u8>,
    /// Bytes of data claimed; None if never filled in.
    pub(super) size: Option<u64>,
    /// The claim is meant: fewer are too few.
    pub(super) owed: bool,
}

/// The `fmt ` chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct WavFormat {
    tag: u16,
    pub(super) channels: u16,
    pub(super) rate: u32,
    /// Bytes of a frame, as claimed.
    align: u16,
    bits: u16,
}

pub(super) enum Kind {
    /// Samples one after the other.
    Plain(Coding),
    /// Blocks of packed samples that symphonia reads.
    Packed(&'static str),
    /// An MP3 stream as it is.
    Mp3,
}

impl Wav {
    /// Takes everything before the data.
    pub(super) fn read(input: &mut Input<'_>) -> Result<Self, AudioError> {
        let begun = input.position();
        let riff_size = u64::from(u32_at(input.peek(12)?, 4).unwrap_or(0));
        input.skip(12)?;
        let mut format = None;
        let mut wide_data_size = None;
        loop {
            // Chunk names never begin with 0: zeros are padding, owed or not.
            input.skip_zeros()?;
            let at = input.position() - begun;
            let head = input.peek(8)?;
            let (Some(name), Some(size)) = (array_at::<4>(head, 0), u32_at(head, 4)) else {
                let bytes = at + head.len() as u64;
                return Err(match format {
                    Some(_) => AudioError::NoAudio,
                    None => AudioError::malformed(format!(
                        "the WAV header is cut: {bytes} bytes and no fmt chunk"
                    )),
                });
            };
            input.skip(8)?;
            let mut body = |most: usize| {
                let there = input.peek(most.min(size as usize))?;
                Ok::<_, AudioError>(there[..there.len().min(most).min(size as usize)].to_vec())
            };
            match &name {
                b"ds64" => wide_data_size = u64_at(&body(28)?, 8),
                b"fmt " => {
                    let body = body(FORMAT)?;
                    format = Some((WavFormat::parse(&body)?, body));
                }
                b"data" => {
                    let Some((format, body)) = format else {
                        return Err(AudioError::malformed(
                            "the WAV file has data before its fmt",
                        ));
                    };
                    let size = match (size, wide_data_size) {
                        (u32::MAX, Some(wide)) => wide,
                        _ => u64::from(size),
                    };
                    // Written ahead of the audio and never corrected: what comes is the audio.
                    let header = input.position() - begun;
                    let unfinished = size == 0 && (riff_size + 8 <= header || riff_size >= LIVE);
                    return Ok(Self {
                        format,
                        body,
                        size: (!unfinished).then_some(size),
                        owed: !unfinished && size < LIVE,
                    });
                }
                _ => {}
            }
            input.skip(u64::from(size))?;
            // The byte that evens out an odd chunk should be 0 and often is not, or not there.
            let next = input.peek(1)?.first();
            if size % 2 == 1 && !next.is_some_and(u8::is_ascii_alphanumeric) {
                input.skip(1)?;
            }
        }
    }

    /// Decodes the data, which begin where `input` is now; `form` names the file's in errors.
    pub(super) fn decode(
        &self,
        mut input: Input<'_>,
        form: &str,
        job: &Job,
        sink: Sink<'_>,
    ) -> Result<Ending, AudioError> {
        let WavFormat { channels, rate, .. } = self.format;
        super::lanes::check_channels(ORIGIN, u32::from(channels), job.limits.channels)?;
        super::lanes::check_rate(ORIGIN, rate)?;
        let most = self.size.unwrap_or(u64::MAX);
        match self.format.coding()? {
            Kind::Plain(coding) => {
                let samples = Pcm::new(ORIGIN, coding, rate, channels, job)?;
                samples.read(input, most, self.owed, sink)
            }
            Kind::Packed(name) => {
                input.end_after(most);
                input.put_back(&self.header());
                let name = format!("{name} in {form}");
                container::decode_sized(input, &name, self.owed, job, sink)
            }
            // symphonia does not know it inside WAV, but on its own.
            Kind::Mp3 => {
                input.end_after(most);
                container::decode(input, &format!("MP3 in {form}"), job, sink)
            }
        }
    }

    /// A header for symphonia that stands right before the data and claims nothing that it refuses.
    fn header(&self) -> Vec<u8> {
        let known = self.size.filter(|&size| size < LIVE);
        let data = known.and_then(|size| u32::try_from(size).ok());
        let mut header = b"RIFF\xff\xff\xff\xffWAVEfmt ".to_vec();
        header.extend((self.body.len() as u32).to_le_bytes());
        header.extend(&self.body);
        header.resize(header.len().next_multiple_of(2), 0);
        header.extend(b"data");
        header.extend(data.unwrap_or(u32::MAX).to_le_bytes());
        header
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

    pub(super) fn coding(&self) -> Result<Kind, AudioError> {
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
