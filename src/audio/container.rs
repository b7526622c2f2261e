//! Decodes containers through symphonia, with protection against hostile files.
//!
//! symphonia relies on headers, so a crafted header can make a decoder allocate gigabytes or panic.
//! Therefore `codecs` checks the parameters before it creates a decoder, panics are caught here, the input
//! fails when time is up, and `track_decoder` counts the length while decoding.

use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia::core::codecs::audio::well_known as codec_ids;
use symphonia::core::formats::well_known::{FORMAT_ID_ADTS, FORMAT_ID_MP3};
use symphonia::core::io::ReadOnlySource;

use super::adts::AdtsReader;
use super::caf_chunks::DataSizeRepair;
use super::codecs::cannot_read;
use super::concatenated_flac::ConcatenatedFlac;
use super::cut_detector::CutDetector;
use super::input::{HeldInput, Input};
use super::job::{DecodeJob, LaneSink};
use super::layout::IMA_IN_AIFF;
use super::mp4_start::TrackStarts;
use super::probe::probe;
use super::track_decoder::{EndDetection, TrackDecoder};
use super::{AudioError, Ending, layout, magic, sniff};

/// Good packets required of a stream without a magic number, because noise contains sync words too.
const MIN_UNMARKED_PACKETS: u32 = 4;

/// Decodes input of the format `name`. Decodes it as it arrives if its layout allows that, and as a whole
/// otherwise.
pub(super) fn decode(
    input: Input<'_>,
    name: &str,
    job: &DecodeJob,
    sink: LaneSink<'_>,
) -> Result<Ending, AudioError> {
    decode_sized(input, name, true, job, sink)
}

/// Decodes like [`decode`]. `sized` means that the length in the header is reliable, so an earlier end is a
/// cut.
pub(super) fn decode_sized(
    mut input: Input<'_>,
    name: &str,
    sized: bool,
    job: &DecodeJob,
    sink: LaneSink<'_>,
) -> Result<Ending, AudioError> {
    let cut_detector = match name {
        "FLAC" => layout::flac_is_live(input.peek(magic::SNIFF_BYTES)?).then(CutDetector::flac),
        name => cut_detector_of(name),
    };
    let held = !layout::streams(name, &mut input, job.limits.held_bytes)?;
    let mut end = EndDetection {
        cut_detector: cut_detector.clone(),
        open: !sized || name == "Matroska",
        cut: false,
    };
    let mut starts = TrackStarts::default();
    let opened = if held {
        let mut held = input.hold(job.limits.held_bytes)?;
        match name {
            "MP4" => {
                layout::check_index(held.bytes())?;
                starts = TrackStarts::read(held.bytes());
            }
            "CAF" | IMA_IN_AIFF => end.cut = repair_caf(&mut held),
            _ => {}
        }
        if let Some(cut_detector) = &cut_detector {
            cut_detector.push(held.bytes());
        }
        ReaderInput::Held(held)
    } else {
        if name == "MP4" {
            // The index is at the start, and was looked at already.
            starts = TrackStarts::read(input.peek(0)?);
        }
        if let Some(cut_detector) = cut_detector {
            input.detect_cuts(cut_detector);
        }
        ReaderInput::Arriving(input)
    };
    catch_panics(name, || {
        let reader = match (opened, name) {
            (ReaderInput::Arriving(input), "AAC") => AdtsReader::new(input).map(|reader| Box::new(reader) as _),
            (ReaderInput::Arriving(input), "FLAC") => {
                ConcatenatedFlac::new(input).map(|reader| Box::new(reader) as _)
            }
            (ReaderInput::Arriving(input), _) => probe(Box::new(ReadOnlySource::new(input))),
            (ReaderInput::Held(held), _) => probe(Box::new(held)),
        };
        let reader = reader.map_err(|e| cannot_read(name, e))?;
        let mut track = TrackDecoder::new(name, reader, job)?;
        track.end = end;
        // The decoder of Opus drops its delay itself.
        if track.params.codec != codec_ids::CODEC_ID_OPUS {
            track.start = starts.of(track.track_id());
        }
        track.run(sink)?;
        if track.end.cut && track.good == 0 {
            return Err(AudioError::malformed(format!(
                "this {name} was cut before the table of its packets, and they cannot be separated without it"
            )));
        }
        Ok(Ending {
            held,
            ..track.finish(sink)?
        })
    })
    .map_err(|error| stop_or(error, job))
}

/// The source of a reader.
enum ReaderInput<'a> {
    Held(HeldInput<'a>),
    Arriving(Input<'a>),
}

/// Returns the detector that distinguishes a cut file from a complete one, for the containers where symphonia
/// does not.
fn cut_detector_of(name: &str) -> Option<CutDetector> {
    match name {
        "Matroska" => Some(CutDetector::matroska()),
        "MP4" => Some(CutDetector::mp4()),
        name if name.starts_with("MP3") => Some(CutDetector::mpeg()),
        _ => None,
    }
}

/// Corrects the data size of a CAF file that does not end where its chunk claims. Returns whether the file is
/// cut.
fn repair_caf(held: &mut HeldInput<'_>) -> bool {
    DataSizeRepair::of(held.bytes()).is_some_and(|repair| {
        repair.apply(held.bytes_mut());
        repair.cut
    })
}

/// Decodes input of no recognised format if it contains MPEG audio.
pub(super) fn decode_unmarked(
    mut input: Input<'_>,
    job: &DecodeJob,
    sink: LaneSink<'_>,
) -> Result<Ending, AudioError> {
    let head = input.peek(magic::SNIFF_BYTES)?;
    let head = head[..head.len().min(magic::SNIFF_BYTES)].to_vec();
    let unrecognised = || sniff::unrecognised(&head);
    let cut_detector = CutDetector::mpeg();
    input.detect_cuts(cut_detector.clone());
    catch_panics("audio", || {
        let reader = probe(Box::new(ReadOnlySource::new(input))).map_err(|_| unrecognised())?;
        if ![FORMAT_ID_MP3, FORMAT_ID_ADTS].contains(&reader.format_info().format) {
            return Err(unrecognised());
        }
        let mut track = TrackDecoder::new("MPEG audio", reader, job)?;
        track.packets_before_samples = MIN_UNMARKED_PACKETS;
        track.end.cut_detector = Some(cut_detector);
        let result = track.run(sink);
        if track.good < MIN_UNMARKED_PACKETS.max(4 * track.bad) {
            return Err(unrecognised());
        }
        result?;
        track.finish(sink)
    })
    .map_err(|error| stop_or(error, job))
}

/// Runs symphonia and turns a panic in it into an error.
fn catch_panics(
    name: &str,
    decode: impl FnOnce() -> Result<Ending, AudioError>,
) -> Result<Ending, AudioError> {
    // Nothing that a panic leaves half changed outlives the closure. Samples delivered before are complete.
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| {
        Err(AudioError::malformed(format!(
            "the {name} is damaged: its decoder stopped unexpectedly"
        )))
    })
}

/// Replaces `error` by the end of the time limit or by the stop if that may have caused it.
fn stop_or(error: AudioError, job: &DecodeJob) -> AudioError {
    let may_follow = matches!(
        error,
        AudioError::Malformed { .. } | AudioError::NoAudio | AudioError::UnknownFormat { .. }
    );
    match job.timer.check() {
        Err(stopped) if may_follow => stopped,
        _ => error,
    }
}
