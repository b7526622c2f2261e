//! What classifies a file: an engine in this process, or a server.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tonic::Status;
use tonic::transport::Channel;

use super::Flags;
use super::target::Target;
use crate::cli::CliError;
use crate::engine::{AudioFile, Decoded, Engine, EngineOptions};
use crate::service::Emotion;
use crate::service::pb::emotion_service_client::EmotionServiceClient;
use crate::service::pb::{ClassifyRequest, ClassifyResponse, GetModelRequest};

/// What uploads may hold together, in MiB; one that is larger goes alone.
const UPLOADS_MIB: u32 = 512;

/// What classifies.
pub(super) enum Classifier {
    Here(Emotion),
    Server(Box<Remote>),
}

/// A server.
pub(super) struct Remote {
    client: EmotionServiceClient<Channel>,
    /// Bytes of a recording that it takes, if it says so.
    most: Option<u64>,
    uploads: Semaphore,
}

impl Classifier {
    pub(super) async fn new(flags: &Flags) -> Result<Self, CliError> {
        if let Some(target) = &flags.server {
            return Ok(Self::Server(Box::new(Remote::connect(target).await?)));
        }
        let options = EngineOptions {
            bundle: flags.bundle.clone(),
            onnxruntime: flags.onnxruntime.clone(),
            ..EngineOptions::for_own_files()
        };
        let engine = tokio::task::spawn_blocking(move || Engine::open(&options)).await??;
        Ok(Self::Here(Emotion::new(Arc::new(engine))))
    }

    /// Classifies a file; the reason in words if it cannot be done. `decoded` is told how far it is.
    pub(super) async fn file(
        &self,
        file: &Path,
        decoded: Decoded,
    ) -> Result<ClassifyResponse, String> {
        match self {
            Self::Here(service) => {
                let path = file.to_owned();
                let open = move || AudioFile::open(&path, decoded);
                let opened = tokio::task::spawn_blocking(open).await;
                let opened = opened.map_err(|error| error.to_string())?;
                let file = opened.map_err(|error| error.to_string())?;
                let answer = service.classify_file(file).await;
                answer.map_err(|status| in_words(&status))
            }
            Self::Server(remote) => remote.file(file).await,
        }
    }
}

impl Remote {
    async fn connect(target: &Target) -> Result<Self, CliError> {
        let failed = |error: tonic::transport::Error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            CliError::Connect {
                url: target.to_string(),
                reason: cause.unwrap_or(error.to_string()),
            }
        };
        let channel = target.endpoint().map_err(failed)?.connect().await;
        let client = EmotionServiceClient::new(channel.map_err(failed)?);
        let mut client = client.max_decoding_message_size(usize::MAX);
        let model = client.get_model(GetModelRequest::default()).await;
        let model = model.map_err(|status| CliError::Limits {
            url: target.to_string(),
            reason: in_words(&status),
        })?;
        let limits = model.into_inner().limits;
        Ok(Self {
            client,
            most: limits
                .map(|limits| limits.audio_bytes)
                .filter(|most| *most > 0),
            uploads: Semaphore::new(UPLOADS_MIB as usize),
        })
    }

    async fn file(&self, file: &Path) -> Result<ClassifyResponse, String> {
        let metadata = tokio::task::block_in_place(|| std::fs::metadata(file));
        let size = metadata.map_err(|error| error.to_string())?.len();
        if let Some(most) = self.most.filter(|most| size > *most) {
            return Err(format!(
                "the file has {size} bytes and the server takes {most} (its --max-audio-bytes); \
                 classify it without --server, where nothing is too large"
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
            .map_err(|status| in_words(&status))
    }
}

fn in_words(status: &Status) -> String {
    format!("{} ({:?})", status.message(), status.code())
}
