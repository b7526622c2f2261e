//! The layer that compresses answers for callers who accept it.
//!
//! Not the transport's own compression: that takes an answer of any size, of which the small ones gain
//! nothing, and does a large one in one go on a network thread.

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

/// Smaller messages go as they are: they fit into a packet, and a clip's answer of 500 bytes takes longer to
/// compress than to send.
const WORTHWHILE: usize = 1 << 10;
/// Larger pieces of an answer are not compressed on a network thread, which they would keep for more than
/// about half a millisecond.
const SMALL: usize = 32 << 10;

/// Compresses answers.
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

/// The body of an answer.
struct CompressedBody {
    body: Body,
    encoding: Compression,
    /// A piece that is compressed elsewhere. It ends by itself if the caller goes away.
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
                let failed =
                    |error| Status::internal(format!("an answer was not compressed: {error}"));
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
            if piece.len() <= SMALL {
                return Poll::Ready(Some(Ok(Frame::data(compressed(encoding, piece)))));
            }
            let work = tokio::task::spawn_blocking(move || compressed(encoding, piece));
            self.under_way = Some(work);
        }
    }
}

/// Whole messages with their headers, each compressed if that makes it smaller. The transport's encoder
/// gives whole messages in each piece.
fn compressed(encoding: Compression, piece: Bytes) -> Bytes {
    let mut left = &piece[..];
    let mut smaller = Vec::new();
    while let Some((header, rest)) = left.split_first_chunk::<HEADER>() {
        let [flag, length @ ..] = *header;
        let length = u32::from_be_bytes(length) as usize;
        let Some((message, rest)) = rest.split_at_checked(length) else {
            return piece;
        };
        let shorter = (flag == 0 && length >= WORTHWHILE)
            .then(|| encoding.compress(message).ok())
            .flatten()
            .filter(|compressed| compressed.len() < length);
        match shorter
            .as_ref()
            .map(|shorter| (shorter, u32::try_from(shorter.len())))
        {
            Some((shorter, Ok(length))) => {
                smaller.push(1);
                smaller.extend_from_slice(&length.to_be_bytes());
                smaller.extend_from_slice(shorter);
            }
            _ => {
                smaller.extend_from_slice(header);
                smaller.extend_from_slice(message);
            }
        }
        left = rest;
    }
    smaller.into()
}
