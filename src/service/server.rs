//! The gRPC server: what it offers, how connections are kept, how it stops.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tonic::server::NamedService as _;
use tonic::transport::Server;
use tonic_health::ServingStatus;

use super::Emotion;
use super::deadline::DeadlineLayer;
pub use super::listener::Listener;
use super::pb::{self, emotion_service_server::EmotionServiceServer};
use crate::engine::Engine;

/// A dead peer is noticed within keepalive interval + timeout.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of a frame: the protocol's own 16 KiB cut an utterance into several, each with a read and a buffer
/// of its own on both sides.
const FRAME: u32 = 64 << 10;
/// Streams of one connection; a caller who wants more opens another.
const STREAMS_PER_CONNECTION: u32 = 256;
/// Bytes of a request beside its audio.
const MESSAGE_OVERHEAD: usize = 64 << 10;
/// Between a limit of ours and the transport's: up to here a request that is too large is still
/// read, so that the refusal names our limit and how far it was exceeded.
const MESSAGE_SLACK: usize = 1 << 20;

/// Why the server does not start or does not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is taken or is not ours.
    #[error("cannot listen on {address}: {reason}; choose another with --{flag}")]
    Listen {
        /// The address.
        address: String,
        /// The flag that sets it.
        flag: &'static str,
        /// What the system said.
        reason: String,
    },
    /// The transport failed.
    #[error("the gRPC server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The descriptors do not register.
    #[error("reflection cannot be offered: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Serves until `stop` is ready, then lets requests under way end, or until `cut` is ready.
///
/// # Errors
/// [`ServerError`].
pub async fn run(
    listener: Listener,
    engine: Arc<Engine>,
    stop: impl Future<Output = ()>,
    cut: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<EmotionServiceServer<Emotion>>().await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let largest = engine
        .limits()
        .bytes
        .saturating_add(MESSAGE_OVERHEAD + MESSAGE_SLACK);
    let emotion = EmotionServiceServer::new(Emotion::new(Arc::clone(&engine)))
        .max_decoding_message_size(largest);
    let stopping = async {
        stop.await;
        health
            .set_not_serving::<EmotionServiceServer<Emotion>>()
            .await;
        health
            .set_service_status("", ServingStatus::NotServing)
            .await;
        engine.drain();
        // Ends the streams of those who watch our health: a connection that somebody watches would
        // stay open for ever.
        let mut health = health.clone();
        health
            .clear_service_status(EmotionServiceServer::<Emotion>::NAME)
            .await;
        health.clear_service_status("").await;
    };
    let (connections, _file) = listener.into_connections();
    let serving = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_frame_size(Some(FRAME))
        .max_concurrent_streams(Some(STREAMS_PER_CONNECTION))
        // Outermost, so that the deadline counts from the arrival of a call's head.
        .layer(DeadlineLayer)
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(emotion)
        .serve_with_incoming_shutdown(connections, stopping);
    tokio::select! {
        served = serving => Ok(served?),
        () = cut => Ok(()),
    }
}
