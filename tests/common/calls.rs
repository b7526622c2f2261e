//! Requests, and a client that does not enforce deadlines by itself.

use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::Request;
use tonic::body::Body;
use tonic::client::GrpcService;
use undertone::service::pb::emotion_service_client::EmotionServiceClient;
use undertone::service::pb::{AudioConfig, AudioEncoding, ClassifyRequest};

use super::Server;

/// Returns a request to classify these bytes, which need not be audio.
pub(crate) fn audio(bytes: Vec<u8>) -> ClassifyRequest {
    ClassifyRequest {
        audio: bytes.into(),
        ..Default::default()
    }
}

/// Returns a request with seconds of a silent telephone line, 8 kB each.
pub(crate) fn silence(seconds: usize) -> ClassifyRequest {
    let config = AudioConfig {
        encoding: AudioEncoding::Mulaw.into(),
        sample_rate_hz: 8_000,
        ..Default::default()
    };
    ClassifyRequest {
        config: Some(config),
        ..audio(vec![0xff; seconds * 8_000])
    }
}

/// Returns a client that leaves the deadline to the server. Tonic's own client also enforces it and reports CANCELLED.
pub(crate) async fn patient(
    server: &Server,
) -> EmotionServiceClient<impl GrpcService<Body, ResponseBody = Incoming>> {
    let stream = TcpStream::connect(&server.address).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    // It ends when its last sender is dropped.
    tokio::spawn(connection);
    let service = tower::service_fn(move |request| {
        let mut sender = sender.clone();
        async move { sender.send_request(request).await }
    });
    EmotionServiceClient::with_origin(service, server.url().parse().unwrap())
}

/// Returns a request with a `grpc-timeout`.
pub(crate) fn timed<T>(message: T, timeout: &str) -> Request<T> {
    let mut request = Request::new(message);
    let timeout = timeout.parse().unwrap();
    request.metadata_mut().insert("grpc-timeout", timeout);
    request
}
