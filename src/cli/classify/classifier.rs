//! Classifies a file with an engine in this process or on a server.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tonic::transport::Channel;

use super::flags::ClassifyFlags;
use super::target::Target;
use crate::cli::error::{CliError, describe};
use crate::engine::{AudioFile, DecodeProgress, Engine, EngineOptions};
use crate::service::EmotionApi;
use crate::service::pb::emotion_service_client::EmotionServiceClient;
use crate::service::pb::{ClassifyRequest, ClassifyResponse, GetModelRequest};

/// Memory that uploads may hold together, in MiB. A larger file is uploaded alone.
const UPLOADS_MIB: u32 = 512;

/// Classifies files.
pub(super) enum Classifier {
    Local(EmotionApi),
    Server(Box<Remote>),
}

/// A connection to a server.
pub(super) struct Remote {
    client: EmotionServiceClient<Channel>,
    /// Largest recording that the server accepts, in bytes. `None` if the server does not report it.
    max_bytes: Option<u64>,
    uploads: Semaphore,
}

impl Classifier {
    pub(super) async fn new(flags: &ClassifyFlags) -> Result<Self, CliError> {
        if let Some(target) = &flags.server {
            return Ok(Self::Server(Box::new(Remote::connect(target).await?)));
        }
        let options = EngineOptions {
            bundle: flags.bundle.clone(),
            onnxruntime: flags.onnxruntime.clone(),
            ..EngineOptions::for_own_files()
        };
        let engine = tokio::task::spawn_blocking(move || Engine::open(&options)).await??;
        Ok(Self::Local(EmotionApi::new(Arc::new(engine))))
    }

    /// Classifies a file. An error is a message for the user. `decoded` is updated while the file is decoded in this
    /// process.
    pub(super) async fn classify(
        &self,
        file: &Path,
        decoded: DecodeProgress,
    ) -> Result<ClassifyResponse, String> {
        match self {
            Self::Local(service) => {
                let path = file.to_owned();
                let open = move || AudioFile::open(&path, decoded);
                let opened = tokio::task::spawn_blocking(open).await;
                let opened = opened.map_err(|error| error.to_string())?;
                let file = opened.map_err(|error| error.to_string())?;
                let answer = service.classify_file(file).await;
                answer.map_err(|status| describe(&status))
            }
            Self::Server(remote) => remote.classify(file).await,
        }
    }
}

impl Remote {
    async fn connect(target: &Target) -> Result<Self, CliError> {
        let failed = |source| CliError::Connect {
            url: target.to_string(),
            source,
        };
        let channel = target.endpoint().map_err(failed)?.connect().await;
        let client = EmotionServiceClient::new(channel.map_err(failed)?);
        let mut client = client.max_decoding_message_size(usize::MAX);
        let model = client.get_model(GetModelRequest::default()).await;
        let model = model.map_err(|status| CliError::GetModel {
            url: target.to_string(),
            source: Box::new(status),
        })?;
        let limits = model.into_inner().limits;
        Ok(Self {
            client,
            max_bytes: limits
                .map(|limits| limits.max_audio_bytes)
                .filter(|bytes| *bytes > 0),
            uploads: Semaphore::new(UPLOADS_MIB as usize),
        })
    }

    async fn classify(&self, file: &Path) -> Result<ClassifyResponse, String> {
        let metadata = tokio::task::block_in_place(|| std::fs::metadata(file));
        let size = metadata.map_err(|error| error.to_string())?.len();
        if let Some(max) = self.max_bytes.filter(|max| size > *max) {
            return Err(format!(
                "the file has {size} bytes, and the server accepts at most {max} (its --max-audio-bytes); \
                 classify it without --server, which has no such limit"
            ));
        }
        let mebibytes = u32::try_from(size >> 20).unwrap_or(u32::MAX);
        let held = self.uploads.acquire_many(mebibytes.clamp(1, UPLOADS_MIB));
        let _held = held.await.map_err(|error| error.to_string())?;
        let audio = tokio::task::block_in_place(|| std::fs::read(file));
        let request = ClassifyRequest {
            audio: audio.map_err(|error| error.to_string())?.into(),
            ..Default::default()
        };
        let answer = self.client.clone().classify(request).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| describe(&status))
    }
}
