//! Requests, and a client that leaves deadlines to the server.

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

/// A request to classify these bytes, whatever they are.
pub(crate) fn audio(bytes: Vec<u8>) -> ClassifyRequest {
    ClassifyRequest {
        audio: bytes.into(),
        ..Default::default()
    }
}

/// So many seconds of a telephone line on which nobody speaks, 8 kB each.
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

/// A client that leaves a deadline to the server: tonic's keeps it too, and answers CANCELLED.
pub(crate) async fn patient(
    server: &Server,
) -> EmotionServiceClient<impl GrpcService<Body, ResponseBody = Incoming>> {
    let stream = TcpStream::connect(&server.address).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    // It ends with the last of its senders.
    tokio::spawn(connection);
    let service = tower::service_fn(move |request| {
        let mut sender = sender.clone();
        async move { sender.send_request(request).await }
    });
    EmotionServiceClient::with_origin(service, server.url().parse().unwrap())
}

/// A request with a `grpc-timeout`.
pub(crate) fn timed<T>(message: T, timeout: &str) -> Request<T> {
    let mut request = Request::new(message);
    let timeout = timeout.parse().unwrap();
    request.metadata_mut().insert("grpc-timeout", timeout);
    request
}
