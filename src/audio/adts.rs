//! Reads AAC in ADTS. Each frame has its own header, so a stream may change midway.
//!
//! symphonia's own reader uses only the header of the first frame. This reader requests a new decoder where the
//! headers change, and it reports a last frame that is cut.

use std::io;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::CODEC_ID_AAC;
use symphonia::core::errors::{Error, Result, SeekErrorKind};
use symphonia::core::formats::well_known::FORMAT_ID_ADTS;
use symphonia::core::formats::{
    FormatInfo, FormatReader, MediaInfo, SeekMode, SeekTo, SeekedTo, Track,
};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions, ReadOnlySource};
use symphonia::core::meta::{Metadata, MetadataLog};
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};

use super::input::Input;
use super::mpeg::{ADTS_HEADER, AdtsHeader, AdtsShape};

const INFO: FormatInfo = FormatInfo {
    format: FORMAT_ID_ADTS,
    short_name: "aac",
    long_name: "Audio Data Transport Stream (native AAC)",
};

/// Samples per channel in a frame.
const SAMPLES: u64 = 1_024;

/// Hz by index (ISO/IEC 14496-3, table 1.18).
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// Reads the frames of an ADTS stream as packets for symphonia's decoders.
pub(super) struct AdtsReader<'a> {
    input: Input<'a>,
    media: MediaInfo,
    tracks: Vec<Track>,
    metadata: MetadataLog,
    /// What the current frames have in common.
    shape: Option<AdtsShape>,
    /// Timestamp of the next packet.
    next: Timestamp,
}

impl<'a> AdtsReader<'a> {
    /// Creates a reader of input that begins with a frame, or shortly before one.
    pub(super) fn new(input: Input<'a>) -> Result<Self> {
        let mut reader = Self {
            input,
            media: MediaInfo::default(),
            tracks: Vec::new(),
            metadata: MetadataLog::default(),
            shape: None,
            next: Timestamp::ZERO,
        };
        match reader.seek_frame()? {
            Some(header) => reader.change(header),
            None => Err(Error::IoError(io::ErrorKind::UnexpectedEof.into())),
        }?;
        Ok(reader)
    }

    /// Moves to the next frame and returns its header, or `None` at the end.
    fn seek_frame(&mut self) -> Result<Option<AdtsHeader>> {
        let mut in_sync = self.shape.is_some();
        loop {
            let head = self.input.peek(ADTS_HEADER).map_err(io::Error::other)?;
            if let Some(header) = AdtsHeader::parse(head)
                && (in_sync || self.is_followed(header)?)
            {
                return Ok(Some(header));
            }
            let head = self.input.peek(ADTS_HEADER).map_err(io::Error::other)?;
            if head.len() < ADTS_HEADER {
                // There is less than a header left. It may be the start of a frame that was cut.
                let is_frame_start =
                    in_sync && matches!(head, [0xff] | [0xff, 0xf0 | 0xf1 | 0xf8 | 0xf9, ..]);
                return if is_frame_start {
                    Err(Error::IoError(io::ErrorKind::UnexpectedEof.into()))
                } else {
                    Ok(None)
                };
            }
            in_sync = false;
            let garbage = head[1..].iter().position(|&byte| byte == 0xff);
            let skipped = garbage.map_or(head.len(), |at| at + 1);
            self.input.consume(skipped);
        }
    }

    /// Returns whether a frame with this header ends where another begins, or where the input ends. In garbage,
    /// most apparent headers do not.
    fn is_followed(&mut self, header: AdtsHeader) -> Result<bool> {
        let bytes = self.input.peek(header.size + ADTS_HEADER);
        let rest = bytes.map_err(io::Error::other)?.get(header.size..);
        Ok(rest.is_some_and(|rest| {
            rest.len() < ADTS_HEADER && rest.first().is_none_or(|&byte| byte == 0xff)
                || AdtsHeader::parse(rest).is_some_and(|next| next.shape == header.shape)
        }))
    }

    /// Starts a track for frames with this header.
    fn change(&mut self, header: AdtsHeader) -> Result<()> {
        let shape = header.shape;
        let rate = RATES.get(usize::from(shape.rate_index)).copied();
        let mut params = AudioCodecParameters::new();
        params.for_codec(CODEC_ID_AAC);
        params.with_sample_rate(rate.ok_or(Error::DecodeError("adts: invalid sample rate"))?);
        params.channels = match shape.channels {
            1 => Some(symphonia::core::audio::layouts::CHANNEL_LAYOUT_MONO),
            2 => Some(symphonia::core::audio::layouts::CHANNEL_LAYOUT_STEREO),
            _ => return Err(Error::Unsupported("adts: more than two channels")),
        };
        let mut track = Track::new(0);
        track.with_codec_params(CodecParameters::Audio(params));
        self.media = MediaInfo::from_track(&track);
        self.tracks = vec![track];
        self.shape = Some(shape);
        Ok(())
    }
}

impl FormatReader for AdtsReader<'_> {
    fn format_info(&self) -> &FormatInfo {
        &INFO
    }

    fn media_info(&self) -> &MediaInfo {
        &self.media
    }

    fn metadata(&mut self) -> Metadata<'_> {
        self.metadata.metadata()
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn seek(&mut self, _mode: SeekMode, _to: SeekTo) -> Result<SeekedTo> {
        Err(Error::SeekError(SeekErrorKind::Unseekable))
    }

    fn next_packet(&mut self) -> Result<Option<Packet>> {
        let Some(header) = self.seek_frame()? else {
            return Ok(None);
        };
        if self.shape != Some(header.shape) && self.is_followed(header)? {
            self.change(header)?;
            return Err(Error::ResetRequired);
        }
        let frame = self.input.peek(header.size).map_err(io::Error::other)?;
        let Some(frame) = frame.get(..header.size) else {
            return Err(Error::IoError(io::ErrorKind::UnexpectedEof.into()));
        };
        // A flag in the header states whether a checksum follows it.
        let has_checksum = frame[1] & 1 == 0;
        let start = ADTS_HEADER + if has_checksum { 2 } else { 0 };
        let data = frame.get(start..).unwrap_or_default().to_vec();
        if frame[6] & 3 != 0 {
            return Err(Error::Unsupported("adts: several blocks in a frame"));
        }
        self.input.consume(header.size);
        let pts = self.next;
        let end = pts.checked_add(Duration::new(SAMPLES));
        self.next = end.ok_or(Error::DecodeError("adts: the stream is too long"))?;
        Ok(Some(Packet::new(0, pts, Duration::new(SAMPLES), data)))
    }

    fn into_inner<'s>(self: Box<Self>) -> MediaSourceStream<'s>
    where
        Self: 's,
    {
        let options = MediaSourceStreamOptions::default();
        MediaSourceStream::new(Box::new(ReadOnlySource::new(self.input)), options)
    }
}
