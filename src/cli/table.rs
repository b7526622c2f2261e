//! A plain table for a terminal, line by line: the columns' widths are fixed beforehand.

/// Columns of a table.
#[derive(Debug)]
pub(super) struct Table {
    widths: Vec<usize>,
}

impl Table {
    /// A column for each width, in characters.
    pub(super) fn new(widths: &[usize]) -> Self {
        Self {
            widths: widths.to_vec(),
        }
    }

    /// One line; a cell that is too wide moves those behind it.
    pub(super) fn line(&self, cells: &[&str]) -> String {
        let cells = cells.iter().zip(&self.widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
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
