//! A plain CSV manifest: columns path, speaker, label; optionally start, end, corpus, session.
//! Paths are relative to the manifest's folder. Times are seconds or `0 days 00:00:01.5`. An empty label
//! marks speech without a label.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use indicatif::ProgressIterator;

use super::table::{CsvRow, CsvTable};
use super::{Collection, Corpus, Reason, Span, Utterance, walk};

/// Reads a manifest; rows without a corpus belong to `corpus`.
pub(super) fn load(corpus: Corpus, path: &Path) -> Result<Collection> {
    let table = CsvTable::read(path)?;
    let columns = Columns {
        path: table.need("path")?,
        speaker: table.need("speaker")?,
        label: table.need("label")?,
        start: table.column("start"),
        end: table.column("end"),
        corpus: table.column("corpus"),
        session: table.column("session"),
    };
    let root = path.parent().unwrap_or(Path::new("."));
    let mut collection = Collection::new(corpus);
    for row in table.rows().progress_with(walk::bar(table.len())) {
        let utterance = columns.utterance(&row, root, &collection.corpus)?;
        if row.get(Some(columns.speaker)).is_empty() {
            collection.skip(Reason::NoSpeaker, utterance.path);
        } else if !utterance.path.is_file() {
            collection.skip(Reason::NoAudio, utterance.path);
        } else if walk::is_pointer(&utterance.path) {
            collection.skip(Reason::Pointer, utterance.path);
        } else {
            collection.utterances.push(utterance);
        }
    }
    ensure!(
        !collection.utterances.is_empty(),
        "nothing in {} can be used{}",
        path.display(),
        because(&collection),
    );
    collection
        .utterances
        .sort_by(|a, b| (&a.path, a.span).cmp(&(&b.path, b.span)));
    Ok(collection)
}

/// Returns the reasons why no row is usable, as the end of a sentence.
pub(super) fn because(collection: &Collection) -> String {
    match collection.notes().as_slice() {
        [] => ": it has no rows".to_owned(),
        notes => format!(": {}", notes.join("; ")),
    }
}

struct Columns {
    path: usize,
    speaker: usize,
    label: usize,
    start: Option<usize>,
    end: Option<usize>,
    corpus: Option<usize>,
    session: Option<usize>,
}

impl Columns {
    fn utterance(
        &self,
        row: &CsvRow<'_>,
        root: &Path,
        corpus: &Corpus,
    ) -> Result<Utterance<String>> {
        let relative = row.get(Some(self.path));
        ensure!(!relative.is_empty(), "{}: no path", row.place());
        let span =
            Span::parse(row.get(self.start), row.get(self.end)).with_context(|| row.place())?;
        let corpus = match row.get(self.corpus) {
            "" => corpus.clone(),
            name => Corpus::from(name),
        };
        let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok(Utterance {
            path: row.file(root, relative)?,
            speaker: format!("{corpus}/{}", row.get(Some(self.speaker))),
            corpus,
            session: filled(row.get(self.session)),
            span,
            label: filled(row.get(Some(self.label))),
        })
    }
}
