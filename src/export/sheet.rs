//! A table in one of three forms, written a row at a time.
//!
//! Texts of members are data: in CSV a cell that a spreadsheet would take for a formula gets a `'` in front (OWASP, «CSV
//! Injection»); in XLSX it is a typed string, never a formula.

use std::io::Write;

use rust_xlsxwriter::Workbook;
use serde::{Serialize, Serializer};

use super::ExportError;

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated, UTF-8 with a byte order mark, without which Excel takes Chinese for Latin-1.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// A workbook.
    Xlsx,
}

/// Rows of one worksheet, header included (<https://support.microsoft.com/office/excel-specifications-and-limits>).
const WORKSHEET_ROWS_MAX: u32 = 1_048_576;

/// A cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Cell {
    Int(i64),
    Text(String),
    List(Vec<String>),
    Absent,
}

impl Cell {
    pub(super) fn optional(text: Option<String>) -> Self {
        text.map_or(Cell::Absent, Cell::Text)
    }

    fn plain(&self) -> String {
        match self {
            Cell::Int(number) => number.to_string(),
            Cell::Text(text) => text.clone(),
            Cell::List(texts) => texts.join(";"),
            Cell::Absent => String::new(),
        }
    }

    fn csv(&self) -> String {
        match self {
            Cell::Int(number) => number.to_string(),
            Cell::Text(_) | Cell::List(_) | Cell::Absent => harmless(self.plain()),
        }
    }
}

/// What a spreadsheet takes for the beginning of a formula; the last four are the full-width forms, which Excel folds.
const FORMULA_STARTS: [char; 12] = ['=', '+', '-', '@', '\t', '\r', '\n', '\0', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

fn harmless(text: String) -> String {
    if text.starts_with(FORMULA_STARTS) { format!("'{text}") } else { text }
}

/// A table under way.
pub(super) struct Sheet<'a> {
    columns: &'static [&'static str],
    rows: u64,
    form: Form<'a>,
}

enum Form<'a> {
    Csv(Box<csv::Writer<&'a mut dyn Write>>),
    Jsonl(&'a mut dyn Write),
    Xlsx { workbook: Box<Workbook>, next_row: u32, out: &'a mut dyn Write },
}

impl<'a> Sheet<'a> {
    pub(super) fn begin(format: Format, columns: &'static [&'static str], out: &'a mut dyn Write) -> Result<Self, ExportError> {
        let form = match format {
            Format::Csv => {
                out.write_all("\u{feff}".as_bytes())?;
                let mut csv = csv::Writer::from_writer(out);
                csv.write_record(columns).map_err(csv_error)?;
                Form::Csv(Box::new(csv))
            }
            Format::Jsonl => Form::Jsonl(out),
            Format::Xlsx => Form::Xlsx { workbook: Box::new(Workbook::new()), next_row: WORKSHEET_ROWS_MAX, out },
        };
        let mut sheet = Sheet { columns, rows: 0, form };
        sheet.make_room()?;
        Ok(sheet)
    }

    pub(super) fn row(&mut self, cells: &[Cell]) -> Result<(), ExportError> {
        self.make_room()?;
        self.rows += 1;
        match &mut self.form {
            Form::Csv(csv) => csv.write_record(cells.iter().map(Cell::csv)).map_err(csv_error)?,
            Form::Jsonl(out) => {
                serde_json::to_writer(&mut *out, &Object { columns: self.columns, cells }).map_err(std::io::Error::from)?;
                out.write_all(b"\n")?;
            }
            Form::Xlsx { workbook, next_row, .. } => {
                write_cells(workbook, *next_row, cells)?;
                *next_row += 1;
            }
        }
        Ok(())
    }

    /// Ends the table; the number of its rows.
    pub(super) fn finish(self) -> Result<u64, ExportError> {
        match self.form {
            Form::Csv(mut csv) => csv.flush()?,
            Form::Jsonl(out) => out.flush()?,
            Form::Xlsx { mut workbook, out, .. } => {
                let bytes = workbook.save_to_buffer()?;
                out.write_all(&bytes)?;
                out.flush()?;
            }
        }
        Ok(self.rows)
    }

    /// A full worksheet is followed by another, with its header.
    fn make_room(&mut self) -> Result<(), ExportError> {
        let Form::Xlsx { workbook, next_row, .. } = &mut self.form else { return Ok(()) };
        if *next_row < WORKSHEET_ROWS_MAX {
            return Ok(());
        }
        workbook.add_worksheet_with_constant_memory()?;
        let header: Vec<Cell> = self.columns.iter().map(|column| Cell::Text((*column).to_owned())).collect();
        write_cells(workbook, 0, &header)?;
        *next_row = 1;
        Ok(())
    }
}

fn write_cells(workbook: &mut Workbook, row: u32, cells: &[Cell]) -> Result<(), ExportError> {
    let Some(sheet) = workbook.worksheets_mut().last_mut() else { return Ok(()) };
    for (column, cell) in (0_u16..).zip(cells) {
        match cell {
            // Points are within ±(2⁵³−1), so a double holds them exactly.
            Cell::Int(number) => sheet.write_number(row, column, *number as f64)?,
            Cell::Text(_) | Cell::List(_) => sheet.write_string(row, column, cell.plain())?,
            Cell::Absent => continue,
        };
    }
    Ok(())
}

fn csv_error(error: csv::Error) -> ExportError {
    ExportError::Write(error.into())
}

/// A row as a JSON object, keys in the order of the columns.
struct Object<'a> {
    columns: &'a [&'static str],
    cells: &'a [Cell],
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.columns.iter().zip(self.cells))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_compute_is_told_as_text() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\u{ff1d}1"] {
            assert_eq!(Cell::Text(formula.into()).csv(), format!("'{formula}"));
            assert_eq!(Cell::List(vec![formula.into()]).csv(), format!("'{formula}"));
        }
        assert_eq!(Cell::Text("阿明=".into()).csv(), "阿明=");
        assert_eq!(Cell::Int(-1).csv(), "-1");
    }

    proptest::proptest! {
        #[test]
        fn no_name_makes_a_cell_that_is_computed(name in "[=+@\\-\t\r\n\u{ff1d}\u{202e}\0]{0,3}\\PC{0,12}") {
            let (cell, mut out) = (Cell::Text(name.clone()), Vec::new());
            proptest::prop_assert!(!cell.csv().starts_with(['=', '+', '-', '@', '\t', '\r']), "{name:?}");
            let mut sheet = Sheet::begin(Format::Csv, &["name"], &mut out).unwrap();
            sheet.row(&[cell]).unwrap();
            sheet.finish().unwrap();
            let mut read = csv::Reader::from_reader(out.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&out));
            let rows: Vec<csv::StringRecord> = read.records().collect::<Result<_, _>>().unwrap();
            proptest::prop_assert!(rows.len() <= 1, "{name:?} breaks its line: {rows:?}");
            proptest::prop_assert!(rows.iter().all(|row| row.len() == 1 && row[0].trim_start_matches('\'') == name.trim_start_matches('\'')), "{name:?}: {rows:?}");
        }
    }

    #[test]
    fn a_full_worksheet_is_followed_by_another() {
        let mut out = Vec::new();
        let mut sheet = Sheet::begin(Format::Xlsx, &["seq"], &mut out).unwrap();
        let Form::Xlsx { next_row, .. } = &mut sheet.form else { panic!("a workbook") };
        *next_row = WORKSHEET_ROWS_MAX - 1;
        sheet.row(&[Cell::Int(1)]).unwrap();
        sheet.row(&[Cell::Text("=1+1".into())]).unwrap();
        let Form::Xlsx { workbook, .. } = &mut sheet.form else { panic!("a workbook") };
        assert_eq!(workbook.worksheets().len(), 2);
        assert_eq!(sheet.finish().unwrap(), 2);
        assert_eq!(out[..2], *b"PK");
    }
}
