//! CSV tables of audio files: columns by name, rows with their line number, paths inside the table's folder.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use csv::{ReaderBuilder, StringRecord, Trim};

/// A table in memory.
pub(super) struct CsvTable {
    path: PathBuf,
    columns: StringRecord,
    rows: Vec<StringRecord>,
}

impl CsvTable {
    /// Reads a file with a header line.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let context = || format!("cannot read the table {}", path.display());
        let bytes = std::fs::read(path).with_context(context)?;
        // Spreadsheets write a byte order mark before the first column's name.
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(text);
        let columns = reader.headers().with_context(context)?.clone();
        let rows = reader
            .records()
            .collect::<Result<_, _>>()
            .with_context(context)?;
        Ok(Self {
            path: path.to_owned(),
            columns,
            rows,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the names of the columns, for messages.
    pub(super) fn columns(&self) -> String {
        self.columns.iter().collect::<Vec<_>>().join(", ")
    }

    /// Returns the index of a column.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.columns
            .iter()
            .position(|column| column.eq_ignore_ascii_case(name))
    }

    /// Returns the index of a required column.
    pub(super) fn need(&self, name: &str) -> Result<usize> {
        match self.column(name) {
            Some(column) => Ok(column),
            None => bail!(
                "{} has no column `{name}`; its columns are {}",
                self.path.display(),
                self.columns()
            ),
        }
    }

    /// Returns the number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = CsvRow<'_>> {
        self.rows.iter().map(|record| CsvRow {
            table: &self.path,
            record,
        })
    }
}

/// One line of a table.
pub(super) struct CsvRow<'a> {
    table: &'a Path,
    record: &'a StringRecord,
}

impl<'a> CsvRow<'a> {
    /// Returns the text in a column; empty if the table has no such column.
    pub(super) fn get(&self, column: Option<usize>) -> &'a str {
        column.and_then(|c| self.record.get(c)).unwrap_or("")
    }

    /// Returns the file and the line, for messages.
    pub(super) fn place(&self) -> String {
        let line = self.record.position().map_or(0, csv::Position::line);
        format!("{}, line {line}", self.table.display())
    }

    /// A file below `root`, as the row names it.
    pub(super) fn file(&self, root: &Path, relative: &str) -> Result<PathBuf> {
        let inside = Path::new(relative)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        ensure!(
            inside,
            "{}: `{relative}` leads out of {}; paths are relative to that folder and stay in it",
            self.place(),
            root.display(),
        );
        Ok(root.join(relative))
    }
}
