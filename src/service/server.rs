//! The gRPC server: its services, its connections, its stack of layers and its shutdown.

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

/// A connection to a peer that has disappeared is closed after at most interval + timeout.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest HTTP/2 frame in bytes. The protocol's default of 16 KiB would cut an utterance into several frames, each
/// with a read and a buffer of its own on both sides.
const FRAME: u32 = 64 << 10;
/// Concurrent streams of one connection. A caller that needs more opens another connection.
const STREAMS_PER_CONNECTION: u32 = 256;

/// Serves until `stop` completes and all requests under way have ended, or until `cut` completes. Recordings may have
/// `largest_audio` bytes.
///
/// Health and reflection answer from the start. The methods of `emotion` return UNAVAILABLE while `readiness` is
/// loading. When `stop` completes, health reports NOT_SERVING and `readiness` drains.
///
/// # Errors
/// [`ServerError::Transport`] and [`ServerError::Reflection`].
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
    // `BoundMessages` enforces the limit on messages, with an error message that names the flag.
    let service = EmotionServiceServer::new(emotion.clone()).max_decoding_message_size(usize::MAX);
    let stopping = async {
        stop.await;
        readiness.drain();
        health.clone().end().await;
        if let Ok(engine) = emotion.engine() {
            engine.drain();
        }
    };
    // The socket's file is removed when this function returns.
    let (connections, _file) = listener.into_connections();
    let serving = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_frame_size(Some(FRAME))
        .max_concurrent_streams(Some(STREAMS_PER_CONNECTION))
        // Outermost, so that each call is logged and counted, however it ends.
        .layer(InterceptLayer(LogCalls))
        // Second, so that the deadline counts from the arrival of the call's headers.
        .layer(InterceptLayer(KeepDeadline))
        // Outside the layers that read request bodies, so that no body is read while the model is loading.
        .layer(InterceptLayer(RefuseWhileLoading(readiness.clone())))
        // Outside the layers that produce responses. The errors of the layers above contain nothing to compress.
        .layer(InterceptLayer(CompressAnswers))
        // Innermost, next to the transport's decoder, which must receive decompressed messages within their limit.
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
