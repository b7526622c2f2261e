//! gRPC's message encodings: decompression of a message within a limit, and compression of a response.
//!
//! The transport can do both, but it decompresses a message in one piece on a network thread, holds the message twice,
//! and ends the call with an error that does not name the server's limit.

mod inflated_message;

use std::io::{self, Write as _};

use bytes::{Buf as _, Bytes};
use flate2::write::{GzDecoder, GzEncoder, ZlibEncoder};
use flate2::{Decompress, FlushDecompress, Status};
use http::{HeaderMap, HeaderName, HeaderValue};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation as _, OutBuffer};

use super::budget::{Budget, Charge};
use inflated_message::{InflateLimit, InflatedMessage};

/// The header with the encoding of the messages of one direction.
pub(super) const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// The header with the encodings that its sender can decompress.
pub(super) const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// The encodings that this server can decompress.
pub(super) const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,deflate,gzip,zstd");

/// Largest window of Zstandard, as a power of two: the 8 MiB that RFC 8878 recommends decoders to support, and that
/// encoders use up to level 19.
const ZSTD_WINDOW_LOG: u32 = 23;
/// Bytes of that window. It is held while the message is decompressed, and is charged with the message.
const ZSTD_WINDOW: usize = 1 << ZSTD_WINDOW_LOG;
/// Bytes that must be charged in advance, for the next step and for the end of the message. A step returns at most
/// 64 KiB. At the end, Zstandard may hold a block of 128 KiB, which counts twice: in the window and in the message.
const AHEAD: usize = 320 << 10;

/// Returns the largest charge of a message that may have `limit` bytes.
pub(super) fn max_charge(limit: usize) -> usize {
    limit.saturating_add(ZSTD_WINDOW + AHEAD)
}

/// A compression method of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Deflate,
    Zstd,
}

impl Compression {
    /// Returns the name of the method in headers.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        }
    }

    /// Returns the method with a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let all = [Self::Gzip, Self::Deflate, Self::Zstd];
        all.into_iter().find(|encoding| encoding.name() == name)
    }

    /// Returns the first supported method that the sender of these headers accepts.
    pub(super) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let accepted = headers.get(ACCEPT_ENCODING)?.to_str().ok()?;
        accepted.split(',').map(str::trim).find_map(Self::named)
    }

    /// Compresses one message. It uses fast levels, because a response mostly repeats its labels and higher levels
    /// hardly make it smaller.
    pub(super) fn compress(self, message: &[u8]) -> io::Result<Vec<u8>> {
        let level = flate2::Compression::fast();
        match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(message)?;
                encoder.finish()
            }
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(message)?;
                encoder.finish()
            }
            Self::Zstd => zstd::bulk::compress(message, 1),
        }
    }
}

/// Why a message cannot be decompressed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InflateError {
    /// It is larger than its limit.
    TooLarge,
    /// All messages together would exceed their memory budget.
    OverBudget,
    /// It is not valid for its encoding.
    Corrupt(String),
}

/// Decompresses one message that arrives in pieces.
pub(super) struct Inflater {
    encoding: Compression,
    stream: InflateStream,
}

enum InflateStream {
    Gzip(GzDecoder<InflatedMessage>),
    /// A decoder that does not check by itself whether the message is complete.
    Raw {
        decoder: RawDecoder,
        inflated: InflatedMessage,
        whole: bool,
    },
}

enum RawDecoder {
    Deflate(Decompress),
    Zstd(Decoder<'static>),
}

impl Inflater {
    /// Creates the decoder of a message that may have `limit` bytes, which are charged to `budget`.
    pub(super) fn new(
        encoding: Compression,
        limit: usize,
        budget: &Budget,
    ) -> Result<Self, InflateError> {
        let window = match encoding {
            // The decoder holds its window of 32 KiB from the start, whatever the message.
            Compression::Gzip | Compression::Deflate => 0,
            Compression::Zstd => ZSTD_WINDOW,
        };
        let inflated = InflatedMessage::new(limit, window, budget.charge());
        let decoder = match encoding {
            Compression::Gzip => {
                let stream = InflateStream::Gzip(GzDecoder::new(inflated));
                return Ok(Self { encoding, stream });
            }
            Compression::Deflate => RawDecoder::Deflate(Decompress::new(true)),
            Compression::Zstd => {
                let decoder = Decoder::new().and_then(|mut decoder| {
                    decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
                    Ok(decoder)
                });
                let failed = |error: io::Error| InflateError::Corrupt(error.to_string());
                RawDecoder::Zstd(decoder.map_err(failed)?)
            }
        };
        let stream = InflateStream::Raw {
            decoder,
            inflated,
            whole: false,
        };
        Ok(Self { encoding, stream })
    }

    /// Charges the next step in advance. Returns the charge if the budget has too little left; the step may still be
    /// tried then.
    pub(super) fn short_of_budget(&mut self) -> Option<&mut Charge> {
        let inflated = self.inflated_mut();
        (!inflated.charge_ahead(AHEAD)).then_some(&mut inflated.charge)
    }

    /// Consumes some of the input and decompresses at most 64 KiB.
    pub(super) fn step(&mut self, input: &mut Bytes) -> Result<(), InflateError> {
        let ran = match &mut self.stream {
            // It consumes input until the message is complete.
            InflateStream::Gzip(decoder) => decoder.write(input).map(|taken| (taken, 0)),
            InflateStream::Raw {
                decoder,
                inflated,
                whole,
            } => decoder.run(input, inflated, whole),
        };
        match ran {
            Ok((0, 0)) => Err(self.corrupt("there are bytes after its end")),
            Ok((taken, _)) => {
                input.advance(taken);
                Ok(())
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Ends the input. Returns the message in pieces, and its charge.
    pub(super) fn finish(&mut self) -> Result<(Vec<Bytes>, Charge), InflateError> {
        let ended = match &mut self.stream {
            InflateStream::Gzip(decoder) => decoder.try_finish(),
            InflateStream::Raw {
                decoder,
                inflated,
                whole,
            } => loop {
                match decoder.run(&[], inflated, whole) {
                    Ok((_, 0)) if *whole => break Ok(()),
                    Ok((_, 0)) => break Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(_) => {}
                    Err(error) => break Err(error),
                }
            },
        };
        match ended {
            Ok(()) => Ok(self.inflated_mut().take()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.corrupt("it is incomplete"))
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Returns the first decompressed bytes.
    pub(super) fn start(&self) -> &[u8] {
        let inflated = match &self.stream {
            InflateStream::Gzip(decoder) => decoder.get_ref(),
            InflateStream::Raw { inflated, .. } => inflated,
        };
        inflated.start()
    }

    fn inflated_mut(&mut self) -> &mut InflatedMessage {
        match &mut self.stream {
            InflateStream::Gzip(decoder) => decoder.get_mut(),
            InflateStream::Raw { inflated, .. } => inflated,
        }
    }

    fn failed(&mut self, error: &io::Error) -> InflateError {
        match self.inflated_mut().refused {
            Some(InflateLimit::TooLarge) => InflateError::TooLarge,
            Some(InflateLimit::OverBudget) => InflateError::OverBudget,
            None => self.corrupt(&error.to_string()),
        }
    }

    fn corrupt(&self, what: &str) -> InflateError {
        let name = self.encoding.name();
        InflateError::Corrupt(format!(
            "a message cannot be decompressed as {name}: {what}"
        ))
    }
}

impl RawDecoder {
    /// Returns the number of consumed and of decompressed bytes. If both are 0, the decoder can do nothing more.
    fn run(
        &mut self,
        input: &[u8],
        inflated: &mut InflatedMessage,
        whole: &mut bool,
    ) -> io::Result<(usize, usize)> {
        let mut buffer = [0; 16 << 10];
        let (taken, given) = match self {
            Self::Deflate(decoder) => {
                let before = (decoder.total_in(), decoder.total_out());
                let flush = FlushDecompress::None;
                let status = decoder.decompress(input, &mut buffer, flush)?;
                *whole |= status == Status::StreamEnd;
                let taken = decoder.total_in() - before.0;
                let given = decoder.total_out() - before.1;
                (taken as usize, given as usize)
            }
            Self::Zstd(decoder) => {
                let mut source = InBuffer::around(input);
                let mut sink = OutBuffer::around(&mut buffer[..]);
                let wanted = decoder.run(&mut source, &mut sink)?;
                let (taken, given) = (source.pos(), sink.pos());
                // When it is called again after the end, it expects another frame.
                if taken > 0 || given > 0 {
                    *whole = wanted == 0;
                }
                (taken, given)
            }
        };
        inflated.write_all(&buffer[..given])?;
        Ok((taken, given))
    }
}

#[cfg(test)]
mod tests;
