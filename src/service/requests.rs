//! The layer that keeps a request's messages within their bounds, and inflates them ([`Framing`]).
//!
//! It lies around the transport's decoder, which gets frames in bounds that are not compressed.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::compression::{ACCEPT_ENCODING, ACCEPTED, ENCODING, Encoding};
use super::framing::{Framing, Passed, Takes};
use super::pb::emotion_service_server::SERVICE_NAME;
use super::refusals::Refusals;

/// Steps of framing between two looks at what else there is to do: 512 KiB that are inflated.
const STEPS_A_POLL: usize = 8;

/// Bounds messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestsLayer {
    /// Bytes of one recording.
    pub(super) largest_audio: usize,
}

impl<S> Layer<S> for RequestsLayer {
    type Service = RequestsService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestsService {
            inner,
            largest_audio: self.largest_audio,
        }
    }
}

/// See [`RequestsLayer`].
#[derive(Clone, Debug)]
pub(super) struct RequestsService<S> {
    inner: S,
    largest_audio: usize,
}

impl<S> RequestsService<S> {
    fn takes(&self, path: &str) -> Takes {
        let method = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        match method {
            Some((SERVICE_NAME, "Classify")) => Takes::Recording(self.largest_audio),
            Some((SERVICE_NAME, "BatchClassify")) => Takes::Recordings(self.largest_audio),
            _ => Takes::Small,
        }
    }
}

impl<S> Service<http::Request<Body>> for RequestsService<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        // The transport decodes what is inflated already.
        let encoding = match request.headers_mut().remove(ENCODING) {
            Some(name) if name != "identity" => {
                match name.to_str().ok().and_then(Encoding::named) {
                    Some(encoding) => Some(encoding),
                    None => return Box::pin(std::future::ready(Ok(unknown_encoding()))),
                }
            }
            _ => None,
        };
        let takes = self.takes(request.uri().path());
        let refusals = Refusals::default();
        if let Takes::Recordings(_) = takes {
            request.extensions_mut().insert(refusals.clone());
        }
        let request = request.map(|body| {
            Body::new(Messages {
                body,
                framing: Framing::new(takes, encoding),
                input: Bytes::new(),
                refusals,
                over: false,
            })
        });
        Box::pin(self.inner.call(request))
    }
}

fn unknown_encoding() -> http::Response<Body> {
    let message = "the call's grpc-encoding is not known here; deflate, gzip and zstd are";
    let mut response = Status::unimplemented(message).into_http();
    response.headers_mut().insert(ACCEPT_ENCODING, ACCEPTED);
    response
}

/// A request's body, in bounds.
struct Messages {
    body: Body,
    framing: Framing,
    /// What has come and is not looked at yet.
    input: Bytes,
    refusals: Refusals,
    over: bool,
}

impl http_body::Body for Messages {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let mut steps = 0;
        while !this.over {
            match this.framing.step(&mut this.input) {
                Ok(Some(Passed::Bytes(bytes))) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Ok(Some(Passed::Refused(number, status))) => this.refusals.push(number, status),
                Ok(None) if !this.input.is_empty() => {
                    steps += 1;
                    if steps == STEPS_A_POLL {
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                Ok(None) => match std::task::ready!(Pin::new(&mut this.body).poll_frame(context)) {
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
