//! audformat: a folder with `db.yaml` and tables `db.<table>.csv`, as audEERING publishes corpora.
//!
//! Rows are `file[,start,end],…`. The emotion of a file or a span and its speaker may be in different
//! tables, so tables are joined. The columns are named emotion, speaker and session. Ids are text; paths are
//! relative to the folder. Storage formats other than CSV are refused.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use indicatif::ProgressIterator;

use super::manifest::because;
use super::table::{CsvRow, CsvTable};
use super::{Collection, Corpus, Reason, Span, Utterance, walk};

/// The file that every audformat database has.
pub(super) const HEADER: &str = "db.yaml";

/// What a row describes.
type Key = (String, Option<Span>);

/// Reads a database.
pub(super) fn load(corpus: Corpus, dir: &Path) -> Result<Collection> {
    let mut database = Database::default();
    let mut collection = Collection::new(corpus);
    let mut columns = Vec::new();
    for path in tables(dir)? {
        let table = CsvTable::read(&path)?;
        columns.push(table.columns());
        // Tables without files, such as tables of speakers, cannot be joined.
        if table.column("file").is_some() {
            database.read(&table, dir, &mut collection)?;
        }
    }
    for (column, found) in [
        ("emotion", !database.emotions.is_empty()),
        ("speaker", !database.speakers.is_empty()),
    ] {
        ensure!(
            found,
            "no table of files in {} has a column `{column}`; the tables' columns are {}",
            dir.display(),
            columns.join("; "),
        );
    }
    let bar = walk::bar(database.emotions.len());
    for (key, emotion) in database.emotions.iter().progress_with(bar) {
        let path = dir.join(&key.0);
        let Some(speaker) = find(&database.speakers, key) else {
            collection.skip(Reason::NoSpeaker, path);
            continue;
        };
        if emotion.is_empty() {
            collection.skip(Reason::NoEmotion, path);
        } else if !path.is_file() {
            collection.skip(Reason::NoAudio, path);
        } else if walk::is_pointer(&path) {
            collection.skip(Reason::Pointer, path);
        } else {
            collection.utterances.push(Utterance {
                path,
                corpus: collection.corpus.clone(),
                speaker: format!("{}/{speaker}", collection.corpus),
                session: find(&database.sessions, key).cloned(),
                span: key.1,
                label: Some(emotion.clone()),
            });
        }
    }
    ensure!(
        !collection.utterances.is_empty(),
        "nothing in {} can be used{}",
        dir.display(),
        because(&collection),
    );
    Ok(collection)
}

/// The used columns of all tables.
#[derive(Default)]
struct Database {
    emotions: BTreeMap<Key, String>,
    speakers: HashMap<Key, String>,
    sessions: HashMap<Key, String>,
}

impl Database {
    fn read(&mut self, table: &CsvTable, dir: &Path, collection: &mut Collection) -> Result<()> {
        let [file, start, end] = ["file", "start", "end"].map(|name| table.column(name));
        let [emotion, speaker, session] =
            ["emotion", "speaker", "session"].map(|name| table.column(name));
        for row in table.rows() {
            let name = row.get(file);
            if name.is_empty() {
                collection.skip(Reason::NoAudio, table.path().to_owned());
                continue;
            }
            row.file(dir, name)?;
            let span = Span::parse(row.get(start), row.get(end)).with_context(|| row.place())?;
            let key = (name.to_owned(), span);
            for (column, ids) in [(speaker, &mut self.speakers), (session, &mut self.sessions)] {
                let id = unquoted(row.get(column));
                if !id.is_empty() {
                    ids.insert(key.clone(), id.to_owned());
                }
            }
            if emotion.is_some() {
                self.label(key, row.get(emotion), &row)?;
            }
        }
        Ok(())
    }

    /// Two tables may contain the same emotion of a file, or one of them none, but not two emotions.
    fn label(&mut self, key: Key, emotion: &str, row: &CsvRow<'_>) -> Result<()> {
        match self.emotions.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(emotion.to_owned());
            }
            Entry::Occupied(known) if emotion.is_empty() || known.get() == emotion => {}
            Entry::Occupied(mut known) if known.get().is_empty() => {
                known.insert(emotion.to_owned());
            }
            Entry::Occupied(known) => bail!(
                "{}: {} is `{emotion}` here and `{}` in another table; \
                 keep the tables of one rating only",
                row.place(),
                known.key().0,
                known.get(),
            ),
        }
        Ok(())
    }
}

/// Returns the entry of a span, otherwise the entry of its file.
fn find<'a>(ids: &'a HashMap<Key, String>, key: &Key) -> Option<&'a String> {
    ids.get(key).or_else(|| ids.get(&(key.0.clone(), None)))
}

/// Removes quotes: audformat writes an id such as 03 in quotes, so that it is not read as a number, but 08 without.
fn unquoted(id: &str) -> &str {
    id.trim_matches(['\'', '"'])
}

/// Returns `db.<table>.csv` of every table, in order.
fn tables(dir: &Path) -> Result<Vec<PathBuf>> {
    let context = || format!("cannot read the tables of {}", dir.display());
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for entry in std::fs::read_dir(dir).with_context(context)? {
        let name = entry.with_context(context)?.file_name();
        let name = name.to_string_lossy();
        let table = name
            .strip_prefix("db.")
            .and_then(|rest| rest.rsplit_once('.'));
        let Some((table, extension)) = table else {
            continue;
        };
        if let Some(known) = ["csv", "parquet", "pkl"]
            .into_iter()
            .find(|e| *e == extension)
        {
            found.entry(table.to_owned()).or_default().push(known);
        }
    }
    ensure!(
        !found.is_empty(),
        "{} has {HEADER} but no table `db.<table>.csv`",
        dir.display()
    );
    for (table, kinds) in &found {
        if kinds.contains(&"csv") {
            continue;
        }
        let (kind, why) = if kinds.contains(&"parquet") {
            ("parquet", "Parquet is not read")
        } else {
            ("pkl", "a pickle could run any code, so it is not read")
        };
        bail!(
            "table db.{table}.{kind} of {dir}: {why}. Write the tables as CSV once, in Python: \
             import audformat; audformat.Database.load('{dir}').save('{dir}', storage_format='csv')",
            dir = dir.display(),
        );
    }
    Ok(found
        .into_keys()
        .map(|table| dir.join(format!("db.{table}.csv")))
        .collect())
}
