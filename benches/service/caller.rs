//! A caller that uses as little processor time as possible, because it shares the processors with the server that it
//! measures. Its message is encoded once and sent without a copy. Of an answer it reads only the status.

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::{self, SendRequest};
use http::{HeaderMap, HeaderValue, Request};
use prost::Message as _;
use tokio::net::TcpStream;
use tonic::Code;
use undertone::service::pb::ClassifyRequest;

use crate::common::Server;

const METHOD: &str = "/undertone.v1.EmotionService/Classify";

/// A request in gRPC's framing.
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

/// A connection to the server. Clones share it.
#[derive(Clone)]
pub(crate) struct Caller {
    sender: SendRequest<Bytes>,
    head: Request<()>,
}

impl Caller {
    pub(crate) async fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(&server.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = client::handshake(stream).await.unwrap();
        // The task ends with the last sender.
        tokio::spawn(connection);
        let head = Request::post(server.url() + METHOD)
            .header("te", "trailers")
            .header("content-type", "application/grpc");
        Self {
            sender,
            head: head.body(()).unwrap(),
        }
    }

    /// Returns the same connection for a tenant of that name.
    pub(crate) fn of_tenant(mut self, name: &'static str) -> Self {
        let name = HeaderValue::from_static(name);
        self.head.headers_mut().insert("undertone-tenant", name);
        self
    }

    /// Calls `Classify` and returns how it ended.
    pub(crate) async fn classify(&self, message: &Message, deadline: Option<Duration>) -> Code {
        let mut head = self.head.clone();
        if let Some(deadline) = deadline {
            let millis = format!("{}m", deadline.as_millis());
            let timeout = HeaderValue::from_str(&millis).unwrap();
            head.headers_mut().insert("grpc-timeout", timeout);
        }
        let mut sender = self.sender.clone().ready().await.unwrap();
        let (response, mut body) = sender.send_request(head, false).unwrap();
        body.send_data(message.0.clone(), true).unwrap();
        let response = response.await.unwrap();
        if let Some(code) = code(response.headers()) {
            return code;
        }
        let mut answer = response.into_body();
        while let Some(data) = answer.data().await {
            let length = data.unwrap().len();
            answer.flow_control().release_capacity(length).unwrap();
        }
        code(&answer.trailers().await.unwrap().unwrap()).unwrap()
    }
}

fn code(headers: &HeaderMap) -> Option<Code> {
    Some(Code::from_bytes(headers.get("grpc-status")?.as_bytes()))
}
