//! Finds and loads ONNX Runtime's shared library, once a process.
//!
//! In this order: the path that is given (`--onnxruntime`), `ORT_DYLIB_PATH`, beside the
//! executable or in `lib/` there, the copy that the build fetched, the system's folders, and wherever the
//! loader looks (`LD_LIBRARY_PATH`). A file that was not named and does not load is passed over.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ort::LoadDynamicError;
use ort::environment::{Environment, EnvironmentBuilder};
use ort::ep;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use serde::{Deserialize, Serialize};

const FILE: &str = "libonnxruntime.so";
const SYSTEM_FOLDERS: [&str; 4] = ["/usr/local/lib", "/usr/lib", "/usr/lib64", "/lib"];

/// Why ONNX Runtime cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// No place has one that loads.
    #[error(
        "ONNX Runtime's shared library loads from none of the places searched; install ONNX Runtime \
         1.24 or newer, or set ORT_DYLIB_PATH to the file ({})",
        searched.join("; ")
    )]
    NotFound {
        /// Each place, with the reason.
        searched: Vec<String>,
    },
    /// The file that was named does not load.
    #[error("ONNX Runtime does not load from {path}: {reason}")]
    Load {
        /// The file.
        path: String,
        /// What the loader said.
        reason: String,
    },
}

/// What sessions run on: ONNX Runtime's execution provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// The processor.
    #[default]
    Cpu,
    /// The first NVIDIA GPU. The library must be the one with CUDA, with its provider beside it, and
    /// CUDA and cuDNN be where the system looks for libraries.
    Cuda,
}

impl Provider {
    /// The provider's name, as flags and metrics write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }

    /// What else a user must see to, as the end of a message.
    pub(super) fn needs(self) -> &'static str {
        match self {
            Self::Cpu => "",
            Self::Cuda => {
                " (cuda needs ONNX Runtime's GPU build, and CUDA and cuDNN where the system looks for \
                 libraries)"
            }
        }
    }

    fn registered(self) -> ep::ExecutionProviderDispatch {
        match self {
            Self::Cpu => ep::CPU::default().with_arena_allocator(true).build(),
            // TF32 would cost three digits. An exhaustive search would try every algorithm for every
            // shape at start.
            Self::Cuda => ep::CUDA::default()
                .with_tf32(false)
                .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic)
                .build()
                .error_on_failure(),
        }
    }
}

/// ONNX Runtime, loaded.
#[derive(Clone, Debug)]
pub struct Library {
    /// Where it was loaded from.
    pub path: PathBuf,
    /// Files that would have been taken before it, each with the reason why it does not load.
    pub passed_over: Vec<String>,
    environment: Environment,
    provider: Provider,
}

/// A process has one environment; ONNX Runtime refuses a second.
static LOADED: Mutex<Option<Library>> = Mutex::new(None);

impl Library {
    /// Loads ONNX Runtime from `path`, or from the first place where it is found. Once it is
    /// loaded, later calls give the same library, whatever they ask for.
    ///
    /// # Errors
    /// [`LibraryError`], with what to install or set.
    pub fn load(path: Option<&Path>) -> Result<Self, LibraryError> {
        let mut loaded = LOADED
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(library) = &*loaded {
            return Ok(library.clone());
        }
        let (path, opened, passed_over) = match path.map(Path::to_path_buf).or_else(named) {
            Some(path) => {
                let path = from_here(path);
                let opened = open(&path).map_err(|reason| failed(&path, reason))?;
                (path, opened, Vec::new())
            }
            None => search()?,
        };
        let environment = opened.with_telemetry(false).build();
        let library = Self {
            environment: environment.map_err(|error| failed(&path, error.to_string()))?,
            path,
            passed_over,
            provider: Provider::Cpu,
        };
        *loaded = Some(library.clone());
        Ok(library)
    }

    /// The library with sessions on a provider.
    #[must_use]
    pub fn on(self, provider: Provider) -> Self {
        Self { provider, ..self }
    }

    /// What sessions run on.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// A session of a graph as undertone runs it: so many threads, the caller among them. On a CPU a run
    /// finds its memory in an arena, in one piece: taken from the system and given back with each run it
    /// cost a fifth of a batch of 32 segments.
    ///
    /// # Errors
    /// What ONNX Runtime says of the graph.
    pub fn session(&self, graph: &[u8], threads: usize) -> ort::Result<Session> {
        Session::builder(&self.environment)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_intra_threads(threads)?
            .with_inter_threads(1)?
            .with_memory_pattern(self.provider == Provider::Cpu)?
            .with_config_entry("session.intra_op.allow_spinning", "0")?
            .with_execution_providers([self.provider.registered()])?
            .commit_from_memory(graph)
    }

    /// Version and build of the loaded library, in its own words.
    #[must_use]
    pub fn info(&self) -> &'static str {
        ort::info()
    }
}

/// Keeps ONNX Runtime 1.29 and newer from collecting telemetry, whichever library is loaded later.
///
/// Call it first thing in `main`, before any thread is started.
#[allow(unsafe_code)]
pub fn disable_telemetry() {
    // SAFETY: called before any other thread exists, so nobody reads the environment meanwhile.
    unsafe { std::env::set_var("ORT_DISABLE_TELEMETRY", "1") };
}

fn failed(path: &Path, reason: String) -> LibraryError {
    let path = path.display().to_string();
    LibraryError::Load { path, reason }
}

/// What the environment names.
fn named() -> Option<PathBuf> {
    let path = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty());
    path.map(PathBuf::from)
}

/// The loader takes a name without a folder for one of its own search.
fn from_here(path: PathBuf) -> PathBuf {
    match std::path::absolute(&path) {
        Ok(absolute) if path.exists() => absolute,
        _ => path,
    }
}

/// Loads the file, or says why the loader does not.
fn open(path: &Path) -> Result<EnvironmentBuilder, String> {
    ort::init_from(path).map_err(|error| {
        let loader = match &error {
            LoadDynamicError::Dlopen { error, .. } => error.source().map(ToString::to_string),
            _ => None,
        };
        let reason = loader.unwrap_or_else(|| error.to_string());
        // The loader begins with the file, which stands before the reason already.
        match reason.strip_prefix(&format!("{}: ", path.display())) {
            Some(reason) => reason.to_owned(),
            None => reason,
        }
    })
}

/// The first file that loads, and why those before it do not.
fn search() -> Result<(PathBuf, EnvironmentBuilder, Vec<String>), LibraryError> {
    let executable = std::env::current_exe().ok();
    let beside = executable.as_deref().and_then(Path::parent);
    let beside = beside.map(|folder| [folder.to_path_buf(), folder.join("lib")]);
    let multiarch = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let system = std::iter::once(multiarch.as_str()).chain(SYSTEM_FOLDERS);
    let folder = |folder: PathBuf| in_folder(&folder).ok_or(folder);
    let places = beside
        .into_iter()
        .flatten()
        .map(folder)
        .chain(fetched_by_the_build().map(Ok))
        .chain(system.map(PathBuf::from).map(folder))
        .chain([Ok(PathBuf::from(FILE))]);
    let (mut passed_over, mut without) = (Vec::new(), Vec::new());
    for place in places {
        match place {
            Ok(file) => match open(&file) {
                Ok(opened) => return Ok((file, opened, passed_over)),
                Err(reason) => passed_over.push(format!("{}: {reason}", file.display())),
            },
            Err(folder) => without.push(folder.display().to_string()),
        }
    }
    passed_over.push(format!("{FILE} is not in {}", without.join(", ")));
    Err(LibraryError::NotFound {
        searched: passed_over,
    })
}

/// The library in a folder: its plain name, or the newest of the names with a version.
fn in_folder(folder: &Path) -> Option<PathBuf> {
    let plain = folder.join(FILE);
    if plain.is_file() {
        return Some(plain);
    }
    let versioned = format!("{FILE}.");
    let entries = std::fs::read_dir(folder).ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let version = |name: &String| -> Vec<u32> {
        name[versioned.len()..]
            .split('.')
            .filter_map(|part| part.parse().ok())
            .collect()
    };
    let newest = names
        .filter(|name| name.starts_with(&versioned))
        .max_by_key(version)?;
    Some(folder.join(newest))
}

#[cfg(onnxruntime_fetched)]
fn fetched_by_the_build() -> Option<PathBuf> {
    let path = PathBuf::from(env!("ONNXRUNTIME_FETCHED"));
    path.is_file().then_some(path)
}

#[cfg(not(onnxruntime_fetched))]
fn fetched_by_the_build() -> Option<PathBuf> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_plain_name_first_and_else_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(in_folder(folder.path()), None);
        for name in [
            "libonnxruntime.so.1.9.0",
            "libonnxruntime.so.1.28.0",
            "libother.so",
        ] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(
            in_folder(folder.path()),
            Some(folder.path().join("libonnxruntime.so.1.28.0"))
        );
        std::fs::write(folder.path().join(FILE), "").unwrap();
        assert_eq!(in_folder(folder.path()), Some(folder.path().join(FILE)));
    }
}
