//! Containers read by symphonia, behind guards.
//!
//! symphonia believes headers: a crafted one makes a decoder allocate gigabytes or panic. So the
//! parameters are checked before a decoder is made (`codecs`), panics are caught, the input runs dry when
//! time is up, and the length is counted while decoding (`session`).

use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia::core::codecs::audio::well_known as codec_ids;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{FORMAT_ID_ADTS, FORMAT_ID_MP3};
use symphonia::core::formats::{FormatOptions, FormatReader};
use symphonia::core::io::{
    MediaSource, MediaSourceStream, MediaSourceStreamOptions, ReadOnlySource,
};
use symphonia::core::meta::MetadataOptions;
use symphonia::default::get_probe;

use super::adts::Adts;
use super::codecs::cannot_read;
use super::cut::Watcher;
use super::flac_files::FlacFiles;
use super::input::{Held, Input};
use super::mp4_start::Starts;
use super::session::{End, Session};
use super::{AudioError, Ending, Job, Sink, caf, layout, sniff};

/// Good packets asked of a stream found without a magic number: noise holds sync words too.
const MIN_UNMARKED_PACKETS: u32 = 4;

/// Bytes of the ring that readers look back in. Of these up to 32 KiB may be read ahead; the rest
/// is more than an Ogg page and than any reader goes back. With symphonia's own 64 KiB it would
/// depend on how the bytes arrive whether there is enough to go back.
const LOOKED_BACK: usize = 128 << 10;

/// The name of input that `aiff` gives the header of a CAF file.
pub(super) const IMA_IN_AIFF: &str = "IMA ADPCM in AIFF";

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
    let opened = if held {
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
        Opened::Held(held)
    } else {
        if name == "MP4" {
            // The index stands in front, and was looked at already.
            starts = Starts::read(input.peek(0)?);
        }
        if let Some(watcher) = watcher {
            input.watch(watcher);
        }
        Opened::Arriving(input)
    };
    contained(name, || {
        let reader = match (opened, name) {
            (Opened::Arriving(input), "AAC") => Adts::new(input).map(|reader| Box::new(reader) as _),
            (Opened::Arriving(input), "FLAC") => {
                FlacFiles::new(input).map(|reader| Box::new(reader) as _)
            }
            (Opened::Arriving(input), _) => probe(Box::new(ReadOnlySource::new(input))),
            (Opened::Held(held), _) => probe(Box::new(held)),
        };
        let reader = reader.map_err(|e| cannot_read(name, e))?;
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

/// What a reader reads.
enum Opened<'a> {
    Held(Held<'a>),
    Arriving(Input<'a>),
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

/// The reader of what `source` holds.
pub(super) fn probe<'a>(
    source: Box<dyn MediaSource + 'a>,
) -> Result<Box<dyn FormatReader + 'a>, Error> {
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
