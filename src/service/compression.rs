//! gRPC's message encodings: a message inflated within a bound, and an answer compressed.
//!
//! The transport can do both, but inflates a message in one go on a network thread, holds it twice, and
//! ends the call with words of its own where its bound is met.

mod inflated_message;

use std::io::{self, Write as _};

use bytes::{Buf as _, Bytes};
use flate2::write::{GzDecoder, GzEncoder, ZlibEncoder};
use flate2::{Decompress, FlushDecompress, Status};
use http::{HeaderMap, HeaderName, HeaderValue};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation as _, OutBuffer};

use super::budget::{Budget, Charge};
use inflated_message::{InflateLimit, InflatedMessage};

/// How the messages of one direction are compressed.
pub(super) const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// What whoever sends it can inflate.
pub(super) const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// What this server can inflate.
pub(super) const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,deflate,gzip,zstd");

/// Largest window of Zstandard, as a power of two: the 8 MiB that RFC 8878 asks a decoder for, and that
/// encoders use up to level 19.
const ZSTD_WINDOW_LOG: u32 = 23;
/// Bytes of that window. It is held beside the message while that is inflated, and charged with it.
const ZSTD_WINDOW: usize = 1 << ZSTD_WINDOW_LOG;
/// Bytes that must be charged before a step, for it and for the end of the message. A step gives 64 KiB at most.
/// At its end Zstandard may have a block of 128 KiB left, which counts twice: in the window and in the message.
const AHEAD: usize = 320 << 10;

/// Bytes that are charged at most for a message that may have `limit` bytes.
pub(super) fn most_charged(limit: usize) -> usize {
    limit.saturating_add(ZSTD_WINDOW + AHEAD)
}

/// A way to compress messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Deflate,
    Zstd,
}

impl Compression {
    /// As headers write it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        let all = [Self::Gzip, Self::Deflate, Self::Zstd];
        all.into_iter().find(|encoding| encoding.name() == name)
    }

    /// The first that the sender of these headers accepts.
    pub(super) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let accepted = headers.get(ACCEPT_ENCODING)?.to_str().ok()?;
        accepted.split(',').map(str::trim).find_map(Self::named)
    }

    /// One message compressed. Fast levels: an answer repeats its labels, and hardly shrinks further by
    /// more work.
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

/// Why a message does not inflate.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InflateError {
    /// It is larger than its bound.
    TooLarge,
    /// All messages together would hold more than their budget.
    OverBudget,
    /// It is not what its encoding says.
    Corrupt(String),
}

/// Inflates one message that comes in pieces.
pub(super) struct Inflater {
    encoding: Compression,
    stream: InflateStream,
}

enum InflateStream {
    Gzip(GzDecoder<InflatedMessage>),
    /// Those whose decoders do not tell by themselves whether the message is whole.
    Counted {
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
    /// For a message that may have `limit` bytes, which are charged to the budget.
    pub(super) fn new(
        encoding: Compression,
        limit: usize,
        budget: &Budget,
    ) -> Result<Self, InflateError> {
        let window = match encoding {
            // Of 32 KiB, and held by the decoder whether or not there is a message.
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
        let stream = InflateStream::Counted {
            decoder,
            inflated,
            whole: false,
        };
        Ok(Self { encoding, stream })
    }

    /// Charges ahead for a step; the charge, if the budget has too little left. A step may be taken without it.
    pub(super) fn short_of_budget(&mut self) -> Option<&mut Charge> {
        let inflated = self.inflated_mut();
        (!inflated.charge_ahead(AHEAD)).then_some(&mut inflated.charge)
    }

    /// MethodInput some of the input, and inflates 64 KiB of it at most.
    pub(super) fn step(&mut self, input: &mut Bytes) -> Result<(), InflateError> {
        let ran = match &mut self.stream {
            // It takes something unless the message is whole.
            InflateStream::Gzip(decoder) => decoder.write(input).map(|taken| (taken, 0)),
            InflateStream::Counted {
                decoder,
                inflated,
                whole,
            } => decoder.run(input, inflated, whole),
        };
        match ran {
            Ok((0, 0)) => Err(self.corrupt("bytes follow its end")),
            Ok((taken, _)) => {
                input.advance(taken);
                Ok(())
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// All input has come. The message, in pieces, and what it is charged.
    pub(super) fn finish(&mut self) -> Result<(Vec<Bytes>, Charge), InflateError> {
        let ended = match &mut self.stream {
            InflateStream::Gzip(decoder) => decoder.try_finish(),
            InflateStream::Counted {
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
                Err(self.corrupt("it is cut off"))
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// The first bytes of what was inflated.
    pub(super) fn start(&self) -> &[u8] {
        let inflated = match &self.stream {
            InflateStream::Gzip(decoder) => decoder.get_ref(),
            InflateStream::Counted { inflated, .. } => inflated,
        };
        inflated.start()
    }

    fn inflated_mut(&mut self) -> &mut InflatedMessage {
        match &mut self.stream {
            InflateStream::Gzip(decoder) => decoder.get_mut(),
            InflateStream::Counted { inflated, .. } => inflated,
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
        InflateError::Corrupt(format!("a message does not inflate as {name}: {what}"))
    }
}

impl RawDecoder {
    /// Bytes of the input taken, and bytes inflated. Where both are none, there is nothing to be done.
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
                // Asked again behind its end, it wants the next frame.
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
mod tests {
    use super::*;
    use crate::service::budget::CHUNK;

    const ALL: [Compression; 3] = [Compression::Gzip, Compression::Deflate, Compression::Zstd];

    fn inflate(
        encoding: Compression,
        limit: usize,
        compressed: &[u8],
        piece: usize,
    ) -> Result<Vec<u8>, InflateError> {
        let budget = Budget::of_server(0);
        let mut inflater = Inflater::new(encoding, limit, &budget)?;
        for piece in compressed.chunks(piece) {
            let mut piece = Bytes::copy_from_slice(piece);
            while !piece.is_empty() {
                inflater.step(&mut piece)?;
            }
        }
        Ok(inflater.finish()?.0.concat())
    }

    /// Neither all alike nor random.
    fn message(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|i| (i * i / 300 % 251) as u8).collect()
    }

    #[test]
    fn a_message_inflates_to_what_it_was_however_it_is_cut() {
        for encoding in ALL {
            for bytes in [0, 1, 5_000, 300_000] {
                let message = message(bytes);
                let compressed = encoding.compress(&message).unwrap();
                for piece in [1, 7, 4_096, usize::MAX] {
                    let inflated = inflate(encoding, bytes, &compressed, piece);
                    assert!(inflated.unwrap() == message, "{encoding:?} {bytes} {piece}");
                }
            }
        }
    }

    #[test]
    fn one_byte_too_many_is_too_large_and_a_bomb_is_not_inflated() {
        for encoding in ALL {
            let compressed = encoding.compress(&message(300_000)).unwrap();
            let inflated = inflate(encoding, 299_999, &compressed, 1_000);
            assert_eq!(inflated, Err(InflateError::TooLarge));
            let bomb = encoding.compress(&vec![0; 64 << 20]).unwrap();
            let budget = Budget::of_server(0);
            let mut inflater = Inflater::new(encoding, 100_000, &budget).unwrap();
            let mut bomb = Bytes::from(bomb);
            let mut ended = Ok(());
            while ended.is_ok() && !bomb.is_empty() {
                ended = inflater.step(&mut bomb);
            }
            assert_eq!(ended, Err(InflateError::TooLarge));
            assert!(inflater.inflated_mut().take().0.concat().len() <= 100_000);
        }
    }

    #[test]
    fn a_message_is_charged_for_what_it_holds_and_refused_beyond_the_budget() {
        for encoding in ALL {
            let bytes = 3 * CHUNK;
            let compressed = encoding.compress(&vec![0; bytes]).unwrap();
            // With the window, of which as much is filled, for Zstandard.
            let needed = match encoding {
                Compression::Zstd => 2 * bytes,
                _ => bytes,
            };
            for (limit, fits) in [(needed, true), (needed - CHUNK, false)] {
                let budget = Budget::of_bytes(limit);
                let mut inflater = Inflater::new(encoding, bytes, &budget).unwrap();
                let mut compressed = Bytes::from(compressed.clone());
                let mut ended = Ok(());
                while ended.is_ok() && !compressed.is_empty() {
                    ended = inflater.step(&mut compressed);
                }
                let finished = ended.and_then(|()| inflater.finish());
                drop(inflater);
                match finished {
                    Ok((pieces, charge)) => {
                        assert!(fits, "{encoding:?}");
                        assert_eq!(pieces.concat().len(), bytes);
                        assert_eq!(charge.bytes(), bytes);
                    }
                    Err(error) => {
                        assert!(!fits, "{encoding:?}");
                        assert_eq!(error, InflateError::OverBudget);
                    }
                }
                assert_eq!(budget.left(), limit);
            }
        }
    }

    #[test]
    fn what_is_cut_or_damaged_or_followed_by_more_is_corrupt() {
        for encoding in ALL {
            let whole = encoding.compress(&message(5_000)).unwrap();
            let mut damaged = whole.clone();
            damaged[1] ^= 0xff;
            for bad in [
                &whole[..whole.len() - 1],
                &damaged,
                &[whole.as_slice(), b"more"].concat(),
            ] {
                let inflated = inflate(encoding, 10_000, bad, 512);
                assert!(
                    matches!(inflated, Err(InflateError::Corrupt(_))),
                    "{encoding:?}: {inflated:?}"
                );
            }
        }
    }

    #[test]
    fn the_first_known_encoding_that_a_caller_accepts_is_taken() {
        let accepted = |value: &'static str| {
            let value = HeaderValue::from_static(value);
            Compression::accepted(&HeaderMap::from_iter([(ACCEPT_ENCODING, value)]))
        };
        assert_eq!(accepted("identity, zstd,gzip"), Some(Compression::Zstd));
        assert_eq!(accepted("snappy,gzip"), Some(Compression::Gzip));
        assert_eq!(accepted("identity"), None);
    }
}
