//! A caller that costs as little as can be, for it shares the processors with the server that it
//! measures: its message is written once and sent as it lies, and of an answer only the status is read.

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tokio::net::TcpStream;
use tonic::Code;
use undertone::service::pb::ClassifyRequest;

use crate::common::Server;

const METHOD: &str = "/undertone.v1.EmotionService/Classify";

/// A request as gRPC frames it on HTTP/2.
#[derive(Clone)]
pub(crate) struct Message(Bytes);

impl Message {
    pub(crate) fn of(request: &ClassifyRequest) -> Self {
        let mut framed = BytesMut::new();
        framed.put_u8(0);
        framed.put_u32(request.encoded_len().try_into().unwrap());
        request.encode(&mut framed).unwrap();
        Self(framed.freeze())
    }
}

/// A connection; clones share it.
#[derive(Clone)]
pub(crate) struct Caller {
    sender: SendRequest<Full<Bytes>>,
    url: String,
}

impl Caller {
    pub(crate) async fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(&server.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        // It ends with the last of its senders.
        tokio::spawn(connection);
        Self {
            sender,
            url: server.url() + METHOD,
        }
    }

    /// Calls `Classify`; how it ended.
    pub(crate) async fn classify(&self, message: &Message, deadline: Option<Duration>) -> Code {
        let mut request = http::Request::post(&self.url)
            .header("te", "trailers")
            .header("content-type", "application/grpc");
        if let Some(deadline) = deadline {
            request = request.header("grpc-timeout", format!("{}m", deadline.as_millis()));
        }
        let request = request.body(Full::new(message.0.clone())).unwrap();
        let mut response = self.sender.clone().send_request(request).await.unwrap();
        if let Some(code) = code(response.headers()) {
            return code;
        }
        loop {
            let frame = response.frame().await.unwrap().unwrap();
            if let Some(code) = frame.trailers_ref().and_then(code) {
                return code;
            }
        }
    }
}

fn code(headers: &http::HeaderMap) -> Option<Code> {
    Some(Code::from_bytes(headers.get("grpc-status")?.as_bytes()))
}
