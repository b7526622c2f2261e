//! The layer that refuses calls while the model is loading, before any byte of their bodies is read.

use tonic::body::Body;

use super::intercept::{AnswerFuture, InnerService, Intercept};
use super::pb::emotion_service_server::SERVICE_NAME;
use super::status;
use crate::telemetry::readiness::{Readiness, ReadinessState};

/// Refuses the calls of `EmotionService` with UNAVAILABLE while the model is loading.
#[derive(Clone, Debug)]
pub(super) struct RefuseWhileLoading(pub(super) Readiness);

impl Intercept for RefuseWhileLoading {
    fn call<S: InnerService>(
        &self,
        request: http::Request<Body>,
        inner: &mut S,
    ) -> AnswerFuture<S::Error> {
        let path = request.uri().path();
        let needs_model = path.split('/').nth(1) == Some(SERVICE_NAME);
        if needs_model && self.0.state() == ReadinessState::Loading {
            return Box::pin(std::future::ready(Ok(status::loading().into_http())));
        }
        Box::pin(inner.call(request))
    }
}
