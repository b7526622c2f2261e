//! The methods of `EmotionService`.

use std::sync::{Arc, OnceLock};

use tonic::{Request, Response, Status, Streaming};

use super::batch_stream::{self, AnswerStream};
use super::call_log::CallFacts;
use super::pb::emotion_service_server::EmotionService;
use super::pb::{
    BatchClassifyRequest, ClassifyRequest, ClassifyResponse, GetModelRequest, GetModelResponse,
};
use super::refused_messages::RefusedMessages;
use super::{deadline, messages, status, tenant};
use crate::audio::{Encoding, LaneChoice};
use crate::engine::{self, Audio, AudioFile, Caller, Class, Engine, TenantId};

/// `EmotionService` on an engine. The engine may be set later. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct EmotionApi {
    engine: Arc<OnceLock<Arc<Engine>>>,
}

impl EmotionApi {
    /// Creates the service with an engine.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        let service = Self::default();
        service.open(engine);
        service
    }

    /// Sets the engine. Calls before this were answered UNAVAILABLE. A second engine is ignored.
    pub fn open(&self, engine: Arc<Engine>) {
        // The error contains the second engine.
        let _ = self.engine.set(engine);
    }

    /// Returns the engine, or UNAVAILABLE while it is loading.
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

    /// Classifies a file of this machine in the same way as `Classify` does.
    ///
    /// # Errors
    /// Those of `Classify`.
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

/// Returns the caller. `class` is the class of requests without a priority.
fn caller<T>(request: &Request<T>, class: Class) -> Result<Caller, Status> {
    Ok(Caller {
        tenant: tenant::of(request)?,
        class,
        deadline: deadline::of(request),
    })
}

#[tonic::async_trait]
impl EmotionService for EmotionApi {
    async fn classify(
        &self,
        request: Request<ClassifyRequest>,
    ) -> Result<Response<ClassifyResponse>, Status> {
        self.classify_request(request).await.map(Response::new)
    }

    type BatchClassifyStream = AnswerStream;

    async fn batch_classify(
        &self,
        request: Request<Streaming<BatchClassifyRequest>>,
    ) -> Result<Response<AnswerStream>, Status> {
        let caller = caller(&request, Class::Bulk)?;
        let engine = Arc::clone(self.engine()?);
        let facts = CallFacts::of(&request);
        facts.tenant(&caller.tenant);
        let refusals = request.extensions().get::<RefusedMessages>().cloned();
        let refusals = refusals.unwrap_or_default();
        Ok(Response::new(batch_stream::answers(
            engine,
            caller,
            request.into_inner(),
            refusals,
            facts,
        )))
    }

    async fn get_model(
        &self,
        request: Request<GetModelRequest>,
    ) -> Result<Response<GetModelResponse>, Status> {
        let engine = self.engine()?;
        messages::check_model(&request.into_inner().model, engine.manifest())?;
        Ok(Response::new(messages::model(engine)))
    }
}
