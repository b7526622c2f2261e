//! A caller's deadline (`grpc-timeout`), read once when the headers of the call arrive.
//!
//! The transport also enforces the deadline, but it answers CANCELLED. This layer is inside the transport's and ends at
//! the same time, so the caller receives its DEADLINE_EXCEEDED.

use std::time::{Duration, Instant};

use http::HeaderMap;
use tonic::body::Body;
use tonic::{Request, Status};

use super::intercept::{AnswerFuture, InnerService, Intercept};
use crate::telemetry::batches;

/// The deadline in a request's extensions.
#[derive(Clone, Copy, Debug)]
struct Deadline(Instant);

/// Returns the deadline of a call, if it has one.
pub(super) fn of<T>(request: &Request<T>) -> Option<Instant> {
    request
        .extensions()
        .get::<Deadline>()
        .map(|deadline| deadline.0)
}

/// Returns the status of a call that was not answered by its deadline, and counts the call.
pub(super) fn exceeded() -> Status {
    batches::expired("answer");
    Status::deadline_exceeded("the deadline passed before the response was ready")
}

/// Answers DEADLINE_EXCEEDED if the headers of the response are not ready at the call's deadline. A stream of responses
/// checks the deadline itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeepDeadline;

impl Intercept for KeepDeadline {
    fn call<S: InnerService>(
        &self,
        mut request: http::Request<Body>,
        inner: &mut S,
    ) -> AnswerFuture<S::Error> {
        let timeout = timeout(request.headers());
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        if let Some(deadline) = deadline {
            request.extensions_mut().insert(Deadline(deadline));
        }
        let answer = inner.call(request);
        Box::pin(async move {
            let Some(deadline) = deadline else {
                return answer.await;
            };
            tokio::select! {
                biased;
                answer = answer => answer,
                () = tokio::time::sleep_until(deadline.into()) => {
                    Ok(exceeded().into_http())
                }
            }
        })
    }
}

/// Parses `grpc-timeout`: up to eight digits and a unit. The transport refuses a value that is not valid.
pub(super) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let amount = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(3_600).saturating_mul(amount),
        "M" => Duration::from_secs(60).saturating_mul(amount),
        "S" => Duration::from_secs(amount.into()),
        "m" => Duration::from_millis(amount.into()),
        "u" => Duration::from_micros(amount.into()),
        "n" => Duration::from_nanos(amount.into()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_parsed_as_the_grpc_specification_states() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", value.parse().unwrap());
            timeout(&headers)
        };
        assert_eq!(read("100000u"), Some(Duration::from_millis(100)));
        assert_eq!(read("3S"), Some(Duration::from_secs(3)));
        assert_eq!(
            read("99999999H"),
            Some(Duration::from_secs(3_600) * 99_999_999)
        );
        for value in ["", "S", "123456789S", "1x", "-1S", "1.5S"] {
            assert_eq!(read(value), None, "{value}");
        }
    }
}
