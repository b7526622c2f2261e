//! The real corpora, if they are available.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use model_export::data::corpus::{Corpus, load};

#[test]
fn the_corpora_we_have_count_as_their_description_says() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    if !data.is_dir() {
        eprintln!("SKIPPED: no corpora in {}", data.display());
        return;
    }
    let ravdess = [80, 160, 160, 160, 160, 160, 160, 160];
    for (corpus, folder, counts, speakers) in [
        (Corpus::Ravdess, "ravdess", &ravdess[..], 20),
        (
            Corpus::BanglaSer,
            "banglaser",
            &[270, 270, 270, 267, 206],
            30,
        ),
        (Corpus::EmoDb, "emodb", &[79, 127, 62, 71, 81, 46, 69], 10),
        (Corpus::LibriSpeech, "unlabelled", &[], 146),
    ] {
        let collection = load(corpus.clone(), &data.join(folder)).unwrap();
        assert_eq!(collection.notes(), Vec::<String>::new());
        let utterances = collection.utterances;
        let mut found: BTreeMap<&str, usize> = BTreeMap::new();
        for label in utterances.iter().filter_map(|u| u.label.as_deref()) {
            *found.entry(label).or_default() += 1;
        }
        let expected = corpus
            .emotions()
            .iter()
            .copied()
            .zip(counts.iter().copied());
        assert_eq!(found, expected.collect(), "{corpus}");
        let names: HashSet<_> = utterances.iter().map(|u| &u.speaker).collect();
        assert_eq!(names.len(), speakers, "{corpus}");
        assert!(utterances.is_sorted_by(|a, b| a.path < b.path));
        if corpus == Corpus::LibriSpeech {
            assert_eq!(utterances.len(), 146);
        }
    }
    for (corpus, folder) in [
        (Corpus::Ravdess, "banglaser"),
        (Corpus::BanglaSer, "ravdess"),
    ] {
        let expected = format!("does not look like {corpus}");
        let error = load(corpus, &data.join(folder)).unwrap_err().to_string();
        assert!(error.contains(&expected), "{error}");
    }
}
