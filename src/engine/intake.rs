//! From a recording to pieces of segments: decoding and segmenting, in one go on a thread that may block.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::decoders::Decoders;
use super::hearing::Hearing;
use super::streamed::{self, Setup};
use super::{Audio, EngineError, Request, lane};
use crate::audio::{self, AudioError, Limits, Stop};
use crate::frontend::{Band, Spec};
use crate::scheduler::core::PerClass;
use crate::telemetry::requests;

/// What may be held decoded, in units of 64 KiB: 1 GiB, some four hours of one lane.
const HELD_UNIT: usize = 64 << 10;
const HELD_UNITS: usize = 16 << 10;

/// What is known of a recording once it is decoded.
#[derive(Debug)]
pub(super) struct Known {
    /// Short name of the codec.
    pub(super) codec: String,
    /// Samples at 16 kHz of each lane.
    pub(super) samples: usize,
    pub(super) truncated: bool,
    pub(super) remixed: bool,
    /// What the source can hold.
    pub(super) band: Band,
    /// Time that decoding took.
    pub(super) time: Duration,
}

/// What a recording will still submit, of so many lanes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    pub(super) lanes: usize,
    /// Samples of each lane, as far as they are known.
    pub(super) samples: usize,
    pub(super) segments: usize,
    pub(super) steps: usize,
}

/// Where recordings are heard.
#[derive(Debug)]
pub(super) struct Intake {
    spec: Arc<Spec>,
    hearing: Hearing,
    limits: Limits,
    decoders: Decoders,
    /// Recordings of each class decoded at a time.
    decoding: PerClass<Arc<Semaphore>>,
    /// Room for decoded samples, in units of [`HELD_UNIT`].
    held: Arc<Semaphore>,
}

impl Intake {
    /// Starts the threads: so many recordings are decoded side by side, and of so many requests
    /// none is refused.
    pub(super) fn start(
        (spec, hearing): (Arc<Spec>, Hearing),
        limits: Limits,
        cores: usize,
        requests: usize,
    ) -> std::io::Result<Self> {
        Ok(Self {
            spec,
            hearing,
            limits,
            decoders: Decoders::start(cores, requests)?,
            // Interactive recordings do not queue behind long bulk ones for a decoder.
            decoding: PerClass {
                interactive: Arc::new(Semaphore::new(cores)),
                bulk: Arc::new(Semaphore::new(cores.div_ceil(2))),
            },
            held: Arc::new(Semaphore::new(HELD_UNITS)),
        })
    }

    /// Bounds of one recording.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Decodes a recording and cuts it into segments, which `take` gets. `need` is told what will be
    /// submitted, before it is. It stops when one of these fails.
    ///
    /// The place of a decoder is kept until the samples have their share of what may be held
    /// decoded, so that no more than that and one recording a place is ever held.
    pub(super) async fn hear(
        &self,
        request: Request,
        need: impl FnMut(Need) -> Result<(), EngineError> + Send + 'static,
        take: impl FnMut(lane::Piece) -> Result<(), EngineError> + Send + 'static,
    ) -> Result<(Known, lane::Prepared), EngineError> {
        let Request {
            audio,
            encoding,
            lanes,
            caller,
            ..
        } = request;
        let place = Arc::clone(&self.decoding[caller.class])
            .acquire_owned()
            .await
            .map_err(|_| EngineError::Draining)?;
        let mut limits = self.limits;
        if let Some(deadline) = caller.deadline {
            // After that nobody wants it.
            let left = deadline.saturating_duration_since(Instant::now());
            limits.time = limits.time.min(left);
        }
        let late = limits.time < self.limits.time;
        let stop = Stop::default();
        // Dropped before the recording is decoded, this future gives the decoder back.
        let _guard = stop.on_drop();
        let setup = Setup {
            encoding,
            lanes,
            limits,
            spec: Arc::clone(&self.spec),
            hearing: self.hearing,
        };
        let held = (Handle::current(), Arc::clone(&self.held));
        let work = self.decoders.run(caller.class, move || {
            let segmented = match audio {
                Audio::Memory(bytes) => whole((bytes, &setup), &stop, (place, held), need, take),
                Audio::File(file) => {
                    let _place = place;
                    streamed::segment(&file, &setup, &stop, need, take)
                }
            };
            let segmented = segmented.map_err(|error| match error {
                EngineError::Audio(AudioError::Timeout { .. }) if late => {
                    EngineError::Late { alone: None }
                }
                EngineError::Audio(AudioError::Stopped) => EngineError::Cancelled,
                error => error,
            })?;
            requests::decoded(&segmented.0.codec, segmented.0.time);
            Ok(segmented)
        });
        work.await?
    }
}

/// Decodes a recording that is in memory and then segments it: what it asks for is known before.
fn whole(
    (audio, setup): (Bytes, &Setup),
    stop: &Stop,
    (place, (runtime, held)): (OwnedSemaphorePermit, (Handle, Arc<Semaphore>)),
    mut need: impl FnMut(Need) -> Result<(), EngineError>,
    take: impl FnMut(lane::Piece) -> Result<(), EngineError>,
) -> Result<(Known, lane::Prepared), EngineError> {
    let Setup {
        encoding,
        lanes: choice,
        limits,
        spec,
        hearing,
    } = setup;
    let begun = Instant::now();
    let recording = audio::decode_until(stop, &audio, *encoding, *choice, limits)?;
    drop(audio);
    let samples = recording.lanes.first().map_or(0, Vec::len);
    let lanes = recording.lanes.len();
    let known = Known {
        codec: recording.source.codec,
        samples,
        truncated: recording.truncated,
        remixed: recording.remixed,
        band: Band::of_rate(recording.source.captured_rate),
        time: begun.elapsed(),
    };
    let _room = room(&runtime, held, samples * lanes * size_of::<f32>())?;
    drop(place);
    let segments = spec.segments(samples) * lanes;
    need(Need {
        lanes,
        samples,
        segments,
        steps: segments,
    })?;
    let prepared = lane::prepare((recording.lanes, known.band), *choice, spec, *hearing, take)?;
    Ok((known, prepared))
}

/// Waits for room for so many bytes.
fn room(
    runtime: &Handle,
    held: Arc<Semaphore>,
    bytes: usize,
) -> Result<OwnedSemaphorePermit, EngineError> {
    let units = bytes.div_ceil(HELD_UNIT).min(HELD_UNITS);
    let units = u32::try_from(units).unwrap_or(u32::MAX);
    match Arc::clone(&held).try_acquire_many_owned(units) {
        Ok(room) => Ok(room),
        Err(_) => runtime
            .block_on(held.acquire_many_owned(units))
            .map_err(|_| EngineError::Draining),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::audio::{Encoding, LaneChoice, RawFormat};
    use crate::bundle::{Bundle, embedded};
    use crate::engine::Caller;
    use crate::scheduler::core::{Class, TenantId};

    fn intake() -> Intake {
        let manifest = Bundle::from_files(embedded::files()).unwrap().manifest;
        let heard = (Arc::new(manifest.frontend.clone()), Hearing::of(&manifest));
        Intake::start(heard, Limits::default(), 1, 4).unwrap()
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

    #[test]
    fn what_nobody_waits_for_is_not_decoded() {
        // One thread that may block, so that decoding begins when the test lets it.
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let intake = intake();
            let (release, held) = std::sync::mpsc::channel::<()>();
            let before = tokio::task::spawn_blocking(move || held.recv().is_ok());
            let (decoded, heard) = std::sync::mpsc::channel();
            let hear = |who: &'static str| {
                let (decoded, taken) = (decoded.clone(), decoded.clone());
                let tell = move |to: &std::sync::mpsc::Sender<_>, what| {
                    to.send((who, what)).map_err(|_| EngineError::Cancelled)
                };
                intake.hear(
                    request(),
                    move |_| tell(&decoded, "decoded"),
                    move |_| tell(&taken, "piece"),
                )
            };
            assert!(hear("left").now_or_never().is_none());
            release.send(()).unwrap();
            before.await.unwrap();
            let (known, prepared) = hear("awaited").await.unwrap();
            assert_eq!((known.samples, prepared.lanes.len()), (32_000, 1));
            let heard: Vec<_> = heard.try_iter().collect();
            assert_eq!(heard, [("awaited", "decoded"), ("awaited", "piece")]);
        });
    }
}
