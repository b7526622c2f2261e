//! WAV as it occurs in practice: RIFF and RF64, unfinished, cut, with odd chunks and wrong sizes.
//!
//! The chunks are read here, without keeping them. hound refuses G.711, f64, RF64, odd chunks and headers of live
//! recordings. symphonia refuses a RIFF size of 0 and data beyond it. Both accept 0 Hz. ADPCM and MP3 inside WAV
//! are decoded by `container`.

use super::input::Input;
use super::job::{DecodeJob, LaneSink};
use super::pcm::{PcmDecoder, SampleCoding};
use super::source_checks::{check_channels, check_rate};
use super::{AudioError, Ending, container};

const ORIGIN: &str = "the WAV header";

/// Sizes of this or more mean "not known yet": 0xFFFFFFFF, and the values that sox and ffmpeg write to pipes.
const UNKNOWN_SIZE: u64 = 0x7fff_f000;

/// Bytes read of a `fmt ` chunk. The longest in use, that of MS ADPCM, has 50.
pub(super) const FORMAT: usize = 1 << 10;

/// Decodes input that begins with RIFF, RF64 or BW64.
pub(super) fn decode(
    mut input: Input<'_>,
    job: &DecodeJob,
    sink: LaneSink<'_>,
) -> Result<Ending, AudioError> {
    WavHeader::read(&mut input)?.decode(input, "WAV", job, sink)
}

/// The contents of the chunks before the data.
#[derive(Debug)]
pub(super) struct WavHeader {
    pub(super) format: WavFormat,
    /// The bytes of the `fmt ` chunk.
    pub(super) body: Vec<u8>,
    /// Bytes of data that the header claims. `None` if the field was never filled in.
    pub(super) size: Option<u64>,
    /// The claim is reliable, so fewer bytes are a sign of a cut file.
    pub(super) size_is_reliable: bool,
}

/// The fields of the `fmt ` chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct WavFormat {
    tag: u16,
    pub(super) channels: u16,
    /// Hz.
    pub(super) rate: u32,
    /// Bytes of a frame, as claimed.
    align: u16,
    bits: u16,
}

/// How the data is coded.
pub(super) enum WavCoding {
    /// Samples that follow one another.
    Plain(SampleCoding),
    /// Blocks of packed samples that symphonia reads.
    Packed(&'static str),
    /// An MP3 stream.
    Mp3,
}

impl WavHeader {
    /// Reads everything before the data.
    pub(super) fn read(input: &mut Input<'_>) -> Result<Self, AudioError> {
        let start = input.position();
        let riff_size = u64::from(u32_at(input.peek(12)?, 4).unwrap_or(0));
        input.skip(12)?;
        let mut format = None;
        let mut wide_data_size = None;
        loop {
            // Chunk names never begin with 0, so zeros are padding, whether it is due or not.
            input.skip_zeros()?;
            let at = input.position() - start;
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
                let bytes = input.peek(most.min(size as usize))?;
                Ok::<_, AudioError>(bytes[..bytes.len().min(most).min(size as usize)].to_vec())
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
                    // The size was written before the audio and never corrected, so the audio lasts to the end.
                    let header = input.position() - start;
                    let unfinished =
                        size == 0 && (riff_size + 8 <= header || riff_size >= UNKNOWN_SIZE);
                    return Ok(Self {
                        format,
                        body,
                        size: (!unfinished).then_some(size),
                        size_is_reliable: !unfinished && size < UNKNOWN_SIZE,
                    });
                }
                _ => {}
            }
            input.skip(u64::from(size))?;
            // The padding byte after an odd chunk should be 0, but often it is not, or is missing.
            let next = input.peek(1)?.first();
            if size % 2 == 1 && !next.is_some_and(u8::is_ascii_alphanumeric) {
                input.skip(1)?;
            }
        }
    }

    /// Decodes the data, which begin at the position of `input`. `form` names the file format in errors.
    pub(super) fn decode(
        &self,
        mut input: Input<'_>,
        form: &str,
        job: &DecodeJob,
        sink: LaneSink<'_>,
    ) -> Result<Ending, AudioError> {
        let WavFormat { channels, rate, .. } = self.format;
        check_channels(ORIGIN, u32::from(channels), job.limits.channels)?;
        check_rate(ORIGIN, rate)?;
        let most = self.size.unwrap_or(u64::MAX);
        match self.format.coding()? {
            WavCoding::Plain(coding) => {
                let samples = PcmDecoder::new(ORIGIN, coding, rate, channels, job)?;
                samples.read(input, most, self.size_is_reliable, sink)
            }
            WavCoding::Packed(name) => {
                input.end_after(most);
                input.put_back(&self.header());
                let name = format!("{name} in {form}");
                container::decode_sized(input, &name, self.size_is_reliable, job, sink)
            }
            // symphonia does not read MP3 inside WAV, but it reads a plain MP3 stream.
            WavCoding::Mp3 => {
                input.end_after(most);
                container::decode(input, &format!("MP3 in {form}"), job, sink)
            }
        }
    }

    /// Returns a header for symphonia that is followed by the data and claims nothing that symphonia refuses.
    fn header(&self) -> Vec<u8> {
        let size = self.size.filter(|&size| size < UNKNOWN_SIZE);
        let data = size.and_then(|size| u32::try_from(size).ok());
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
    /// Parses the bytes of the chunk.
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
        // WAVE_FORMAT_EXTENSIBLE: the actual tag is at the start of the sub-format.
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

    /// Returns the coding of the data.
    ///
    /// # Errors
    /// [`AudioError::Unsupported`] names a codec that cannot be decoded.
    pub(super) fn coding(&self) -> Result<WavCoding, AudioError> {
        // Padded samples have more bytes than their bits need. Some writers leave `align` 0.
        let width = match self.align / self.channels.max(1) {
            0 => self.bits.div_ceil(8),
            width => width,
        };
        let coding = match (self.tag, width, self.bits) {
            (1, 1, 1..=8) => SampleCoding::U8,
            (1, 2, 9..=16) => SampleCoding::S16,
            (1, 3, 17..=24) => SampleCoding::S24,
            // Writers of 24 bits in 4 bytes use the low bytes.
            (1, 4, 24) => SampleCoding::S24In32,
            (1, 4, 25..=32) => SampleCoding::S32,
            (3, 4, 32) => SampleCoding::F32,
            (3, 8, 64) => SampleCoding::F64,
            (6, 1, _) => SampleCoding::Alaw,
            (7, 1, _) => SampleCoding::Mulaw,
            (0x02, ..) => return Ok(WavCoding::Packed("MS ADPCM")),
            (0x11, ..) => return Ok(WavCoding::Packed("IMA ADPCM")),
            (0x55, ..) => return Ok(WavCoding::Mp3),
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
        Ok(WavCoding::Plain(coding))
    }
}

/// Returns the name of a WAV codec that is refused.
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
