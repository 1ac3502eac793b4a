//! Phone numbers out of a CSV or text file of any size, row by row. A row that holds none is told, never guessed.

use super::foreign::Countries;
use super::phone::Phone;
use crate::error::Code;

/// A row longer than this is junk; the rest of it is skipped.
const LONGEST_ROW: usize = 4096;
/// What is shown of a bad row.
const SHOWN: usize = 60;

/// Which column holds the number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Column {
    /// The one whose heading says so, else the first.
    #[default]
    Guess,
    Named(String),
    /// Counted from 1.
    Number(usize),
}

impl Column {
    /// A number is a place, anything else a heading.
    pub fn read(text: &str) -> Self {
        match text.trim() {
            "" => Column::Guess,
            text => text.parse().map_or_else(|_| Column::Named(text.to_owned()), |n: usize| Column::Number(n.max(1))),
        }
    }
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    Number(Phone),
    Bad { row: u64, code: Code, shown: String },
}

/// Reads bytes as they come.
#[derive(Debug, Default)]
pub struct Reader {
    column: Column,
    countries: Countries,
    /// From 0, once it is known.
    at: Option<usize>,
    rows: u64,
    rest: Vec<u8>,
    skipping: bool,
}

impl Reader {
    /// Reads Vietnamese numbers, and those of these countries.
    pub fn new(column: Column, countries: Countries) -> Self {
        let at = if let Column::Number(n) = column { Some(n.saturating_sub(1)) } else { None };
        Self { column, countries, at, ..Self::default() }
    }

    /// Rows read so far, with headings and empty ones.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The column in use, counted from 1.
    pub fn column(&self) -> usize {
        self.at.unwrap_or(0) + 1
    }

    /// Takes the next bytes and hands on every row that they complete.
    pub fn feed(&mut self, bytes: &[u8], take: &mut impl FnMut(Row)) {
        let mut parts = bytes.split(|b| *b == b'\n').peekable();
        while let Some(part) = parts.next() {
            let ends = parts.peek().is_some();
            if !self.skipping {
                self.rest.extend_from_slice(&part[..part.len().min(LONGEST_ROW + 1 - self.rest.len().min(LONGEST_ROW))]);
                if self.rest.len() > LONGEST_ROW {
                    self.skipping = true;
                }
            }
            if ends {
                self.end_row(take);
            }
        }
    }

    /// The last row need not end with a line break.
    pub fn finish(&mut self, take: &mut impl FnMut(Row)) {
        if !self.rest.is_empty() {
            self.end_row(take);
        }
    }

    fn end_row(&mut self, take: &mut impl FnMut(Row)) {
        self.rows += 1;
        let bytes = std::mem::take(&mut self.rest);
        let skipped = std::mem::take(&mut self.skipping);
        if skipped {
            return take(self.bad(Code::TooLarge, &String::from_utf8_lossy(&bytes[..SHOWN])));
        }
        let Ok(text) = std::str::from_utf8(&bytes) else { return take(self.bad(Code::BadEncoding, &String::from_utf8_lossy(&bytes))) };
        let text = text.trim_start_matches('\u{feff}').trim();
        if !text.is_empty() && !text.starts_with('#') {
            self.row(text, take);
        }
        // The row's memory is used again.
        self.rest = bytes;
        self.rest.clear();
    }

    fn row(&mut self, text: &str, take: &mut impl FnMut(Row)) {
        let at = match self.at {
            Some(at) => at,
            None => {
                let cells = cells(text);
                let wanted = |cell: &&str| match &self.column {
                    Column::Named(name) => cell.trim().eq_ignore_ascii_case(name) || cell.trim().to_lowercase() == name.to_lowercase(),
                    _ => heading(cell),
                };
                let found = cells.iter().position(wanted);
                if found.is_none() && matches!(self.column, Column::Named(_)) {
                    return take(self.bad(Code::BadRequest, text));
                }
                let at = found.unwrap_or(0);
                self.at = Some(at);
                if found.is_some() || !cells.iter().any(|cell| cell.bytes().any(|b| b.is_ascii_digit())) {
                    return;
                }
                at
            }
        };
        let cell = if at == 0 && !text.contains([',', ';', '\t', '"', '|']) { text } else { cells(text).get(at).copied().unwrap_or("") };
        take(match self.countries.normalise(cell) {
            Ok(phone) => Row::Number(phone),
            // The first row of a list with a number column by place may be its heading.
            Err(_) if self.rows == 1 && !cell.bytes().any(|b| b.is_ascii_digit()) => return,
            Err(error) => self.bad(error.code(), text),
        });
    }

    fn bad(&self, code: Code, text: &str) -> Row {
        Row::Bad { row: self.rows, code, shown: text.chars().filter(|c| !c.is_control()).take(SHOWN).collect() }
    }
}

/// Words over a column of phone numbers.
fn heading(cell: &str) -> bool {
    const WORDS: [&str; 12] =
        ["phone", "phone_number", "phonenumber", "phone number", "mobile", "tel", "number", "msisdn", "sđt", "sdt", "số điện thoại", "so dien thoai"];
    WORDS.contains(&cell.trim().to_lowercase().as_str())
}

/// The cells of a row: by the first of tab, semicolon, bar or comma that it has outside quotes.
fn cells(text: &str) -> Vec<&str> {
    let mut quoted = false;
    let separator = text.chars().filter(|c| {
        quoted ^= *c == '"';
        !quoted && matches!(c, '\t' | ';' | '|' | ',')
    });
    let Some(separator) = separator.min_by_key(|c| "\t;|,".find(*c)) else { return vec![unquoted(text)] };
    let (mut cells, mut from, mut quoted) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        quoted ^= c == '"';
        if c == separator && !quoted {
            cells.push(unquoted(&text[from..at]));
            from = at + c.len_utf8();
        }
    }
    cells.push(unquoted(&text[from..]));
    cells
}

fn unquoted(cell: &str) -> &str {
    let cell = cell.trim();
    cell.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(column: Column, text: &[u8], piece: usize) -> (Vec<String>, Vec<(u64, Code)>) {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        let mut take = |row| match row {
            Row::Number(phone) => good.push(phone.national()),
            Row::Bad { row, code, .. } => bad.push((row, code)),
        };
        let mut reader = Reader::new(column, Countries::default());
        text.chunks(piece).for_each(|part| reader.feed(part, &mut take));
        reader.finish(&mut take);
        (good, bad)
    }

    #[test]
    fn a_plain_list_and_a_table_are_read_in_pieces_of_any_size() {
        let plain = "0912345678\r\n\r\n# a remark\n+84 38 999 3333\nhello\n113\n841234567";
        let table = "\u{feff}name;Số điện thoại;note\n\"An; Bình\";0912 345 678;x\nHoa;\"0987654321\";\nMinh;;\n";
        for piece in [1, 2, 3, 7, 1000] {
            let (good, bad) = read(Column::Guess, plain.as_bytes(), piece);
            assert_eq!(good, ["0912345678", "0389993333", "0841234567"]);
            assert_eq!(bad, [(5, Code::BadPhone), (6, Code::ServiceNumber)]);
            let (good, bad) = read(Column::Guess, table.as_bytes(), piece);
            assert_eq!(good, ["0912345678", "0987654321"]);
            assert_eq!(bad, [(4, Code::MissingPhone)]);
        }
    }

    #[test]
    fn the_column_is_given_by_name_or_place() {
        let table = b"phone,work\n0912345678,0987654321\n".as_slice();
        assert_eq!(read(Column::read("work"), table, 9).0, ["0987654321"]);
        assert_eq!(read(Column::read("2"), table, 9).0, ["0987654321"]);
        assert_eq!(read(Column::read("mobil"), table, 9), (Vec::new(), vec![(1, Code::BadRequest), (2, Code::BadRequest)]));
    }

    #[test]
    fn junk_is_told_and_read_past() {
        let mut junk = vec![b'9'; 1_000_000];
        junk.extend(b"\n\xff\xfe\n0912345678\n");
        let (good, bad) = read(Column::Guess, &junk, 4096);
        assert_eq!(good, ["0912345678"]);
        assert_eq!(bad, [(1, Code::TooLarge), (2, Code::BadEncoding)]);
    }
}
