//! The gRPC server: what it offers, how connections are kept, how it stops.

use std::future::Future;
use std::time::Duration;

use tonic::transport::Server;

use super::bounded_messages::BoundMessages;
use super::call_log::LogCalls;
use super::compress_answers::CompressAnswers;
use super::deadline::KeepDeadline;
use super::emotion::EmotionApi;
use super::error::ServerError;
use super::health::Health;
use super::intercept::InterceptLayer;
use super::listener::Listener;
use super::loading::RefuseWhileLoading;
use super::pb::{self, emotion_service_server::EmotionServiceServer};
use crate::telemetry::readiness::Readiness;

/// A dead peer is noticed within keepalive interval + timeout.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of a frame: the protocol's own 16 KiB cut an utterance into several, each with a read and a buffer
/// of its own on both sides.
const FRAME: u32 = 64 << 10;
/// Streams of one connection; a caller who wants more opens another.
const STREAMS_PER_CONNECTION: u32 = 256;

/// Serves until `stop` is ready, then lets requests under way end, or until `cut` is ready. Recordings
/// may have `largest_audio` bytes.
///
/// Health and reflection answer at once. While `readiness` says that the model is being loaded, the methods
/// of `emotion` are UNAVAILABLE. Health and readiness end with `stop`.
///
/// # Errors
/// [`ServerError`].
pub async fn run(
    listener: Listener,
    emotion: EmotionApi,
    largest_audio: usize,
    health: Health,
    readiness: Readiness,
    stop: impl Future<Output = ()>,
    cut: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // The layer of messages has its bound, and better words.
    let service = EmotionServiceServer::new(emotion.clone()).max_decoding_message_size(usize::MAX);
    let stopping = async {
        stop.await;
        readiness.drain();
        health.clone().end().await;
        if let Ok(engine) = emotion.engine() {
            engine.drain();
        }
    };
    let (connections, _file) = listener.into_connections();
    let serving = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_frame_size(Some(FRAME))
        .max_concurrent_streams(Some(STREAMS_PER_CONNECTION))
        // Outermost, so that no call goes without its line.
        .layer(InterceptLayer(LogCalls))
        // Next, so that the deadline counts from the arrival of a call's head.
        .layer(InterceptLayer(KeepDeadline))
        // Above all that reads a body: nothing is read for a model that is not there.
        .layer(InterceptLayer(RefuseWhileLoading(readiness.clone())))
        // Above what makes answers; errors of the layers above have nothing to compress.
        .layer(InterceptLayer(CompressAnswers))
        // Next to the decoder, which must get no message that is out of bounds or compressed.
        .layer(InterceptLayer(BoundMessages::new(largest_audio)))
        .add_service(health.service())
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(service)
        .serve_with_incoming_shutdown(connections, stopping);
    tokio::select! {
        served = serving => Ok(served?),
        () = cut => Ok(()),
    }
}
