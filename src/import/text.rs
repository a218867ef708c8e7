//! Values with separators: UTF-8 with and without a byte order mark, UTF-16, and GBK as Excel in China writes it; commas, tabs or semicolons.

use std::cell::Cell as Count;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};

use encoding_rs::{CoderResult, Decoder, Encoding, GB18030, UTF_8};

use super::table::{CELL_BYTES_MAX, COLUMNS_MAX, Cell, Row, TableError};

/// Bytes read and decoded at once.
const CHUNK: usize = 64 << 10;

/// What one row may take, in bytes: a quote that is never closed must not take the rest of the file for one cell.
const ROW_BYTES_MAX: usize = 1 << 20;

/// Which encoding a text is in: that of its byte order mark, else UTF-8 if all of it is, else GBK (as GB18030, which holds GBK).
pub(super) fn encoding(file: &mut File) -> Result<&'static Encoding, TableError> {
    let mut reader = BufReader::with_capacity(CHUNK, &mut *file);
    let start = reader.fill_buf()?;
    if let Some((encoding, _)) = Encoding::for_bom(start) {
        return Ok(encoding);
    }
    if start.contains(&0) {
        return Err(TableError::Unfit("里面有 NUL 字节,不是表格文件;请给 CSV 或 XLSX".into()));
    }
    reader.rewind()?;
    let mut decoder = UTF_8.new_decoder_without_bom_handling();
    let mut out = vec![0_u8; CHUNK * 4];
    loop {
        let bytes = reader.fill_buf()?;
        let (last, length) = (bytes.is_empty(), bytes.len());
        let (result, _, _) = decoder.decode_to_utf8_without_replacement(bytes, &mut out, last);
        match result {
            encoding_rs::DecoderResult::InputEmpty => {}
            encoding_rs::DecoderResult::Malformed(..) | encoding_rs::DecoderResult::OutputFull => return Ok(GB18030),
        }
        if last {
            return Ok(UTF_8);
        }
        reader.consume(length);
    }
}

/// Hands over every row.
pub(super) fn walk<E: From<TableError>>(file: &mut File, encoding: &'static Encoding, each: &mut dyn FnMut(Row) -> Result<(), E>) -> Result<(), E> {
    let separator = separator(file, encoding)?;
    file.rewind().map_err(TableError::from)?;
    let since_row = Count::new(0);
    let input = Lines { inner: Decoded::new(file, encoding), since_row: &since_row, last: b'\n' };
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(separator).from_reader(input);
    let mut record = csv::ByteRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_byte_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) => since_row.set(0),
            Err(error) => return Err(unfit(error, line).into()),
        }
        // The reader tells where it began to look, empty lines before the row included; where it stopped is certain.
        let within: usize = record.iter().map(|cell| cell.iter().filter(|byte| **byte == b'\n').count()).sum();
        let number = reader.position().line().saturating_sub(1 + within as u64);
        let cells = record.iter().take(COLUMNS_MAX).map(cell).collect();
        each(Row { number, cells })?;
    }
}

fn cell(bytes: &[u8]) -> Cell {
    // The input is UTF-8 and separators are ASCII, so nothing is lost here.
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '\u{200b}');
    match text.chars().next() {
        None => Cell::Empty,
        Some('=' | '\u{ff1d}') => Cell::Formula,
        Some(_) if text.len() > CELL_BYTES_MAX => Cell::Other("太长的一格".into()),
        Some(_) => Cell::Text(text.to_owned()),
    }
}

fn unfit(error: csv::Error, line: u64) -> TableError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            TableError::Unfit(format!("第 {line} 行以后有一个引号没有闭上(一行超过 {} KB)", ROW_BYTES_MAX >> 10))
        }
        csv::ErrorKind::Io(error) => TableError::Read(error),
        other => TableError::Unfit(format!("第 {line} 行读不懂:{other:?}")),
    }
}

/// The separator that the first rows have most of.
fn separator(file: &mut File, encoding: &'static Encoding) -> Result<u8, TableError> {
    file.rewind()?;
    let mut start = vec![0_u8; CHUNK];
    let read = Decoded::new(file, encoding).read(&mut start)?;
    let lines = start[..read].split(|byte| *byte == b'\n').take(20);
    let (mut counts, separators) = ([0_usize; 3], [b',', b'\t', b';']);
    for line in lines {
        for (count, separator) in counts.iter_mut().zip(separators) {
            *count += line.iter().filter(|byte| **byte == separator).count();
        }
    }
    let most = (0..3).rev().max_by_key(|at| counts[*at]).unwrap_or(0);
    Ok(separators[most])
}

/// A file as UTF-8.
struct Decoded<'f> {
    file: &'f mut File,
    decoder: Decoder,
    raw: Vec<u8>,
    /// Where the bytes in `raw` that are not decoded yet begin and end.
    from: usize,
    to: usize,
    /// The file has no more.
    ended: bool,
    /// The decoder gave its last.
    done: bool,
}

impl<'f> Decoded<'f> {
    fn new(file: &'f mut File, encoding: &'static Encoding) -> Self {
        Decoded { file, decoder: encoding.new_decoder_with_bom_removal(), raw: vec![0; CHUNK], from: 0, to: 0, ended: false, done: false }
    }
}

impl Read for Decoded<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !self.done {
            if self.from == self.to && !self.ended {
                (self.from, self.to) = (0, self.file.read(&mut self.raw)?);
                self.ended = self.to == 0;
            }
            let (result, read, written, _) = self.decoder.decode_to_utf8(&self.raw[self.from..self.to], out, self.ended);
            self.from += read;
            self.done = self.ended && result == CoderResult::InputEmpty;
            if written > 0 {
                return Ok(written);
            }
            if result == CoderResult::OutputFull {
                return Err(io::Error::other("读的地方太小"));
            }
        }
        Ok(0)
    }
}

/// Decoded text in which every line ends with one LF, the last one too; counts what was read since the last row ended.
struct Lines<'f> {
    inner: Decoded<'f>,
    since_row: &'f Count<usize>,
    /// The byte before the next one, as it stood in the file.
    last: u8,
}

impl Read for Lines<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.since_row.get() > ROW_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        loop {
            let read = self.inner.read(out)?;
            if read == 0 {
                let ends = matches!(std::mem::replace(&mut self.last, b'\n'), b'\n' | b'\r');
                return Ok(out.first_mut().filter(|_| !ends).map_or(0, |end| {
                    *end = b'\n';
                    1
                }));
            }
            let mut kept = 0;
            for at in 0..read {
                let byte = out[at];
                if !(byte == b'\n' && self.last == b'\r') {
                    out[kept] = if byte == b'\r' { b'\n' } else { byte };
                    kept += 1;
                }
                self.last = byte;
            }
            if kept > 0 {
                self.since_row.set(self.since_row.get() + kept);
                return Ok(kept);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn rows(bytes: &[u8]) -> Result<(&'static str, Vec<Vec<String>>), TableError> {
        let path = std::env::temp_dir().join(format!("jifen-text-{}-{:x}", std::process::id(), bytes.as_ptr() as usize));
        let mut file = File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        let _ = std::fs::remove_file(&path);
        let encoding = encoding(&mut file)?;
        let mut rows = Vec::new();
        walk::<TableError>(&mut file, encoding, &mut |row| {
            rows.push(row.cells.iter().map(|cell| cell.text().to_owned()).collect());
            Ok(())
        })?;
        Ok((encoding.name(), rows))
    }

    #[test]
    fn the_same_table_reads_alike_in_every_encoding() {
        let text = "成员ID,姓名,积分\r\naming,阿明,12\r\n";
        let expected = [vec!["成员ID", "姓名", "积分"], vec!["aming", "阿明", "12"]];
        let utf16: Vec<u8> = "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        let with_mark = [b"\xef\xbb\xbf", text.as_bytes()].concat();
        for (bytes, name) in [(text.as_bytes(), "UTF-8"), (&with_mark, "UTF-8"), (&GB18030.encode(text).0, "gb18030"), (&utf16, "UTF-16LE")] {
            let (encoding, rows) = rows(bytes).unwrap();
            assert_eq!((encoding, rows), (name, expected.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()));
        }
    }

    #[test]
    fn tabs_and_semicolons_separate_too() {
        assert_eq!(rows("成员ID\t积分\naming\t\"1,200\"\n".as_bytes()).unwrap().1[1], ["aming", "1,200"]);
        assert_eq!(rows("成员ID;积分\naming;3\n".as_bytes()).unwrap().1[1], ["aming", "3"]);
    }

    #[test]
    fn a_quote_that_is_never_closed_does_not_swallow_the_file() {
        let mut text = b"id,points\n\"aming,1\n".to_vec();
        text.resize(4 << 20, b'x');
        assert!(matches!(rows(&text), Err(TableError::Unfit(text)) if text.contains("引号")));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert!(matches!(rows(b"\x7fELF\x00\x00"), Err(TableError::Unfit(_))));
    }

    #[test]
    fn numbers_of_rows_are_those_a_person_sees() {
        let path = std::env::temp_dir().join(format!("jifen-text-lines-{}", std::process::id()));
        for ending in ["\n", "\r\n", "\r"] {
            let text = "标题\n\n成员ID,积分\naming,\"1\n\"\n\n\nxiaohong,2\nlaowang,3".replace('\n', ending);
            std::fs::write(&path, text).unwrap();
            let mut numbers = Vec::new();
            walk::<TableError>(&mut File::open(&path).unwrap(), UTF_8, &mut |row| {
                numbers.push(row.number);
                Ok(())
            })
            .unwrap();
            assert_eq!(numbers, [1, 3, 4, 8, 9], "{ending:?}");
        }
        let _ = std::fs::remove_file(&path);
    }
}
