//! A small ablation with made-up predictions, from its folder to the page.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::*;

const PRESET: &str =
    "name = \"tiny <&>\"\nrepresentation = \"fusion\"\n[training]\nfolds = 2\nseed = 1\n";

/// Writes a run of 48 utterances by four speakers, which is wrong on one in `wrong_in`.
fn run(cell: &Path, fold: usize, wrong_in: usize, protocol: &str) {
    let folder = cell.join(format!("seed1/fold{fold}"));
    fs::create_dir_all(&folder).unwrap();
    let predictions: Vec<Value> = (0..48)
        .map(|index| {
            let label = index % 4;
            let predicted = if index % wrong_in == 0 {
                (label + 1) % 4
            } else {
                label
            };
            let logits: Vec<f32> = (0..4)
                .map(|class| {
                    let sure = 1.0 + index as f32 / 24.0;
                    if class == predicted { sure } else { 0.0 }
                })
                .collect();
            let corpus = ["emodb", "ravdess"][index / 24];
            json!({
                "path": format!("{fold}/{index}.wav"), "corpus": corpus, "label": label,
                "speaker": format!("{corpus}/{fold}{}", index / 12), "logits": logits,
            })
        })
        .collect();
    let write = |name: &str, value: &Value| {
        fs::write(folder.join(name), serde_json::to_vec(value).unwrap()).unwrap();
    };
    fs::write(folder.join("preset.toml"), PRESET).unwrap();
    write(
        "record.json",
        &json!({ "protocol": protocol, "fold": format!("{fold}/2") }),
    );
    write("test.json", &predictions.into());
    write("outcome.json", &json!({ "temperature": 0.8 }));
    let curve: String = (1..=150)
        .map(|epoch| {
            let ua = (epoch % 5 == 0).then_some(0.5);
            let line = json!({
                "epoch": epoch, "loss": 2.0 / f64::from(epoch), "training_accuracy": 0.5,
                "validation_ua": ua, "seconds": 1.5,
            });
            format!("{line}\n")
        })
        .collect();
    fs::write(folder.join("metrics.jsonl"), curve).unwrap();
}

/// Fusion TACN is right more often than Fusion TCN, whose second fold has not finished; R_f has emotions in
/// clusters, R_d speakers.
fn ablation(protocol: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::write(root.join("preset.toml"), PRESET).unwrap();
    let files = [
        ("record.json", json!({ "splits": ["one", "two"] })),
        ("plan.json", json!({ "seeds": [1] })),
    ];
    for (name, content) in files {
        fs::write(root.join(name), content.to_string()).unwrap();
    }
    let cell = |name: &str| root.join("cells").join(name);
    run(&cell("fusion-tacn"), 0, 12, protocol);
    run(&cell("fusion-tacn"), 1, 12, protocol);
    run(&cell("fusion-tcn"), 0, 3, protocol);
    fs::create_dir_all(cell("fusion-tcn").join("seed1/fold1")).unwrap();
    let points: Vec<Value> = (0..40)
        .map(|index| {
            let (label, speaker) = (index % 4, index % 5);
            json!({
                "label": label, "speaker": format!("emodb/{speaker}"), "corpus": "emodb",
                "deep": [speaker, f64::from(index) / 50.0], "fusion": [10 * label, speaker],
            })
        })
        .collect();
    let embeddings = json!({ "labels": ["a", "b", "c", "d"], "points": points });
    fs::write(root.join("embeddings.json"), embeddings.to_string()).unwrap();
    let codebook = json!({
        "counts": [5, 0, 9, 2], "perplexity": 2.7,
        "curve": [{ "epoch": 1, "reconstruction": 0.9, "perplexity": 1.5 },
                  { "epoch": 2, "reconstruction": 0.7, "perplexity": 2.7 }],
    });
    fs::write(root.join("codebook.json"), codebook.to_string()).unwrap();
    folder
}

fn written(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn the_report_names_the_winner_and_what_is_missing() {
    let folder = ablation("speakers/2");
    let out = tempfile::tempdir().unwrap();
    write(folder.path(), out.path()).unwrap();
    let page = written(out.path(), "ablation.html");
    assert!(
        page.contains("Highest UA so far: Fusion TACN, 91.7 ("),
        "winner"
    );
    assert!(page.contains("Fusion TCN: seed 1, folds 1"), "missing run");
    assert!(page.contains("Deep BGRU: all runs"), "missing cell");
    assert!(page.contains("Does Fusion TACN beat Fusion TCN?"));
    assert!(page.contains("agrees with the paper"));
    assert!(page.contains("Speaker-independent") && !page.contains("DEPENDENT"));
    assert!(page.contains("tiny &lt;&amp;&gt;"));
    assert!(page.len() < 300_000, "{}", page.len());
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..Default::default()
    };
    roxmltree::Document::parse_with_options(&page, options).unwrap();
}

#[test]
fn the_numbers_have_intervals_and_none_is_lost() {
    let folder = ablation("speakers/2");
    let out = tempfile::tempdir().unwrap();
    write(folder.path(), out.path()).unwrap();
    let text = written(out.path(), "ablation.json");
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["best"], "fusion-tacn");
    assert_eq!(report["speaker_independent"], true);
    assert_eq!(report["utterances"], 96);
    let tacn = &report["cells"][1];
    assert_eq!(tacn["system"], "fusion-tacn");
    for figure in ["UA", "WA", "F1"] {
        let [low, value, high] = ["low", "value", "high"].map(|key| tacn[figure][key].as_f64());
        assert!(low.unwrap() <= value.unwrap() && value <= high, "{tacn}");
    }
    assert!((tacn["WA"]["value"].as_f64().unwrap() - 0.91667).abs() < 1e-9);
    assert_eq!(tacn["confusion"][1][1], 24);
    assert_eq!(tacn["by_corpus"]["emodb"]["utterances"], 48);
    assert_eq!(tacn["seconds"], 450.0);
    // On fold 0 the one is wrong four times and the other sixteen, the four among them.
    let claim = &report["claims"][0];
    assert_eq!(claim["utterances"], 48);
    assert_eq!(claim["mcnemar"]["first_only"], 12);
    assert_eq!(claim["mcnemar"]["second_only"], 0);
    assert_eq!(claim["finding"], "agrees");
    // JSON writes what is not a number as null. A single seed has no deviation, and neither has the
    // one fold of the unfinished cell: 2 · 3 and 3.
    assert_eq!(text.matches("null").count(), 9, "{text}");
    assert!(!text.contains("logits"));
    let emotion = &report["representations"]["fusion"]["emotion"];
    assert!(emotion["silhouette"].as_f64().unwrap() > 0.5);
    let gain = &report["representations"]["emotion_purity_gain"];
    let [low, value, high] = ["low", "value", "high"].map(|key| gain[key].as_f64().unwrap());
    assert!(0.0 < low && low <= value && value <= high, "{gain}");
}

#[test]
fn which_representation_separates_emotions_better_is_stated_only_if_the_interval_decides() {
    let folder = ablation("speakers/2");
    let out = tempfile::tempdir().unwrap();
    write(folder.path(), out.path()).unwrap();
    let page = written(out.path(), "ablation.html");
    let sentence = page
        .split("Fusion separates emotions better than Deep")
        .nth(1);
    assert!(sentence.unwrap().contains("95 % over speakers +"));

    // R_f is R_d but for one of five speakers, whose utterances lie by emotion.
    let path = folder.path().join("embeddings.json");
    let mut embeddings: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for point in embeddings["points"].as_array_mut().unwrap() {
        if point["speaker"] != "emodb/0" {
            point["fusion"] = point["deep"].clone();
        }
    }
    fs::write(&path, embeddings.to_string()).unwrap();
    write(folder.path(), out.path()).unwrap();
    let page = written(out.path(), "ablation.html");
    assert!(
        !page.contains("Fusion separates emotions"),
        "stated without reason"
    );
    let report: Value = serde_json::from_str(&written(out.path(), "ablation.json")).unwrap();
    let gain = &report["representations"]["emotion_purity_gain"];
    let [low, high] = ["low", "high"].map(|key| gain[key].as_f64().unwrap());
    assert!(low <= 0.0 && 0.0 <= high, "{gain}");
}

#[test]
fn the_same_folder_gives_the_same_bytes() {
    let folder = ablation("speakers/2");
    let outs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for out in &outs {
        write(folder.path(), out.path()).unwrap();
    }
    let mut names = vec!["ablation.html".to_owned(), "ablation.json".to_owned()];
    for entry in fs::read_dir(outs[0].path().join("figures")).unwrap() {
        let name = entry.unwrap().file_name();
        names.push(format!("figures/{}", name.to_string_lossy()));
    }
    assert_eq!(names.len(), 2 + 2 * 6, "{names:?}");
    for name in names {
        let [first, second] = [&outs[0], &outs[1]].map(|out| fs::read(out.path().join(&name)));
        assert_eq!(first.unwrap(), second.unwrap(), "{name}");
    }
}

#[test]
fn a_random_split_is_called_speaker_dependent_in_every_table() {
    let folder = ablation("random");
    let out = tempfile::tempdir().unwrap();
    write(folder.path(), out.path()).unwrap();
    let page = written(out.path(), "ablation.html");
    assert!(!page.contains("Speaker-independent"));
    let tables = page.matches("<table>").count();
    assert!(tables > 8);
    assert_eq!(page.matches("Speaker-DEPENDENT.</caption>").count(), tables);
}

#[test]
fn an_ablation_without_a_finished_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("preset.toml"), PRESET).unwrap();
    let error = write(folder.path(), folder.path()).unwrap_err();
    assert!(error.to_string().contains("no run in"), "{error:#}");
}
