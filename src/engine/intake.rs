//! Decodes a recording and cuts it into pieces of segments, in one go on a thread that may block.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::decoders::Decoders;
use super::error::EngineError;
use super::file_segmentation::segment_file;
use super::lane::{SegmentedLanes, segment_lanes};
use super::piece::{PieceSink, RemainingWork};
use super::request::{Audio, Request};
use super::segmentation::{AudioInfo, SegmentationSettings};
use super::turn_detection::TurnDetection;
use crate::audio::{self, AudioError, Limits, Stop};
use crate::frontend::{Band, Spec};
use crate::scheduler::core::PerClass;
use crate::telemetry::requests;

/// Unit in which the memory of decoded samples is counted: 64 KiB.
const BUDGET_UNIT: usize = 64 << 10;
/// Memory that decoded samples may use: 1 GiB, which is 4 hours and 39 minutes of one lane.
const BUDGET_UNITS: usize = 16 << 10;

/// Where recordings are decoded and segmented.
#[derive(Debug)]
pub(super) struct Intake {
    spec: Arc<Spec>,
    turn_detection: TurnDetection,
    limits: Limits,
    decoders: Decoders,
    /// How many recordings of each class may be decoded at a time.
    places: PerClass<Arc<Semaphore>>,
    /// Free memory for decoded samples, in units of [`BUDGET_UNIT`].
    free_memory: Arc<Semaphore>,
}

/// The memory that decoded samples may use, for a thread that may block.
struct SampleBudget {
    runtime: Handle,
    free: Arc<Semaphore>,
}

impl Intake {
    /// Starts the threads that decode bulk recordings, one for each core. Interactive recordings use the
    /// runtime's blocking threads. Of `requests` requests none is refused.
    pub(super) fn start(
        spec: Arc<Spec>,
        turn_detection: TurnDetection,
        limits: Limits,
        cores: usize,
        requests: usize,
    ) -> std::io::Result<Self> {
        Ok(Self {
            spec,
            turn_detection,
            limits,
            decoders: Decoders::start(cores, requests)?,
            // Separate places, so that an interactive recording does not wait behind long bulk ones.
            places: PerClass {
                interactive: Arc::new(Semaphore::new(cores)),
                bulk: Arc::new(Semaphore::new(cores.div_ceil(2))),
            },
            free_memory: Arc::new(Semaphore::new(BUDGET_UNITS)),
        })
    }

    /// Returns the bounds of one recording.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Decodes a recording, cuts it into segments and passes them to `sink`. Ends early if the sink fails.
    ///
    /// A recording in memory keeps its place until its samples have their part of the sample budget. So
    /// the decoded samples in memory are at most the budget and one recording for each place.
    pub(super) async fn segment(
        &self,
        request: Request,
        sink: impl PieceSink + Send + 'static,
    ) -> Result<(AudioInfo, SegmentedLanes), EngineError> {
        let Request {
            audio,
            encoding,
            lanes,
            caller,
            ..
        } = request;
        let place = Arc::clone(&self.places[caller.class])
            .acquire_owned()
            .await
            .map_err(|_| EngineError::Draining)?;
        let mut limits = self.limits;
        if let Some(deadline) = caller.deadline {
            // Nobody wants the result after the deadline.
            let left = deadline.saturating_duration_since(Instant::now());
            limits.time = limits.time.min(left);
        }
        let deadline_limits_time = limits.time < self.limits.time;
        let stop = Stop::default();
        // Stops the decoder if this future is dropped before the recording is decoded.
        let _guard = stop.on_drop();
        let settings = SegmentationSettings {
            encoding,
            lanes,
            limits,
            spec: Arc::clone(&self.spec),
            turn_detection: self.turn_detection,
        };
        let budget = SampleBudget {
            runtime: Handle::current(),
            free: Arc::clone(&self.free_memory),
        };
        let segmented = self.decoders.run(caller.class, move || {
            let segmented = match audio {
                Audio::Memory(bytes) => {
                    segment_in_memory(bytes, &settings, &stop, place, &budget, sink)
                }
                Audio::File(file) => {
                    let _place = place;
                    segment_file(&file, &settings, &stop, sink)
                }
            };
            let (info, lanes) = segmented.map_err(|error| match error {
                EngineError::Audio(AudioError::Timeout { .. }) if deadline_limits_time => {
                    EngineError::Late { alone: None }
                }
                EngineError::Audio(AudioError::Stopped) => EngineError::Cancelled,
                error => error,
            })?;
            requests::decoded(&info.codec, info.time);
            Ok((info, lanes))
        });
        segmented.await?
    }
}

/// Decodes a recording that is in memory and then segments it. All work is announced before the first
/// piece.
fn segment_in_memory(
    audio: Bytes,
    settings: &SegmentationSettings,
    stop: &Stop,
    place: OwnedSemaphorePermit,
    budget: &SampleBudget,
    mut sink: impl PieceSink,
) -> Result<(AudioInfo, SegmentedLanes), EngineError> {
    let SegmentationSettings {
        encoding,
        lanes: choice,
        limits,
        spec,
        ..
    } = settings;
    let begun = Instant::now();
    let recording = audio::decode_until(stop, &audio, *encoding, *choice, limits)?;
    drop(audio);
    let samples = recording.lanes.first().map_or(0, Vec::len);
    let lanes = recording.lanes.len();
    let info = AudioInfo {
        codec: recording.source.codec,
        samples,
        truncated: recording.truncated,
        channels_changed: recording.channels_changed,
        band: Band::of_rate(recording.source.captured_rate),
        time: begun.elapsed(),
    };
    let _memory = budget.reserve(samples * lanes * size_of::<f32>())?;
    drop(place);
    let segments = spec.segments(samples) * lanes;
    sink.announce(RemainingWork {
        lanes,
        samples,
        segments,
        steps: segments,
    })?;
    let segmented = segment_lanes(recording.lanes, info.band, settings, |piece| {
        sink.submit(piece)
    })?;
    Ok((info, segmented))
}

impl SampleBudget {
    /// Waits until `bytes` bytes are free, or all of the budget if that is less, and reserves them.
    fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, EngineError> {
        let units = bytes.div_ceil(BUDGET_UNIT).min(BUDGET_UNITS);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        match Arc::clone(&self.free).try_acquire_many_owned(units) {
            Ok(reserved) => Ok(reserved),
            Err(_) => self
                .runtime
                .block_on(Arc::clone(&self.free).acquire_many_owned(units))
                .map_err(|_| EngineError::Draining),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt as _;

    use super::super::piece::Piece;
    use super::super::request::Caller;
    use super::*;
    use crate::audio::{Encoding, LaneChoice, RawFormat};
    use crate::bundle::small_manifest;
    use crate::scheduler::core::{Class, TenantId};

    fn intake() -> Intake {
        let manifest = small_manifest();
        let turn_detection = TurnDetection::of(&manifest);
        let spec = Arc::new(manifest.frontend);
        Intake::start(spec, turn_detection, Limits::default(), 1, 4).unwrap()
    }

    /// Two seconds of a telephone line.
    fn request() -> Request {
        Request {
            audio: vec![0xff; 16_000].into(),
            encoding: Encoding::Raw {
                format: RawFormat::Mulaw,
                sample_rate: 8_000,
                channels: 1,
            },
            lanes: LaneChoice::Auto,
            window: None,
            caller: Caller {
                tenant: TenantId::from("somebody"),
                class: Class::Interactive,
                deadline: None,
            },
        }
    }

    /// Reports what it receives, with the name of its request.
    struct ReportingSink {
        request: &'static str,
        events: mpsc::Sender<(&'static str, &'static str)>,
    }

    impl ReportingSink {
        fn report(&self, event: &'static str) -> Result<(), EngineError> {
            let sent = self.events.send((self.request, event));
            sent.map_err(|_| EngineError::Cancelled)
        }
    }

    impl PieceSink for ReportingSink {
        fn announce(&mut self, _: RemainingWork) -> Result<(), EngineError> {
            self.report("announced")
        }

        fn submit(&mut self, _: Piece) -> Result<(), EngineError> {
            self.report("piece")
        }
    }

    #[test]
    fn a_recording_is_not_decoded_if_nobody_waits_for_it() {
        // One blocking thread, which is busy at first, so that the test decides when decoding begins.
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let intake = intake();
            let (release, blocked) = mpsc::channel::<()>();
            let before = tokio::task::spawn_blocking(move || blocked.recv().is_ok());
            let (sender, events) = mpsc::channel();
            let segment = |name: &'static str| {
                let events = sender.clone();
                let sink = ReportingSink {
                    request: name,
                    events,
                };
                intake.segment(request(), sink)
            };
            assert!(segment("dropped").now_or_never().is_none());
            release.send(()).unwrap();
            before.await.unwrap();
            let (info, segmented) = segment("awaited").await.unwrap();
            assert_eq!((info.samples, segmented.lanes.len()), (32_000, 1));
            let events: Vec<_> = events.try_iter().collect();
            assert_eq!(events, [("awaited", "announced"), ("awaited", "piece")]);
        });
    }
}
