//! A table in a file, row by row: which kind of file it is, and the bounds within which it is read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::{text, workbook};

/// Largest file opened, in bytes: a million rows of the widest tables people export are a quarter of it.
pub const FILE_BYTES_MAX: u64 = 512 << 20;

/// Most rows read: more than one worksheet holds, and what is remembered of each (some 50 bytes) stays below 100 MB.
pub const ROWS_MAX: u64 = 2_000_000;

/// Columns looked at; what lies further right is passed over.
pub const COLUMNS_MAX: usize = 256;

/// Longest cell, in bytes: beyond what any spreadsheet takes (32 767 characters), so that one cell cannot fill the memory.
pub const CELL_BYTES_MAX: usize = 256 << 10;

/// A cell as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Cell {
    /// Nothing in it.
    #[default]
    Empty,
    /// Text, or a number as it would be written.
    Text(String),
    /// A number that the spreadsheet holds only roughly (1.23E+15): its digits are gone.
    Rough(String),
    /// A formula; what it shows may be of yesterday.
    Formula,
    /// An error of the spreadsheet (`#REF!`), a date, a yes or no: nothing that stands for a person or points.
    Other(String),
}

impl Cell {
    /// The text of a cell that has one.
    pub fn text(&self) -> &str {
        match self {
            Cell::Text(text) | Cell::Rough(text) | Cell::Other(text) => text,
            Cell::Empty | Cell::Formula => "",
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        match self {
            Cell::Empty => true,
            Cell::Text(text) => text.trim().is_empty(),
            Cell::Rough(_) | Cell::Formula | Cell::Other(_) => false,
        }
    }
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    /// Its number as the person's program shows it, from 1.
    pub number: u64,
    /// Its cells from the left.
    pub cells: Vec<Cell>,
}

impl Row {
    /// A cell; empty beyond the last.
    pub fn cell(&self, column: usize) -> &Cell {
        self.cells.get(column).unwrap_or(&Cell::Empty)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.cells.iter().all(Cell::is_empty)
    }
}

/// Why a file cannot be read as a table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The disk.
    #[error("读不了文件:{0}")]
    Read(#[from] io::Error),
    /// It is not what it must be.
    #[error("{0}")]
    Unfit(String),
}

/// A table that was opened, and what kind it is.
#[derive(Debug)]
pub struct Table {
    file: File,
    kind: TableKind,
    sheet: Option<String>,
}

/// Kinds of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// Values with separators, in this encoding.
    Text(&'static encoding_rs::Encoding),
    /// An Excel workbook.
    Workbook,
}

/// How a workbook begins: it is a ZIP archive.
const ZIP: [u8; 4] = *b"PK\x03\x04";
/// How files of Excel before 2007, and encrypted ones, begin.
const OLE: [u8; 4] = [0xd0, 0xcf, 0x11, 0xe0];

impl Table {
    /// Opens a file and finds out what it is by its contents, never by its name. `sheet` names the worksheet of a workbook.
    ///
    /// # Errors
    /// It is not there, too large, or nothing that holds a table.
    pub fn open(path: &Path, sheet: Option<&str>) -> Result<Table, TableError> {
        let mut file = File::open(path).map_err(|error| TableError::Unfit(format!("打不开 {}:{error}", path.display())))?;
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(TableError::Unfit(format!("{} 不是普通文件;文件要读两遍(先检查,再入账),请先存成文件", path.display())));
        }
        if about.len() > FILE_BYTES_MAX {
            let megabytes = FILE_BYTES_MAX >> 20;
            return Err(TableError::Unfit(format!("{} 有 {} MB,超过 {megabytes} MB;请分成几份", path.display(), about.len() >> 20)));
        }
        let mut first = [0; 4];
        let read = fill(&mut file, &mut first)?;
        let kind = match first {
            ZIP => {
                file.rewind()?;
                workbook::look(&mut file)?;
                TableKind::Workbook
            }
            OLE => return Err(TableError::Unfit(format!("{} 是旧的 .xls,或者加了密码;请在 Excel 里另存为 .xlsx 或 CSV", path.display()))),
            _ if read == 0 => return Err(TableError::Unfit(format!("{} 是空的", path.display()))),
            _ => {
                file.rewind()?;
                TableKind::Text(text::encoding(&mut file)?)
            }
        };
        Ok(Table { file, kind, sheet: sheet.map(str::to_owned) })
    }

    /// What kind of file it is.
    pub fn kind(&self) -> TableKind {
        self.kind
    }

    /// How a person would call it.
    pub fn kind_in_words(&self) -> String {
        match self.kind {
            TableKind::Workbook => "XLSX".into(),
            TableKind::Text(encoding) if encoding == encoding_rs::GB18030 => "CSV(GBK)".into(),
            TableKind::Text(encoding) => format!("CSV({})", encoding.name()),
        }
    }

    /// Hands over every row from the first, empty ones left out.
    ///
    /// # Errors
    /// What `each` says, or what is wrong with the file: rows before it were handed over.
    pub fn walk<E: From<TableError>>(&mut self, mut each: impl FnMut(Row) -> Result<(), E>) -> Result<(), E> {
        self.file.seek(SeekFrom::Start(0)).map_err(TableError::from)?;
        let mut rows = 0_u64;
        let mut bounded = |row: Row| {
            if row.is_empty() {
                return Ok(());
            }
            rows += 1;
            if rows > ROWS_MAX {
                return Err(TableError::Unfit(format!("超过 {ROWS_MAX} 行;请分成几份")).into());
            }
            each(row)
        };
        match self.kind {
            TableKind::Text(encoding) => text::walk(&mut self.file, encoding, &mut bounded),
            TableKind::Workbook => workbook::walk(&mut self.file, self.sheet.as_deref(), &mut bounded),
        }
    }
}

/// Reads as much as there is.
fn fill(file: &mut File, into: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < into.len() {
        match file.read(&mut into[read..])? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}
