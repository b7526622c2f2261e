//! Where ONNX Runtime's library is found.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use undertone::runtime::Library;

use crate::common;

/// A copy of the program in a folder of its own, and a recording beside it.
fn elsewhere() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("undertone");
    std::fs::copy(env!("CARGO_BIN_EXE_undertone"), &program).unwrap();
    std::fs::write(folder.path().join("book.flac"), common::book()).unwrap();
    (folder, program)
}

/// Classifies the recording with nothing in the environment that names a library.
fn classify(program: &Path) -> Output {
    Command::new(program)
        .current_dir(program.parent().unwrap())
        .args(["classify", "book.flac"])
        .env_clear()
        .output()
        .unwrap()
}

#[test]
fn the_library_beside_the_program_comes_before_the_builds() {
    let real = Library::load(None).unwrap().path;
    for place in ["", "lib"] {
        let (folder, program) = elsewhere();
        let place = folder.path().join(place);
        std::fs::create_dir_all(&place).unwrap();
        let library = place.join(real.file_name().unwrap());
        std::fs::write(&library, "no library").unwrap();
        let refused = classify(&program);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success(), "another library was loaded");
        assert!(said.contains(&library.display().to_string()), "{said}");

        std::fs::copy(&real, &library).unwrap();
        let answered = classify(&program);
        let said = String::from_utf8_lossy(&answered.stderr);
        assert!(answered.status.success(), "{said}");
        assert!(String::from_utf8_lossy(&answered.stdout).contains("book.flac"));
    }
}
