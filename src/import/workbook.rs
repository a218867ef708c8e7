//! Excel workbooks, a cell at a time. An archive is unpacked to nowhere first: what it really holds is counted before anything is kept of it.

use std::fs::File;
use std::io::{BufReader, Read, Seek};

use calamine::{Data, DataRef, Reader, SheetVisible, Xlsx, XlsxError};
use zip::ZipArchive;

use super::table::{CELL_BYTES_MAX, COLUMNS_MAX, Cell, Row, TableError};

/// Most that a workbook may unpack to, in bytes: a full worksheet of ten columns takes about half.
const UNPACKED_BYTES_MAX: u64 = 768 << 20;

/// Most that a part other than a worksheet may unpack to, in bytes: the shared texts, which are held in memory.
const PART_BYTES_MAX: u64 = 192 << 20;

/// Most parts: a workbook of hundreds of worksheets with pictures has fewer.
const PARTS_MAX: usize = 10_000;

/// Largest whole number a spreadsheet holds exactly.
const EXACT_MAX: f64 = 9_007_199_254_740_991.0;

/// Looks whether a workbook unpacks to what a workbook may be.
pub(super) fn look(file: &mut File) -> Result<(), TableError> {
    let mut archive = ZipArchive::new(BufReader::new(&mut *file)).map_err(|error| TableError::Unfit(format!("压缩包坏了,不是能读的 .xlsx:{error}")))?;
    if archive.len() > PARTS_MAX {
        return Err(TableError::Unfit(format!("压缩包里有 {} 个文件,不是正常的 .xlsx", archive.len())));
    }
    let (mut total, mut buffer) = (0_u64, vec![0_u8; 64 << 10]);
    for at in 0..archive.len() {
        let mut part = archive.by_index(at).map_err(|error| TableError::Unfit(format!("压缩包里有一个文件打不开({error});可能加了密码")))?;
        let is_sheet = part.name().is_ok_and(|name| name.contains("worksheets/"));
        let (mut unpacked, mut since_tag) = (0_u64, 0_usize);
        loop {
            let read = part.read(&mut buffer).map_err(|error| TableError::Unfit(format!("压缩包坏了:{error}")))?;
            if read == 0 {
                break;
            }
            unpacked += read as u64;
            total += read as u64;
            for byte in &buffer[..read] {
                since_tag = if *byte == b'<' { 0 } else { since_tag + 1 };
                if since_tag > CELL_BYTES_MAX && is_sheet {
                    return Err(TableError::Unfit("里面有一格大得不正常,不读它".into()));
                }
            }
            if total > UNPACKED_BYTES_MAX || (unpacked > PART_BYTES_MAX && !is_sheet) {
                return Err(TableError::Unfit(format!("解开来超过 {} MB,不读它;请分成几份,或另存为 CSV", UNPACKED_BYTES_MAX >> 20)));
            }
        }
    }
    Ok(())
}

/// Hands over every row of a worksheet: the one named, else the first that can be seen.
pub(super) fn walk<E: From<TableError>>(file: &mut File, sheet: Option<&str>, each: &mut dyn FnMut(Row) -> Result<(), E>) -> Result<(), E> {
    file.rewind().map_err(TableError::from)?;
    let mut workbook: Xlsx<_> = Xlsx::new(BufReader::new(file)).map_err(unfit)?;
    let name = chosen(&workbook, sheet)?;
    let mut cells = workbook.worksheet_cells_reader(&name).map_err(unfit)?;
    let mut row = Row::default();
    while let Some(found) = cells.next_cell_with_formula_metadata().map_err(unfit)? {
        let (number, column) = (u64::from(found.pos.0) + 1, found.pos.1 as usize);
        if number != row.number {
            // Rows are in order; one that is not would be told under a wrong number.
            if number < row.number {
                return Err(TableError::Unfit(format!("工作表「{name}」的行不按顺序(第 {number} 行在第 {} 行之后)", row.number)).into());
            }
            let done = std::mem::replace(&mut row, Row { number, cells: Vec::new() });
            each(done)?;
        }
        if column >= COLUMNS_MAX {
            continue;
        }
        if row.cells.len() <= column {
            row.cells.resize(column + 1, Cell::Empty);
        }
        row.cells[column] = if found.formula.is_some() { Cell::Formula } else { cell(&found.value) };
    }
    each(row)
}

fn chosen<R: Read + Seek>(workbook: &Xlsx<R>, named: Option<&str>) -> Result<String, TableError> {
    let sheets = workbook.sheets_metadata();
    let visible: Vec<&str> = sheets.iter().filter(|sheet| sheet.visible == SheetVisible::Visible).map(|sheet| &*sheet.name).collect();
    let list = || visible.iter().map(|name| format!("「{name}」")).collect::<Vec<_>>().join("");
    match named {
        Some(name) if sheets.iter().any(|sheet| sheet.name == name) => Ok(name.to_owned()),
        Some(name) => Err(TableError::Unfit(format!("没有叫「{name}」的工作表;有 {}", list()))),
        None => visible.first().map(|name| (*name).to_owned()).ok_or_else(|| TableError::Unfit("里面没有工作表".into())),
    }
}

fn cell(value: &DataRef<'_>) -> Cell {
    match Data::from(value.clone()) {
        Data::Empty => Cell::Empty,
        Data::Int(number) => Cell::Text(number.to_string()),
        Data::Float(number) if number.fract() == 0.0 && number.abs() <= EXACT_MAX => Cell::Text(format!("{number:.0}")),
        Data::Float(number) if number.abs() > EXACT_MAX => Cell::Rough(format!("{number:E}")),
        Data::Float(number) => Cell::Text(number.to_string()),
        Data::String(text) => text_cell(text),
        Data::Bool(flag) => Cell::Other(if flag { "TRUE" } else { "FALSE" }.into()),
        Data::DateTime(_) | Data::DateTimeIso(_) | Data::DurationIso(_) => Cell::Other("一个日期".into()),
        Data::Error(error) => Cell::Other(error.to_string()),
    }
}

fn text_cell(text: String) -> Cell {
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '\u{200b}');
    if trimmed.is_empty() {
        Cell::Empty
    } else if trimmed.len() > CELL_BYTES_MAX {
        Cell::Other("太长的一格".into())
    } else if trimmed.starts_with(['=', '\u{ff1d}']) {
        Cell::Formula
    } else {
        Cell::Text(trimmed.to_owned())
    }
}

fn unfit(error: XlsxError) -> TableError {
    TableError::Unfit(format!("不是能读的 .xlsx:{error}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rust_xlsxwriter::{Formula, Workbook};
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn file(name: &str, bytes: &[u8]) -> File {
        let path = std::env::temp_dir().join(format!("jifen-workbook-{name}-{}", std::process::id()));
        let mut file = File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        let _ = std::fs::remove_file(&path);
        file
    }

    #[test]
    fn numbers_texts_and_formulas_are_told_apart() {
        let mut workbook = Workbook::new();
        let sheet = workbook.add_worksheet();
        sheet.write_string(0, 0, "成员ID").unwrap();
        sheet.write_string(0, 2, "积分").unwrap();
        sheet.write_number(2, 0, 1001.0).unwrap();
        sheet.write_formula(2, 2, Formula::new("=1+1").set_result("2")).unwrap();
        sheet.write_number(3, 2, 1.5).unwrap();
        sheet.write_number(4, 0, 1.23e18).unwrap();
        let mut file = file("kinds", &workbook.save_to_buffer().unwrap());
        look(&mut file).unwrap();
        let mut rows = Vec::new();
        walk::<TableError>(&mut file, None, &mut |row| {
            rows.push((row.number, row.cells));
            Ok(())
        })
        .unwrap();
        rows.retain(|(number, _)| *number > 0);
        assert_eq!(rows[0], (1, vec![Cell::Text("成员ID".into()), Cell::Empty, Cell::Text("积分".into())]));
        assert_eq!(rows[1], (3, vec![Cell::Text("1001".into()), Cell::Empty, Cell::Formula]));
        assert_eq!(rows[2].1[2], Cell::Text("1.5".into()));
        assert!(matches!(rows[3].1[0], Cell::Rough(_)));
        assert!(matches!(walk::<TableError>(&mut file, Some("别的"), &mut |_| Ok(())), Err(TableError::Unfit(text)) if text.contains("「Sheet1」")));
    }

    #[test]
    fn a_bomb_is_not_unpacked_into_memory() {
        for (name, unit) in [("xl/worksheets/sheet1.xml", &b" "[..]), ("xl/sharedStrings.xml", &b"<si/>"[..])] {
            let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
            zip.start_file(name, SimpleFileOptions::default()).unwrap();
            let block = unit.repeat(1 << 18);
            (0..200).for_each(|_| zip.write_all(&block).unwrap());
            let bytes = zip.finish().unwrap().into_inner();
            assert!(bytes.len() < 8 << 20);
            assert!(matches!(look(&mut file("bomb", &bytes)), Err(TableError::Unfit(_))), "{name}");
        }
    }

    #[test]
    fn a_broken_archive_is_a_clear_error() {
        assert!(matches!(look(&mut file("broken", b"PK\x03\x04 and nothing more")), Err(TableError::Unfit(_))));
    }
}
