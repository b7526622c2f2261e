//! All commands work with the `smoke` preset: pretrain, train a fold, evaluate, export.

use std::path::Path;

use model_export::preset::Preset;
use serde_json::Value;
use undertone::bundle::Bundle;

use crate::command::{done, run};
use crate::small;

fn lines(run: &Path) -> usize {
    let curves = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    curves.lines().count()
}

#[test]
fn the_smoke_preset_makes_a_bundle_from_end_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    small::data(root);
    let path = |name: &str| root.join(name).to_string_lossy().into_owned();
    let (data, vq, fold) = (path(""), path("vq"), path("fold0"));
    let (report, bundle) = (path("report"), path("bundle"));
    let smoke = ["--preset", "smoke", "--data", &data];
    done(&[&["pretrain", "--out", &vq], &smoke[..]].concat());
    done(
        &[
            &["train", "--vq", &vq, "--fold", "0/3", "--out", &fold],
            &smoke[..],
        ]
        .concat(),
    );
    done(&["evaluate", &fold, "--out", &report]);
    let figures = std::fs::read_to_string(root.join("report/report.md")).unwrap();
    assert!(figures.contains("its figures mean nothing"), "{figures}");
    done(&[
        "export", &fold, "--report", &report, "--data", &data, "--name", "smoke", "--out", &bundle,
    ]);
    Bundle::open(Path::new(&bundle)).unwrap();
}

#[test]
fn epochs_given_to_a_command_replace_the_presets_and_are_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    small::data(root);
    let path = |name: &str| root.join(name).to_string_lossy().into_owned();
    let (data, vq, fold) = (path(""), path("vq"), path("fold0"));
    let pretrain = |epochs| {
        [
            "pretrain", "--preset", "smoke", "--data", &data, "--out", &vq, "--epochs", epochs,
        ]
    };
    done(&pretrain("3"));
    let train = |epochs| {
        [
            "train", "--preset", "smoke", "--data", &data, "--vq", &vq, "--fold", "0/3", "--out",
            &fold, "--epochs", epochs,
        ]
    };
    done(&train("1"));
    for (run, epochs) in [("vq", 3), ("fold0", 1)] {
        assert_eq!(lines(&root.join(run)), epochs, "{run}");
    }
    let recorded = |run: &str| Preset::load(&path(&format!("{run}/preset.toml"))).unwrap();
    assert_eq!(recorded("vq").pretraining.epochs, 3);
    assert_eq!(recorded("fold0").training.epochs, 1);
    let outcome = std::fs::read(root.join("fold0/outcome.json")).unwrap();
    let outcome: Value = serde_json::from_slice(&outcome).unwrap();
    assert!(outcome["test_ua"].is_number());

    let another = run(&train("2"));
    let stderr = String::from_utf8_lossy(&another.stderr);
    assert!(
        stderr.contains("holds a run with another preset.toml"),
        "{stderr}"
    );
    for arguments in [&pretrain("0")[..], &train("0")] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_fold_that_does_not_fit_is_answered_with_those_that_do() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    small::data(root);
    let path = |name: &str| root.join(name).to_string_lossy().into_owned();
    let (data, out) = (path(""), path("fold"));
    let stderr = |arguments: &[&str]| {
        let common = ["train", "--preset", "smoke", "--data", &data, "--out", &out];
        let output = run(&[&common[..], arguments].concat());
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    // Six speakers; a fold needs one each to train, to validate and to test.
    let fit = "`--protocol speakers/2` to `speakers/6` fit";
    for (arguments, expected) in [
        (
            &["--fold", "0/2"][..],
            "--fold 0/2 is one of 2 folds, but `speakers/3` makes 3: give 0/3 to 2/3, or another protocol",
        ),
        (
            &["--fold", "0/2", "--protocol", "leave-one-speaker-out"],
            "`leave-one-speaker-out` makes 6: give 0/6 to 5/6",
        ),
        (
            &["--fold", "0/7", "--protocol", "speakers/7"],
            "emodb has 6 speakers",
        ),
        (&["--fold", "3/3"], "folds are counted from 0"),
    ] {
        let stderr = stderr(arguments);
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
        assert!(
            stderr.contains(fit) || stderr.contains("counted"),
            "{stderr}"
        );
    }
}
