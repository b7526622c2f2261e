//! A plain-text table for a terminal. The widths of its columns are fixed, so that each line can be printed at once.

/// Columns of a table.
#[derive(Debug)]
pub(super) struct Table {
    widths: Vec<usize>,
}

impl Table {
    /// Creates a column for each width, in characters.
    pub(super) fn new(widths: &[usize]) -> Self {
        Self {
            widths: widths.to_vec(),
        }
    }

    /// Returns one line. A cell that is too wide moves the cells after it to the right.
    pub(super) fn line(&self, cells: &[impl AsRef<str>]) -> String {
        let cells = cells.iter().zip(&self.widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{:<width$}", cell.as_ref()))
            .collect();
        cells.join("  ").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let table = Table::new(&[8, 5, 4]);
        assert_eq!(
            table.line(&["file", "label", "note"]),
            "file      label  note"
        );
        assert_eq!(table.line(&["a.wav", "anger", ""]), "a.wav     anger");
        assert_eq!(
            table.line(&["über.wav", "joy", "short"]),
            "über.wav  joy    short"
        );
        assert_eq!(
            table.line(&["too-long.wav", "joy", ""]),
            "too-long.wav  joy"
        );
    }
}
