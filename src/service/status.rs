//! The one table from what went wrong to a gRPC status.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::audio::AudioError;
use crate::engine::EngineError;

/// When to send a compressed message again for which there was no memory: about what a recording takes whose
/// message is large enough to fill it.
const INFLATED_RETRY: Duration = Duration::from_secs(1);
/// Metadata by which gRPC's own retry policies learn when to come back, in milliseconds.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// The status that a caller gets for an engine's error.
pub(super) fn of(error: EngineError) -> Status {
    let message = error.to_string();
    match error {
        EngineError::Audio(AudioError::TooLarge { bytes, limit }) => too_many_bytes(bytes, limit),
        EngineError::Audio(error) if error.is_limit() => match flag(&error) {
            Some(flag) => Status::out_of_range(format!("{message} (the server's --{flag})")),
            None => Status::out_of_range(message),
        },
        EngineError::Audio(AudioError::Resampler { .. } | AudioError::Thread(_)) => fault(&message),
        EngineError::Audio(AudioError::Stopped) => Status::cancelled(message),
        EngineError::Audio(AudioError::LaneOutOfRange { .. }) => {
            invalid("config.lanes.select", message)
        }
        EngineError::Audio(_) | EngineError::Frontend { .. } => invalid("audio", message),
        EngineError::Busy { retry_after, .. } => {
            let details = ErrorDetails::with_retry_info(Some(retry_after));
            let mut status = Status::with_error_details(Code::ResourceExhausted, message, details);
            let pushback = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
            status
                .metadata_mut()
                .insert(PUSHBACK, MetadataValue::from(pushback));
            status
        }
        EngineError::File(_) => Status::failed_precondition(message),
        EngineError::Late { .. } => Status::deadline_exceeded(message),
        EngineError::TooMuch(_) => Status::out_of_range(message),
        EngineError::Draining => Status::unavailable(message),
        EngineError::Cancelled => Status::cancelled(message),
        EngineError::Internal(_) => fault(&message),
    }
}

/// The flag that sets the limit which audio exceeds.
fn flag(error: &AudioError) -> Option<&'static str> {
    Some(match error {
        AudioError::TooLong { .. } => "max-audio-seconds",
        AudioError::TooMuchDecoded { .. } => "max-decoded-bytes",
        AudioError::Expands { .. } => "max-seconds-per-megabyte",
        AudioError::TooManyChannels { .. } => "max-channels",
        AudioError::Timeout { .. } => "max-decode-seconds",
        _ => return None,
    })
}

const AUDIO_BYTES_FLAG: &str = "max-audio-bytes";

/// OUT_OF_RANGE for a recording of too many bytes, whoever finds it.
pub(super) fn too_many_bytes(bytes: usize, limit: usize) -> Status {
    let over = bytes.saturating_sub(limit);
    let error = AudioError::TooLarge { bytes, limit };
    Status::out_of_range(format!(
        "{error} ({over} too many; the server's --{AUDIO_BYTES_FLAG})"
    ))
}

/// OUT_OF_RANGE for a message that is too large for any recording of `limit` bytes and its `overhead`. One
/// that was compressed is not inflated to find out how large it is.
pub(super) fn message_too_large(bytes: Option<usize>, limit: usize, overhead: usize) -> Status {
    let most = limit.saturating_add(overhead);
    let size = size(bytes, most);
    Status::out_of_range(format!(
        "the message has {size}; at most {most} are taken: audio of {limit} bytes (the server's \
         --{AUDIO_BYTES_FLAG}) and {overhead} beside it"
    ))
}

/// OUT_OF_RANGE for a message that holds no recording.
pub(super) fn small_message_too_large(bytes: Option<usize>, most: usize) -> Status {
    let size = size(bytes, most);
    Status::out_of_range(format!(
        "the message has {size}; at most {most} are taken by this method"
    ))
}

/// RESOURCE_EXHAUSTED for a message that was not inflated to its end, since messages under way hold all that they
/// may together.
pub(super) fn too_much_inflated() -> Status {
    of(EngineError::Busy {
        reason: "compressed messages under way hold as many inflated bytes as they may; one that is not \
                 compressed needs none of them"
            .into(),
        retry_after: INFLATED_RETRY,
    })
}

fn size(bytes: Option<usize>, most: usize) -> String {
    match bytes {
        Some(bytes) => format!("{bytes} bytes, {} too many", bytes.saturating_sub(most)),
        None => format!("more than {most} bytes once it is inflated"),
    }
}

/// The status of a call that comes before the model is there.
pub(super) fn loading() -> Status {
    Status::unavailable("the model is being loaded and warmed up; try again in a second")
}

/// A fault of ours is logged under an id that the caller can quote.
fn fault(message: &str) -> Status {
    let id = fault_id();
    tracing::error!(error = message, id, "request failed by a fault of ours");
    Status::internal(format!("{message} (a fault of the server's; quote {id})"))
}

/// Unlike any other of this process, and most likely of any other.
fn fault_id() -> String {
    static FAULTS: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let number = FAULTS.fetch_add(1, Ordering::Relaxed);
    format!("{:x}-{}-{number}", now.as_millis(), std::process::id())
}

/// INVALID_ARGUMENT that names the field by its path in the request.
pub(super) fn invalid(field: &str, message: impl Into<String>) -> Status {
    let message = message.into();
    let details = ErrorDetails::with_bad_request_violation(field, message.as_str());
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// A code as the gRPC specification spells it.
pub(super) fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_error_has_its_code_and_keeps_its_message() {
        let busy = EngineError::Busy {
            reason: "full".into(),
            retry_after: Duration::from_millis(70),
        };
        for (error, code) in [
            (EngineError::Audio(AudioError::Empty), Code::InvalidArgument),
            (
                AudioError::TooLarge { bytes: 2, limit: 1 }.into(),
                Code::OutOfRange,
            ),
            (busy, Code::ResourceExhausted),
            (EngineError::Late { alone: None }, Code::DeadlineExceeded),
            (EngineError::TooMuch("an hour".into()), Code::OutOfRange),
            (EngineError::Draining, Code::Unavailable),
            (EngineError::Cancelled, Code::Cancelled),
            (AudioError::Stopped.into(), Code::Cancelled),
            (EngineError::Internal("broken".into()), Code::Internal),
        ] {
            let message = error.to_string();
            let status = of(error);
            assert_eq!(status.code(), code);
            assert!(status.message().starts_with(&message));
        }
    }

    #[test]
    fn a_refusal_says_when_to_come_back_in_both_ways() {
        let retry_after = Duration::from_millis(70);
        let status = of(EngineError::Busy {
            reason: "full".into(),
            retry_after,
        });
        assert_eq!(status.metadata().get(PUSHBACK).unwrap(), "70");
        let info = status.get_details_retry_info().unwrap();
        assert_eq!(info.retry_delay, Some(retry_after));
    }

    #[test]
    fn an_invalid_argument_names_its_field() {
        let details = invalid("options.window", "too short")
            .get_details_bad_request()
            .unwrap();
        assert_eq!(details.field_violations[0].field, "options.window");
    }
}
