//! The methods of `EmotionService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::pb::emotion_service_server::EmotionService;
use super::pb::{ClassifyRequest, ClassifyResponse, GetModelRequest, GetModelResponse};
use super::{messages, status};
use crate::engine::Engine;
use crate::telemetry::requests::InFlight;

/// `EmotionService` over an engine.
#[derive(Clone, Debug)]
pub struct Emotion {
    engine: Arc<Engine>,
}

impl Emotion {
    /// Serves an engine.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }

    async fn judge(&self, request: ClassifyRequest) -> Result<ClassifyResponse, Status> {
        let wants_timing = request
            .options
            .as_ref()
            .is_some_and(|options| options.timing);
        let request = messages::request(request, self.engine.manifest())?;
        let answer = self.engine.classify(request).await.map_err(status::of)?;
        Ok(messages::response(
            &answer,
            self.engine.manifest(),
            wants_timing,
        ))
    }
}

#[tonic::async_trait]
impl EmotionService for Emotion {
    async fn classify(
        &self,
        request: Request<ClassifyRequest>,
    ) -> Result<Response<ClassifyResponse>, Status> {
        let in_flight = InFlight::new("Classify");
        let answer = self.judge(request.into_inner()).await;
        in_flight.answered(status::code_name(&answer));
        answer.map(Response::new)
    }

    async fn get_model(
        &self,
        request: Request<GetModelRequest>,
    ) -> Result<Response<GetModelResponse>, Status> {
        let in_flight = InFlight::new("GetModel");
        let answer = messages::known_model(&request.into_inner().model, self.engine.manifest())
            .map(|()| messages::model(&self.engine));
        in_flight.answered(status::code_name(&answer));
        answer.map(Response::new)
    }
}
