//! The size limit of a request's messages, enforced before the transport decodes them. Sans-IO.
//!
//! The transport also refuses a message by its announced length, but its error does not name the server's limit, and it
//! ends the whole stream. This parser follows the frames of the messages (a flag, a length of 32 bits, the bytes). A
//! message within the limit passes unchanged, and a compressed message is decompressed. Of a message that is too large,
//! only the first bytes are held, because they contain its id and the length of its audio.

use std::collections::VecDeque;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::{Message as _, decode_length_delimiter};
use tonic::Status;

use super::budget::{Budget, Charge};
use super::compression::{Compression, InflateError, Inflater};
use super::{pb, status};

/// Bytes of a message's header: a flag and a length.
pub(super) const HEADER: usize = 5;
/// First bytes that are held of a message that is too large: enough for the longest id and for the fields before the
/// audio.
const START: usize = 1 << 10;
/// Largest size in bytes of a request without its audio, and of a message that has no audio.
pub(super) const OVERHEAD: usize = 64 << 10;

/// The messages that a method accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MethodInput {
    /// One recording of at most this many bytes.
    Recording(usize),
    /// Many recordings of at most this many bytes each, with ids.
    Recordings(usize),
    /// One message without a recording.
    Small,
}

impl MethodInput {
    /// Returns the largest size of a message in bytes.
    fn limit(self) -> usize {
        match self {
            Self::Recording(audio) | Self::Recordings(audio) => audio.saturating_add(OVERHEAD),
            Self::Small => OVERHEAD,
        }
    }
}

/// The result of a step.
#[derive(Debug)]
pub(super) enum FramingOutput {
    /// Bytes for the transport.
    Bytes(Bytes),
    /// A message of a stream was refused: its number and the reason. Its substitute follows.
    Refused(u64, Status),
    /// The charge of a decompressed message: its number and the charge. Its bytes follow.
    Charged(u64, Charge),
}

/// The parser of the messages of one call.
pub(super) struct Framing {
    accepts: MethodInput,
    encoding: Option<Compression>,
    budget: Budget,
    state: FramingState,
    /// Number of messages that have begun.
    begun: u64,
    /// Results that the next steps return.
    ready: VecDeque<FramingOutput>,
}

/// The position within the frames of a call. `left` bytes of a message have not arrived yet.
enum FramingState {
    /// In a header, of which these bytes have arrived.
    Header(BytesMut),
    /// In a message that passes unchanged.
    Passing { left: usize },
    /// In a message that is decompressed.
    Inflating {
        left: usize,
        inflater: Box<Inflater>,
    },
    /// In the first bytes of a message that is too large.
    Starting {
        left: usize,
        bytes: usize,
        start: BytesMut,
    },
    /// In the rest of a message that was refused.
    Skipping { left: usize },
}

impl Framing {
    /// Creates the parser at the start of a call. Messages compressed with `encoding` are decompressed and charged to
    /// `budget`.
    pub(super) fn new(accepts: MethodInput, encoding: Option<Compression>, budget: Budget) -> Self {
        Self {
            accepts,
            encoding,
            budget,
            state: FramingState::Header(BytesMut::new()),
            begun: 0,
            ready: VecDeque::new(),
        }
    }

    /// Returns the charge of the message that is being decompressed if the budget has too little left for its next step.
    pub(super) fn short_of_budget(&mut self) -> Option<&mut Charge> {
        match &mut self.state {
            FramingState::Inflating { inflater, .. } => inflater.short_of_budget(),
            _ => None,
        }
    }

    /// Consumes some of the input at a bounded cost, and returns a result if there is one. Call it until it returns
    /// `None` and the input is empty.
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
            // If the header passes unchanged, it stays in one piece with the bytes after it.
            FramingState::Header(header) if header.is_empty() && input.len() >= HEADER => {
                let header: [u8; HEADER] = std::array::from_fn(|index| input[index]);
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

    /// Ends the input of the call.
    ///
    /// # Errors
    /// A message is incomplete, or the only message is missing.
    pub(super) fn finish(&self) -> Result<(), Status> {
        let left = match &self.state {
            FramingState::Header(header) if header.is_empty() => {
                let needs_one = matches!(self.accepts, MethodInput::Recording(_));
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
                format!("the call ends inside a message; {left} bytes are missing")
            }
        }))
    }

    /// Returns the state after a header.
    fn begin(&mut self, header: [u8; HEADER]) -> Result<FramingState, Status> {
        self.begun += 1;
        let [flag, length @ ..] = header;
        let left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        match flag {
            0 if left <= self.accepts.limit() => Ok(FramingState::Passing { left }),
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
                let inflater = Inflater::new(encoding, self.accepts.limit(), &self.budget);
                let inflater = inflater.map_err(|error| {
                    Status::internal(format!("{} cannot be inflated: {error:?}", encoding.name()))
                })?;
                Ok(FramingState::Inflating {
                    left,
                    inflater: Box::new(inflater),
                })
            }
            flag => Err(Status::invalid_argument(format!(
                "a message starts with the byte {flag}; in gRPC it is 0, or 1 for a compressed message"
            ))),
        }
    }

    /// Moves on to the next header at the end of a message.
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

    /// Refuses a message that is too large. `bytes` is its size, or `None` for a compressed message, which was not
    /// decompressed to its end.
    fn too_large(&mut self, bytes: Option<usize>, start: &[u8]) -> Result<(), Status> {
        let refusal = match self.accepts {
            MethodInput::Recording(limit) | MethodInput::Recordings(limit) => {
                match self.head(start).audio.filter(|audio| *audio > limit) {
                    Some(audio) => status::too_many_bytes(audio, limit),
                    None => status::message_too_large(bytes, limit, OVERHEAD),
                }
            }
            MethodInput::Small => status::small_message_too_large(bytes, OVERHEAD),
        };
        self.refuse(refusal, start)
    }

    /// Refuses a message. A stream continues with a substitute; a call of one message ends.
    fn refuse(&mut self, refusal: Status, start: &[u8]) -> Result<(), Status> {
        if !matches!(self.accepts, MethodInput::Recordings(_)) {
            return Err(refusal);
        }
        let substitute = pb::BatchClassifyRequest {
            id: self.head(start).id,
            request: None,
        };
        let substitute = Bytes::from(substitute.encode_to_vec());
        self.ready.extend([
            FramingOutput::Refused(self.begun - 1, refusal),
            FramingOutput::Bytes(header_of(substitute.len())),
            FramingOutput::Bytes(substitute),
        ]);
        Ok(())
    }

    /// Reads the fields in the first bytes of a message.
    fn head(&self, start: &[u8]) -> MessageHead {
        let mut head = MessageHead::default();
        // A field that cannot be read keeps its default.
        let _ = match self.accepts {
            MethodInput::Recordings(_) => head.read_item(start),
            MethodInput::Recording(_) => head.read_request(start),
            MethodInput::Small => None,
        };
        head
    }
}

/// Returns the header of an uncompressed message of `length` bytes.
fn header_of(length: usize) -> Bytes {
    let mut header = BytesMut::with_capacity(HEADER);
    header.put_u8(0);
    header.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    header.freeze()
}

fn start_of(message: &[u8]) -> &[u8] {
    &message[..message.len().min(START)]
}

/// The fields in the first bytes of a message.
#[derive(Debug, Default, PartialEq, Eq)]
struct MessageHead {
    /// The id of the recording. Empty if the first bytes do not contain it.
    id: String,
    /// Announced size of the audio in bytes.
    audio: Option<usize>,
}

/// Tags of fields with bytes: the field's number and its wire type.
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

/// Reads the tag and the length of the next field. Returns `None` for a field without a length.
fn field(bytes: &mut &[u8]) -> Option<(usize, usize)> {
    // A tag is a varint, as a length is.
    let tag = decode_length_delimiter(&mut *bytes).ok()?;
    if tag & 7 != 2 {
        return None;
    }
    Some((tag, decode_length_delimiter(&mut *bytes).ok()?))
}

#[cfg(test)]
mod tests;
