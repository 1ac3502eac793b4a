//! Phone numbers out of a CSV or text file of any size, row by row. A row that holds none is told, never guessed.

use super::foreign::Countries;
use super::phone::Phone;
use super::row::{Cut, Quotes, Rows, is_separator};
use crate::error::Code;

/// What is shown of a bad row.
const SHOWN: usize = 60;

/// Which column holds the number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Column {
    /// Those whose heading says so; without headings, the one cell of each row that reads as a number.
    #[default]
    Guess,
    Named(String),
    /// Counted from 1.
    Numbers(Vec<usize>),
}

impl Column {
    /// Numbers are places, anything else a heading.
    pub fn read(text: &str) -> Self {
        let places = text.split(',').map(|part| part.trim().parse::<usize>().map(|n| n.max(1))).collect::<Result<Vec<_>, _>>();
        match (text.trim(), places) {
            ("", _) => Column::Guess,
            (_, Ok(places)) => Column::Numbers(places),
            (text, Err(_)) => Column::Named(text.to_owned()),
        }
    }
}

/// One number, or a row that has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    Number(Phone),
    Bad { row: u64, code: Code, shown: String },
}

/// Where the numbers stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum At {
    /// No row has told it yet.
    #[default]
    Unknown,
    /// From 0.
    Columns(Vec<usize>),
    /// There are no headings: each row says for itself.
    EachRow,
    /// There are headings, and none is that of phone numbers.
    Nowhere,
}

/// Reads bytes as they come.
#[derive(Debug, Default)]
pub struct Reader {
    column: Column,
    countries: Countries,
    at: At,
    rows: u64,
    cutter: Rows,
}

impl Reader {
    /// Reads Vietnamese numbers, and those of these countries.
    pub fn new(column: Column, countries: Countries) -> Self {
        let at = if let Column::Numbers(places) = &column { At::Columns(places.iter().map(|n| n.saturating_sub(1)).collect()) } else { At::Unknown };
        Self { column, countries, at, ..Self::default() }
    }

    /// Goes on behind so many rows of the same file, in the columns that were found in them; none: each row says for itself.
    pub fn behind(mut self, rows: u64) -> Self {
        self.rows = rows;
        if rows > 0 && self.at == At::Unknown {
            self.at = At::EachRow;
        }
        self
    }

    /// Bytes of a row that has not ended yet: none of it was read.
    pub fn pending(&self) -> usize {
        self.cutter.pending()
    }

    /// Reading cannot stop here and go on elsewhere.
    pub fn is_skipping(&self) -> bool {
        self.cutter.is_skipping()
    }

    /// Rows read so far, with headings and empty ones.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The columns in use, counted from 1; none: each row says for itself.
    pub fn columns(&self) -> Vec<usize> {
        if let At::Columns(columns) = &self.at { columns.iter().map(|at| at + 1).collect() } else { Vec::new() }
    }

    /// There are headings, and none of them is known as that of phone numbers: nothing was read.
    pub fn is_lost(&self) -> bool {
        self.at == At::Nowhere
    }

    /// Takes the next bytes and hands on what every row holds that they complete.
    pub fn feed(&mut self, bytes: &[u8], take: &mut impl FnMut(Row)) {
        let mut cutter = std::mem::take(&mut self.cutter);
        cutter.feed(bytes, &mut |cut| self.end_row(cut, take));
        self.cutter = cutter;
    }

    /// The last row need not end with a line break.
    pub fn finish(&mut self, take: &mut impl FnMut(Row)) {
        let mut cutter = std::mem::take(&mut self.cutter);
        cutter.finish(&mut |cut| self.end_row(cut, take));
        self.cutter = cutter;
    }

    fn end_row(&mut self, cut: Cut<'_>, take: &mut impl FnMut(Row)) {
        self.rows += 1;
        let bytes = match cut {
            Cut::Row(bytes) => bytes,
            Cut::Unclosed(bytes) => return take(self.bad(Code::UnclosedQuote, &String::from_utf8_lossy(bytes))),
            Cut::TooLong(bytes) => return take(self.bad(Code::TooLarge, &String::from_utf8_lossy(&bytes[..SHOWN.min(bytes.len())]))),
        };
        let Ok(text) = std::str::from_utf8(bytes) else { return take(self.bad(Code::BadEncoding, &String::from_utf8_lossy(bytes))) };
        let text = text.trim_start_matches('\u{feff}').trim();
        if !text.is_empty() && !text.starts_with('#') {
            self.row(text, take);
        }
    }

    fn row(&mut self, text: &str, take: &mut impl FnMut(Row)) {
        let cells = cells(text);
        if self.at == At::Unknown && self.is_heading(&cells) {
            return;
        }
        let found = match &self.at {
            At::Nowhere | At::Unknown => Err(Code::NumberColumn),
            At::EachRow => self.in_row(&cells),
            At::Columns(columns) => {
                let named: Vec<&str> = columns.iter().filter_map(|at| cells.get(*at).copied()).filter(|cell| !cell.trim().is_empty()).collect();
                // The first row of a list with a number column by place may be its heading.
                if self.rows == 1 && !named.iter().any(|cell| has_digit(cell)) {
                    return;
                }
                self.in_cells(&named)
            }
        };
        match found {
            Ok(phones) => phones.into_iter().for_each(|phone| take(Row::Number(phone))),
            Err(code) => take(self.bad(code, text)),
        }
    }

    /// Learns from the first rows where the numbers stand; true if this one holds none itself.
    fn is_heading(&mut self, cells: &[&str]) -> bool {
        let wanted = |cell: &str| match &self.column {
            Column::Named(name) => cell.trim().to_lowercase() == name.to_lowercase(),
            _ => heading(cell),
        };
        let columns: Vec<usize> = cells.iter().enumerate().filter(|(_, cell)| wanted(cell)).map(|(at, _)| at).collect();
        let digits = cells.iter().any(|cell| has_digit(cell));
        self.at = match (&self.column, columns.is_empty(), digits) {
            (_, false, _) => At::Columns(columns),
            // A heading that was asked for and is not there.
            (Column::Named(_), ..) => At::Nowhere,
            // A title over the list.
            (_, _, false) if cells.len() == 1 => At::Unknown,
            (_, _, false) => At::Nowhere,
            (_, _, true) => At::EachRow,
        };
        matches!(self.at, At::Columns(_) | At::Unknown)
    }

    /// The numbers of a row whose columns nobody named: all of them if it holds nothing else, else those of the one cell that has any.
    fn in_row(&self, cells: &[&str]) -> Result<Vec<Phone>, Code> {
        let filled: Vec<&str> = cells.iter().copied().filter(|cell| !cell.trim().is_empty()).collect();
        let read: Vec<Vec<Phone>> = filled.iter().filter_map(|cell| self.countries.every(cell).ok()).collect();
        match read.len() {
            0 => self.in_cells(&filled),
            n if n == 1 || n == filled.len() => Ok(read.concat()),
            _ => Err(Code::NumberColumn),
        }
    }

    /// All numbers of these cells; why there is none, by the first.
    fn in_cells(&self, cells: &[&str]) -> Result<Vec<Phone>, Code> {
        let read: Vec<_> = cells.iter().map(|cell| self.countries.every(cell)).collect();
        let phones: Vec<Phone> = read.iter().flatten().flatten().cloned().collect();
        match read.into_iter().find_map(Result::err) {
            Some(error) if phones.is_empty() => Err(error.code()),
            None if phones.is_empty() => Err(Code::MissingPhone),
            _ => Ok(phones),
        }
    }

    fn bad(&self, code: Code, text: &str) -> Row {
        Row::Bad { row: self.rows, code, shown: text.chars().filter(|c| !c.is_control()).take(SHOWN).collect() }
    }
}

fn has_digit(cell: &str) -> bool {
    cell.bytes().any(|b| b.is_ascii_digit())
}

/// Words over a column of phone numbers.
fn heading(cell: &str) -> bool {
    const WHOLE: [&str; 10] = ["tel", "tel.", "number", "cell", "đt", "dt", "đtdđ", "dtdd", "số đt", "so dt"];
    const PARTS: [&str; 9] = ["phone", "mobile", "msisdn", "sđt", "sdt", "điện thoại", "dien thoai", "di động", "di dong"];
    let word = cell.trim().to_lowercase();
    WHOLE.contains(&word.as_str()) || PARTS.iter().any(|part| word.contains(part))
}

/// The cells of a row: by the first of tab, semicolon, bar or comma that it has outside quotes.
fn cells(text: &str) -> Vec<&str> {
    let outside = || {
        let mut quotes = Quotes::default();
        text.bytes().enumerate().filter(move |(_, byte)| {
            let outside = !quotes.is_open();
            quotes.step(*byte);
            outside && is_separator(*byte)
        })
    };
    let Some(separator) = outside().map(|(_, byte)| byte).min_by_key(|byte| b"\t;|,".iter().position(|b| b == byte)) else { return vec![unquoted(text)] };
    let (mut cells, mut from) = (Vec::new(), 0);
    for (at, _) in outside().filter(|(_, byte)| *byte == separator) {
        cells.push(unquoted(&text[from..at]));
        from = at + 1;
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
    fn every_number_of_a_row_is_read_and_none_that_is_something_else() {
        for (text, numbers, lost) in [
            // A tax code reads as an old number of Haiphong: the heading decides.
            ("MST;Công ty;Điện thoại\n0312345678;A;0912100001\n", &["0912100001"][..], 0),
            ("Tên;Di động;ĐT cơ quan;Ghi chú\nAn;0912000001;02838221234;0987000000\n", &["0912000001"], 0),
            ("name,mobile,home phone\nAn,0912000001,0912000002\n", &["0912000001", "0912000002"], 0),
            ("0912000004 / 0912000005\n", &["0912000004", "0912000005"], 0),
            ("0912000006;0912000007\n0912000008,0912000009\n", &["0912000006", "0912000007", "0912000008", "0912000009"], 0),
            ("0912000001 - 0912000002\n0912000003 0912000004\n", &["0912000001", "0912000002", "0912000003", "0912000004"], 0),
            ("0912000001\r0912000002\r", &["0912000001", "0912000002"], 0),
            ("An;0912000001\nBình;0912000002\n", &["0912000001", "0912000002"], 0),
            // Which of the two is the phone, nobody says.
            ("An;0912000001;0312345678\n", &[], 1),
            ("MST;Liên hệ\n0312345678;0912000001\n", &[], 2),
            ("Danh sách chặn\nMST;SĐT\n0312345678;0912000001\n", &["0912000001"], 0),
        ] {
            for piece in [1, 5, 1000] {
                let (good, bad) = read(Column::Guess, text.as_bytes(), piece);
                assert_eq!((good.iter().map(String::as_str).collect::<Vec<_>>(), bad.len()), (numbers.to_vec(), lost), "{text}");
            }
        }
    }

    #[test]
    fn a_quoted_cell_may_go_over_lines_and_an_open_quote_swallows_nothing() {
        let many = format!("sdt,ghichu\n0912000001,\"mở\n{}0912000003,x\n", "0912000002,x\n".repeat(9000));
        for (text, numbers, lost) in [
            ("ten,ghichu,sdt\nAn,\"dòng 1\ndòng 2\",0912000001\nBình,,0912000002\n", &["0912000001", "0912000002"][..], &[][..]),
            ("ten;ghichu;sdt\r\n\"An\";\"nói \"\"không\"\"\r\n\r\n0999; x\";0912000001\r\n", &["0912000001"], &[]),
            ("\u{feff}\"tên\nkhách\",sdt\nAn,0912000001", &["0912000001"], &[]),
            // A quote inside a cell is none, and neither is one of a remark.
            ("ten,sdt\nTivi 32\",0912000001\n# \"\n#,\" a\nHoa,0912000002\n", &["0912000001", "0912000002"], &[]),
            // Never closed: the rows behind it are read on their own.
            ("ten,ghichu,sdt\nAn,\"mở,0912000001\nBình,b,0912000002\nHoa,,0912000003", &["0912000002", "0912000003"], &[(2, Code::UnclosedQuote)]),
            // The next quote opens a cell of its own.
            ("ten,ghichu,sdt\nAn,\"mở,0912000001\nBình,b,0912000002\nHoa,\"c\",0912000003\n", &["0912000002", "0912000003"], &[(2, Code::UnclosedQuote)]),
            (
                "sdt,ghichu\n0912000001,\"mở\n0912000002,\"mở\n0912000003,\"mở\n",
                &[],
                &[(2, Code::UnclosedQuote), (3, Code::UnclosedQuote), (4, Code::UnclosedQuote)],
            ),
        ] {
            for piece in [1, 2, 5, 1000] {
                let (good, bad) = read(Column::Guess, text.as_bytes(), piece);
                assert_eq!((good.iter().map(String::as_str).collect::<Vec<_>>(), bad), (numbers.to_vec(), lost.to_vec()), "{text} in {piece}");
            }
        }
        let (good, bad) = read(Column::Guess, many.as_bytes(), 4096);
        assert_eq!((good.len(), bad), (9001, vec![(2, Code::UnclosedQuote)]));
    }

    #[test]
    fn the_column_is_given_by_name_or_place() {
        let table = b"phone,work\n0912345678,0987654321\n".as_slice();
        assert_eq!(read(Column::read("work"), table, 9).0, ["0987654321"]);
        assert_eq!(read(Column::read("2"), table, 9).0, ["0987654321"]);
        assert_eq!(read(Column::read("1, 2"), table, 9).0, ["0912345678", "0987654321"]);
        assert_eq!(read(Column::read("mobil"), table, 9), (Vec::new(), vec![(1, Code::NumberColumn), (2, Code::NumberColumn)]));
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
