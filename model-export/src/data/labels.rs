//! Label maps: from each corpus' own names of emotions to classes.
//!
//! A map is a TOML file with `classes` in the order of the logits and, for each corpus, the words of each
//! class. The words under `dropped` have no class. An unlisted word is an error, so that a typing mistake cannot
//! silently remove recordings.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::data::corpus::{Corpus, Utterance};

/// The key of words without a class.
const DROPPED: &str = "dropped";
/// The table for corpora without a reader and a table of their own.
const OTHER: &str = "other";

/// How emotions are mapped to classes.
#[derive(Clone, Debug)]
pub enum Labels {
    /// By a label map.
    Map(LabelMap),
    /// The classes are the emotions of a single corpus.
    Own,
}

/// Classes, and the words of each corpus for them.
#[derive(Clone, Debug)]
pub struct LabelMap {
    name: String,
    classes: Vec<String>,
    /// Corpus, then word in lower case, to class; `None` is dropped.
    corpora: BTreeMap<String, BTreeMap<String, Option<usize>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LabelFile {
    classes: Vec<String>,
    corpora: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl Labels {
    /// Loads `four`, `own`, or a label map's file.
    ///
    /// # Errors
    /// If the file cannot be read or is not a label map.
    pub fn load(name: &str) -> Result<Self> {
        let text = match name {
            "own" => return Ok(Self::Own),
            "four" => include_str!("../../labels/four.toml").to_owned(),
            path => std::fs::read_to_string(path).with_context(|| {
                format!("cannot read the label map {path}; the built-in maps are `four` and `own`")
            })?,
        };
        let map = LabelMap::parse(name, &text).with_context(|| format!("label map `{name}`"))?;
        Ok(Self::Map(map))
    }

    /// Whether recordings of a corpus get classes. A known corpus that the map does not contain is used without
    /// its labels.
    #[must_use]
    pub fn cover(&self, corpus: &Corpus) -> bool {
        match self {
            Self::Map(map) => map.words(corpus).is_some(),
            Self::Own => *corpus != Corpus::LibriSpeech,
        }
    }

    /// Returns the classes, and the recordings that have one.
    ///
    /// # Errors
    /// If the map does not contain a word, no recording is left, or `own` is applied to several corpora.
    pub fn apply(
        &self,
        recordings: Vec<Utterance<String>>,
    ) -> Result<(Vec<String>, Vec<Utterance>)> {
        let own;
        let map = match self {
            Self::Map(map) => map,
            Self::Own => {
                own = LabelMap::own(&recordings)?;
                &own
            }
        };
        let mut utterances = Vec::with_capacity(recordings.len());
        for recording in recordings {
            let Some(word) = &recording.label else {
                continue;
            };
            if let Some(class) = map.class(&recording, word)? {
                utterances.push(recording.labelled(Some(class)));
            }
        }
        ensure!(
            !utterances.is_empty(),
            "label map `{}` leaves no utterance, because none is {}",
            map.name,
            map.classes.join(", ")
        );
        Ok((map.classes.clone(), utterances))
    }
}

impl LabelMap {
    fn parse(name: &str, text: &str) -> Result<Self> {
        let LabelFile { classes, corpora } = toml::from_str(text)?;
        ensure!(classes.len() >= 2, "at least two classes are needed");
        ensure!(
            classes.iter().collect::<BTreeSet<_>>().len() == classes.len(),
            "a class is listed twice in {}",
            classes.join(", ")
        );
        let mut map = Self {
            name: name.to_owned(),
            classes,
            corpora: BTreeMap::new(),
        };
        for (corpus, table) in corpora {
            let words = map
                .parse_corpus(table)
                .with_context(|| format!("[corpora.{corpus}]"))?;
            map.corpora.insert(corpus, words);
        }
        Ok(map)
    }

    fn parse_corpus(
        &self,
        table: BTreeMap<String, Vec<String>>,
    ) -> Result<BTreeMap<String, Option<usize>>> {
        let mut words = BTreeMap::new();
        for (class, members) in table {
            let index = self.classes.iter().position(|known| *known == class);
            ensure!(
                index.is_some() || class == DROPPED,
                "`{class}` is not a class; the classes are {}, and `{DROPPED}`",
                self.classes.join(", ")
            );
            for word in members {
                let word = word.to_lowercase();
                ensure!(
                    !words.contains_key(&word),
                    "the word `{word}` is listed twice"
                );
                words.insert(word, index);
            }
        }
        Ok(words)
    }

    /// Makes a class of each emotion of one corpus.
    fn own(recordings: &[Utterance<String>]) -> Result<Self> {
        let corpora: BTreeSet<&Corpus> = recordings.iter().map(|r| &r.corpus).collect();
        let corpora: Vec<&Corpus> = corpora.into_iter().collect();
        let [corpus] = corpora[..] else {
            bail!(
                "`own` needs a single corpus, and there are {}: {}; \
                 give one with --corpus, or choose a label map",
                corpora.len(),
                corpora
                    .iter()
                    .map(|c| c.name())
                    .collect::<Vec<_>>()
                    .join(", ")
            );
        };
        let found: BTreeSet<String> = recordings
            .iter()
            .filter_map(|r| Some(r.label.as_ref()?.to_lowercase()))
            .collect();
        let known = corpus.emotions();
        // A partial copy gets all classes of the whole corpus, so that the shape of the model is the same.
        let classes: Vec<String> = if found.iter().all(|word| known.contains(&word.as_str())) {
            known.iter().map(|&word| word.to_owned()).collect()
        } else {
            found.into_iter().collect()
        };
        ensure!(
            classes.len() >= 2,
            "{corpus} has {} emotions; at least two are needed",
            classes.len()
        );
        let words = classes.iter().cloned().zip((0..).map(Some)).collect();
        Ok(Self {
            name: "own".to_owned(),
            classes,
            corpora: BTreeMap::from([(corpus.name().to_owned(), words)]),
        })
    }

    fn words(&self, corpus: &Corpus) -> Option<&BTreeMap<String, Option<usize>>> {
        let own = self.corpora.get(corpus.name());
        match corpus {
            Corpus::Other(_) => own.or_else(|| self.corpora.get(OTHER)),
            _ => own,
        }
    }

    fn class(&self, recording: &Utterance<String>, word: &str) -> Result<Option<usize>> {
        let Utterance { corpus, path, .. } = recording;
        let Some(words) = self.words(corpus) else {
            bail!(
                "label map `{}` has no table [corpora.{corpus}]; add one, or leave the corpus out",
                self.name
            );
        };
        match words.get(&word.to_lowercase()) {
            Some(class) => Ok(*class),
            None => bail!(
                "label map `{}` does not contain the emotion `{word}` of {}; add it to a class or to \
                 `{DROPPED}` in [corpora.{corpus}]",
                self.name,
                path.display()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::corpus::LABELS;

    fn recordings(words: &[(Corpus, &str)]) -> Vec<Utterance<String>> {
        words
            .iter()
            .map(|(corpus, word)| {
                Utterance::new("a.wav", corpus.clone(), "x/1", Some((*word).to_owned()))
            })
            .collect()
    }

    fn other() -> Corpus {
        Corpus::from("mine")
    }

    #[test]
    fn four_contains_every_word_of_every_corpus() {
        let four = Labels::load("four").unwrap();
        for corpus in Corpus::KNOWN {
            let unlabelled = [Corpus::LibriSpeech, Corpus::EmovDb].contains(&corpus);
            assert_eq!(four.cover(&corpus), !unlabelled, "{corpus}");
            if unlabelled {
                continue;
            }
            let words: Vec<_> = corpus
                .emotions()
                .iter()
                .map(|&word| (corpus.clone(), word))
                .collect();
            let (classes, utterances) = four.apply(recordings(&words)).unwrap();
            assert_eq!(classes, LABELS);
            let found: BTreeSet<_> = utterances.iter().filter_map(|u| u.label).collect();
            assert_eq!(found, BTreeSet::from([0, 1, 2, 3]), "{corpus}");
        }
        assert!(four.cover(&other()));
    }

    #[test]
    fn words_become_classes_or_nothing() {
        let four = Labels::load("four").unwrap();
        let (_, utterances) = four
            .apply(recordings(&[
                (Corpus::Ravdess, "calm"),
                (Corpus::Ravdess, "angry"),
                (Corpus::Iemocap, "exc"),
                (Corpus::Iemocap, "hap"),
                (Corpus::Iemocap, "fru"),
                (Corpus::EmoDb, "anxiety"),
                (other(), "Neutral"),
            ]))
            .unwrap();
        let classes: Vec<_> = utterances.iter().map(|u| u.label).collect();
        assert_eq!(classes, [Some(1), Some(3), Some(3), Some(0)]);
    }

    #[test]
    fn a_corpus_own_emotions_keep_its_order() {
        let words = [(Corpus::Ravdess, "happy"), (Corpus::Ravdess, "calm")];
        let (classes, utterances) = Labels::Own.apply(recordings(&words)).unwrap();
        assert_eq!(classes, Corpus::Ravdess.emotions());
        assert_eq!(utterances[0].label, Some(2));
        let words = [(other(), "b"), (other(), "A"), (other(), "b")];
        let (classes, utterances) = Labels::Own.apply(recordings(&words)).unwrap();
        assert_eq!(classes, ["a", "b"]);
        let labels: Vec<_> = utterances.iter().map(|u| u.label).collect();
        assert_eq!(labels, [Some(1), Some(0), Some(1)]);
    }

    #[test]
    fn what_a_map_cannot_place_is_named() {
        let four = Labels::load("four").unwrap();
        for (labels, words, expected) in [
            (
                &four,
                vec![(other(), "hapy")],
                "label map `four` does not contain the emotion `hapy` of a.wav; add it to a class or to \
                 `dropped` in [corpora.mine]",
            ),
            (
                &four,
                vec![(Corpus::EmovDb, "neutral")],
                "label map `four` has no table [corpora.emovdb]; add one, or leave the corpus out",
            ),
            (
                &four,
                vec![(Corpus::Ravdess, "calm")],
                "label map `four` leaves no utterance, because none is neutral, anger, sadness, happiness",
            ),
            (
                &Labels::Own,
                vec![(Corpus::Ravdess, "calm"), (Corpus::EmoDb, "anger")],
                "`own` needs a single corpus, and there are 2: ravdess, emodb; \
                 give one with --corpus, or choose a label map",
            ),
            (
                &Labels::Own,
                vec![(other(), "calm")],
                "mine has 1 emotions; at least two are needed",
            ),
        ] {
            let error = labels.apply(recordings(&words)).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn a_faulty_map_is_refused_with_its_fault() {
        for (text, expected) in [
            ("classes = ['a']\n[corpora]", "at least two classes"),
            ("classes = ['a', 'a']\n[corpora]", "a class is listed twice"),
            (
                "classes = ['a', 'b']\n[corpora.x]\nc = ['d']",
                "`c` is not a class; the classes are a, b, and `dropped`",
            ),
            (
                "classes = ['a', 'b']\n[corpora.x]\na = ['d']\ndropped = ['D']",
                "the word `d` is listed twice",
            ),
            (
                "classes = ['a', 'b']\nclases = 1\n[corpora]",
                "unknown field",
            ),
        ] {
            let error = format!("{:#}", LabelMap::parse("m", text).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
        let error = Labels::load("/no/such.toml").unwrap_err().to_string();
        assert!(
            error.contains("the built-in maps are `four` and `own`"),
            "{error}"
        );
    }
}
