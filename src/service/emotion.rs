//! The methods of `EmotionService`.

use std::sync::Arc;

use tonic::{Request, Response, Status, Streaming};

use super::batch::{self, Answers};
use super::pb::emotion_service_server::EmotionService;
use super::pb::{
    BatchClassifyRequest, ClassifyRequest, ClassifyResponse, GetModelRequest, GetModelResponse,
};
use super::{deadline, messages, status, tenant};
use crate::audio::{Encoding, LaneChoice};
use crate::engine::{self, Audio, AudioFile, Caller, Class, Engine, TenantId};
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

    async fn judge(&self, request: Request<ClassifyRequest>) -> Result<ClassifyResponse, Status> {
        let caller = caller(&request, Class::Interactive)?;
        let request = request.into_inner();
        let wants_timing = messages::wants_timing(&request);
        let request = messages::request(request, self.engine.manifest(), caller)?;
        let answer = self.engine.classify(request).await.map_err(status::of)?;
        Ok(messages::response(
            &answer,
            self.engine.manifest(),
            wants_timing,
        ))
    }
}

impl Emotion {
    /// Classifies a file of this machine, as `Classify` does a recording that is sent.
    ///
    /// # Errors
    /// As `Classify`.
    pub async fn classify_file(&self, file: AudioFile) -> Result<ClassifyResponse, Status> {
        let request = engine::Request {
            audio: Audio::File(Arc::new(file)),
            encoding: Encoding::Auto,
            lanes: LaneChoice::Auto,
            window: None,
            caller: Caller {
                tenant: TenantId::from(""),
                class: Class::Interactive,
                deadline: None,
            },
        };
        let answer = self.engine.classify(request).await.map_err(status::of)?;
        Ok(messages::response(&answer, self.engine.manifest(), false))
    }
}

/// Who calls; `class` is for requests that name no priority.
fn caller<T>(request: &Request<T>, class: Class) -> Result<Caller, Status> {
    Ok(Caller {
        tenant: tenant::of(request)?,
        class,
        deadline: deadline::of(request),
    })
}

#[tonic::async_trait]
impl EmotionService for Emotion {
    async fn classify(
        &self,
        request: Request<ClassifyRequest>,
    ) -> Result<Response<ClassifyResponse>, Status> {
        let in_flight = InFlight::new("Classify");
        let answer = self.judge(request).await;
        in_flight.answered(status::code_name(&answer));
        answer.map(Response::new)
    }

    type BatchClassifyStream = Answers;

    async fn batch_classify(
        &self,
        request: Request<Streaming<BatchClassifyRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let in_flight = InFlight::new("BatchClassify");
        match caller(&request, Class::Bulk) {
            Ok(caller) => {
                let engine = Arc::clone(&self.engine);
                let answers = batch::answers(engine, caller, request.into_inner(), in_flight);
                Ok(Response::new(answers))
            }
            Err(status) => {
                in_flight.answered(status::name(status.code()));
                Err(status)
            }
        }
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
