//! Tables that look like kubectl's: upper-case header, three spaces between columns, no borders.
//!
//! A line is a row: nothing wraps, so that `grep`, `awk` and a redraw by line count work. Colour
//! is laid over whole lines after the layout, so that it cannot disturb it.

use std::fmt;

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr as _;

use super::api::printable;

const GUTTER: &str = "   ";

/// Where a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// What a column does when its cell says what the one above said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    Print,
    /// Leave it out, if all folding columns before are the same as well.
    Fold,
}

/// What a change of a column's cell means to those who watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    News,
    /// It changes by itself, as ages do.
    Ordinary,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    title: &'static str,
    side: Side,
    repeat: Repeat,
    change: Change,
}

impl Column {
    /// Words.
    pub(super) const fn left(title: &'static str) -> Self {
        Self {
            title,
            side: Side::Left,
            repeat: Repeat::Print,
            change: Change::News,
        }
    }

    /// Numbers.
    pub(super) const fn right(title: &'static str) -> Self {
        Self {
            side: Side::Right,
            ..Self::left(title)
        }
    }

    pub(super) const fn folded(self) -> Self {
        Self {
            repeat: Repeat::Fold,
            ..self
        }
    }

    pub(super) const fn ageing(self) -> Self {
        Self {
            change: Change::Ordinary,
            ..self
        }
    }
}

/// How a row is meant. Never colour alone: a word in the row says the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    #[default]
    Plain,
    Good,
    Bad,
    Worry,
    Quiet,
}

impl Tone {
    const fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
            Self::Worry => AnsiColor::Yellow.on_default(),
            Self::Quiet => Style::new().dimmed(),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Row {
    cells: Vec<String>,
    tone: Tone,
}

impl Row {
    /// Cells from elsewhere lose what could steer the terminal.
    pub(super) fn new(cells: impl IntoIterator<Item = String>) -> Self {
        Self {
            cells: cells.into_iter().map(|cell| printable(&cell)).collect(),
            tone: Tone::Plain,
        }
    }

    #[must_use]
    pub(super) fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }
}

#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
}

impl Table {
    /// What of a row is news when it changes.
    pub(super) fn news(&self, row: &Row) -> Vec<String> {
        let cells = self.columns.iter().zip(&row.cells);
        let news = cells.filter(|(column, _)| column.change == Change::News);
        news.map(|(_, cell)| cell.clone()).collect()
    }

    /// The cells of a row as they are printed below `above`.
    fn folded<'a>(&self, row: &'a Row, above: Option<&Row>) -> Vec<&'a str> {
        let mut same = above.is_some();
        let cells = self.columns.iter().zip(&row.cells).enumerate();
        cells
            .map(|(at, (column, cell))| {
                if column.repeat == Repeat::Print {
                    return cell.as_str();
                }
                same = same && above.and_then(|above| above.cells.get(at)) == Some(cell);
                if same { "" } else { cell }
            })
            .collect()
    }
}

impl fmt::Display for Table {
    /// The whole table, repeated names folded.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut layout = Layout::default();
        layout.widen(self);
        writeln!(f, "{}", layout.header(self))?;
        let mut above = None;
        for row in &self.rows {
            let line = layout.line(self, &self.folded(row, above), row.tone.style());
            writeln!(f, "{line}")?;
            above = Some(row);
        }
        Ok(())
    }
}

/// Widths of columns; they only grow, so that rows appended later stand under the earlier ones.
#[derive(Debug, Default)]
pub(super) struct Layout(Vec<usize>);

impl Layout {
    pub(super) fn widen(&mut self, table: &Table) {
        self.0.resize(table.columns.len(), 0);
        for (at, (width, column)) in self.0.iter_mut().zip(&table.columns).enumerate() {
            let cells = table.rows.iter().filter_map(|row| row.cells.get(at));
            let widest = cells.map(|cell| cell.width()).max().unwrap_or(0);
            *width = (*width).max(widest).max(column.title.width());
        }
    }

    pub(super) fn header(&self, table: &Table) -> String {
        let titles: Vec<&str> = table.columns.iter().map(|column| column.title).collect();
        self.line(table, &titles, Style::new().bold())
    }

    /// A row on its own, nothing folded.
    pub(super) fn row(&self, table: &Table, row: &Row) -> String {
        let cells: Vec<&str> = row.cells.iter().map(String::as_str).collect();
        self.line(table, &cells, row.tone.style())
    }

    fn line(&self, table: &Table, cells: &[&str], style: Style) -> String {
        let mut line = String::new();
        for ((column, width), cell) in table.columns.iter().zip(&self.0).zip(cells) {
            if !line.is_empty() {
                line.push_str(GUTTER);
            }
            let gap = " ".repeat(width.saturating_sub(cell.width()));
            match column.side {
                Side::Left => line.extend([cell, gap.as_str()]),
                Side::Right => line.extend([gap.as_str(), cell]),
            }
        }
        format!("{style}{}{style:#}", line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[[&str; 3]]) -> Table {
        Table {
            columns: vec![
                Column::left("ROUTE").folded(),
                Column::left("BACKEND"),
                Column::right("WEIGHT"),
            ],
            rows: rows
                .iter()
                .map(|row| Row::new(row.map(str::to_owned)))
                .collect(),
        }
    }

    #[test]
    fn names_fold_and_numbers_stand_right() {
        let table = table(&[["shop", "primary", "95"], ["shop", "canary", "5"]]);
        assert_eq!(
            anstream::adapter::strip_str(&table.to_string()).to_string(),
            "ROUTE   BACKEND   WEIGHT\nshop    primary       95\n        canary         5\n"
        );
    }

    #[test]
    fn appended_rows_stand_under_earlier_ones() {
        let mut layout = Layout::default();
        layout.widen(&table(&[["a-long-name", "b", "1"]]));
        let later = table(&[["a", "b", "2"]]);
        layout.widen(&later);
        let line = layout.row(&later, &later.rows[0]);
        assert_eq!(
            anstream::adapter::strip_str(&line).to_string(),
            "a             b              2"
        );
    }

    #[test]
    fn wide_characters_count_and_control_characters_go() {
        let table = table(&[["東京", "a\u{1b}[31m", "1"], ["x", "b", "2"]]);
        let text = anstream::adapter::strip_str(&table.to_string()).to_string();
        assert!(text.contains("東京    a [31m"), "{text}");
    }
}
