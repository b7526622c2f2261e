//! A request's messages, kept within their bound before the transport decodes them. Sans-IO.
//!
//! The transport refuses a message by its announced length too, but with words of its own, and ends the
//! stream with it. Here a message is followed by its frame (a flag, a length of 32 bits, the bytes): what
//! is in bounds passes as it came, what is compressed is inflated, and of what is too large no more than
//! its first bytes are held, which tell its id and how long its audio is.

use std::collections::VecDeque;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::{Message as _, decode_length_delimiter};
use tonic::Status;

use super::budget::{Budget, Charge};
use super::compression::{Compression, InflateError, Inflater};
use super::{pb, status};

/// Flag and length in front of a message.
pub(super) const HEADER: usize = 5;
/// First bytes of a message that is too large: an id of the longest kind, and what stands in front of audio.
const START: usize = 1 << 10;
/// Bytes of a request beside its audio, and of a message that has none.
pub(super) const OVERHEAD: usize = 64 << 10;

/// What a method takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MethodInput {
    /// One recording of so many bytes at most.
    Recording(usize),
    /// Many of them, each with an id.
    Recordings(usize),
    /// Something small.
    Small,
}

impl MethodInput {
    /// Bytes of one message.
    fn limit(self) -> usize {
        match self {
            Self::Recording(audio) | Self::Recordings(audio) => audio.saturating_add(OVERHEAD),
            Self::Small => OVERHEAD,
        }
    }
}

/// What comes of some bytes of a request.
#[derive(Debug)]
pub(super) enum FramingOutput {
    /// Bytes for the transport.
    Bytes(Bytes),
    /// A message of a stream that was refused, by its number; a substitute follows.
    Refused(u64, Status),
    /// What a message that was inflated is charged, by its number; its bytes follow.
    Charged(u64, Charge),
}

/// Follows the messages of one call.
pub(super) struct Framing {
    takes: MethodInput,
    encoding: Option<Compression>,
    budget: Budget,
    state: FramingState,
    /// Messages that have begun.
    begun: u64,
    /// What was inflated or put in a message's state, to be handed out.
    ready: VecDeque<FramingOutput>,
}

/// Where in its frames a call is; `left` bytes of a message are to come.
enum FramingState {
    Header(BytesMut),
    Passing {
        left: usize,
    },
    Inflating {
        left: usize,
        inflater: Box<Inflater>,
    },
    Starting {
        left: usize,
        bytes: usize,
        start: BytesMut,
    },
    Skipping {
        left: usize,
    },
}

impl Framing {
    /// At the start of a call whose messages are compressed so, if at all. What they inflate to is charged to
    /// the budget.
    pub(super) fn new(takes: MethodInput, encoding: Option<Compression>, budget: Budget) -> Self {
        Self {
            takes,
            encoding,
            budget,
            state: FramingState::Header(BytesMut::new()),
            begun: 0,
            ready: VecDeque::new(),
        }
    }

    /// The message that is being inflated, if the budget has too little left for its next step.
    pub(super) fn short_of_budget(&mut self) -> Option<&mut Charge> {
        match &mut self.state {
            FramingState::Inflating { inflater, .. } => inflater.short_of_budget(),
            _ => None,
        }
    }

    /// MethodInput some of the input, at a bounded cost, and gives what comes of it, if anything. To be called
    /// until it gives nothing and has left nothing of the input.
    ///
    /// # Errors
    /// The status with which the call ends.
    pub(super) fn step(&mut self, input: &mut Bytes) -> Result<Option<FramingOutput>, Status> {
        if let Some(passed) = self.ready.pop_front() {
            return Ok(Some(passed));
        }
        if input.is_empty() {
            return Ok(None);
        }
        match &mut self.state {
            // A whole header that needs no change is not taken apart from what follows it.
            FramingState::Header(header) if header.is_empty() && input.len() >= HEADER => {
                let header: [u8; HEADER] = std::array::from_fn(|state| input[state]);
                self.state = match self.begin(header)? {
                    FramingState::Passing { left } => FramingState::Passing {
                        left: left.saturating_add(HEADER),
                    },
                    state => {
                        input.advance(HEADER);
                        state
                    }
                };
            }
            FramingState::Header(header) => {
                let taken = (HEADER - header.len()).min(input.len());
                header.put(input.split_to(taken));
                if let Ok(whole) = <[u8; HEADER]>::try_from(&header[..]) {
                    self.state = self.begin(whole)?;
                    if let FramingState::Passing { .. } = self.state {
                        let header = Bytes::copy_from_slice(&whole);
                        self.ready.push_back(FramingOutput::Bytes(header));
                    }
                }
            }
            FramingState::Passing { left } => {
                let passed = input.split_to((*left).min(input.len()));
                *left -= passed.len();
                self.ready.push_back(FramingOutput::Bytes(passed));
            }
            FramingState::Inflating { left, inflater } => {
                let mut some = input.slice(..(*left).min(input.len()));
                let before = some.len();
                let inflated = inflater.step(&mut some);
                let taken = before - some.len();
                input.advance(taken);
                *left -= taken;
                if let Err(error) = inflated {
                    let start = Bytes::copy_from_slice(start_of(inflater.start()));
                    self.state = FramingState::Skipping { left: *left };
                    self.not_inflated(error, &start)?;
                }
            }
            FramingState::Starting { left, bytes, start } => {
                let taken = (*left).min(input.len()).min(START - start.len());
                start.put(input.split_to(taken));
                *left -= taken;
                if *left == 0 || start.len() == START {
                    let (bytes, start) = (*bytes, std::mem::take(start).freeze());
                    self.state = FramingState::Skipping { left: *left };
                    self.too_large(Some(bytes), &start)?;
                }
            }
            FramingState::Skipping { left } => {
                let skipped = (*left).min(input.len());
                input.advance(skipped);
                *left -= skipped;
            }
        }
        self.end_if_empty()?;
        Ok(self.ready.pop_front())
    }

    /// The call's input has ended.
    ///
    /// # Errors
    /// If a message is not whole, or the only one is missing.
    pub(super) fn finish(&self) -> Result<(), Status> {
        let left = match &self.state {
            FramingState::Header(header) if header.is_empty() => {
                let needs_one = matches!(self.takes, MethodInput::Recording(_));
                return match self.begun {
                    0 if needs_one => Err(Status::invalid_argument("the call has no message")),
                    _ => Ok(()),
                };
            }
            FramingState::Header(_) => None,
            FramingState::Passing { left }
            | FramingState::Inflating { left, .. }
            | FramingState::Starting { left, .. }
            | FramingState::Skipping { left } => Some(*left),
        };
        Err(Status::invalid_argument(match left {
            None => "the call ends inside the header of a message".to_owned(),
            Some(left) => {
                format!("the call ends inside a message, of which {left} bytes are missing")
            }
        }))
    }

    /// What comes behind a header.
    fn begin(&mut self, header: [u8; HEADER]) -> Result<FramingState, Status> {
        self.begun += 1;
        let [flag, length @ ..] = header;
        let left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        match flag {
            0 if left <= self.takes.limit() => Ok(FramingState::Passing { left }),
            0 => Ok(FramingState::Starting {
                left,
                bytes: left,
                start: BytesMut::new(),
            }),
            1 => {
                // gRPC wants this code.
                let encoding = self.encoding.ok_or_else(|| {
                    Status::internal(
                        "a message is marked as compressed, but the call names no grpc-encoding",
                    )
                })?;
                if left == 0 {
                    // What an encoder makes of an empty message if it makes nothing.
                    self.ready.push_back(FramingOutput::Bytes(header_of(0)));
                    return Ok(FramingState::Skipping { left });
                }
                let inflater = Inflater::new(encoding, self.takes.limit(), &self.budget);
                let inflater = inflater.map_err(|error| {
                    Status::internal(format!("{} cannot be inflated: {error:?}", encoding.name()))
                })?;
                Ok(FramingState::Inflating {
                    left,
                    inflater: Box::new(inflater),
                })
            }
            flag => Err(Status::invalid_argument(format!(
                "a message starts with the byte {flag}, where gRPC has 0, or 1 if it is compressed"
            ))),
        }
    }

    /// On to the next header, once nothing is left of a message.
    fn end_if_empty(&mut self) -> Result<(), Status> {
        match &mut self.state {
            FramingState::Inflating { left: 0, inflater } => match inflater.finish() {
                Ok((pieces, charge)) => {
                    self.state = FramingState::Header(BytesMut::new());
                    self.ready
                        .push_back(FramingOutput::Charged(self.begun - 1, charge));
                    let length = pieces.iter().map(Bytes::len).sum();
                    self.ready
                        .push_back(FramingOutput::Bytes(header_of(length)));
                    self.ready
                        .extend(pieces.into_iter().map(FramingOutput::Bytes));
                }
                Err(error) => {
                    let start = Bytes::copy_from_slice(start_of(inflater.start()));
                    self.state = FramingState::Header(BytesMut::new());
                    self.not_inflated(error, &start)?;
                }
            },
            FramingState::Passing { left: 0 } | FramingState::Skipping { left: 0 } => {
                self.state = FramingState::Header(BytesMut::new());
            }
            _ => {}
        }
        Ok(())
    }

    fn not_inflated(&mut self, error: InflateError, start: &[u8]) -> Result<(), Status> {
        match error {
            InflateError::TooLarge => self.too_large(None, start),
            InflateError::OverBudget => self.refuse(status::too_much_inflated(), start),
            InflateError::Corrupt(what) => self.refuse(Status::invalid_argument(what), start),
        }
    }

    /// Refuses a message of so many bytes; of one that was not inflated to its end nobody knows how many.
    fn too_large(&mut self, bytes: Option<usize>, start: &[u8]) -> Result<(), Status> {
        let refused = match self.takes {
            MethodInput::Recording(most) | MethodInput::Recordings(most) => {
                match self.about(start).audio.filter(|audio| *audio > most) {
                    Some(audio) => status::too_many_bytes(audio, most),
                    None => status::message_too_large(bytes, most, OVERHEAD),
                }
            }
            MethodInput::Small => status::small_message_too_large(bytes, OVERHEAD),
        };
        self.refuse(refused, start)
    }

    /// A stream goes on without the message; a call of one message ends.
    fn refuse(&mut self, refused: Status, start: &[u8]) -> Result<(), Status> {
        if !matches!(self.takes, MethodInput::Recordings(_)) {
            return Err(refused);
        }
        let substitute = pb::BatchClassifyRequest {
            id: self.about(start).id,
            request: None,
        };
        let substitute = Bytes::from(substitute.encode_to_vec());
        self.ready.extend([
            FramingOutput::Refused(self.begun - 1, refused),
            FramingOutput::Bytes(header_of(substitute.len())),
            FramingOutput::Bytes(substitute),
        ]);
        Ok(())
    }

    fn about(&self, start: &[u8]) -> MessageHead {
        let mut about = MessageHead::default();
        // Whatever cannot be read stays unknown.
        let _ = match self.takes {
            MethodInput::Recordings(_) => about.read_item(start),
            MethodInput::Recording(_) => about.read_request(start),
            MethodInput::Small => None,
        };
        about
    }
}

/// A header in front of so many bytes as they are.
fn header_of(length: usize) -> Bytes {
    let mut header = BytesMut::with_capacity(HEADER);
    header.put_u8(0);
    header.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    header.freeze()
}

fn start_of(message: &[u8]) -> &[u8] {
    &message[..message.len().min(START)]
}

/// What the first bytes of a message tell.
#[derive(Debug, Default, PartialEq, Eq)]
struct MessageHead {
    /// Empty if it is not among them.
    id: String,
    /// Announced bytes of audio.
    audio: Option<usize>,
}

/// Tags of fields that hold bytes: number and wire type.
const ITEM_ID: usize = 1 << 3 | 2;
const ITEM_REQUEST: usize = 2 << 3 | 2;
const REQUEST_AUDIO: usize = 2 << 3 | 2;

impl MessageHead {
    fn read_item(&mut self, mut bytes: &[u8]) -> Option<()> {
        loop {
            let (tag, length) = field(&mut bytes)?;
            match tag {
                ITEM_ID => {
                    let id = &bytes[..length.min(bytes.len())];
                    self.id = String::from_utf8_lossy(id).into_owned();
                }
                ITEM_REQUEST => {
                    let request = &bytes[..length.min(bytes.len())];
                    let _ = self.read_request(request);
                }
                _ => {}
            }
            bytes = bytes.get(length..)?;
        }
    }

    fn read_request(&mut self, mut bytes: &[u8]) -> Option<()> {
        loop {
            let (tag, length) = field(&mut bytes)?;
            if tag == REQUEST_AUDIO {
                self.audio = Some(length);
            }
            bytes = bytes.get(length..)?;
        }
    }
}

/// Tag and length of the next field, if it is one that has a length.
fn field(bytes: &mut &[u8]) -> Option<(usize, usize)> {
    // A varint, as a length is.
    let tag = decode_length_delimiter(&mut *bytes).ok()?;
    if tag & 7 != 2 {
        return None;
    }
    Some((tag, decode_length_delimiter(&mut *bytes).ok()?))
}

#[cfg(test)]
mod tests;
