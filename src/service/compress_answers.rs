//! The layer that compresses responses for callers that accept compression.
//!
//! It replaces the transport's own compression, which has two faults. It compresses small responses, which gain nothing,
//! and it compresses a large response in one piece on a network thread.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderValue;
use http_body::Frame;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::body::Body;

use super::compression::{Compression, ENCODING};
use super::framing::HEADER;
use super::intercept::{AnswerFuture, InnerService, Intercept};

/// Smallest message in bytes that is compressed. A smaller one fits into one network packet, and the 500 bytes of a
/// clip's response take longer to compress than to send.
const MIN_COMPRESSED: usize = 1 << 10;
/// Largest piece of a response in bytes that is compressed on a network thread. A larger piece would block the thread for
/// more than about half a millisecond.
const MAX_INLINE: usize = 32 << 10;

/// Compresses responses.
#[derive(Clone, Copy, Debug)]
pub(super) struct CompressAnswers;

impl Intercept for CompressAnswers {
    fn call<S: InnerService>(
        &self,
        request: http::Request<Body>,
        inner: &mut S,
    ) -> AnswerFuture<S::Error> {
        let encoding = Compression::accepted(request.headers());
        let answer = inner.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            // An error has no message to compress.
            let fails = response.headers().contains_key(Status::GRPC_STATUS);
            let Some(encoding) = encoding.filter(|_| !fails) else {
                return Ok(response);
            };
            let name = HeaderValue::from_static(encoding.name());
            response.headers_mut().insert(ENCODING, name);
            Ok(response.map(|body| {
                Body::new(CompressedBody {
                    body,
                    encoding,
                    under_way: None,
                })
            }))
        })
    }
}

/// The body of a response with compressed messages.
struct CompressedBody {
    body: Body,
    encoding: Compression,
    /// A piece that is being compressed on another thread. If the caller goes away, this work still ends by itself.
    under_way: Option<JoinHandle<Bytes>>,
}

impl http_body::Body for CompressedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(under_way) = &mut self.under_way {
                let compressed = ready!(Pin::new(under_way).poll(context));
                self.under_way = None;
                let failed = |error| {
                    Status::internal(format!("the response could not be compressed: {error}"))
                };
                return Poll::Ready(Some(compressed.map(Frame::data).map_err(failed)));
            }
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                ended => return Poll::Ready(ended),
            };
            let piece = match frame.into_data() {
                Ok(piece) => piece,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            };
            let encoding = self.encoding;
            if piece.len() <= MAX_INLINE {
                return Poll::Ready(Some(Ok(Frame::data(compressed(encoding, piece)))));
            }
            let work = tokio::task::spawn_blocking(move || compressed(encoding, piece));
            self.under_way = Some(work);
        }
    }
}

/// Compresses each message of a piece if that makes it smaller. A piece from the transport's encoder consists of complete
/// messages with their headers.
fn compressed(encoding: Compression, piece: Bytes) -> Bytes {
    let mut left = &piece[..];
    let mut output = Vec::new();
    while let Some((header, rest)) = left.split_first_chunk::<HEADER>() {
        let [flag, length @ ..] = *header;
        let length = u32::from_be_bytes(length) as usize;
        let Some((message, rest)) = rest.split_at_checked(length) else {
            return piece;
        };
        let shorter = (flag == 0 && length >= MIN_COMPRESSED)
            .then(|| encoding.compress(message).ok())
            .flatten()
            .filter(|compressed| compressed.len() < length);
        match shorter
            .as_ref()
            .map(|shorter| (shorter, u32::try_from(shorter.len())))
        {
            Some((shorter, Ok(length))) => {
                output.push(1);
                output.extend_from_slice(&length.to_be_bytes());
                output.extend_from_slice(shorter);
            }
            _ => {
                output.extend_from_slice(header);
                output.extend_from_slice(message);
            }
        }
        left = rest;
    }
    output.into()
}
