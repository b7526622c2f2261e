//! Decodes one track: packets from one of symphonia's readers become samples in lanes.
//!
//! Streams may change midway, and those changes are handled here: other channels or rates, damaged packets,
//! several streams one after another, and a cut before the end.

use std::io;

use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, well_known as codec_ids};
use symphonia::core::errors::Error;
use symphonia::core::formats::FormatReader;
use symphonia::core::packet::Packet;

use super::codecs::{
    MAX_FRAMES, ORIGIN, cannot_read, captured_rate, make_decoder, mpeg_codec, mpeg_layer,
    select_track, ticks_per_second,
};
use super::cut_detector::CutDetector;
use super::job::{DecodeJob, LaneSink};
use super::lanes::Lanes;
use super::mpeg::{FrameHeader, FrameShape};
use super::mpeg_end::MpegEnd;
use super::{AudioError, Ending, Source};

/// Packets that may fail to decode, plus resets. Damage costs its place, not the whole recording.
const MAX_BAD_PACKETS: u32 = 256;

/// How to detect that the file was cut.
#[derive(Debug, Default)]
pub(super) struct EndDetection {
    pub(super) cut_detector: Option<CutDetector>,
    /// The reader reports the end of the input as an error although nothing is missing.
    pub(super) open: bool,
    /// The file was found to be cut before decoding.
    pub(super) cut: bool,
}

/// Decodes one file.
pub(super) struct TrackDecoder<'a> {
    name: &'a str,
    job: &'a DecodeJob,
    reader: Box<dyn FormatReader + 'a>,
    track: u32,
    /// Ticks per second of the track's timestamps, if that is a whole number.
    ticks: Option<u32>,
    /// Timestamp at which the sound of an MP4 begins, if the file has it.
    pub(super) start: Option<u64>,
    /// Timestamp of the end of the packets so far.
    next: Option<i64>,
    mpeg_end: Option<MpegEnd>,
    pub(super) params: AudioCodecParameters,
    decoder: Box<dyn AudioDecoder>,
    /// The next packet, if it was read in advance.
    ahead: Option<Result<Option<Packet>, Error>>,
    /// The format of MPEG audio frames that the decoder was created for.
    shape: Option<FrameShape>,
    /// The last packet, if there is a cut detector.
    last: Vec<u8>,
    pub(super) end: EndDetection,
    /// Created from the first decoded frames, because the header may be wrong.
    lanes: Option<Lanes>,
    /// The format of the first decoded frames. `None` until there are lanes.
    source: Option<Source>,
    scratch: Vec<f32>,
    /// Packets that decoded.
    pub(super) good: u32,
    /// Packets that failed to decode, and resets.
    pub(super) bad: u32,
    /// Good packets required before the first samples are delivered.
    pub(super) packets_before_samples: u32,
    truncated: bool,
}

impl<'a> TrackDecoder<'a> {
    pub(super) fn new(
        name: &'a str,
        reader: Box<dyn FormatReader + 'a>,
        job: &'a DecodeJob,
    ) -> Result<Self, AudioError> {
        let (track, params) = select_track(name, reader.as_ref())?;
        let decoder = make_decoder(name, &params, job)?;
        let (id, ticks) = (track.id, ticks_per_second(track));
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
            end: EndDetection::default(),
            lanes: None,
            source: None,
            scratch: Vec::new(),
            good: 0,
            bad: 0,
            packets_before_samples: 0,
            truncated: false,
        })
    }

    /// Returns the number of the track in its container.
    pub(super) fn track_id(&self) -> u32 {
        self.track
    }

    /// Decodes to the end, or to where the rest is unreadable.
    pub(super) fn run(&mut self, sink: LaneSink<'_>) -> Result<(), AudioError> {
        loop {
            self.job.timer.check()?;
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
                    if self.adapt_decoder(&packet)? {
                        self.decode(packet)?;
                    } else {
                        self.replace_lost(
                            &packet,
                            Error::DecodeError("a frame unlike the frames around it"),
                        )?;
                    }
                    if let Some(lanes) = &mut self.lanes
                        && self.good >= self.packets_before_samples
                    {
                        lanes.deliver(sink)?;
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
                // Cut files usually end so. Their samples are kept, unless the time limit ended them.
                Err(_) if self.good > 0 => {
                    self.truncated = true;
                    return self.job.timer.check();
                }
                Err(Error::IoError(e)) if e.kind() == io::ErrorKind::UnexpectedEof => {
                    self.truncated = true;
                    return Ok(());
                }
                Err(source) => return Err(cannot_read(self.name, source)),
            }
        }
    }

    /// Returns whether the file ends in the middle of an element.
    fn is_cut(&self) -> bool {
        let detector = self.end.cut_detector.as_ref();
        self.end.cut || detector.is_some_and(|detector| detector.is_cut(&self.last))
    }

    /// Creates a new decoder where MPEG audio changes its layer, rate or channels. Returns false for a single
    /// frame that differs from the frames around it, because that is damage.
    fn adapt_decoder(&mut self, packet: &Packet) -> Result<bool, AudioError> {
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

    fn decode(&mut self, mut packet: Packet) -> Result<(), AudioError> {
        if self.end.cut_detector.is_some() {
            self.last.clear();
            self.last.extend_from_slice(&packet.data);
        }
        self.fill_gap(&packet)?;
        if let Some(end) = self.mpeg_end {
            end.keep_sound(&mut packet);
        }
        let decoded = match self.decoder.decode(&packet) {
            Ok(decoded) => decoded,
            Err(source) => return self.replace_lost(&packet, source),
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
        lanes.count_bytes(packet.data.len());
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

    /// Inserts silence where FLAC frames or pages of Opus are missing. The reader drops damaged ones without
    /// an error, and without the silence all later samples would move forward. The timestamps of other
    /// formats are not exact enough for this, nor are those of Matroska, which count milliseconds.
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
        self.insert_silence(gap)
    }

    /// Inserts silence in place of `frames`, which count ticks, if one tick is one frame.
    fn insert_silence(&mut self, frames: u64) -> Result<(), AudioError> {
        match &mut self.lanes {
            Some(lanes) if frames <= MAX_FRAMES && self.ticks == Some(lanes.rate()) => {
                lanes.push_silence(frames as usize)
            }
            _ => Ok(()),
        }
    }

    /// Replaces a packet that failed to decode by silence of its length.
    fn replace_lost(&mut self, packet: &Packet, source: Error) -> Result<(), AudioError> {
        self.bad += 1;
        self.truncated = true;
        if self.bad > MAX_BAD_PACKETS {
            return Err(cannot_read(self.name, source));
        }
        self.insert_silence(packet.dur.get())?;
        // The decoder of Opus recovers by itself. A new one would drop the pre-skip again.
        if self.params.codec != codec_ids::CODEC_ID_OPUS {
            // The state that a damaged packet leaves in a decoder would damage the next packets.
            self.decoder = make_decoder(self.name, &self.params, self.job)?;
        }
        Ok(())
    }

    /// Continues with the next of several streams in one file.
    fn reset(&mut self) -> Result<(), AudioError> {
        self.bad += 1;
        if self.bad > MAX_BAD_PACKETS {
            return Err(AudioError::malformed(format!(
                "this {} contains too many streams in a row",
                self.name
            )));
        }
        let (track, params) = select_track(self.name, self.reader.as_ref())?;
        (self.track, self.ticks, self.next) = (track.id, ticks_per_second(track), None);
        self.mpeg_end = MpegEnd::of(track, params.codec);
        self.decoder = make_decoder(self.name, &params, self.job)?;
        self.params = params;
        Ok(())
    }

    /// Ends the recording and delivers the remaining samples.
    pub(super) fn finish(self, sink: LaneSink<'_>) -> Result<Ending, AudioError> {
        let (Some(lanes), Some(source)) = (self.lanes, self.source) else {
            return Err(match self.bad {
                0 => AudioError::NoAudio,
                _ => AudioError::malformed(format!("no packet of this {} decodes", self.name)),
            });
        };
        // Packets that decode out of garbage are noise. So a recording is kept only if most packets decode.
        if self.bad > self.good {
            return Err(AudioError::malformed(format!(
                "{} of {} packets of this {} do not decode",
                self.bad,
                self.bad + self.good,
                self.name
            )));
        }
        let channels_changed = lanes.channels_changed();
        lanes.finish(sink)?;
        Ok(Ending {
            source,
            channels_changed,
            truncated: self.truncated,
            held: false,
        })
    }
}
