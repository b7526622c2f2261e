//! Calls with frames that the test writes itself.

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt as _, Full};
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tower::{Service as _, ServiceExt as _};

pub(super) const CLASSIFY: &str = "/undertone.v1.EmotionService/Classify";
pub(super) const BATCH_CLASSIFY: &str = "/undertone.v1.EmotionService/BatchClassify";
pub(super) const GET_MODEL: &str = "/undertone.v1.EmotionService/GetModel";

/// The response of a call.
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    /// Flag and bytes of each message.
    pub(super) messages: Vec<(u8, Bytes)>,
    pub(super) status: Status,
}

impl Answer {
    /// Decodes a message that was not compressed.
    pub(super) fn message<M: prost::Message + Default>(&self, index: usize) -> M {
        let (flag, message) = &self.messages[index];
        assert_eq!(*flag, 0);
        M::decode(message.clone()).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Returns a message in its frame.
pub(super) fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[flag][..], &length.to_be_bytes(), message].concat()
}

pub(super) fn encoded(message: &impl prost::Message) -> Vec<u8> {
    message.encode_to_vec()
}

/// Sends a body with these headers.
pub(super) async fn call(
    channel: &Channel,
    path: &str,
    headers: &[(&'static str, &'static str)],
    body: Vec<u8>,
) -> Answer {
    let mut request = http::Request::post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Full::new(Bytes::from(body));
    let request = request.body(Body::new(body)).unwrap();
    let mut channel = channel.clone();
    let response = channel.ready().await.unwrap().call(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    let status = Status::from_header_map(&trailers);
    let status = status.or_else(|| Status::from_header_map(&parts.headers));
    let mut left = body.to_bytes();
    let mut messages = Vec::new();
    while !left.is_empty() {
        let header = left.split_to(5);
        let length = u32::from_be_bytes(header[1..].try_into().unwrap());
        messages.push((header[0], left.split_to(length as usize)));
    }
    let status = status.unwrap_or_else(|| Status::new(Code::Unknown, "no status came"));
    Answer {
        headers: parts.headers,
        messages,
        status,
    }
}
