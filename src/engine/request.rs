//! What the caller of an engine gives: a recording, how to read it, and terms of its scheduling.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::audio_file::AudioFile;
use crate::audio::{Encoding, LaneChoice};
use crate::scheduler::core::{Class, TenantId};

/// A recording to classify.
#[derive(Clone, Debug)]
pub struct Request {
    /// The recording.
    pub audio: Audio,
    /// How the bytes encode sound.
    pub encoding: Encoding,
    /// Which channels become lanes.
    pub lanes: LaneChoice,
    /// Length of a window of the timeline, if a timeline is wanted.
    pub window: Option<Duration>,
    /// Who wants the result, and how urgently.
    pub caller: Caller,
}

/// The bytes of a recording.
#[derive(Clone, Debug)]
pub enum Audio {
    /// All bytes, in memory.
    Memory(Bytes),
    /// A file, which is decoded while it is read.
    File(Arc<AudioFile>),
}

impl<T: Into<Bytes>> From<T> for Audio {
    fn from(bytes: T) -> Self {
        Self::Memory(bytes.into())
    }
}

/// Who wants a recording to be classified, and how urgently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The tenant to whom the device time is charged.
    pub tenant: TenantId,
    /// Whether somebody waits for the result.
    pub class: Class,
    /// Latest time of the result, if there is one.
    pub deadline: Option<Instant>,
}
