//! Plain tables that fit a width: columns shrink to their least width first, then the least important ones go. Pure.

use anstyle::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Where a column's text stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// One column. Columns of rank 0 are never dropped; of the others, the highest rank goes first.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its heading.
    pub title: &'static str,
    /// Where its text stands.
    pub align: Align,
    /// How dispensable it is.
    pub rank: u8,
    /// It may be cut down to this many characters; 0 means that it is never cut.
    pub shortest: usize,
    /// The style of a cell with this text, where the screen has colours. It only repeats what the text says.
    pub paint: fn(&str) -> Style,
}

/// Whether styles are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Colour {
    /// Yes: a terminal that wants them.
    On,
    /// No.
    Off,
}

impl Column {
    /// A column of words that is never cut.
    pub const fn left(title: &'static str, rank: u8) -> Column {
        Column { title, align: Align::Left, rank, shortest: 0, paint: plain }
    }

    /// A column of numbers.
    pub const fn right(title: &'static str, rank: u8) -> Column {
        Column { title, align: Align::Right, rank, shortest: 0, paint: plain }
    }

    /// The same column, painted.
    pub const fn painted(self, paint: fn(&str) -> Style) -> Column {
        Column { paint, ..self }
    }

    /// The same column, cut to `shortest` characters where space is short.
    pub const fn cut_to(self, shortest: usize) -> Column {
        Column { shortest, ..self }
    }
}

fn plain(_: &str) -> Style {
    Style::new()
}

/// Spaces between two columns.
const GAP: usize = 2;

/// The table as text with a line end after each line; at most `width` wide, or as wide as it wants.
pub fn render(columns: &[Column], rows: &[Vec<String>], width: Option<usize>, colour: Colour) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let shown = fit(columns, &rows, width);
    let mut text = String::new();
    let titles: Vec<String> = columns.iter().map(|column| column.title.to_owned()).collect();
    for row in std::iter::once(&titles).chain(&rows) {
        let mut line = String::new();
        for (position, (index, wide)) in shown.iter().enumerate() {
            if position > 0 {
                line.push_str(&" ".repeat(GAP));
            }
            let cell = cut(row.get(*index).map_or("", String::as_str), *wide);
            let padding = " ".repeat(wide.saturating_sub(cell.width()));
            let style = match colour {
                Colour::On => (columns[*index].paint)(row.get(*index).map_or("", String::as_str)),
                Colour::Off => Style::new(),
            };
            let cell = format!("{style}{cell}{style:#}");
            match columns[*index].align {
                Align::Left => line.extend([cell, padding]),
                Align::Right => line.extend([padding, cell]),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The columns to show with the width of each.
fn fit(columns: &[Column], rows: &[Vec<String>], width: Option<usize>) -> Vec<(usize, usize)> {
    let mut shown: Vec<(usize, usize)> = columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let widest = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.width()).max();
            (index, widest.unwrap_or(0).max(column.title.width()))
        })
        .collect();
    let Some(width) = width else { return shown };
    loop {
        let excess = total(&shown).saturating_sub(width);
        if excess == 0 {
            return shown;
        }
        let spare: usize =
            shown.iter().map(|(index, wide)| wide.saturating_sub(least(columns, *index, *wide))).sum();
        if spare >= excess {
            shrink(columns, &mut shown, excess);
            return shown;
        }
        let dispensable = shown
            .iter()
            .enumerate()
            .filter(|(_, (index, _))| columns[*index].rank > 0)
            .max_by_key(|(_, (index, _))| columns[*index].rank);
        match dispensable {
            Some((position, _)) => {
                shown.remove(position);
            }
            None => {
                shrink(columns, &mut shown, spare);
                return shown;
            }
        }
    }
}

/// Takes `excess` characters from the columns that have most to spare, one at a time.
fn shrink(columns: &[Column], shown: &mut [(usize, usize)], excess: usize) {
    for _ in 0..excess {
        let widest = shown
            .iter_mut()
            .filter(|(index, wide)| *wide > least(columns, *index, *wide))
            .max_by_key(|(_, wide)| *wide);
        match widest {
            Some((_, wide)) => *wide -= 1,
            None => return,
        }
    }
}

fn least(columns: &[Column], index: usize, wide: usize) -> usize {
    match columns[index].shortest {
        0 => wide,
        shortest => shortest.max(columns[index].title.width()),
    }
}

fn total(shown: &[(usize, usize)]) -> usize {
    shown.iter().map(|(_, wide)| wide).sum::<usize>() + GAP * shown.len().saturating_sub(1)
}

/// `text` in at most `width` columns, its end replaced by `…` where it is longer.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for character in text.chars() {
        let wide = character.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        kept.push(character);
        used += wide;
    }
    kept.push('…');
    kept
}

/// One line without control characters: what a user, a scheduler or a file wrote must not steer the terminal.
pub fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => line.push(' '),
            _ if character.is_control() || is_invisible_format(character) => line.push('\u{fffd}'),
            _ => line.push(character),
        }
    }
    line
}

/// Characters of Unicode's category Cf that reorder or hide what stands beside them (bidirectional controls, zero-width
/// characters, tags), and the line and paragraph separators.
fn is_invisible_format(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{110bd}' | '\u{110cd}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0001}' | '\u{e0020}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COLUMNS: [Column; 4] = [
        Column::right("ID", 0),
        Column::left("METHOD", 0).cut_to(8),
        Column::left("TAG", 2),
        Column::left("REASON", 1).cut_to(6),
    ];

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        vec![
            row(["1", "wb97x-d3bj", "weekly", "no pool has\nthe program"]),
            row(["1234", "hf", "*", "\u{1b}[31mred"]),
        ]
    }

    #[test]
    fn as_wide_as_it_wants() {
        insta::assert_snapshot!(render(&COLUMNS, &rows(), None, Colour::Off), @r"
          ID  METHOD      TAG     REASON
           1  wb97x-d3bj  weekly  no pool has the program
        1234  hf          *       �[31mred
        ");
    }

    #[test]
    fn columns_shrink_before_they_go() {
        insta::assert_snapshot!(render(&COLUMNS, &rows(), Some(36), Colour::Off), @r"
          ID  METHOD      TAG     REASON
           1  wb97x-d3bj  weekly  no pool h…
        1234  hf          *       �[31mred
        ");
        insta::assert_snapshot!(render(&COLUMNS, &rows(), Some(24), Colour::Off), @r"
          ID  METHOD    REASON
           1  wb97x-d…  no pool…
        1234  hf        �[31mred
        ");
        insta::assert_snapshot!(render(&COLUMNS, &rows(), Some(10), Colour::Off), @r"
          ID  METHOD
           1  wb97x-d…
        1234  hf
        ");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_asked(
            cells in proptest::collection::vec(proptest::collection::vec("\\PC{0,30}", 4), 0..5),
            width in 25usize..120,
        ) {
            // 4 + 2 + 8 hold the two columns that stay.
            let mut cells = cells;
            for row in &mut cells { row[0] = "1234".to_owned(); }
            for line in render(&COLUMNS, &cells, Some(width), Colour::Off).lines() {
                prop_assert!(line.width() <= width, "{} > {width}: {line}", line.width());
            }
        }
    }

    #[test]
    fn nothing_that_is_shown_steers_the_terminal() {
        assert_eq!(printable("hf\u{1b}]0;owned\u{7}"), "hf\u{fffd}]0;owned\u{fffd}");
        assert_eq!(printable("safe\u{202e}gnp.exe"), "safe\u{fffd}gnp.exe", "reversed");
        assert_eq!(printable("a\u{200b}b\u{feff}"), "a\u{fffd}b\u{fffd}", "invisible");
        assert_eq!(printable("Å, ωB97X-D, 水, e\u{301}"), "Å, ωB97X-D, 水, e\u{301}");
    }
}
