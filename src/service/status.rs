//! The table from errors to gRPC statuses.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::audio::AudioError;
use crate::engine::EngineError;

/// Delay after which to retry a compressed message for which there was no memory. It is about the time that the server
/// needs for a recording that is large enough to fill the memory.
const INFLATED_RETRY: Duration = Duration::from_secs(1);
/// The metadata from which gRPC's own retry policies read the delay, in milliseconds.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// Returns the status for an error of the engine.
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
        EngineError::Busy { retry_after, .. } => busy(message, retry_after),
        EngineError::File(_) => Status::failed_precondition(message),
        EngineError::Late { .. } => Status::deadline_exceeded(message),
        EngineError::TooMuch(_) => Status::out_of_range(message),
        EngineError::Draining => Status::unavailable(message),
        EngineError::Cancelled => Status::cancelled(message),
        EngineError::Internal(_) => fault(&message),
    }
}

/// Returns RESOURCE_EXHAUSTED with the time after which to retry.
pub(super) fn busy(message: String, retry_after: Duration) -> Status {
    let details = ErrorDetails::with_retry_info(Some(retry_after));
    let mut status = Status::with_error_details(Code::ResourceExhausted, message, details);
    let pushback = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
    status
        .metadata_mut()
        .insert(PUSHBACK, MetadataValue::from(pushback));
    status
}

/// Returns the flag of the limit that the audio exceeds.
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

/// Returns OUT_OF_RANGE for a recording of too many bytes.
pub(super) fn too_many_bytes(bytes: usize, limit: usize) -> Status {
    let over = bytes.saturating_sub(limit);
    let error = AudioError::TooLarge { bytes, limit };
    Status::out_of_range(format!(
        "{error} ({over} too many; the server's --{AUDIO_BYTES_FLAG})"
    ))
}

/// Returns OUT_OF_RANGE for a message that is larger than a recording of `limit` bytes and its `overhead`. `bytes` is
/// `None` for a compressed message, which is not decompressed to its end.
pub(super) fn message_too_large(bytes: Option<usize>, limit: usize, overhead: usize) -> Status {
    let most = limit.saturating_add(overhead);
    let size = size(bytes, most);
    Status::out_of_range(format!(
        "the message has {size}; at most {most} are accepted: {limit} bytes of audio (the server's \
         --{AUDIO_BYTES_FLAG}) and {overhead} bytes of other fields"
    ))
}

/// Returns OUT_OF_RANGE for a message without a recording.
pub(super) fn small_message_too_large(bytes: Option<usize>, most: usize) -> Status {
    let size = size(bytes, most);
    Status::out_of_range(format!(
        "the message has {size}; this method accepts at most {most}"
    ))
}

/// Returns RESOURCE_EXHAUSTED for a compressed message for which the memory budget of all messages has too little
/// left.
pub(super) fn too_much_inflated() -> Status {
    let message = format!(
        "busy: decompressed messages use all of their memory budget; a message that is not compressed \
         needs none of it; try again in {} ms",
        INFLATED_RETRY.as_millis()
    );
    busy(message, INFLATED_RETRY)
}

fn size(bytes: Option<usize>, most: usize) -> String {
    match bytes {
        Some(bytes) => format!("{bytes} bytes, {} too many", bytes.saturating_sub(most)),
        None => format!("more than {most} bytes after decompression"),
    }
}

/// Returns the status of a call while the model is loading.
pub(super) fn loading() -> Status {
    Status::unavailable("the model is being loaded and warmed up; try again in a second")
}

/// Returns INTERNAL for a fault of the server, and logs the fault under an id that the caller can quote.
fn fault(message: &str) -> Status {
    let id = fault_id();
    tracing::error!(
        error = message,
        id,
        "a request failed because of a fault of the server"
    );
    Status::internal(format!(
        "{message} (a fault of the server; quote {id} in a report)"
    ))
}

/// Returns an id that is unique in this process and very likely unique among processes.
fn fault_id() -> String {
    static FAULTS: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let number = FAULTS.fetch_add(1, Ordering::Relaxed);
    format!("{:x}-{}-{number}", now.as_millis(), std::process::id())
}

/// Returns INVALID_ARGUMENT with the path of the field in the request.
pub(super) fn invalid(field: &str, message: impl Into<String>) -> Status {
    let message = message.into();
    let details = ErrorDetails::with_bad_request_violation(field, message.as_str());
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// Returns the name of a code as the gRPC specification spells it.
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
    use crate::engine::{InternalError, Refusal};

    fn full(retry_after: Duration) -> EngineError {
        let refusal = Refusal::Jobs {
            most: 1,
            drain: retry_after,
        };
        refusal.into()
    }

    #[test]
    fn each_error_has_its_code_and_keeps_its_message() {
        let busy = full(Duration::from_millis(70));
        let too_much = Refusal::TooManyBytes { needs: 2, most: 1 };
        for (error, code) in [
            (EngineError::Audio(AudioError::Empty), Code::InvalidArgument),
            (
                AudioError::TooLarge { bytes: 2, limit: 1 }.into(),
                Code::OutOfRange,
            ),
            (busy, Code::ResourceExhausted),
            (EngineError::Late { alone: None }, Code::DeadlineExceeded),
            (EngineError::TooMuch(too_much), Code::OutOfRange),
            (EngineError::Draining, Code::Unavailable),
            (EngineError::Cancelled, Code::Cancelled),
            (AudioError::Stopped.into(), Code::Cancelled),
            (InternalError::NotFinite.into(), Code::Internal),
        ] {
            let message = error.to_string();
            let status = of(error);
            assert_eq!(status.code(), code);
            assert!(status.message().starts_with(&message));
        }
    }

    #[test]
    fn a_refusal_states_its_retry_delay_in_details_and_metadata() {
        let retry_after = Duration::from_millis(70);
        let status = of(full(retry_after));
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
