//! Containers and codecs read by symphonia, behind guards.
//!
//! symphonia believes headers: a crafted one makes a decoder allocate gigabytes or panic. So the
//! parameters are checked before a decoder is made, panics are caught, the input runs dry when
//! time is up, and the length is counted while decoding.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{
    AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions, well_known as codec_ids,
};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{FORMAT_ID_ADTS, FORMAT_ID_MP3};
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{
    MediaSource, MediaSourceStream, MediaSourceStreamOptions, ReadOnlySource,
};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use symphonia::default::{get_probe, register_enabled_codecs};

use super::adts::Adts;
use super::cut::Watcher;
use super::input::{Held, Input};
use super::lanes::{Lanes, check_channels, check_rate};
use super::mp4_start::Starts;
use super::mpeg::{FrameHeader, Shape};
use super::mpeg_end::MpegEnd;
use super::{AudioError, Ending, Job, Sink, Source, aac, caf, layout, sniff, vorbis};

/// Frames a packet or block may hold; decoders allocate by it. FLAC's largest block is 65,535.
const MAX_FRAMES: u64 = 131_072;

/// Channels a decoder may be made for, whatever the limit says.
const MAX_CHANNELS: usize = 32;

/// Undecodable packets forgiven, and resets: damage costs its place, not the recording.
const MAX_BAD_PACKETS: u32 = 256;

/// Good packets asked of a stream found without a magic number: noise holds sync words too.
const MIN_UNMARKED_PACKETS: u32 = 4;

/// Bytes of the ring that readers look back in. Of these up to 32 KiB may be read ahead; the rest
/// is more than an Ogg page and than any reader goes back. With symphonia's own 64 KiB it would
/// depend on how the bytes arrive whether there is enough to go back.
const LOOKED_BACK: usize = 128 << 10;

const ORIGIN: &str = "the stream";

/// The name of input that `aiff` gives the header of a CAF file.
pub(super) const IMA_IN_AIFF: &str = "IMA ADPCM in AIFF";

/// symphonia's decoders and ours.
static CODECS: LazyLock<CodecRegistry> = LazyLock::new(|| {
    let mut registry = CodecRegistry::new();
    register_enabled_codecs(&mut registry);
    #[cfg(feature = "opus")]
    registry.register_audio_decoder::<super::opus::OpusDecoder>();
    registry
});

/// Decodes input sniffed as `name`: as it comes if its layout allows, else once it is all there.
pub(super) fn decode(
    input: Input<'_>,
    name: &str,
    job: &Job,
    sink: Sink<'_>,
) -> Result<Ending, AudioError> {
    decode_sized(input, name, true, job, sink)
}

/// Decodes like [`decode`]; `sized` says that the header claims a length that is meant, so that an end before
/// it is a cut.
pub(super) fn decode_sized(
    mut input: Input<'_>,
    name: &str,
    sized: bool,
    job: &Job,
    sink: Sink<'_>,
) -> Result<Ending, AudioError> {
    let watcher = match name {
        "FLAC" => layout::flac_is_live(input.peek(sniff::HEAD)?).then(Watcher::flac),
        name => watcher(name),
    };
    let held = !layout::streams(name, &mut input, job.limits.held_bytes)?;
    let mut end = End {
        watcher: watcher.clone(),
        open: !sized || name == "Matroska",
        cut: false,
    };
    let mut starts = Starts::default();
    let source: Box<dyn MediaSource + '_> = if held {
        let mut held = input.hold(job.limits.held_bytes)?;
        match name {
            "MP4" => {
                layout::check_index(held.bytes())?;
                starts = Starts::read(held.bytes());
            }
            "CAF" | IMA_IN_AIFF => end.cut = mend_caf(&mut held),
            _ => {}
        }
        if let Some(watcher) = &watcher {
            watcher.push(held.bytes());
        }
        Box::new(held)
    } else {
        if name == "MP4" {
            // The index stands in front, and was looked at already.
            starts = Starts::read(input.peek(0)?);
        }
        if let Some(watcher) = watcher {
            input.watch(watcher);
        }
        if name == "AAC" {
            return contained(name, || {
                let reader = Box::new(Adts::new(input).map_err(|e| cannot_read(name, e))?);
                let mut session = Session::new(name, reader, job)?;
                session.run(sink)?;
                session.finish(sink)
            })
            .map_err(|error| timely(error, job));
        }
        Box::new(ReadOnlySource::new(input))
    };
    contained(name, || {
        let reader = probe(source).map_err(|e| cannot_read(name, e))?;
        let mut session = Session::new(name, reader, job)?;
        session.end = end;
        // Opus' decoder drops its delay by itself.
        if session.params.codec != codec_ids::CODEC_ID_OPUS {
            session.start = starts.of(session.track);
        }
        session.run(sink)?;
        if session.end.cut && session.good == 0 {
            return Err(AudioError::malformed(format!(
                "this {name} was cut before the table of its packets, which cannot be told apart without it"
            )));
        }
        Ok(Ending {
            held,
            ..session.finish(sink)?
        })
    })
    .map_err(|error| timely(error, job))
}

/// What tells a cut from an end in containers of which symphonia does not.
fn watcher(name: &str) -> Option<Watcher> {
    match name {
        "Matroska" => Some(Watcher::matroska()),
        "MP4" => Some(Watcher::mp4()),
        name if name.starts_with("MP3") => Some(Watcher::mpeg()),
        _ => None,
    }
}

/// Whether a CAF file is cut. Data that do not end where their chunk says are given the length they have.
fn mend_caf(held: &mut Held<'_>) -> bool {
    caf::End::of(held.bytes()).is_some_and(|end| {
        end.mend(held.bytes_mut());
        end.cut
    })
}

/// Decodes input that begins like nothing known, if MPEG audio is found in it.
pub(super) fn decode_unmarked(
    mut input: Input<'_>,
    job: &Job,
    sink: Sink<'_>,
) -> Result<Ending, AudioError> {
    let head = input.peek(sniff::HEAD)?;
    let head = head[..head.len().min(sniff::HEAD)].to_vec();
    let unknown = || sniff::unrecognised(&head);
    let watcher = Watcher::mpeg();
    input.watch(watcher.clone());
    contained("audio", || {
        let reader = probe(Box::new(ReadOnlySource::new(input))).map_err(|_| unknown())?;
        if ![FORMAT_ID_MP3, FORMAT_ID_ADTS].contains(&reader.format_info().format) {
            return Err(unknown());
        }
        let mut session = Session::new("MPEG audio", reader, job)?;
        session.believed_from = MIN_UNMARKED_PACKETS;
        session.end.watcher = Some(watcher);
        let result = session.run(sink);
        if session.good < MIN_UNMARKED_PACKETS.max(4 * session.bad) {
            return Err(unknown());
        }
        result?;
        session.finish(sink)
    })
    .map_err(|error| timely(error, job))
}

/// Runs symphonia so that a panic in it becomes an error.
fn contained(
    name: &str,
    work: impl FnOnce() -> Result<Ending, AudioError>,
) -> Result<Ending, AudioError> {
    // Nothing outlives the closure that a panic could have left half changed: samples handed over
    // before are whole.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(AudioError::malformed(format!(
            "the {name} is damaged: its decoder gave up"
        )))
    })
}

/// Whatever failed after time was up, or nobody waited any more, failed because of that.
fn timely(error: AudioError, job: &Job) -> AudioError {
    let because_of_it = matches!(
        error,
        AudioError::Malformed { .. } | AudioError::NoAudio | AudioError::UnknownFormat { .. }
    );
    match job.watch.check() {
        Err(over) if because_of_it => over,
        _ => error,
    }
}

fn cannot_read(name: &str, source: Error) -> AudioError {
    AudioError::Malformed {
        what: format!("cannot read this {name}"),
        source: Some(source),
    }
}

/// How one can tell whether the file was cut.
#[derive(Debug, Default)]
struct End {
    watcher: Option<Watcher>,
    /// The reader meets the input's end as an error although nothing is missing.
    open: bool,
    /// What was read before decoding tells that the file was cut.
    cut: bool,
}

fn probe<'a>(source: Box<dyn MediaSource + 'a>) -> Result<Box<dyn FormatReader + 'a>, Error> {
    let options = MediaSourceStreamOptions {
        buffer_len: LOOKED_BACK,
    };
    get_probe().probe(
        &Hint::new(),
        MediaSourceStream::new(source, options),
        FormatOptions::default(),
        MetadataOptions::default(),
    )
}

/// One file under way.
struct Session<'a> {
    name: &'a str,
    job: &'a Job,
    reader: Box<dyn FormatReader + 'a>,
    track: u32,
    /// Hz of the track's timestamps, if they count frames of some rate.
    ticks: Option<u32>,
    /// Timestamp at which the sound of an MP4 begins, if the file says.
    start: Option<u64>,
    /// Timestamp that follows the packets so far.
    next: Option<i64>,
    mpeg_end: Option<MpegEnd>,
    params: AudioCodecParameters,
    decoder: Box<dyn AudioDecoder>,
    /// What the reader gave when it was asked for a packet more than was to be decoded.
    ahead: Option<Result<Option<Packet>, Error>>,
    /// What the decoder was made for, of frames of MPEG audio.
    shape: Option<Shape>,
    /// The last packet, if the end is watched.
    last: Vec<u8>,
    end: End,
    /// From the first decoded frames on: only they are believed.
    lanes: Option<Lanes>,
    /// What the first decoded frames are; None until there are lanes.
    source: Option<Source>,
    scratch: Vec<f32>,
    good: u32,
    bad: u32,
    /// Good packets before which no sample is handed over.
    believed_from: u32,
    truncated: bool,
}

impl<'a> Session<'a> {
    fn new(
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
    fn run(&mut self, sink: Sink<'_>) -> Result<(), AudioError> {
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
                self.source = Some(Source {
                    codec: self.decoder.codec_info().short_name.into(),
                    sample_rate: rate,
                    captured_rate: captured_rate(&self.params, rate),
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

    fn finish(self, sink: Sink<'_>) -> Result<Ending, AudioError> {
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

fn mpeg_layer(codec: AudioCodecId) -> Option<u8> {
    (1..=3).find(|&layer| mpeg_codec(layer) == codec)
}

fn mpeg_codec(layer: u8) -> AudioCodecId {
    match layer {
        1 => codec_ids::CODEC_ID_MP1,
        2 => codec_ids::CODEC_ID_MP2,
        _ => codec_ids::CODEC_ID_MP3,
    }
}

/// The rate at which sound was sampled that is decoded at `rate`, both in Hz.
fn captured_rate(params: &AudioCodecParameters, rate: u32) -> u32 {
    match params.codec {
        #[cfg(feature = "opus")]
        codec_ids::CODEC_ID_OPUS => {
            super::opus::captured_rate(params).map_or(rate, |captured| captured.min(rate))
        }
        _ => rate,
    }
}

/// The first audio track that can be decoded, or the name of the one that cannot.
fn select<'r>(
    name: &str,
    reader: &'r (dyn FormatReader + '_),
) -> Result<(&'r Track, AudioCodecParameters), AudioError> {
    let audio = |track: &'r Track| match &track.codec_params {
        Some(CodecParameters::Audio(params)) => Some((track, params)),
        _ => None,
    };
    let known = |id| CODECS.get_audio_decoder(id).is_some();
    let mut tracks = reader.tracks().iter().filter_map(audio);
    if let Some((track, params)) = tracks.clone().find(|(_, params)| known(params.codec)) {
        #[cfg(feature = "opus")]
        let params = &super::opus::with_head(params.clone(), track.delay);
        return Ok((track, params.clone()));
    }
    match tracks.next() {
        Some((_, params)) => Err(AudioError::Unsupported {
            codec: codec_name(params.codec),
        }),
        None if reader.first_track(TrackType::Video).is_some() => Err(AudioError::malformed(
            format!("this {name} has video but no audio track"),
        )),
        None => Err(AudioError::Unsupported {
            codec: format!("the audio in this {name}"),
        }),
    }
}

fn ticks(track: &Track) -> Option<u32> {
    let base = track.time_base?;
    (base.numer.get() == 1).then_some(base.denom.get())
}

/// Makes a decoder once its parameters are within reason.
fn make_decoder(
    name: &str,
    params: &AudioCodecParameters,
    job: &Job,
) -> Result<Box<dyn AudioDecoder>, AudioError> {
    if let Some(rate) = params.sample_rate {
        check_rate(ORIGIN, rate)?;
    }
    let rewritten = match (params.codec, &params.extra_data) {
        (codec_ids::CODEC_ID_AAC, Some(config)) => aac::core(config)?,
        _ => None,
    };
    let changed = rewritten.map(|config| AudioCodecParameters {
        extra_data: Some(config.into()),
        ..params.clone()
    });
    let params = changed.as_ref().unwrap_or(params);
    if let Some(channels) = &params.channels {
        let limit = job.limits.channels.min(MAX_CHANNELS as u16);
        check_channels(ORIGIN, channels.count() as u32, limit)?;
    }
    for frames in [params.max_frames_per_packet, params.frames_per_block]
        .into_iter()
        .flatten()
    {
        if frames > MAX_FRAMES {
            return Err(AudioError::malformed(format!(
                "this {name} claims {frames} frames a packet; at most {MAX_FRAMES} are taken"
            )));
        }
    }
    if let (codec_ids::CODEC_ID_VORBIS, Some(extra)) = (params.codec, &params.extra_data) {
        vorbis::check_codebooks(name, extra)?;
    }
    CODECS
        .make_audio_decoder(params, &AudioDecoderOptions::default())
        .map_err(|source| match source {
            Error::Unsupported(feature) => AudioError::Unsupported {
                codec: format!("{} ({feature})", codec_name(params.codec)),
            },
            source => cannot_read(name, source),
        })
}

fn codec_name(id: AudioCodecId) -> String {
    if let Some(known) = CODECS.get_audio_decoder(id) {
        return known.codec.info.long_name.into();
    }
    let names = [
        (codec_ids::CODEC_ID_OPUS, "Opus"),
        (codec_ids::CODEC_ID_SPEEX, "Speex"),
        (codec_ids::CODEC_ID_AC3, "AC-3"),
        (codec_ids::CODEC_ID_EAC3, "E-AC-3"),
        (codec_ids::CODEC_ID_AC4, "AC-4"),
        (codec_ids::CODEC_ID_DCA, "DTS"),
        (codec_ids::CODEC_ID_WMA, "Windows Media Audio (WMA)"),
        (codec_ids::CODEC_ID_WAVPACK, "WavPack"),
        (codec_ids::CODEC_ID_TTA, "True Audio (TTA)"),
        (codec_ids::CODEC_ID_MUSEPACK, "Musepack"),
        (codec_ids::CODEC_ID_MONKEYS_AUDIO, "Monkey's Audio (APE)"),
        (codec_ids::CODEC_ID_TRUEHD, "TrueHD"),
        (codec_ids::CODEC_ID_ADPCM_G722, "G.722"),
        (codec_ids::CODEC_ID_ADPCM_G726, "G.726"),
        (codec_ids::CODEC_ID_ADPCM_G726LE, "G.726"),
    ];
    let name = names.iter().find(|(known, _)| *known == id);
    name.map_or_else(|| format!("codec {id}"), |(_, name)| (*name).into())
}
