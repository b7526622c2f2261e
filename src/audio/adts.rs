//! AAC in ADTS: frames that each say what they are, so that a stream may change midway.
//!
//! symphonia's own reader keeps what the first frame says. This one asks for a new decoder where frames change,
//! and tells a last frame that is cut from the end.

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
use super::mpeg::{ADTS_HEADER, AdtsHeader};

const INFO: FormatInfo = FormatInfo {
    format: FORMAT_ID_ADTS,
    short_name: "aac",
    long_name: "Audio Data Transport Stream (native AAC)",
};

/// Samples of a channel in a frame.
const SAMPLES: u64 = 1_024;

/// Hz by index (ISO/IEC 14496-3, table 1.18).
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// Frames of an ADTS stream as symphonia's decoders take them.
pub(super) struct Adts<'a> {
    input: Input<'a>,
    media: MediaInfo,
    tracks: Vec<Track>,
    metadata: MetadataLog,
    shape: Option<(u8, u8, u8)>,
    next: Timestamp,
}

impl<'a> Adts<'a> {
    /// Of input that begins with a frame, or close before one.
    pub(super) fn new(input: Input<'a>) -> Result<Self> {
        let mut adts = Self {
            input,
            media: MediaInfo::default(),
            tracks: Vec::new(),
            metadata: MetadataLog::default(),
            shape: None,
            next: Timestamp::ZERO,
        };
        match adts.seek_frame()? {
            Some(header) => adts.change(header),
            None => Err(Error::IoError(io::ErrorKind::UnexpectedEof.into())),
        }?;
        Ok(adts)
    }

    /// Moves to the next frame and gives its header; none at the end.
    fn seek_frame(&mut self) -> Result<Option<AdtsHeader>> {
        let mut in_step = self.shape.is_some();
        loop {
            let head = self.input.peek(ADTS_HEADER).map_err(io::Error::other)?;
            if let Some(header) = AdtsHeader::parse(head)
                && (in_step || self.is_followed(header)?)
            {
                return Ok(Some(header));
            }
            let head = self.input.peek(ADTS_HEADER).map_err(io::Error::other)?;
            if head.len() < ADTS_HEADER {
                // Less than a header: the beginning of one, or of nothing.
                let begun =
                    in_step && matches!(head, [0xff] | [0xff, 0xf0 | 0xf1 | 0xf8 | 0xf9, ..]);
                return match begun {
                    true => Err(Error::IoError(io::ErrorKind::UnexpectedEof.into())),
                    false => Ok(None),
                };
            }
            in_step = false;
            let garbage = head[1..].iter().position(|&byte| byte == 0xff);
            let skipped = garbage.map_or(head.len(), |at| at + 1);
            self.input.consume(skipped);
        }
    }

    /// Whether a frame of this header ends where another begins, or with the input: in garbage most do not.
    fn is_followed(&mut self, header: AdtsHeader) -> Result<bool> {
        let there = self.input.peek(header.size + ADTS_HEADER);
        let rest = there.map_err(io::Error::other)?.get(header.size..);
        Ok(rest.is_some_and(|rest| {
            rest.len() < ADTS_HEADER && rest.first().is_none_or(|&byte| byte == 0xff)
                || AdtsHeader::parse(rest).is_some_and(|next| next.shape == header.shape)
        }))
    }

    fn change(&mut self, header: AdtsHeader) -> Result<()> {
        let (_, rate, channels) = header.shape;
        let rate = RATES.get(usize::from(rate)).copied();
        let mut params = AudioCodecParameters::new();
        params.for_codec(CODEC_ID_AAC);
        params.with_sample_rate(rate.ok_or(Error::DecodeError("adts: invalid sample rate"))?);
        params.channels = match channels {
            1 => Some(symphonia::core::audio::layouts::CHANNEL_LAYOUT_MONO),
            2 => Some(symphonia::core::audio::layouts::CHANNEL_LAYOUT_STEREO),
            _ => return Err(Error::Unsupported("adts: more than two channels")),
        };
        let mut track = Track::new(0);
        track.with_codec_params(CodecParameters::Audio(params));
        self.media = MediaInfo::from_track(&track);
        self.tracks = vec![track];
        self.shape = Some(header.shape);
        Ok(())
    }
}

impl FormatReader for Adts<'_> {
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
        // A checksum, if the header says that there is one, stands behind it.
        let checked = frame[1] & 1 == 0;
        let start = ADTS_HEADER + if checked { 2 } else { 0 };
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
