//! The outermost layer: a log line and the metrics of each call, from the arrival of its head to the end of
//! its answer, with the code that its caller reads.

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

use super::around::{self, Around, Inner};
use super::budget::Charges;
use super::status;
use crate::engine::{Classification, TenantId};
use crate::telemetry::calls::{self, Call, Facts};
use crate::telemetry::requests::InFlight;

/// What is learnt of a call on its way, beside it in the request's extensions. Clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct CallFacts {
    id: u64,
    facts: Arc<Mutex<Facts>>,
    /// What its compressed messages are charged, until their recordings are answered or the call has ended.
    inflated: Charges,
}

impl CallFacts {
    /// Those of a request; of a call within this process nobody asks for them.
    pub(super) fn of<T>(request: &tonic::Request<T>) -> Self {
        let facts = request.extensions().get::<Self>();
        facts.cloned().unwrap_or_default()
    }

    /// What its compressed messages are charged.
    pub(super) fn inflated(&self) -> &Charges {
        &self.inflated
    }

    /// Whose call it is.
    pub(super) fn tenant(&self, tenant: &TenantId) {
        self.change(|facts| facts.tenant = tenant.0.to_string());
    }

    /// The call's only recording has ended, with an answer if all went well. Its message is no longer charged.
    pub(super) fn recording(&self, answer: Option<&Classification>) {
        self.ended(0, answer);
    }

    /// A recording of a stream has ended; also logs it. Its message is no longer charged.
    pub(super) fn recording_of_many(
        &self,
        number: u64,
        code: Code,
        answer: Option<&Classification>,
    ) {
        let facts = self.ended(number, answer);
        calls::recording(self.id, number, status::name(code), &facts);
    }

    /// A recording has ended, by the number of its message.
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

impl Around for LogCalls {
    fn call<S: Inner>(
        &self,
        mut request: http::Request<Body>,
        inner: &mut S,
    ) -> around::Answer<S::Error> {
        let mut record = Record::new(request.uri().path(), request.extensions());
        request.extensions_mut().insert(record.facts.clone());
        let answer = inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            // An error without an answer has its status here.
            record.saw(response.headers());
            Ok(response.map(|body| Body::new(Logged { body, record })))
        })
    }
}

/// A call under way. It has ended once it has a status; dropped before, its caller has gone away.
struct Record {
    begun: Instant,
    peer: Option<std::net::SocketAddr>,
    method: Method,
    /// Counts a call of our own methods; none once it has ended.
    in_flight: Option<InFlight>,
    /// Its code, once it has ended.
    ended: Option<Code>,
    facts: CallFacts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// One of our own.
    Ours(&'static str),
    /// One that nobody offers.
    Unknown,
    /// One that asks for what is served, and whether it is.
    Probe(&'static str),
}

impl Method {
    /// The path is the caller's word, and may be any.
    fn of(path: &str) -> Self {
        match path {
            "/undertone.v1.EmotionService/Classify" => Self::Ours("Classify"),
            "/undertone.v1.EmotionService/BatchClassify" => Self::Ours("BatchClassify"),
            "/undertone.v1.EmotionService/GetModel" => Self::Ours("GetModel"),
            "/grpc.health.v1.Health/Check" => Self::Probe("Health.Check"),
            "/grpc.health.v1.Health/Watch" => Self::Probe("Health.Watch"),
            path if path.ends_with("/ServerReflectionInfo") => Self::Probe("ServerReflectionInfo"),
            _ => Self::Unknown,
        }
    }
}

impl Record {
    fn new(path: &str, extensions: &Extensions) -> Self {
        static CALLS: AtomicU64 = AtomicU64::new(1);
        let peer = extensions.get::<TcpConnectInfo>();
        let method = Method::of(path);
        let in_flight = match method {
            Method::Ours(method) => Some(InFlight::new(method)),
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

    /// Ends with the status of headers or trailers that have one.
    fn saw(&mut self, headers: &HeaderMap) {
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
            Method::Ours(method) => calls::ended(&call(method)),
            Method::Unknown => calls::ended(&call("unknown")),
            Method::Probe(method) => calls::probed(&call(method)),
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// An answer's body, whose end has the status: trailers, or the error with which it breaks off.
struct Logged {
    body: Body,
    record: Record,
}

impl http_body::Body for Logged {
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
                    self.record.saw(trailers);
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
    async fn an_answer_that_breaks_off_has_the_code_of_its_error() {
        let trailers = HeaderMap::from_iter([(Status::GRPC_STATUS, "8".parse().unwrap())]);
        for (last, code) in [
            (Ok(Frame::trailers(trailers)), Code::ResourceExhausted),
            (Err(Status::internal("broken")), Code::Internal),
            (Err(Status::unavailable("gone")), Code::Unavailable),
        ] {
            let first = Ok(Frame::data(Bytes::from_static(b"answer")));
            let body = StreamBody::new(stream::iter([first, last]));
            let mut logged = Logged {
                body: Body::new(body),
                record: Record::new("/undertone.v1.EmotionService/Classify", &Extensions::new()),
            };
            assert!(logged.frame().await.unwrap().unwrap().is_data());
            assert_eq!(logged.record.ended, None);
            let _ = logged.frame().await.unwrap();
            assert_eq!(logged.record.ended, Some(code));
        }
    }
}
