//! A recording decoded while its bytes arrive.
//!
//! Headerless samples are decoded where they are pushed. Everything else is read by code that asks
//! for bytes when it needs them, which runs on a thread of its own: a push hands it a piece and takes
//! the samples until it asks for more. So one push gives all that its bytes settle, whatever the
//! threads do meanwhile, and between the two lie one piece and two blocks of samples at most.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::input::Input;
use super::limits::Watch;
use super::pcm::Pcm;
use super::{AudioError, CapturedRate, Encoding, Ending, Job, LaneChoice, Limits, Stop};

/// Bytes handed over at a time.
const PIECE: usize = 64 << 10;

/// Blocks of samples that the thread may be ahead of whoever takes them.
const BLOCKS_AHEAD: usize = 2;

/// Decodes one recording while its bytes arrive, in pieces of any size.
///
/// The samples are those of [`decode`](super::decode), bit for bit, however the bytes are cut. WAV,
/// Wave64, AU, AIFF, FLAC, MP3, AAC, Ogg, Matroska, WebM, CAF of PCM and headerless samples come out as their
/// bytes go in; so does MP4 of one track whose index stands in front. What can be read only once all of it is
/// there (MP4 with its index at the end, CAF of packets, AIFF that is described at its end) is held back up to [`Limits::held_bytes`], and
/// [`Ending::held`] says so. Memory does not grow with the recording otherwise.
///
/// Blocks like `decode`: call it from a thread that may. Dropped before its end it stops.
///
/// # Example
/// ```
/// use undertone::audio::{AudioError, Decoder, Encoding, LaneChoice, Limits, RawFormat};
///
/// let phone = Encoding::Raw { format: RawFormat::Mulaw, sample_rate: 8_000, channels: 1 };
/// let mut decoder = Decoder::start(phone, LaneChoice::Auto, &Limits::default())?;
/// let mut heard = 0;
/// for packet in [[0xff_u8; 160]; 50] {
///     decoder.push(&packet, |lanes| {
///         heard += lanes[0].len();
///         Ok::<_, AudioError>(())
///     })?;
/// }
/// let ending = decoder.finish(|lanes| {
///     heard += lanes[0].len();
///     Ok::<_, AudioError>(())
/// })?;
/// assert_eq!((heard, ending.truncated), (16_000, false));
/// # Ok::<(), AudioError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    work: Work,
    /// Bytes pushed, and how many may be.
    bytes: usize,
    limit: usize,
    stop: Stop,
    captured_rate: CapturedRate,
}

#[derive(Debug)]
enum Work {
    /// Headerless samples.
    Here(Box<Pcm>),
    /// Everything else.
    Apart(Link),
    /// Ended before the bytes did.
    Ended(Ending),
    /// Has failed.
    Failed,
}

impl Decoder {
    /// A decoder at the start of a recording.
    ///
    /// # Errors
    /// [`AudioError`] if headerless samples are claimed to have a shape that cannot be, or if the
    /// system gives no thread.
    pub fn start(
        encoding: Encoding,
        lanes: LaneChoice,
        limits: &Limits,
    ) -> Result<Self, AudioError> {
        let stop = Stop::default();
        let captured_rate = CapturedRate::default();
        // Samples are handed over as they come, not held.
        let limits = Limits {
            decoded_bytes: usize::MAX,
            ..*limits
        };
        let work = match encoding {
            Encoding::Raw {
                format,
                sample_rate,
                channels,
            } => {
                // The work is in proportion to what is pushed: there is nothing to time.
                let job = Job {
                    lanes,
                    limits,
                    watch: Watch::start(Duration::MAX, stop.clone()),
                    size: None,
                    captured_rate: captured_rate.clone(),
                };
                let samples = Pcm::raw(format, sample_rate, channels, &job)?;
                Work::Here(Box::new(samples))
            }
            Encoding::Auto => Work::Apart(Link::start(lanes, limits, &stop, &captured_rate)?),
        };
        Ok(Self {
            work,
            bytes: 0,
            limit: limits.bytes,
            stop,
            captured_rate,
        })
    }

    /// Tells at which rate the sound was sampled, for whoever takes the samples.
    #[must_use]
    pub fn captured_rate(&self) -> CapturedRate {
        self.captured_rate.clone()
    }

    /// What stops this decoder from elsewhere.
    #[must_use]
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Takes the next bytes, and gives `sink` the samples that they settle: `[L][N]`, lanes at
    /// 16 kHz, equally long, some thousands of samples a time. Bytes behind the recording's end are
    /// ignored.
    ///
    /// # Errors
    /// [`AudioError`], or what `sink` answered; the decoder is of no further use then.
    pub fn push<E: From<AudioError>>(
        &mut self,
        bytes: &[u8],
        mut sink: impl FnMut(&[Vec<f32>]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.bytes = self.bytes.saturating_add(bytes.len());
        if self.bytes > self.limit {
            self.work = Work::Failed;
            return Err(E::from(AudioError::TooLarge {
                bytes: self.bytes,
                limit: self.limit,
            }));
        }
        for piece in bytes.chunks(PIECE) {
            match std::mem::replace(&mut self.work, Work::Failed) {
                Work::Here(mut pcm) => {
                    carry(&mut sink, |sink| pcm.push(piece, sink))?;
                    self.work = Work::Here(pcm);
                }
                Work::Apart(link) => {
                    let ended = link.hand(Feed::Bytes(piece.to_vec()), &mut sink)?;
                    self.work = ended.map_or(Work::Apart(link), Work::Ended);
                }
                ended @ Work::Ended(_) => self.work = ended,
                Work::Failed => return Err(E::from(AudioError::Stopped)),
            }
        }
        Ok(())
    }

    /// Ends the recording: gives `sink` the rest of the samples.
    ///
    /// # Errors
    /// [`AudioError`] as [`decode`](super::decode) would give for all the bytes, or what `sink`
    /// answered. What came until then is not to be trusted if the error is not a limit.
    pub fn finish<E: From<AudioError>>(
        mut self,
        mut sink: impl FnMut(&[Vec<f32>]) -> Result<(), E>,
    ) -> Result<Ending, E> {
        if self.bytes == 0 {
            return Err(E::from(AudioError::Empty));
        }
        match std::mem::replace(&mut self.work, Work::Failed) {
            Work::Here(pcm) => carry(&mut sink, |sink| pcm.finish(false, sink)),
            Work::Apart(link) => match link.hand(Feed::End, &mut sink)? {
                Some(ending) => Ok(ending),
                None => Err(E::from(gave_up())),
            },
            Work::Ended(ending) => Ok(ending),
            Work::Failed => Err(E::from(AudioError::Stopped)),
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // A thread in the midst of a packet looks here; one that waits sees its channel closed. It is
        // not joined: whoever drops a decoder may not be allowed to wait.
        self.stop.stop();
    }
}

/// Lets `work` call a sink whose errors are its own.
fn carry<T, E: From<AudioError>>(
    sink: &mut impl FnMut(&[Vec<f32>]) -> Result<(), E>,
    work: impl FnOnce(super::Sink<'_>) -> Result<T, AudioError>,
) -> Result<T, E> {
    let mut answer = None;
    let done = work(&mut |lanes: &mut [Vec<f32>]| {
        sink(lanes).map_err(|error| {
            answer = Some(error);
            AudioError::Stopped
        })
    });
    done.map_err(|error| answer.unwrap_or_else(|| E::from(error)))
}

/// What goes to the thread.
enum Feed {
    Bytes(Vec<u8>),
    End,
}

/// What comes from the thread.
enum Event {
    Samples(Vec<Vec<f32>>),
    /// The last piece is used up.
    Hungry,
    Ended(Result<Ending, AudioError>),
}

/// The thread, from outside.
#[derive(Debug)]
struct Link {
    feed: SyncSender<Feed>,
    events: Receiver<Event>,
}

impl Link {
    fn start(
        lanes: LaneChoice,
        limits: Limits,
        stop: &Stop,
        captured_rate: &CapturedRate,
    ) -> Result<Self, AudioError> {
        let (feed, fed) = sync_channel(1);
        let (sender, events) = sync_channel(BLOCKS_AHEAD);
        let (stop, captured_rate) = (stop.clone(), captured_rate.clone());
        thread::Builder::new()
            .name("decode".into())
            .spawn(move || run((lanes, limits), stop, captured_rate, fed, &sender))
            .map_err(AudioError::Thread)?;
        Ok(Self { feed, events })
    }

    /// Hands over a piece, or the end, and takes samples until the thread wants more or has ended.
    fn hand<E: From<AudioError>>(
        &self,
        feed: Feed,
        sink: &mut impl FnMut(&[Vec<f32>]) -> Result<(), E>,
    ) -> Result<Option<Ending>, E> {
        // A thread that is gone has said why, or else the events' end tells.
        let _ = self.feed.send(feed);
        loop {
            match self.events.recv() {
                Ok(Event::Samples(lanes)) => sink(&lanes)?,
                Ok(Event::Hungry) => return Ok(None),
                Ok(Event::Ended(ended)) => return Ok(Some(ended?)),
                Err(_) => return Err(E::from(gave_up())),
            }
        }
    }
}

fn gave_up() -> AudioError {
    AudioError::malformed("the audio is damaged: its decoder gave up")
}

/// What the thread does.
fn run(
    (lanes, limits): (LaneChoice, Limits),
    stop: Stop,
    captured_rate: CapturedRate,
    feed: Receiver<Feed>,
    events: &SyncSender<Event>,
) {
    let watch = Watch::start(limits.time, stop);
    let job = Job {
        lanes,
        limits,
        watch: watch.clone(),
        size: None,
        captured_rate,
    };
    let pipe = Pipe {
        feed: Mutex::new(feed),
        events: events.clone(),
        piece: Vec::new(),
        at: 0,
        fed: false,
        ended: false,
        watch: watch.clone(),
    };
    let input = Input::arriving(pipe, watch.clone());
    let mut hand_over = |lanes: &mut [Vec<f32>]| {
        let samples = lanes.iter_mut().map(std::mem::take).collect();
        let sent = watch.idle(|| events.send(Event::Samples(samples)));
        sent.map_err(|_| AudioError::Stopped)
    };
    let ended = super::read(input, Encoding::Auto, &job, &mut hand_over);
    // Nobody may want to know.
    let _ = events.send(Event::Ended(ended));
}

/// Pushed bytes, as the thread reads them.
pub(super) struct Pipe {
    /// A mutex only because symphonia wants its sources `Sync`; it is never locked.
    feed: Mutex<Receiver<Feed>>,
    events: SyncSender<Event>,
    piece: Vec<u8>,
    at: usize,
    /// A piece was taken that the pusher waits to see used up.
    fed: bool,
    ended: bool,
    watch: Watch,
}

impl Pipe {
    /// What is left of the piece, or the next one; nothing only at the end.
    pub(super) fn fill(&mut self) -> Result<&[u8], AudioError> {
        if self.at == self.piece.len() && !self.ended {
            let (feed, events, fed) = (&mut self.feed, &self.events, self.fed);
            let fed = self.watch.idle(|| {
                if fed && events.send(Event::Hungry).is_err() {
                    return None;
                }
                let feed = feed.get_mut().unwrap_or_else(PoisonError::into_inner);
                feed.recv().ok()
            });
            match fed {
                Some(Feed::Bytes(piece)) => (self.piece, self.at, self.fed) = (piece, 0, true),
                Some(Feed::End) => self.ended = true,
                None => return Err(AudioError::Stopped),
            }
        }
        Ok(&self.piece[self.at..])
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.at += count;
    }
}
