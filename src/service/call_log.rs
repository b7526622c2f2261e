//! The outermost layer: the log line and the metrics of each call, from the arrival of its headers to the end of its
//! response, with the status code that the caller receives.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::{Extensions, HeaderMap};
use http_body::Frame;
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tonic::{Code, Status};

use super::budget::Charges;
use super::intercept::{AnswerFuture, InnerService, Intercept};
use super::status;
use crate::engine::{Classification, TenantId};
use crate::telemetry::calls::{self, Call, Facts};
use crate::telemetry::requests::InFlight;

/// The facts about a call that other layers and methods collect, in the request's extensions. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct CallFacts {
    id: u64,
    facts: Arc<Mutex<Facts>>,
    /// The charges of its compressed messages, until their recordings are answered or the call ends.
    inflated: Charges,
}

impl CallFacts {
    /// Returns the facts of a request. A call within this process has none and gets a value that nobody reads.
    pub(super) fn of<T>(request: &tonic::Request<T>) -> Self {
        let facts = request.extensions().get::<Self>();
        facts.cloned().unwrap_or_default()
    }

    /// Returns the charges of the call's compressed messages.
    pub(super) fn inflated(&self) -> &Charges {
        &self.inflated
    }

    /// Sets the tenant of the call.
    pub(super) fn tenant(&self, tenant: &TenantId) {
        self.change(|facts| facts.tenant = tenant.0.to_string());
    }

    /// Adds the only recording of the call, with its answer unless it failed. Gives back the charge of its message.
    pub(super) fn recording(&self, answer: Option<&Classification>) {
        self.ended(0, answer);
    }

    /// Adds and logs one recording of a stream. Gives back the charge of its message.
    pub(super) fn recording_of_many(
        &self,
        number: u64,
        code: Code,
        answer: Option<&Classification>,
    ) {
        let facts = self.ended(number, answer);
        calls::recording(self.id, number, status::name(code), &facts);
    }

    /// Adds a recording by the number of its message, and returns its facts.
    fn ended(&self, number: u64, answer: Option<&Classification>) -> Facts {
        self.inflated.give_back(number);
        let mut one = Facts {
            recordings: 1,
            ..Facts::default()
        };
        if let Some(answer) = answer {
            one.audio = answer.duration;
            one.decode = answer.timing.decode;
            one.queue = answer.timing.spent.queue;
            one.device = answer.timing.spent.device;
        }
        self.change(|all| {
            all.recordings += 1;
            all.audio += one.audio;
            all.decode += one.decode;
            all.queue += one.queue;
            all.device += one.device;
        });
        one
    }

    fn change(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.facts.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Logs and counts calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogCalls;

impl Intercept for LogCalls {
    fn call<S: InnerService>(
        &self,
        mut request: http::Request<Body>,
        inner: &mut S,
    ) -> AnswerFuture<S::Error> {
        let mut record = CallRecord::new(request.uri().path(), request.extensions());
        request.extensions_mut().insert(record.facts.clone());
        let answer = inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            // An error without a response message has its status in the headers.
            record.observe(response.headers());
            Ok(response.map(|body| Body::new(LoggedBody { body, record })))
        })
    }
}

/// A call under way. It ends when its status is known. If it is dropped before, its caller has gone away.
struct CallRecord {
    begun: Instant,
    peer: Option<std::net::SocketAddr>,
    method: Method,
    /// Counts a call of `EmotionService` as in flight. `None` after its end.
    in_flight: Option<InFlight>,
    /// The status code, after the call's end.
    ended: Option<Code>,
    facts: CallFacts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// A method of `EmotionService`.
    Own(&'static str),
    /// A method that the server does not have.
    Unknown,
    /// Health checking or reflection.
    Probe(&'static str),
}

impl Method {
    /// Returns the method of a path. The caller may send any path, so only known names reach logs and metrics.
    fn of(path: &str) -> Self {
        match path {
            "/undertone.v1.EmotionService/Classify" => Self::Own("Classify"),
            "/undertone.v1.EmotionService/BatchClassify" => Self::Own("BatchClassify"),
            "/undertone.v1.EmotionService/GetModel" => Self::Own("GetModel"),
            "/grpc.health.v1.Health/Check" => Self::Probe("Health.Check"),
            "/grpc.health.v1.Health/Watch" => Self::Probe("Health.Watch"),
            path if path.ends_with("/ServerReflectionInfo") => Self::Probe("ServerReflectionInfo"),
            _ => Self::Unknown,
        }
    }
}

impl CallRecord {
    fn new(path: &str, extensions: &Extensions) -> Self {
        static CALLS: AtomicU64 = AtomicU64::new(1);
        let peer = extensions.get::<TcpConnectInfo>();
        let method = Method::of(path);
        let in_flight = match method {
            Method::Own(method) => Some(InFlight::new(method)),
            Method::Probe(_) | Method::Unknown => None,
        };
        Self {
            begun: Instant::now(),
            peer: peer.and_then(TcpConnectInfo::remote_addr),
            method,
            in_flight,
            ended: None,
            facts: CallFacts {
                id: CALLS.fetch_add(1, Ordering::Relaxed),
                facts: Arc::default(),
                inflated: Charges::default(),
            },
        }
    }

    /// Ends the call if headers or trailers contain a status.
    fn observe(&mut self, headers: &HeaderMap) {
        if let Some(code) = headers.get(Status::GRPC_STATUS) {
            self.end(Code::from_bytes(code.as_bytes()));
        }
    }

    fn end(&mut self, code: Code) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(code);
        let code = status::name(code);
        if let Some(in_flight) = self.in_flight.take() {
            in_flight.answered(code);
        }
        let facts = self.facts.facts.lock();
        let facts = std::mem::take(&mut *facts.unwrap_or_else(PoisonError::into_inner));
        let call = |method| Call {
            id: self.facts.id,
            peer: self.peer,
            method,
            code,
            total: self.begun.elapsed(),
            facts,
        };
        match self.method {
            Method::Own(method) => calls::ended(&call(method)),
            Method::Unknown => calls::ended(&call("unknown")),
            Method::Probe(method) => calls::probed(&call(method)),
        }
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// A response's body. The status is in its trailers, or in the error with which it ends early.
struct LoggedBody {
    body: Body,
    record: CallRecord,
}

impl http_body::Body for LoggedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.record.observe(trailers);
                }
            }
            Some(Err(status)) => self.record.end(status.code()),
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;
    use crate::service::budget::Budget;

    #[test]
    fn a_message_is_charged_until_its_recording_has_ended() {
        let facts = CallFacts::default();
        let budget = Budget::of_bytes(1);
        let all = budget.left();
        for number in [0, 3] {
            let mut charge = budget.charge();
            assert!(charge.cover(1));
            facts.inflated().push(number, charge);
            facts.recording_of_many(number + 1, Code::Ok, None);
            assert_eq!(budget.left(), 0);
            match number {
                0 => facts.recording(None),
                _ => facts.recording_of_many(number, Code::Cancelled, None),
            }
            assert_eq!(budget.left(), all);
        }
    }

    #[tokio::test]
    async fn a_response_that_ends_early_has_the_code_of_its_error() {
        let trailers = HeaderMap::from_iter([(Status::GRPC_STATUS, "8".parse().unwrap())]);
        for (last, code) in [
            (Ok(Frame::trailers(trailers)), Code::ResourceExhausted),
            (Err(Status::internal("broken")), Code::Internal),
            (Err(Status::unavailable("gone")), Code::Unavailable),
        ] {
            let first = Ok(Frame::data(Bytes::from_static(b"answer")));
            let body = StreamBody::new(stream::iter([first, last]));
            let mut logged = LoggedBody {
                body: Body::new(body),
                record: CallRecord::new(
                    "/undertone.v1.EmotionService/Classify",
                    &Extensions::new(),
                ),
            };
            assert!(logged.frame().await.unwrap().unwrap().is_data());
            assert_eq!(logged.record.ended, None);
            let _ = logged.frame().await.unwrap();
            assert_eq!(logged.record.ended, Some(code));
        }
    }
}
