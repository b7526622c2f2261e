//! One call of `BatchClassify`: a stream of recordings in, a stream of responses out in the order of completion.
//!
//! At most [`MAX_UNDER_WAY`] recordings are read ahead of the responses, so that HTTP/2's flow control stops a sender
//! that is faster than the server. The stream of responses owns everything that the call holds. If the caller goes away,
//! the stream is dropped and its work ends.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{Stream, stream};
use tokio::task::{self, JoinError, JoinSet};
use tonic::{Code, Status, Streaming};

use super::call_log::CallFacts;
use super::pb::batch_classify_response::Result as BatchResult;
use super::pb::{BatchClassifyRequest, BatchClassifyResponse, ClassifyResponse};
use super::refused_messages::RefusedMessages;
use super::status::{self, invalid};
use super::{deadline, messages};
use crate::engine::{Caller, Classification, Engine, EngineError, InternalError};

/// Recordings of one stream that are decoded, wait for the device or run on it at a time.
const MAX_UNDER_WAY: usize = 16;
/// Longest id in bytes. An id is kept while its recording is under way, and is returned with the response.
const LONGEST_ID: usize = 256;
/// Shortest pause before a recording is retried because the server was busy. The pause doubles with each try up to the
/// longest, because each try may decode the recording again.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The responses of a call, as tonic requires them.
pub(super) type AnswerStream =
    Pin<Box<dyn Stream<Item = Result<BatchClassifyResponse, Status>> + Send>>;

/// Returns the responses to a stream of requests.
pub(super) fn answers(
    engine: Arc<Engine>,
    caller: Caller,
    incoming: Streaming<BatchClassifyRequest>,
    refusals: RefusedMessages,
    facts: CallFacts,
) -> AnswerStream {
    let stream = BatchStream {
        engine,
        caller,
        incoming,
        refusals,
        facts,
        read: 0,
        input_end: None,
        under_way: JoinSet::new(),
        ids: HashMap::new(),
        ended: false,
    };
    let next = |mut stream: BatchStream| async { Some((stream.next().await?, stream)) };
    Box::pin(stream::unfold(stream, next))
}

/// The state of a call.
struct BatchStream {
    engine: Arc<Engine>,
    /// The caller. Its deadline is that of the whole stream.
    caller: Caller,
    incoming: Streaming<BatchClassifyRequest>,
    /// The messages that were refused before they were decoded.
    refusals: RefusedMessages,
    /// The facts for the call's log line.
    facts: CallFacts,
    /// Number of messages that have been read.
    read: u64,
    /// How the incoming stream ended. `None` while it is open.
    input_end: Option<Result<(), Status>>,
    /// The recordings under way. They are tasks and not futures that are polled with the stream, because they must
    /// finish and free their memory even if the caller does not read responses.
    under_way: JoinSet<Result<ClassifyResponse, Status>>,
    /// The id of each task's request. It is kept here so that a task that panics still gets a response.
    ids: HashMap<task::Id, String>,
    /// Whether the stream of responses has ended.
    ended: bool,
}

impl BatchStream {
    /// Returns the next response, or the error with which the stream ends. `None` is the end without an error.
    ///
    /// This future is dropped only together with the whole call.
    async fn next(&mut self) -> Option<Result<BatchClassifyResponse, Status>> {
        if self.ended {
            return None;
        }
        loop {
            if self.under_way.is_empty()
                && let Some(end) = self.input_end.take()
            {
                return self.end(end);
            }
            let reads = self.input_end.is_none()
                && self.under_way.len() < MAX_UNDER_WAY
                && !self.engine.is_draining();
            tokio::select! {
                // Reading comes before responses, because it is bounded and cheap and supplies the device with work.
                biased;
                () = reached(self.caller.deadline) => return self.end(Err(deadline::exceeded())),
                // During shutdown nothing more is read, so that no open stream can keep the server running.
                () = self.engine.draining(), if reads || self.under_way.is_empty() => {
                    if self.under_way.is_empty() {
                        return self.end(Err(status::of(EngineError::Draining)));
                    }
                }
                message = self.incoming.message(), if reads => match message {
                    Ok(Some(item)) => self.begin(item),
                    Ok(None) => self.input_end = Some(Ok(())),
                    Err(status) => self.input_end = Some(Err(status)),
                },
                Some(ended) = self.under_way.join_next_with_id() => {
                    return Some(Ok(self.answer(ended)));
                }
            }
        }
    }

    /// Starts to classify a recording.
    fn begin(&mut self, mut item: BatchClassifyRequest) {
        let refusal = self.refusals.take(self.read);
        let (number, facts) = (self.read, self.facts.clone());
        self.read += 1;
        let id = std::mem::take(&mut item.id);
        let (engine, caller) = (Arc::clone(&self.engine), self.caller.clone());
        let too_long = id.len() > LONGEST_ID;
        let task = self.under_way.spawn(async move {
            let timed = item.request.as_ref().is_some_and(messages::wants_timing);
            let answer = match refusal {
                Some(refusal) => Err(refusal),
                None if too_long => {
                    let message =
                        format!("the id is longer than {LONGEST_ID} bytes; use a shorter one");
                    Err(invalid("id", message))
                }
                None => classify_request(&engine, item, caller).await,
            };
            let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
            facts.recording_of_many(number, code, answer.as_ref().ok());
            Ok(messages::response(&answer?, engine.manifest(), timed))
        });
        let id = id[..id.floor_char_boundary(LONGEST_ID)].to_owned();
        self.ids.insert(task.id(), id);
    }

    /// Returns the response of a task that has ended.
    fn answer(
        &mut self,
        ended: Result<(task::Id, Result<ClassifyResponse, Status>), JoinError>,
    ) -> BatchClassifyResponse {
        let (task, answer) = ended.unwrap_or_else(|error| {
            let task = error.id();
            (task, Err(status::of(InternalError::Task(error).into())))
        });
        BatchClassifyResponse {
            id: self.ids.remove(&task).unwrap_or_default(),
            result: Some(match answer {
                Ok(response) => BatchResult::Response(response),
                Err(status) => BatchResult::Error(messages::batch_error(&status)),
            }),
        }
    }

    /// Ends the stream of responses and the recordings under way.
    fn end(&mut self, end: Result<(), Status>) -> Option<Result<BatchClassifyResponse, Status>> {
        self.under_way.abort_all();
        self.ended = true;
        end.err().map(Err)
    }
}

/// Completes at a deadline, or never if there is none.
async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Classifies one recording. While the server is busy, it is retried as long as the deadline allows.
async fn classify_request(
    engine: &Engine,
    item: BatchClassifyRequest,
    caller: Caller,
) -> Result<Classification, Status> {
    let request = item.request.unwrap_or_default();
    let deadline = caller.deadline;
    let request = messages::request(request, engine.manifest(), caller)?;
    let mut pause = SHORTEST_PAUSE;
    loop {
        let error = match engine.classify(request.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let EngineError::Busy { retry_after, .. } = error else {
            return Err(status::of(error));
        };
        let again = Instant::now() + retry_after.max(pause);
        if deadline.is_some_and(|deadline| again >= deadline) {
            return Err(status::of(error));
        }
        tokio::select! {
            () = tokio::time::sleep_until(again.into()) => {}
            // Further waiting could last for the whole grace period, and the other responses of the stream would be
            // lost when the server ends.
            () = engine.draining() => return Err(status::of(EngineError::Draining)),
        }
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}
