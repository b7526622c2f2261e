//! One call of `BatchClassify`: a stream of recordings in, their answers out as they are done.
//!
//! Recordings are read one by one, and no further than [`UNDER_WAY`] ahead of the answers, so that
//! HTTP/2's flow control stops a sender who is faster than we are. All that a call holds is in its
//! stream of answers: dropped with it when the caller goes away.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{Stream, stream};
use tokio::task::{self, JoinError, JoinSet};
use tonic::{Code, Status, Streaming};

use super::call_log::CallFacts;
use super::pb::batch_classify_response::Result as Outcome;
use super::pb::{BatchClassifyRequest, BatchClassifyResponse, ClassifyResponse};
use super::refusals::Refusals;
use super::status::{self, invalid};
use super::{deadline, messages};
use crate::engine::{Caller, Classification, Engine, EngineError};

/// Recordings of one stream that are decoded, wait or run at a time.
const UNDER_WAY: usize = 16;
/// Longest id, in bytes: it is held, and sent back, for as long as its recording takes.
const LONGEST_ID: usize = 256;
/// Shortest pause before a recording that found the server busy is tried again. It doubles with
/// each try, for a try may decode the recording anew, up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The answers to a call, as tonic takes them.
pub(super) type Answers = Pin<Box<dyn Stream<Item = Result<BatchClassifyResponse, Status>> + Send>>;

/// Judges what comes in.
pub(super) fn answers(
    engine: Arc<Engine>,
    caller: Caller,
    (incoming, refusals): (Streaming<BatchClassifyRequest>, Refusals),
    facts: CallFacts,
) -> Answers {
    let batch = Batch {
        engine,
        caller,
        incoming,
        refusals,
        facts,
        read: 0,
        over: None,
        under_way: JoinSet::new(),
        ids: HashMap::new(),
        ended: false,
    };
    let next = |mut batch: Batch| async { Some((batch.next().await?, batch)) };
    Box::pin(stream::unfold(batch, next))
}

/// A call under way.
struct Batch {
    engine: Arc<Engine>,
    /// Who calls; its deadline is the whole stream's.
    caller: Caller,
    incoming: Streaming<BatchClassifyRequest>,
    /// Which of them were refused on their way.
    refusals: Refusals,
    /// What the call's log line tells.
    facts: CallFacts,
    /// Messages read so far.
    read: u64,
    /// How the incoming stream ended, once it has.
    over: Option<Result<(), Status>>,
    /// Tasks, and not futures that are polled with the stream: a caller who does not read answers
    /// must not hold places and decoded audio meanwhile.
    under_way: JoinSet<Result<ClassifyResponse, Status>>,
    /// The id of each, kept here so that one that panics is still answered.
    ids: HashMap<task::Id, String>,
    /// Whether the stream of answers has ended.
    ended: bool,
}

impl Batch {
    /// The next answer, or how the stream ends. Not cancelled but with all of the call.
    async fn next(&mut self) -> Option<Result<BatchClassifyResponse, Status>> {
        if self.ended {
            return None;
        }
        loop {
            if self.under_way.is_empty()
                && let Some(over) = self.over.take()
            {
                return self.end(over);
            }
            let reads = self.over.is_none()
                && self.under_way.len() < UNDER_WAY
                && !self.engine.is_draining();
            tokio::select! {
                // Reading is bounded and cheap; so it comes before answers, and keeps us busy.
                biased;
                () = reached(self.caller.deadline) => return self.end(Err(deadline::exceeded())),
                // Nobody keeps the server, by an open stream or by sending more and more.
                () = self.engine.draining(), if reads || self.under_way.is_empty() => {
                    if self.under_way.is_empty() {
                        return self.end(Err(status::of(EngineError::Draining)));
                    }
                }
                message = self.incoming.message(), if reads => match message {
                    Ok(Some(item)) => self.begin(item),
                    Ok(None) => self.over = Some(Ok(())),
                    Err(status) => self.over = Some(Err(status)),
                },
                Some(ended) = self.under_way.join_next_with_id() => {
                    return Some(Ok(self.answer(ended)));
                }
            }
        }
    }

    fn begin(&mut self, mut item: BatchClassifyRequest) {
        let refused = self.refusals.take(self.read);
        let (number, facts) = (self.read, self.facts.clone());
        self.read += 1;
        let id = std::mem::take(&mut item.id);
        let (engine, caller) = (Arc::clone(&self.engine), self.caller.clone());
        let too_long = id.len() > LONGEST_ID;
        let task = self.under_way.spawn(async move {
            let timed = item.request.as_ref().is_some_and(messages::wants_timing);
            let answer = match refused {
                Some(refused) => Err(refused),
                None if too_long => {
                    let message = format!("an id may have {LONGEST_ID} bytes");
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

    fn answer(
        &mut self,
        ended: Result<(task::Id, Result<ClassifyResponse, Status>), JoinError>,
    ) -> BatchClassifyResponse {
        let (task, answer) = ended.unwrap_or_else(|error| {
            let message = format!("a request's work panicked: {error}");
            (error.id(), Err(status::of(EngineError::Internal(message))))
        });
        BatchClassifyResponse {
            id: self.ids.remove(&task).unwrap_or_default(),
            result: Some(match answer {
                Ok(response) => Outcome::Response(response),
                Err(status) => Outcome::Error(status::item(&status)),
            }),
        }
    }

    /// Ends the stream of answers, and what is still under way.
    fn end(&mut self, over: Result<(), Status>) -> Option<Result<BatchClassifyResponse, Status>> {
        self.under_way.abort_all();
        self.ended = true;
        over.err().map(Err)
    }
}

async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Judges one recording; while the server is busy it is tried again, if the deadline allows.
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
            // It would wait out the grace, and lose the answers of the stream's other items.
            () = engine.draining() => return Err(status::of(EngineError::Draining)),
        }
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}
