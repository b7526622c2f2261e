//! Finds and loads ONNX Runtime's shared library, once per process.
//!
//! The search order is: the given path (`--onnxruntime`), `ORT_DYLIB_PATH`, the executable's folder and
//! its `lib/`, the copy that the build fetched, the system's folders, and the loader's own search
//! (`LD_LIBRARY_PATH`). A named file must load. A file that the search found is skipped if it does not.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ort::LoadDynamicError;
use ort::environment::{Environment, EnvironmentBuilder};
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;

use super::error::LibraryError;
use super::provider::Provider;

const FILE: &str = "libonnxruntime.so";
const SYSTEM_FOLDERS: [&str; 4] = ["/usr/local/lib", "/usr/lib", "/usr/lib64", "/lib"];

/// ONNX Runtime, loaded.
#[derive(Clone, Debug)]
pub struct Library {
    /// The file that was loaded.
    pub path: PathBuf,
    /// Files that come earlier in the search order, each with the reason why it does not load.
    pub skipped: Vec<String>,
    environment: Environment,
    provider: Provider,
}

/// A process has one environment, because ONNX Runtime refuses a second.
static LOADED: Mutex<Option<Library>> = Mutex::new(None);

impl Library {
    /// Loads ONNX Runtime from `path`, or from the first place in the search order that has it. After
    /// the first success every call returns the same library and ignores `path`.
    ///
    /// # Errors
    /// [`LibraryError`]; its message names what to install or set.
    pub fn load(path: Option<&Path>) -> Result<Self, LibraryError> {
        let mut loaded = LOADED
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(library) = &*loaded {
            return Ok(library.clone());
        }
        let (path, opened, skipped) = match path.map(Path::to_path_buf).or_else(named) {
            Some(path) => {
                let path = absolute(path);
                let opened = open(&path).map_err(|reason| failed(&path, reason))?;
                (path, opened, Vec::new())
            }
            None => search()?,
        };
        let environment = opened.with_telemetry(false).build();
        let library = Self {
            environment: environment.map_err(|error| failed(&path, error.to_string()))?,
            path,
            skipped,
            provider: Provider::Cpu,
        };
        *loaded = Some(library.clone());
        Ok(library)
    }

    /// Returns the library with the provider for its sessions.
    #[must_use]
    pub fn on(self, provider: Provider) -> Self {
        Self { provider, ..self }
    }

    /// Returns the provider of the sessions.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// Opens a session of a graph with `threads` threads, of which the caller is one. On a CPU the memory
    /// of a run comes from an arena, in one piece. Allocating and freeing it in each run would cost a
    /// fifth of the time of a batch of 32 segments.
    ///
    /// # Errors
    /// ONNX Runtime's error, if it refuses the graph.
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

    /// Returns version and build of the loaded library, as it reports them.
    #[must_use]
    pub fn info(&self) -> &'static str {
        ort::info()
    }
}

/// Stops ONNX Runtime 1.29 and newer from collecting telemetry, whichever library is loaded later.
///
/// Call it at the start of `main`, before any thread starts.
#[allow(unsafe_code)]
pub fn disable_telemetry() {
    // SAFETY: no other thread exists yet, so nothing reads the environment at the same time.
    unsafe { std::env::set_var("ORT_DISABLE_TELEMETRY", "1") };
}

fn failed(path: &Path, reason: String) -> LibraryError {
    let path = path.display().to_string();
    LibraryError::Load { path, reason }
}

/// Returns the file that the environment names.
fn named() -> Option<PathBuf> {
    let path = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty());
    path.map(PathBuf::from)
}

/// Makes the path of an existing file absolute, because the loader searches for a name without a folder.
fn absolute(path: PathBuf) -> PathBuf {
    match std::path::absolute(&path) {
        Ok(absolute) if path.exists() => absolute,
        _ => path,
    }
}

/// Loads a file, or returns the loader's reason.
fn open(path: &Path) -> Result<EnvironmentBuilder, String> {
    ort::init_from(path).map_err(|error| {
        let loader = match &error {
            LoadDynamicError::Dlopen { error, .. } => error.source().map(ToString::to_string),
            _ => None,
        };
        let reason = loader.unwrap_or_else(|| error.to_string());
        // The loader's message begins with the file, which the caller adds already.
        match reason.strip_prefix(&format!("{}: ", path.display())) {
            Some(reason) => reason.to_owned(),
            None => reason,
        }
    })
}

/// Returns the first file that loads, and why the earlier ones do not.
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
    let (mut skipped, mut empty) = (Vec::new(), Vec::new());
    for place in places {
        match place {
            Ok(file) => match open(&file) {
                Ok(opened) => return Ok((file, opened, skipped)),
                Err(reason) => skipped.push(format!("{}: {reason}", file.display())),
            },
            Err(folder) => empty.push(folder.display().to_string()),
        }
    }
    skipped.push(format!("{FILE} is not in {}", empty.join(", ")));
    Err(LibraryError::NotFound { searched: skipped })
}

/// Returns the library in a folder: the file without a version in its name, or the newest version.
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
    fn a_name_without_a_version_comes_first_and_otherwise_the_newest_version() {
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
