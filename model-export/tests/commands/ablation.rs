//! `ablate` trains all fourteen systems. Each causal system exports to a bundle on which ONNX Runtime and burn
//! agree; the others are refused with the reason.

use std::path::Path;

use model_export::preset::SequenceModel;
use serde_json::Value;

use crate::command::{done, run};
use crate::small;

#[test]
fn all_systems_are_compared_and_the_causal_ones_exported() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    small::data(root);
    let preset = toml::to_string(&small::preset()).unwrap();
    std::fs::write(root.join("preset.toml"), preset).unwrap();
    let path = |name: &str| root.join(name).to_string_lossy().into_owned();
    let (preset, data, vq, out) = (path("preset.toml"), path(""), path("vq"), path("ablation"));
    done(&[
        "pretrain", "--preset", &preset, "--data", &data, "--out", &vq,
    ]);
    let ablate = [
        "ablate", "--preset", &preset, "--data", &data, "--vq", &vq, "--out", &out,
    ];
    let stderr = done(&ablate);
    assert_eq!(stderr.matches("test UA").count(), 14 * 3, "{stderr}");

    let report = std::fs::read(root.join("ablation/report/ablation.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["cells"].as_array().unwrap().len(), 14);
    let again = done(&ablate);
    assert!(!again.contains("test UA"), "trained again: {again}");

    for representation in ["deep", "fusion"] {
        for model in SequenceModel::ALL {
            let cell = format!("{representation}-{}", model.name());
            let run_folder = path(&format!("ablation/cells/{cell}/seed0/fold0"));
            let bundle = path(&format!("bundle-{cell}"));
            let export = [
                "export",
                &run_folder,
                "--data",
                &data,
                "--name",
                &cell,
                "--out",
                &bundle,
            ];
            if model.is_causal() {
                // The command checks ONNX Runtime to 1e-4 on every path and prints the difference.
                let stderr = done(&export);
                let apart = stderr.split("differ by ").nth(1).unwrap();
                println!("{cell}: {}", apart.lines().next().unwrap());
                undertone::bundle::Bundle::open(Path::new(&bundle)).unwrap();
            } else {
                let output = run(&export);
                let stderr = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(1), "{stderr}");
                assert!(stderr.contains("bidirectional"), "{stderr}");
            }
        }
    }
}

#[test]
fn a_vqvae_that_was_pretrained_on_a_test_recording_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    small::data(root);
    let preset = toml::to_string(&small::preset()).unwrap();
    std::fs::write(root.join("preset.toml"), preset).unwrap();
    std::fs::copy(
        root.join("emodb/03a01Na.wav"),
        root.join("unlabelled/104-1-0000.wav"),
    )
    .unwrap();
    let path = |name: &str| root.join(name).to_string_lossy().into_owned();
    let (preset, data, vq, out) = (path("preset.toml"), path(""), path("vq"), path("ablation"));
    done(&[
        "pretrain", "--preset", &preset, "--data", &data, "--out", &vq,
    ]);
    let output = run(&[
        "ablate", "--preset", &preset, "--data", &data, "--vq", &vq, "--out", &out,
    ]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("03a01Na.wav is a test or validation utterance"),
        "{stderr}"
    );
}
