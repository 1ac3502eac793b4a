//! Where the rows of a CSV or text file end: a quoted cell may go over several lines (RFC 4180); a quote that nobody closes may not.

/// A row without quotes that is longer is junk; the rest of it is skipped.
const LONGEST_ROW: usize = 4096;
/// A row with quoted cells that is longer has a quote that is never closed. A cell of a spreadsheet holds 32,767 characters.
const LONGEST_QUOTED: usize = 64 * 1024;

/// What was cut off the file.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut<'a> {
    Row(&'a [u8]),
    /// A line in which a quote opens that is never closed; the lines behind it are cut on their own.
    Unclosed(&'a [u8]),
    /// The beginning of junk.
    TooLong(&'a [u8]),
}

pub fn is_separator(byte: u8) -> bool {
    matches!(byte, b'\t' | b';' | b'|' | b',')
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Where a byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    /// Nothing of the row has come but blanks.
    #[default]
    Row,
    /// Nothing of the cell has come but blanks: a quote opens it.
    Cell,
    /// A quote means itself.
    Plain,
    Remark,
    Quoted,
    /// After a quote in a quoted cell, which closed it or stands for itself with a second one.
    Closed,
}

/// Follows the quotes of a row.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quotes(Place);

impl Quotes {
    /// In a quoted cell: separators and line breaks mean themselves.
    pub fn is_open(self) -> bool {
        self.0 == Place::Quoted
    }

    /// Takes the next byte; false if it follows a closing quote and cannot.
    pub fn step(&mut self, byte: u8) -> bool {
        let before = self.0;
        self.0 = match (before, byte) {
            (Place::Row | Place::Cell | Place::Closed, b'"') => Place::Quoted,
            (Place::Quoted, b'"') => Place::Closed,
            (Place::Quoted, _) => Place::Quoted,
            (_, byte) if is_break(byte) => Place::Row,
            (Place::Row, b'#') | (Place::Remark, _) => Place::Remark,
            (_, byte) if is_separator(byte) => Place::Cell,
            // The mark at the front of a file is a blank.
            (Place::Row, b' ' | 0xef | 0xbb | 0xbf) => Place::Row,
            (Place::Cell | Place::Closed, b' ') => before,
            _ => Place::Plain,
        };
        before != Place::Closed || self.0 != Place::Plain
    }
}

/// Cuts bytes as they come.
#[derive(Debug, Default)]
pub struct Rows {
    /// Of the row that has not ended yet.
    rest: Vec<u8>,
    /// So much of it was looked at.
    seen: usize,
    quotes: Quotes,
    /// A quote was seen to open.
    opened: bool,
    /// The length of its first line, if it went on in quotes.
    first_line: Option<usize>,
    /// The cell that is open, or was just closed, went over a line's end.
    broke: bool,
    skipping: bool,
    /// The last row ended with a carriage return: a line feed now belongs to it.
    after_return: bool,
}

impl Rows {
    /// Bytes of a row that has not ended yet.
    pub fn pending(&self) -> usize {
        self.rest.len()
    }

    /// In the middle of junk that was told of already.
    pub fn is_skipping(&self) -> bool {
        self.skipping
    }

    /// Hands on every row that these bytes complete.
    pub fn feed(&mut self, bytes: &[u8], take: &mut impl FnMut(Cut<'_>)) {
        for part in bytes.chunks(LONGEST_QUOTED) {
            self.rest.extend_from_slice(part);
            self.cut(take);
        }
    }

    /// The last row need not end with a line break.
    pub fn finish(&mut self, take: &mut impl FnMut(Cut<'_>)) {
        while !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            let line = if self.quotes.is_open() { self.first_line.unwrap_or(rest.len()) } else { rest.len() };
            take(if self.quotes.is_open() { Cut::Unclosed(&rest[..line]) } else { Cut::Row(&rest) });
            self.fresh(rest.get(line).copied());
            self.rest = rest.get(line + 1..).map(<[u8]>::to_vec).unwrap_or_default();
            self.cut(take);
        }
    }

    /// A row begins, after this byte.
    fn fresh(&mut self, after: Option<u8>) {
        *self = Self { rest: std::mem::take(&mut self.rest), after_return: after == Some(b'\r'), ..Self::default() };
    }

    fn cut(&mut self, take: &mut impl FnMut(Cut<'_>)) {
        let mut bytes = std::mem::take(&mut self.rest);
        let (mut from, mut at) = (0, self.seen);
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            if std::mem::take(&mut self.after_return) && byte == b'\n' {
                from = at;
            } else if self.skipping {
                from = at;
                if is_break(byte) {
                    self.fresh(Some(byte));
                }
            } else if is_break(byte) && !self.quotes.is_open() {
                take(Cut::Row(&bytes[from..at - 1]));
                from = at;
                self.fresh(Some(byte));
            } else if !self.belongs(byte, at - from) {
                if let Some(line) = self.first_line {
                    take(Cut::Unclosed(&bytes[from..from + line]));
                    from += line + 1;
                    at = from;
                    self.fresh(bytes.get(from - 1).copied());
                } else {
                    take(Cut::TooLong(&bytes[from..at]));
                    from = at;
                    self.skipping = true;
                }
            }
        }
        bytes.drain(..from);
        self.rest = bytes;
        self.seen = at - from;
    }

    /// Whether this byte can be the row's, which is so long with it.
    fn belongs(&mut self, byte: u8, long: usize) -> bool {
        if !self.quotes.is_open() && is_separator(byte) {
            self.broke = false;
        }
        let fits = self.quotes.step(byte) || !self.broke;
        self.opened |= self.quotes.is_open();
        if self.quotes.is_open() && is_break(byte) {
            self.broke = true;
            self.first_line.get_or_insert(long - 1);
        }
        fits && long <= if self.opened { LONGEST_QUOTED } else { LONGEST_ROW }
    }
}
