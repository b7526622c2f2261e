//! The layer that enforces the size limit of a request's messages and decompresses them ([`Framing`]) within the memory
//! budget of all calls ([`Budget`]).
//!
//! The transport's decoder is inside this layer. It receives messages within their limit that are not compressed.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;
use tokio::sync::{AcquireError, OwnedSemaphorePermit};
use tonic::Status;
use tonic::body::Body;

use super::budget::{Budget, Charges};
use super::call_log::CallFacts;
use super::compression::{self, ACCEPT_ENCODING, ACCEPTED, Compression, ENCODING};
use super::framing::{Framing, FramingOutput, MethodInput, OVERHEAD};
use super::intercept::{AnswerFuture, InnerService, Intercept};
use super::pb::emotion_service_server::SERVICE_NAME;
use super::refused_messages::RefusedMessages;

/// Steps of [`Framing`] before other tasks may run on the thread. They decompress 512 KiB at most.
const STEPS_A_POLL: usize = 8;

/// Enforces the size limit of messages and decompresses them.
#[derive(Clone, Debug)]
pub(super) struct BoundMessages {
    /// Largest recording in bytes.
    largest_audio: usize,
    budget: Budget,
}

impl BoundMessages {
    /// Creates the layer for recordings of at most `largest_audio` bytes.
    pub(super) fn new(largest_audio: usize) -> Self {
        let largest = compression::max_charge(largest_audio.saturating_add(OVERHEAD));
        Self {
            largest_audio,
            budget: Budget::of_server(largest),
        }
    }

    /// Returns the kind of messages that the method at `path` accepts.
    fn accepts(&self, path: &str) -> MethodInput {
        let method = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        match method {
            Some((SERVICE_NAME, "Classify")) => MethodInput::Recording(self.largest_audio),
            Some((SERVICE_NAME, "BatchClassify")) => MethodInput::Recordings(self.largest_audio),
            _ => MethodInput::Small,
        }
    }
}

impl Intercept for BoundMessages {
    fn call<S: InnerService>(
        &self,
        mut request: http::Request<Body>,
        inner: &mut S,
    ) -> AnswerFuture<S::Error> {
        // The header is removed, because the transport receives decompressed messages.
        let encoding = match request.headers_mut().remove(ENCODING) {
            Some(name) if name != "identity" => {
                match name.to_str().ok().and_then(Compression::named) {
                    Some(encoding) => Some(encoding),
                    None => return Box::pin(std::future::ready(Ok(unknown_encoding()))),
                }
            }
            _ => None,
        };
        let accepts = self.accepts(request.uri().path());
        let charges = request.extensions().get::<CallFacts>();
        let charges = charges.map_or_else(Charges::default, |facts| facts.inflated().clone());
        let refusals = RefusedMessages::default();
        if let MethodInput::Recordings(_) = accepts {
            request.extensions_mut().insert(refusals.clone());
        }
        let request = request.map(|body| {
            Body::new(BoundedBody {
                body,
                framing: Framing::new(accepts, encoding, self.budget.clone()),
                accepts,
                input: Bytes::new(),
                refusals,
                charges,
                waiting: None,
                over: false,
            })
        });
        Box::pin(inner.call(request))
    }
}

fn unknown_encoding() -> http::Response<Body> {
    let message =
        "the call's grpc-encoding is not supported; use deflate, gzip or zstd, or no compression";
    let mut response = Status::unimplemented(message).into_http();
    response.headers_mut().insert(ACCEPT_ENCODING, ACCEPTED);
    response
}

/// A request's body with messages within their limit and without compression.
struct BoundedBody {
    body: Body,
    framing: Framing,
    accepts: MethodInput,
    /// Received bytes that have not been processed yet.
    input: Bytes,
    refusals: RefusedMessages,
    charges: Charges,
    /// A wait for one more chunk for the message that is being decompressed.
    waiting: Option<ChunkWait>,
    over: bool,
}

type ChunkWait =
    Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send + 'static>>;

impl BoundedBody {
    /// Waits for budget if other recordings of the same stream hold some of it. Meanwhile flow control stops the
    /// sender. If no other recording of the stream holds any, there is no wait, and the message is refused.
    ///
    /// Waits cannot block each other for ever: a stream that waits has a recording under way, and a recording that ends
    /// gives back at least the one chunk that a wait needs.
    fn poll_budget(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.waiting.is_none()
            && matches!(self.accepts, MethodInput::Recordings(_))
            && !self.input.is_empty()
            && let Some(charge) = self.framing.short_of_budget()
            && !self.charges.is_empty()
        {
            self.waiting = Some(Box::pin(charge.budget().wait()));
        }
        if let Some(waiting) = &mut self.waiting {
            let waited = ready!(waiting.as_mut().poll(context));
            self.waiting = None;
            if let (Ok(chunk), Some(charge)) = (waited, self.framing.short_of_budget()) {
                charge.add(chunk);
            }
        }
        Poll::Ready(())
    }
}

impl http_body::Body for BoundedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let mut steps = 0;
        while !this.over {
            ready!(this.poll_budget(context));
            match this.framing.step(&mut this.input) {
                Ok(Some(FramingOutput::Bytes(bytes))) => {
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Ok(Some(FramingOutput::Refused(number, status))) => {
                    this.refusals.push(number, status);
                }
                // Small messages are freed as soon as they are decoded, so their charge is not kept.
                Ok(Some(FramingOutput::Charged(number, charge)))
                    if this.accepts != MethodInput::Small =>
                {
                    this.charges.push(number, charge);
                }
                Ok(Some(FramingOutput::Charged(..))) => {}
                Ok(None) if !this.input.is_empty() => {
                    steps += 1;
                    if steps == STEPS_A_POLL {
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                Ok(None) => match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => this.input = data,
                        Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                    },
                    Some(Err(status)) => {
                        this.over = true;
                        return Poll::Ready(Some(Err(status)));
                    }
                    None => {
                        this.over = true;
                        if let Err(status) = this.framing.finish() {
                            return Poll::Ready(Some(Err(status)));
                        }
                    }
                },
                Err(status) => {
                    this.over = true;
                    return Poll::Ready(Some(Err(status)));
                }
            }
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, stream};
    use http_body_util::{BodyExt as _, StreamBody};
    use tonic::Code;

    use super::*;
    use crate::service::budget::CHUNK;

    /// A stream of messages that decompress to `sizes` zeros each, which are charged to the budget.
    fn messages(sizes: &[usize], accepts: MethodInput, budget: &Budget) -> BoundedBody {
        let frames: Vec<_> = sizes
            .iter()
            .map(|size| {
                let message = Compression::Gzip.compress(&vec![0; *size]).unwrap();
                let length = u32::try_from(message.len()).unwrap();
                let frame = [&[1][..], &length.to_be_bytes(), &message].concat();
                Ok::<_, Status>(Frame::data(Bytes::from(frame)))
            })
            .collect();
        BoundedBody {
            body: Body::new(StreamBody::new(stream::iter(frames))),
            framing: Framing::new(accepts, Some(Compression::Gzip), budget.clone()),
            accepts,
            input: Bytes::new(),
            refusals: RefusedMessages::default(),
            charges: Charges::default(),
            waiting: None,
            over: false,
        }
    }

    /// Reads until the end, or until nothing more comes. Returns the number of bytes, and whether the end was reached.
    fn read(messages: &mut BoundedBody) -> (usize, bool) {
        let mut bytes = 0;
        // The body is not ready at times, to let other tasks run on the thread.
        for _ in 0..100 {
            while let Some(frame) = messages.frame().now_or_never() {
                match frame {
                    Some(frame) => bytes += frame.unwrap().into_data().unwrap().len(),
                    None => return (bytes, true),
                }
            }
        }
        (bytes, false)
    }

    #[test]
    fn a_stream_waits_for_its_own_recordings_and_refuses_a_message_if_there_are_none() {
        let budget = Budget::of_bytes(4 * CHUNK);
        let accepts = MethodInput::Recordings(8 * CHUNK);
        let size = 2 * CHUNK;
        let mut messages = messages(&[size, size, 6 * CHUNK], accepts, &budget);
        // The first message is complete. The second needs more than is left, until the first is answered.
        assert_eq!(read(&mut messages), (5 + size, false));
        assert!(messages.waiting.is_some());
        messages.charges.give_back(0);
        // Now the third message waits for the second. It needs more than the whole budget.
        assert_eq!(read(&mut messages), (5 + size, false));
        assert!(messages.refusals.take(1).is_none());
        messages.charges.give_back(1);
        let (substitute, over) = read(&mut messages);
        assert!(substitute < 20 && over);
        let refused = messages.refusals.take(2).unwrap();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        drop(messages);
        assert_eq!(budget.left(), 4 * CHUNK);
    }

    #[test]
    fn a_call_of_one_message_does_not_wait() {
        let budget = Budget::of_bytes(2 * CHUNK);
        let mut other = budget.charge();
        assert!(other.cover(CHUNK));
        let accepts = MethodInput::Recording(8 * CHUNK);
        let mut refused = messages(&[2 * CHUNK], accepts, &budget);
        let status = loop {
            if let Some(Some(Err(status))) = refused.frame().now_or_never() {
                break status;
            }
        };
        assert_eq!(status.code(), Code::ResourceExhausted);
        drop((refused, other));
        let mut whole = messages(&[2 * CHUNK], accepts, &budget);
        assert_eq!(read(&mut whole), (5 + 2 * CHUNK, true));
        assert_eq!(budget.left(), 0);
        whole.charges.give_back(0);
        assert_eq!(budget.left(), 2 * CHUNK);
    }
}
