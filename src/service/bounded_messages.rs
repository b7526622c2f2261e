//! The layer that keeps a request's messages within their bounds, and inflates them ([`Framing`]) within the
//! budget of all calls ([`Budget`]).
//!
//! It lies around the transport's decoder, which gets frames in bounds that are not compressed.

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

/// Steps of framing between two looks at what else there is to do: 512 KiB that are inflated.
const STEPS_A_POLL: usize = 8;

/// Bounds messages.
#[derive(Clone, Debug)]
pub(super) struct BoundMessages {
    /// Bytes of one recording.
    largest_audio: usize,
    budget: Budget,
}

impl BoundMessages {
    /// For recordings of so many bytes at most.
    pub(super) fn new(largest_audio: usize) -> Self {
        let largest = compression::most_charged(largest_audio.saturating_add(OVERHEAD));
        Self {
            largest_audio,
            budget: Budget::of_server(largest),
        }
    }

    fn takes(&self, path: &str) -> MethodInput {
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
        // The transport decodes what is inflated already.
        let encoding = match request.headers_mut().remove(ENCODING) {
            Some(name) if name != "identity" => {
                match name.to_str().ok().and_then(Compression::named) {
                    Some(encoding) => Some(encoding),
                    None => return Box::pin(std::future::ready(Ok(unknown_encoding()))),
                }
            }
            _ => None,
        };
        let takes = self.takes(request.uri().path());
        let charges = request.extensions().get::<CallFacts>();
        let charges = charges.map_or_else(Charges::default, |facts| facts.inflated().clone());
        let refusals = RefusedMessages::default();
        if let MethodInput::Recordings(_) = takes {
            request.extensions_mut().insert(refusals.clone());
        }
        let request = request.map(|body| {
            Body::new(BoundedBody {
                body,
                framing: Framing::new(takes, encoding, self.budget.clone()),
                takes,
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
    let message = "the call's grpc-encoding is not known here; deflate, gzip and zstd are";
    let mut response = Status::unimplemented(message).into_http();
    response.headers_mut().insert(ACCEPT_ENCODING, ACCEPTED);
    response
}

/// A request's body, in bounds.
struct BoundedBody {
    body: Body,
    framing: Framing,
    takes: MethodInput,
    /// What has come and is not looked at yet.
    input: Bytes,
    refusals: RefusedMessages,
    charges: Charges,
    /// Is ready when the message that is being inflated may be charged one chunk more.
    waiting: Option<ChunkWait>,
    over: bool,
}

type ChunkWait =
    Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send + 'static>>;

impl BoundedBody {
    /// Waits for budget where recordings of the same stream hold some, as flow control stops a sender who is
    /// ahead. Without one of those nobody waits, and the message is refused.
    ///
    /// Waits do not hold each other up for good. Whoever begins to wait has a recording under way, and each that ends
    /// gives back what one wait is for.
    fn poll_budget(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.waiting.is_none()
            && matches!(self.takes, MethodInput::Recordings(_))
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
                    this.refusals.push(number, status)
                }
                // What is small is read and forgotten.
                Ok(Some(FramingOutput::Charged(number, charge)))
                    if this.takes != MethodInput::Small =>
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

    /// A stream of messages that inflate to so many zeros, which are charged to the budget.
    fn messages(sizes: &[usize], takes: MethodInput, budget: &Budget) -> BoundedBody {
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
            framing: Framing::new(takes, Some(Compression::Gzip), budget.clone()),
            takes,
            input: Bytes::new(),
            refusals: RefusedMessages::default(),
            charges: Charges::default(),
            waiting: None,
            over: false,
        }
    }

    /// Reads until all so far is read, or nothing comes.
    fn read(messages: &mut BoundedBody) -> (usize, bool) {
        let mut bytes = 0;
        // Unready at times, to let others have the thread.
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
    fn a_stream_waits_for_its_own_recordings_and_refuses_without() {
        let budget = Budget::of_bytes(4 * CHUNK);
        let takes = MethodInput::Recordings(8 * CHUNK);
        let size = 2 * CHUNK;
        let mut messages = messages(&[size, size, 6 * CHUNK], takes, &budget);
        // The first is whole; beside it the second needs more than is left, until the first is answered.
        assert_eq!(read(&mut messages), (5 + size, false));
        assert!(messages.waiting.is_some());
        messages.charges.give_back(0);
        // Now the third waits for the second, and is more than there is.
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
        let takes = MethodInput::Recording(8 * CHUNK);
        let mut refused = messages(&[2 * CHUNK], takes, &budget);
        let status = loop {
            if let Some(Some(Err(status))) = refused.frame().now_or_never() {
                break status;
            }
        };
        assert_eq!(status.code(), Code::ResourceExhausted);
        drop((refused, other));
        let mut whole = messages(&[2 * CHUNK], takes, &budget);
        assert_eq!(read(&mut whole), (5 + 2 * CHUNK, true));
        assert_eq!(budget.left(), 0);
        whole.charges.give_back(0);
        assert_eq!(budget.left(), 2 * CHUNK);
    }
}
