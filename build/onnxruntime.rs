//! Provides ONNX Runtime's shared library for the built executables.
//!
//! At run time the library is searched in this order: `--onnxruntime` or `ORT_DYLIB_PATH`, beside the executable, the
//! copy that this script fetched, the system's folders (`src/runtime/library.rs`). The script takes the copy from the
//! `onnxruntime` wheel with the machine's own pip, once for all profiles, and checks its pinned digest. Later wheels
//! contain telemetry (docs/decisions.md).
//!
//! The path of the copy is compiled in, so that an executable runs in the folder in which cargo builds it. A build for
//! other machines (`dist.sh`) sets `UNDERTONE_PORTABLE_BUILD` and has the library beside the executable instead.

use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

const VERSION: &str = "1.28.0";
const REMEDY: &str = "install ONNX Runtime 1.24 or newer and set ORT_DYLIB_PATH to its shared library, \
    or build with --no-default-features --features server,opus,embedded-model and provide it at run time";

/// Files of the wheel that must accompany the library when it is distributed.
const NOTICES: [&str; 2] = ["LICENSE", "ThirdPartyNotices.txt"];

struct Wheel {
    platform: &'static str,
    /// SHA-256 of the shared library in the wheel.
    library: &'static str,
}

fn wheel(os: &str, arch: &str) -> Option<Wheel> {
    match (os, arch) {
        ("linux", "x86_64") => Some(Wheel {
            platform: "manylinux_2_28_x86_64",
            library: "aa4079d18f4ea7a5f3a94d80cd4bbe0f2740436626622d64d793803a20381083",
        }),
        ("linux", "aarch64") => Some(Wheel {
            platform: "manylinux_2_28_aarch64",
            library: "23a37c2994bc273e1d59a4f49af6cba5bf1cfbc29f04907ec27df375aba50a7d",
        }),
        _ => None,
    }
}

pub(crate) fn provide(may_fetch: bool) -> Result<(), String> {
    println!("cargo::rerun-if-env-changed=ORT_DYLIB_PATH");
    println!("cargo::rerun-if-env-changed=UNDERTONE_PORTABLE_BUILD");
    println!("cargo::rustc-check-cfg=cfg(onnxruntime_fetched)");
    let named = std::env::var_os("ORT_DYLIB_PATH").is_some_and(|path| !path.is_empty());
    if named || !may_fetch {
        return Ok(());
    }
    let path = match fetch() {
        Ok(path) => path,
        Err(cause) if is_in_system() => {
            println!("cargo::warning=the system's ONNX Runtime will be used: {cause}");
            return Ok(());
        }
        Err(cause) => return Err(format!("no ONNX Runtime: {cause}; {REMEDY}")),
    };
    println!("cargo::rerun-if-changed={}", path.display());
    if std::env::var_os("UNDERTONE_PORTABLE_BUILD").is_some() {
        return Ok(());
    }
    println!("cargo::rustc-cfg=onnxruntime_fetched");
    println!("cargo::rustc-env=ONNXRUNTIME_FETCHED={}", path.display());
    Ok(())
}

/// Returns whether the loader's folders contain a library. The program searches them last.
fn is_in_system() -> bool {
    let listed = Command::new("ldconfig").arg("-p").output();
    listed.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("libonnxruntime.so"))
}

fn fetch() -> Result<PathBuf, String> {
    let variable = |name: &str| std::env::var(name).map_err(|error| format!("{name}: {error}"));
    let (os, arch) = (
        variable("CARGO_CFG_TARGET_OS")?,
        variable("CARGO_CFG_TARGET_ARCH")?,
    );
    let wheel = wheel(&os, &arch).ok_or(format!("there is no pinned build for {arch} {os}"))?;
    let folder = shared_folder(Path::new(&variable("OUT_DIR")?))
        .join(format!("onnxruntime-{VERSION}-{arch}"));
    let library = folder.join(format!("libonnxruntime.so.{VERSION}"));
    let noticed = NOTICES.iter().all(|notice| folder.join(notice).is_file());
    if noticed && digest(&library).is_ok_and(|found| found == wheel.library) {
        return Ok(library);
    }
    let unpacked = folder.join(format!("unpacking-{}", std::process::id()));
    std::fs::create_dir_all(&unpacked)
        .map_err(|error| format!("{}: {error}", unpacked.display()))?;
    let outcome = unpack(&wheel, &unpacked).and_then(|contents| {
        let fetched = contents.join(format!("capi/libonnxruntime.so.{VERSION}"));
        let found = digest(&fetched)?;
        if found != wheel.library {
            return Err(format!(
                "the library in the wheel has digest {found}, not the pinned {}",
                wheel.library
            ));
        }
        // A rename is atomic, so a concurrent build sees a complete file or none.
        let keep = |from: &Path, to: &Path| {
            std::fs::rename(from, to).map_err(|error| format!("{}: {error}", to.display()))
        };
        for notice in NOTICES {
            keep(&contents.join(notice), &folder.join(notice))?;
        }
        keep(&fetched, &library)
    });
    // What is left is scratch. A failure to remove it does no harm.
    let _ = std::fs::remove_dir_all(&unpacked);
    outcome.map(|()| library)
}

/// Returns the target folder, which all profiles share. It contains cargo's cache tag.
fn shared_folder(out_dir: &Path) -> PathBuf {
    let tagged = out_dir
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").exists());
    tagged.unwrap_or(out_dir).to_path_buf()
}

/// Fetches the wheel and unpacks it. Returns the folder of its contents.
fn unpack(wheel: &Wheel, folder: &Path) -> Result<PathBuf, String> {
    let requirement = format!("onnxruntime=={VERSION}");
    run(Command::new("python3")
        .args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
        ])
        .args([
            "--implementation",
            "cp",
            "--python-version",
            "312",
            "--platform",
            wheel.platform,
        ])
        .arg("--dest")
        .arg(folder)
        .arg(requirement))?;
    let entries =
        std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let archive = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or("pip downloaded no wheel")?;
    run(Command::new("python3")
        .args(["-m", "zipfile", "-e"])
        .arg(archive)
        .arg(folder))?;
    Ok(folder.join("onnxruntime"))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("python3 does not start ({error})"))?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    let last = message
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("no message");
    Err(format!("`{command:?}` failed: {}", last.trim()))
}

fn digest(file: &Path) -> Result<String, String> {
    let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}
