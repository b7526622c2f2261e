//! The methods of `EmotionService`.

use std::sync::{Arc, OnceLock};

use tonic::{Request, Response, Status, Streaming};

use super::batch::{self, Answers};
use super::call_log::CallFacts;
use super::pb::emotion_service_server::EmotionService;
use super::pb::{
    BatchClassifyRequest, ClassifyRequest, ClassifyResponse, GetModelRequest, GetModelResponse,
};
use super::refusals::Refusals;
use super::{deadline, messages, status, tenant};
use crate::audio::{Encoding, LaneChoice};
use crate::engine::{self, Audio, AudioFile, Caller, Class, Engine, TenantId};

/// `EmotionService` over an engine, which may come later. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Emotion {
    engine: Arc<OnceLock<Arc<Engine>>>,
}

impl Emotion {
    /// Serves an engine.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        let service = Self::default();
        service.open(engine);
        service
    }

    /// The engine is there; every call before was answered UNAVAILABLE. A second one is not taken.
    pub fn open(&self, engine: Arc<Engine>) {
        // An error is the second engine.
        let _ = self.engine.set(engine);
    }

    /// The engine, or UNAVAILABLE while it is being loaded.
    pub(super) fn engine(&self) -> Result<&Arc<Engine>, Status> {
        self.engine.get().ok_or_else(status::loading)
    }

    async fn classify_request(
        &self,
        request: Request<ClassifyRequest>,
    ) -> Result<ClassifyResponse, Status> {
        let engine = self.engine()?;
        let facts = CallFacts::of(&request);
        let caller = caller(&request, Class::Interactive)?;
        facts.tenant(&caller.tenant);
        let request = request.into_inner();
        let wants_timing = messages::wants_timing(&request);
        let request = messages::request(request, engine.manifest(), caller)?;
        let answer = engine.classify(request).await;
        facts.recording(answer.as_ref().ok());
        let answer = answer.map_err(status::of)?;
        Ok(messages::response(&answer, engine.manifest(), wants_timing))
    }

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
        let engine = self.engine()?;
        let answer = engine.classify(request).await.map_err(status::of)?;
        Ok(messages::response(&answer, engine.manifest(), false))
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
        self.classify_request(request).await.map(Response::new)
    }

    type BatchClassifyStream = Answers;

    async fn batch_classify(
        &self,
        request: Request<Streaming<BatchClassifyRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let caller = caller(&request, Class::Bulk)?;
        let engine = Arc::clone(self.engine()?);
        let facts = CallFacts::of(&request);
        facts.tenant(&caller.tenant);
        let refusals = request.extensions().get::<Refusals>().cloned();
        let incoming = (request.into_inner(), refusals.unwrap_or_default());
        Ok(Response::new(batch::answers(
            engine, caller, incoming, facts,
        )))
    }

    async fn get_model(
        &self,
        request: Request<GetModelRequest>,
    ) -> Result<Response<GetModelResponse>, Status> {
        let engine = self.engine()?;
        messages::known_model(&request.into_inner().model, engine.manifest())?;
        Ok(Response::new(messages::model(engine)))
    }
}
