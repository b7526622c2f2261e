//! `pretrain` and `train`, killed at any moment and started again, end with results that are bit-identical to those
//! of an undisturbed run: the real binary, real speech, SIGKILL.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use model_export::preset::Preset;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::small;

/// Epochs of each command.
const PRETRAINED: usize = 5;
const TRAINED: usize = 8;

/// A preset with every option that draws random numbers or keeps state.
fn preset() -> Preset {
    let mut preset = small::preset();
    preset.pretraining.epochs = PRETRAINED;
    preset.training.epochs = TRAINED;
    preset.training.mixup = 0.2;
    preset.training.copy_paste = 0.3;
    preset.training.patience = 6;
    preset.augment.companding = 0.5;
    preset
}

/// When a run is killed: after this many lines on standard error, plus this share of an epoch.
#[derive(Clone, Copy, Debug)]
struct Moment {
    lines: usize,
    share: f64,
}

/// Runs the command to its end, or kills it at a moment; returns whether it was killed.
fn run(arguments: &[&str], moment: Option<(Moment, Duration)>) -> bool {
    let mut child = Command::new(env!("CARGO_BIN_EXE_model-export"))
        .args(arguments)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut stderr = Vec::new();
    if let Some((moment, epoch)) = moment {
        stderr.extend(lines.by_ref().take(moment.lines).map(Result::unwrap));
        std::thread::sleep(epoch.mul_f64(moment.share));
        // On Unix this is SIGKILL: the process writes, flushes and cleans up nothing more.
        child.kill().unwrap();
    }
    stderr.extend(lines.map(Result::unwrap));
    let status = child.wait().unwrap();
    let killed = moment.is_some() && !status.success();
    assert!(status.success() || killed, "{arguments:?}: {stderr:#?}");
    killed
}

/// Returns every file below a run folder, by its relative path: learning curves without seconds, weights without
/// the parameter ids that each process draws, and no optimizer state, which is stored under those ids: its effect is in the weights of the epochs after a resumption.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), PathBuf::from(entry.file_name()));
        if path.is_dir() {
            let inner = content(&path).into_iter();
            files.extend(inner.map(|(inner, bytes)| (name.join(inner), bytes)));
        } else {
            files.insert(name, std::fs::read(&path).unwrap());
        }
    }
    if let Some(curves) = files.get_mut(Path::new("metrics.jsonl")) {
        let text = String::from_utf8(std::mem::take(curves)).unwrap();
        for line in text.lines() {
            let mut line: Value = serde_json::from_str(line).unwrap();
            line.as_object_mut().unwrap().remove("seconds");
            curves.extend(line.to_string().bytes());
        }
    }
    files.retain(|name, _| !name.ends_with("optimizer.bpk"));
    let weights = files
        .iter_mut()
        .filter(|(name, _)| name.extension().is_some_and(|e| e == "bpk"));
    weights.for_each(|(_, bytes)| forget_identities(bytes));
    files
}

/// Zeroes the ids (eight bytes in CBOR) after `param_id` in a burnpack's header.
fn forget_identities(bytes: &mut [u8]) {
    const FIELD: &[u8] = b"param_id\x1b";
    let places: Vec<usize> = (0..bytes.len().saturating_sub(FIELD.len() + 8))
        .filter(|&place| bytes[place..].starts_with(FIELD))
        .collect();
    assert!(!places.is_empty(), "burnpack has changed");
    for place in places {
        bytes[place + FIELD.len()..][..8].fill(0);
    }
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    small::data(root);
    std::fs::write(
        root.join("preset.toml"),
        toml::to_string(&preset()).unwrap(),
    )
    .unwrap();
    let path = |name: &str| root.join(name).to_string_lossy().into_owned();
    let (preset, data, vq) = (path("preset.toml"), path(""), path("vq"));
    let mut random = StdRng::seed_from_u64(20);
    let (mut tried, mut hit) = (0, 0);
    // Each kill is before the end. The last is after the fourth epoch, which has the best weights.
    for (command, epochs, kills, lines, calm, disturbed) in [
        ("pretrain", PRETRAINED, 2, 0..=1, "vq", "vq-killed"),
        ("train", TRAINED, 3, 3..=3, "fold", "fold-killed"),
    ] {
        let arguments = |out: &str| -> Vec<String> {
            let mut all = vec![command, "--preset", &preset, "--data", &data, "--out", out];
            if command == "train" {
                all.extend(["--fold", "0/3", "--vq", &vq]);
            }
            all.into_iter().map(str::to_owned).collect()
        };
        let run = |out: &str, moment| {
            let arguments = arguments(&path(out));
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            run(&arguments, moment)
        };
        let begun = Instant::now();
        run(calm, None);
        let epoch = begun.elapsed() / epochs as u32;
        for _ in 0..kills {
            let moment = Moment {
                lines: random.random_range(lines.clone()),
                share: random.random(),
            };
            let killed = run(disturbed, Some((moment, epoch)));
            println!("{command}: {moment:?}, killed: {killed}");
            tried += 1;
            hit += usize::from(killed);
        }
        run(disturbed, None);
        let (calm, disturbed) = (content(&root.join(calm)), content(&root.join(disturbed)));
        assert!(
            calm.keys().eq(disturbed.keys()),
            "{:?}, {:?}",
            calm.keys(),
            disturbed.keys()
        );
        for (name, bytes) in &calm {
            assert!(
                bytes == &disturbed[name],
                "{command}: {} differs",
                name.display()
            );
        }
    }
    println!("{hit} of {tried} kills met a run");
    assert!(hit > 0, "every run had ended before it was killed");
}

/// Steps of fine-tuning: enough for many checkpoints.
const FINETUNED: usize = 400;

#[test]
fn a_run_that_is_killed_while_it_fine_tunes_ends_as_if_it_had_not_been() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    small::data(root);
    let mut preset = small::preset();
    preset.pretraining.finetune_steps = FINETUNED;
    let preset = toml::to_string(&preset).unwrap();
    std::fs::write(root.join("preset.toml"), preset).unwrap();
    let path = |name: &str| root.join(name).to_string_lossy().into_owned();
    let (preset, data, vq) = (path("preset.toml"), path(""), path("vq"));
    run(
        &[
            "pretrain", "--preset", &preset, "--data", &data, "--out", &vq,
        ],
        None,
    );
    let train = |out: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_model-export"));
        command
            .args(["train", "--preset", &preset, "--data", &data, "--vq", &vq])
            .args(["--fold", "0/3", "--out", &path(out)])
            .stderr(Stdio::piped());
        command
    };
    let calm = train("calm").output().unwrap();
    assert!(calm.status.success(), "{calm:?}");

    let mut killed = train("killed").spawn().unwrap();
    let checkpoint = root.join("killed/finetuning/latest");
    while !checkpoint.exists() {
        assert_eq!(
            killed.try_wait().unwrap(),
            None,
            "it ended without a checkpoint"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(
        !root.join("killed/vqvae.bpk").exists(),
        "it had ended fine-tuning"
    );

    let resumed = train("killed").output().unwrap();
    let stderr = String::from_utf8_lossy(&resumed.stderr);
    assert!(resumed.status.success(), "{stderr}");
    assert!(
        stderr.contains("of fine-tuning"),
        "it started again: {stderr}"
    );
    let (calm, killed) = (content(&root.join("calm")), content(&root.join("killed")));
    assert!(calm.keys().eq(killed.keys()), "{:?}", killed.keys());
    for (name, bytes) in &calm {
        assert!(bytes == &killed[name], "{} differs", name.display());
    }
}
