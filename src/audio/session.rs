//! One recording under way: packets from one of symphonia's readers, decoded, to lanes.
//!
//! What streams do midway is met here: other channels or rates, damage, several laid end to end, an end
//! before the end.

use std::io;

use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, well_known as codec_ids};
use symphonia::core::errors::Error;
use symphonia::core::formats::FormatReader;
use symphonia::core::packet::Packet;

use super::codecs::{
    MAX_FRAMES, ORIGIN, cannot_read, captured_rate, make_decoder, mpeg_codec, mpeg_layer, select,
    ticks,
};
use super::cut::Watcher;
use super::lanes::Lanes;
use super::mpeg::{FrameHeader, Shape};
use super::mpeg_end::MpegEnd;
use super::{AudioError, Ending, Job, Sink, Source};

/// Undecodable packets forgiven, and resets: damage costs its place, not the recording.
const MAX_BAD_PACKETS: u32 = 256;

/// How one can tell whether the file was cut.
#[derive(Debug, Default)]
pub(super) struct End {
    pub(super) watcher: Option<Watcher>,
    /// The reader meets the input's end as an error although nothing is missing.
    pub(super) open: bool,
    /// What was read before decoding tells that the file was cut.
    pub(super) cut: bool,
}

/// One file under way.
pub(super) struct Session<'a> {
    name: &'a str,
    job: &'a Job,
    reader: Box<dyn FormatReader + 'a>,
    pub(super) track: u32,
    /// Hz of the track's timestamps, if they count frames of some rate.
    ticks: Option<u32>,
    /// Timestamp at which the sound of an MP4 begins, if the file says.
    pub(super) start: Option<u64>,
    /// Timestamp that follows the packets so far.
    next: Option<i64>,
    mpeg_end: Option<MpegEnd>,
    pub(super) params: AudioCodecParameters,
    decoder: Box<dyn AudioDecoder>,
    /// What the reader gave when it was asked for a packet more than was to be decoded.
    ahead: Option<Result<Option<Packet>, Error>>,
    /// What the decoder was made for, of frames of MPEG audio.
    shape: Option<Shape>,
    /// The last packet, if the end is watched.
    last: Vec<u8>,
    pub(super) end: End,
    /// From the first decoded frames on: only they are believed.
    lanes: Option<Lanes>,
    /// What the first decoded frames are; None until there are lanes.
    source: Option<Source>,
    scratch: Vec<f32>,
    pub(super) good: u32,
    pub(super) bad: u32,
    /// Good packets before which no sample is handed over.
    pub(super) believed_from: u32,
    truncated: bool,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        name: &'a str,
        reader: Box<dyn FormatReader + 'a>,
        job: &'a Job,
    ) -> Result<Self, AudioError> {
        let (track, params) = select(name, reader.as_ref())?;
        let decoder = make_decoder(name, &params, job)?;
        let (id, ticks) = (track.id, ticks(track));
        let mpeg_end = MpegEnd::of(track, params.codec);
        Ok(Self {
            name,
            job,
            reader,
            track: id,
            ticks,
            start: None,
            next: None,
            mpeg_end,
            params,
            decoder,
            ahead: None,
            shape: None,
            last: Vec::new(),
            end: End::default(),
            lanes: None,
            source: None,
            scratch: Vec::new(),
            good: 0,
            bad: 0,
            believed_from: 0,
            truncated: false,
        })
    }

    /// Decodes to the end, or to where the bytes stop making sense.
    pub(super) fn run(&mut self, sink: Sink<'_>) -> Result<(), AudioError> {
        loop {
            self.job.watch.check()?;
            match self
                .ahead
                .take()
                .unwrap_or_else(|| self.reader.next_packet())
            {
                Ok(None) => {
                    let ends = self.mpeg_end.zip(self.next);
                    self.truncated |= ends.is_some_and(|(end, came)| end.is_after(came));
                    self.truncated |= self.is_cut();
                    return Ok(());
                }
                Ok(Some(packet)) if packet.track_id == self.track => {
                    if self.fits(&packet)? {
                        self.packet(packet)?;
                    } else {
                        self.lost(&packet, Error::DecodeError("a frame unlike its neighbours"))?;
                    }
                    if let Some(lanes) = &mut self.lanes
                        && self.good >= self.believed_from
                    {
                        lanes.hand_over(sink)?;
                    }
                }
                Ok(Some(_)) => {}
                Err(Error::ResetRequired) => self.reset()?,
                Err(Error::IoError(e))
                    if self.end.open
                        && self.good > 0
                        && e.kind() == io::ErrorKind::UnexpectedEof =>
                {
                    self.truncated |= self.is_cut();
                    return Ok(());
                }
                // The ordinary end of cut files; keep what came, unless we cut it off ourselves.
                Err(_) if self.good > 0 => {
                    self.truncated = true;
                    return self.job.watch.check();
                }
                Err(Error::IoError(e)) if e.kind() == io::ErrorKind::UnexpectedEof => {
                    self.truncated = true;
                    return Ok(());
                }
                Err(source) => return Err(cannot_read(self.name, source)),
            }
        }
    }

    /// Whether the file ends where none would.
    fn is_cut(&self) -> bool {
        let watched = self.end.watcher.as_ref();
        self.end.cut || watched.is_some_and(|watcher| watcher.is_cut(&self.last))
    }

    /// Makes the decoder anew where MPEG audio changes its layer, rate or channels. A single frame that
    /// differs from those around it is damage, and does not fit.
    fn fits(&mut self, packet: &Packet) -> Result<bool, AudioError> {
        let shape_of = |data: &[u8]| FrameHeader::parse(data).map(|header| header.shape);
        let Some(shape) = mpeg_layer(self.params.codec).and_then(|_| shape_of(&packet.data)) else {
            return Ok(true);
        };
        if self.shape.is_some_and(|before| before != shape) {
            let next = self.reader.next_packet();
            let same = matches!(&next, Ok(Some(next)) if shape_of(&next.data) == Some(shape));
            self.ahead = Some(next);
            if !same {
                return Ok(false);
            }
            self.params.codec = mpeg_codec(shape.layer);
            self.params.sample_rate = Some(shape.rate);
            self.params.channels = None;
            self.decoder = make_decoder(self.name, &self.params, self.job)?;
        }
        self.shape = Some(shape);
        Ok(true)
    }

    fn packet(&mut self, mut packet: Packet) -> Result<(), AudioError> {
        if self.end.watcher.is_some() {
            self.last.clear();
            self.last.extend_from_slice(&packet.data);
        }
        self.fill_gap(&packet)?;
        if let Some(end) = self.mpeg_end {
            end.keep_sound(&mut packet);
        }
        let decoded = match self.decoder.decode(&packet) {
            Ok(decoded) => decoded,
            Err(source) => return self.lost(&packet, source),
        };
        let (rate, channels) = (decoded.spec().rate(), decoded.spec().channels().count());
        if decoded.frames() == 0 {
            return Ok(());
        }
        decoded.copy_to_vec_interleaved(&mut self.scratch);
        let lanes = match &mut self.lanes {
            Some(lanes) => lanes,
            none => {
                let lanes = Lanes::new(ORIGIN, rate, channels as u32, self.job)?;
                let captured_rate = captured_rate(&self.params, rate);
                self.job.captured_rate.set(captured_rate);
                self.source = Some(Source {
                    codec: self.decoder.codec_info().short_name.into(),
                    sample_rate: rate,
                    captured_rate,
                    channels: lanes.channels() as u16,
                });
                none.insert(lanes)
            }
        };
        lanes.count(packet.data.len());
        if channels != lanes.channels() {
            lanes.change_channels(channels as u32)?;
        }
        if rate != lanes.rate() {
            lanes.change_rate(rate)?;
        }
        self.good += 1;
        let before = self.start.map_or(0, |start| {
            let ticks = i128::from(start) - i128::from(packet.pts.get());
            let frames = ticks * i128::from(rate) / i128::from(self.ticks.unwrap_or(rate));
            usize::try_from(frames)
                .unwrap_or(0)
                .saturating_mul(channels)
        });
        lanes.push(self.scratch.get(before..).unwrap_or_default())
    }

    /// Puts silence where FLAC frames or pages of Opus are missing: the reader drops damaged ones
    /// without a word, and all that follows would move forward. Other formats' timestamps are not
    /// that exact, nor are those of Matroska, which count milliseconds.
    fn fill_gap(&mut self, packet: &Packet) -> Result<(), AudioError> {
        let start = packet.pts.get();
        let length = i64::try_from(packet.dur.get()).unwrap_or(0);
        let next = self
            .next
            .replace(start.saturating_add(length))
            .unwrap_or(start);
        let exact = [codec_ids::CODEC_ID_FLAC, codec_ids::CODEC_ID_OPUS];
        if !exact.contains(&self.params.codec) || self.ticks != self.params.sample_rate {
            return Ok(());
        }
        let gap = u64::try_from(start.saturating_sub(next)).unwrap_or(0);
        self.truncated |= gap > 0;
        self.silence(gap)
    }

    /// Silence in place of `frames`, counted in the track's ticks, if those are frames.
    fn silence(&mut self, frames: u64) -> Result<(), AudioError> {
        match &mut self.lanes {
            Some(lanes) if frames <= MAX_FRAMES && self.ticks == Some(lanes.rate()) => {
                lanes.push_silence(frames as usize)
            }
            _ => Ok(()),
        }
    }

    /// Accounts for a packet that could not be decoded, with silence of its length.
    fn lost(&mut self, packet: &Packet, source: Error) -> Result<(), AudioError> {
        self.bad += 1;
        self.truncated = true;
        if self.bad > MAX_BAD_PACKETS {
            return Err(cannot_read(self.name, source));
        }
        self.silence(packet.dur.get())?;
        // Opus' decoder recovers by itself; a new one would drop the pre-skip again.
        if self.params.codec != codec_ids::CODEC_ID_OPUS {
            // What a decoder holds of a damaged packet spoils those behind it.
            self.decoder = make_decoder(self.name, &self.params, self.job)?;
        }
        Ok(())
    }

    /// Starts on the next of several streams laid end to end.
    fn reset(&mut self) -> Result<(), AudioError> {
        self.bad += 1;
        if self.bad > MAX_BAD_PACKETS {
            return Err(AudioError::malformed(format!(
                "this {} starts anew too often",
                self.name
            )));
        }
        let (track, params) = select(self.name, self.reader.as_ref())?;
        (self.track, self.ticks, self.next) = (track.id, ticks(track), None);
        self.mpeg_end = MpegEnd::of(track, params.codec);
        self.decoder = make_decoder(self.name, &params, self.job)?;
        self.params = params;
        Ok(())
    }

    pub(super) fn finish(self, sink: Sink<'_>) -> Result<Ending, AudioError> {
        let (Some(lanes), Some(source)) = (self.lanes, self.source) else {
            return Err(match self.bad {
                0 => AudioError::NoAudio,
                _ => AudioError::malformed(format!("no packet of this {} decodes", self.name)),
            });
        };
        // What decodes of garbage is noise: damage costs its place only as long as it is the lesser part.
        if self.bad > self.good {
            return Err(AudioError::malformed(format!(
                "{} of {} packets of this {} do not decode",
                self.bad,
                self.bad + self.good,
                self.name
            )));
        }
        let remixed = lanes.remixed();
        lanes.finish(sink)?;
        Ok(Ending {
            source,
            remixed,
            truncated: self.truncated,
            held: false,
        })
    }
}
