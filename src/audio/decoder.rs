//! Decodes a recording while its bytes arrive.
//!
//! Samples without a header are decoded in the call that pushes them. All other formats are read by code that
//! requests bytes when it needs them, so that code runs on its own thread. A push sends one piece to the
//! thread and receives samples until the thread requests the next piece. So one push returns all samples that
//! its bytes complete, however the threads are scheduled. At most one piece and two blocks of samples are
//! under way between the two threads.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::input::Input;
use super::job::{DecodeJob, LaneSink};
use super::pcm::PcmDecoder;
use super::pipe::{BytePipe, DecodeEvent, PipeMessage};
use super::timer::DecodeTimer;
use super::{AudioError, CapturedRate, Encoding, Ending, LaneChoice, Limits, Stop, by_format};

/// Bytes sent to the thread at a time.
const PIECE: usize = 64 << 10;

/// Blocks of samples that the thread may decode before the caller takes one.
const BLOCKS_AHEAD: usize = 2;

/// Decodes one recording while its bytes arrive, in pieces of any size.
///
/// The samples equal those of [`decode`](super::decode) bit for bit, however the bytes are divided. Samples
/// come out as bytes go in for WAV, Wave64, AU, AIFF, FLAC, MP3, AAC, Ogg, Matroska, WebM, CAF of PCM and
/// samples without a header, and for MP4 of one track with its index at the start. Some files can be read only
/// as a whole: MP4 with its index at the end, CAF of packets, AIFF with its description at the end. They
/// are held in memory up to [`Limits::held_bytes`], and [`Ending::held`] is set. Otherwise memory does not
/// grow with the recording.
///
/// Blocks like `decode`, so it belongs on a thread that may block. If it is dropped before its end, it stops.
///
/// # Example
/// ```
/// use undertone::audio::{AudioError, Decoder, Encoding, LaneChoice, Limits, RawFormat};
///
/// let phone = Encoding::Raw { format: RawFormat::Mulaw, sample_rate: 8_000, channels: 1 };
/// let mut decoder = Decoder::start(phone, LaneChoice::Auto, &Limits::default())?;
/// let mut samples = 0;
/// for packet in [[0xff_u8; 160]; 50] {
///     decoder.push(&packet, |lanes| {
///         samples += lanes[0].len();
///         Ok::<_, AudioError>(())
///     })?;
/// }
/// let ending = decoder.finish(|lanes| {
///     samples += lanes[0].len();
///     Ok::<_, AudioError>(())
/// })?;
/// assert_eq!((samples, ending.truncated), (16_000, false));
/// # Ok::<(), AudioError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    state: DecoderState,
    /// Bytes pushed so far.
    bytes: usize,
    /// Bytes that may be pushed.
    limit: usize,
    stop: Stop,
    captured_rate: CapturedRate,
}

#[derive(Debug)]
enum DecoderState {
    /// Decodes samples without a header in the caller's thread.
    Inline(Box<PcmDecoder>),
    /// Decodes any other format.
    Threaded(DecodeThread),
    /// The recording ended before the bytes did.
    Ended(Ending),
    Failed,
}

impl Decoder {
    /// Creates a decoder at the start of a recording.
    ///
    /// # Errors
    /// [`AudioError`] if the rate or channel count of samples without a header is not accepted, or if the
    /// system cannot start a thread.
    pub fn start(
        encoding: Encoding,
        lanes: LaneChoice,
        limits: &Limits,
    ) -> Result<Self, AudioError> {
        let stop = Stop::default();
        let captured_rate = CapturedRate::default();
        // Samples are delivered as they come, not held.
        let limits = Limits {
            decoded_bytes: usize::MAX,
            ..*limits
        };
        let job = |time| DecodeJob {
            lanes,
            limits,
            timer: DecodeTimer::start(time, stop.clone()),
            size: None,
            captured_rate: captured_rate.clone(),
        };
        let state = match encoding {
            Encoding::Raw {
                format,
                sample_rate,
                channels,
            } => {
                // The work is proportional to the pushed bytes, so it needs no time limit.
                let samples = PcmDecoder::raw(format, sample_rate, channels, &job(Duration::MAX))?;
                DecoderState::Inline(Box::new(samples))
            }
            Encoding::Auto => DecoderState::Threaded(DecodeThread::start(job(limits.time))?),
        };
        Ok(Self {
            state,
            bytes: 0,
            limit: limits.bytes,
            stop,
            captured_rate,
        })
    }

    /// Returns the rate at which the sound was sampled, as a value that is set before the first samples come.
    #[must_use]
    pub fn captured_rate(&self) -> CapturedRate {
        self.captured_rate.clone()
    }

    /// Returns a flag that stops this decoder from another thread.
    #[must_use]
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Decodes the next bytes and passes to `sink` the samples that they complete: `[L][N]`, lanes at
    /// 16 kHz of the same length, some thousands of samples per call. Bytes after the recording's end are
    /// ignored.
    ///
    /// # Errors
    /// [`AudioError`], or the error of `sink`. The decoder cannot be used after an error.
    pub fn push<E: From<AudioError>>(
        &mut self,
        bytes: &[u8],
        mut sink: impl FnMut(&[Vec<f32>]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.bytes = self.bytes.saturating_add(bytes.len());
        if self.bytes > self.limit {
            self.state = DecoderState::Failed;
            return Err(E::from(AudioError::TooLarge {
                bytes: self.bytes,
                limit: self.limit,
            }));
        }
        for piece in bytes.chunks(PIECE) {
            match std::mem::replace(&mut self.state, DecoderState::Failed) {
                DecoderState::Inline(mut pcm) => {
                    with_sink(&mut sink, |sink| pcm.push(piece, sink))?;
                    self.state = DecoderState::Inline(pcm);
                }
                DecoderState::Threaded(thread) => {
                    let ended = thread.send(PipeMessage::Bytes(piece.to_vec()), &mut sink)?;
                    self.state = ended.map_or(DecoderState::Threaded(thread), DecoderState::Ended);
                }
                ended @ DecoderState::Ended(_) => self.state = ended,
                DecoderState::Failed => return Err(E::from(AudioError::Stopped)),
            }
        }
        Ok(())
    }

    /// Ends the recording and passes the remaining samples to `sink`.
    ///
    /// # Errors
    /// The [`AudioError`] that [`decode`](super::decode) returns for the same bytes, or the error of `sink`.
    /// If the error is not a limit, the samples until then are not reliable.
    pub fn finish<E: From<AudioError>>(
        mut self,
        mut sink: impl FnMut(&[Vec<f32>]) -> Result<(), E>,
    ) -> Result<Ending, E> {
        if self.bytes == 0 {
            return Err(E::from(AudioError::Empty));
        }
        match std::mem::replace(&mut self.state, DecoderState::Failed) {
            DecoderState::Inline(pcm) => with_sink(&mut sink, |sink| pcm.finish(false, sink)),
            DecoderState::Threaded(thread) => match thread.send(PipeMessage::End, &mut sink)? {
                Some(ending) => Ok(ending),
                None => Err(E::from(thread_ended())),
            },
            DecoderState::Ended(ending) => Ok(ending),
            DecoderState::Failed => Err(E::from(AudioError::Stopped)),
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // A thread that decodes a packet checks this flag. A thread that waits finds its channel closed. The
        // thread is not joined, because the code that drops a decoder may not be allowed to wait.
        self.stop.stop();
    }
}

/// Calls `decode` with a sink that passes samples to `sink`, which has errors of its own.
fn with_sink<T, E: From<AudioError>>(
    sink: &mut impl FnMut(&[Vec<f32>]) -> Result<(), E>,
    decode: impl FnOnce(LaneSink<'_>) -> Result<T, AudioError>,
) -> Result<T, E> {
    let mut sink_error = None;
    let done = decode(&mut |lanes: &mut [Vec<f32>]| {
        sink(lanes).map_err(|error| {
            sink_error = Some(error);
            AudioError::Stopped
        })
    });
    done.map_err(|error| sink_error.unwrap_or_else(|| E::from(error)))
}

/// The caller's side of the decoder thread.
#[derive(Debug)]
struct DecodeThread {
    messages: SyncSender<PipeMessage>,
    events: Receiver<DecodeEvent>,
}

impl DecodeThread {
    fn start(job: DecodeJob) -> Result<Self, AudioError> {
        let (messages, received) = sync_channel(1);
        let (sender, events) = sync_channel(BLOCKS_AHEAD);
        thread::Builder::new()
            .name("decode".into())
            .spawn(move || decode_pushed(&job, received, &sender))
            .map_err(AudioError::Thread)?;
        Ok(Self { messages, events })
    }

    /// Sends a piece, or the end, and passes samples to `sink` until the thread needs more bytes or has ended.
    fn send<E: From<AudioError>>(
        &self,
        message: PipeMessage,
        sink: &mut impl FnMut(&[Vec<f32>]) -> Result<(), E>,
    ) -> Result<Option<Ending>, E> {
        // If the thread has ended, its last event or the closed channel gives the reason.
        let _ = self.messages.send(message);
        loop {
            match self.events.recv() {
                Ok(DecodeEvent::Samples(lanes)) => sink(&lanes)?,
                Ok(DecodeEvent::NeedsBytes) => return Ok(None),
                Ok(DecodeEvent::Ended(ended)) => return Ok(Some(ended?)),
                Err(_) => return Err(E::from(thread_ended())),
            }
        }
    }
}

/// Returns the error for a thread that ended without a result.
fn thread_ended() -> AudioError {
    AudioError::malformed("the audio is damaged: its decoder stopped unexpectedly")
}

/// Decodes on the thread until the recording ends or the caller is gone.
fn decode_pushed(
    job: &DecodeJob,
    messages: Receiver<PipeMessage>,
    events: &SyncSender<DecodeEvent>,
) {
    let timer = &job.timer;
    let pipe = BytePipe::new(messages, events.clone(), timer.clone());
    let input = Input::arriving(pipe, timer.clone());
    let mut send_samples = |lanes: &mut [Vec<f32>]| {
        let samples = lanes.iter_mut().map(std::mem::take).collect();
        let sent = timer.pause_during(|| events.send(DecodeEvent::Samples(samples)));
        sent.map_err(|_| AudioError::Stopped)
    };
    let ended = by_format::decode(input, Encoding::Auto, job, &mut send_samples);
    // The caller may be gone.
    let _ = events.send(DecodeEvent::Ended(ended));
}
