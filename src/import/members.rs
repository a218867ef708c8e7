//! Rows of people and points: read twice, looked at as a whole before anything is made of them, and every bad one told with its reason.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use super::columns::{Chosen, Columns, Finder, Format};
use super::table::{Cell, Row, Table, TableError};
use crate::model::event::Identity;
use crate::model::ids::KeyBytes;
use crate::model::points::POINTS_MAX;

/// Bad rows told one by one; the rest is counted.
pub const BAD_ROWS_MAX: usize = 50;

/// Rows booked in one transaction, and compared as one with the first reading.
pub const ROWS_PER_BLOCK: usize = 512;

/// Longest id: WeCom's userids have 64 bytes at most, its external_userids 32.
/// Source: developer.work.weixin.qq.com/document/path/90195.
const ID_BYTES_MAX: usize = 64;

/// Longest name taken over, in characters.
const NAME_CHARS_MAX: usize = 64;

/// What a person brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The row it stands in.
    pub row: u64,
    /// Who.
    pub who: Identity,
    /// The name to show.
    pub name: Option<String>,
    /// The chat id of the group it belongs to, where the file tells one.
    pub chat: Option<String>,
    /// How many points; 0 is nothing to book.
    pub points: i64,
}

/// A row that cannot be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// Its number.
    pub row: u64,
    /// Why, in words.
    pub why: String,
}

/// How to read a file.
#[derive(Debug, Clone, Default)]
pub struct How {
    /// Which tool wrote it.
    pub format: Format,
    /// Columns named by hand.
    pub chosen: Chosen,
    /// Balances are kept per group: every row must name one, and a person may stand in several.
    pub per_group: bool,
}

/// What a first reading found.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// Rows below the names.
    pub rows: u64,
    /// Those with points to book.
    pub good: u64,
    /// Those with 0 points.
    pub zero: u64,
    /// The sum of the good ones.
    pub sum: i64,
    /// Those with an id of personal WeChat.
    pub wxids: u64,
    /// The names of the columns that were used.
    pub titles: (String, String),
    /// How many are bad.
    pub bad: u64,
    /// The first of them, by row.
    pub bad_rows: Vec<BadRow>,
    /// Rows that name a person who stands in the file twice.
    doubled: HashMap<KeyBytes, u64>,
    /// What was read, block by block.
    blocks: Vec<[u8; 16]>,
}

impl Survey {
    /// Whether all of it can be taken over.
    pub fn is_good(&self) -> bool {
        self.bad == 0
    }

    /// What names the contents of the file.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.blocks.concat()).into()
    }
}

/// Reads the whole file and says what is in it. `progress` is told the number of rows now and then.
///
/// # Errors
/// The file cannot be read as a table of people and points. Bad rows are no error.
pub fn survey(table: &mut Table, how: &How, progress: &mut dyn FnMut(u64)) -> Result<Survey, TableError> {
    let (mut survey, mut finder) = (Survey::default(), Finder::new(how.format, how.chosen.clone()));
    let (mut columns, mut seen) = (None, HashMap::<KeyBytes, (u64, i64)>::new());
    let mut blocks = Blocks::default();
    table.walk(|row| -> Result<(), TableError> {
        let Some(columns) = &columns else {
            columns = finder.look(&row)?;
            return Ok(());
        };
        survey.rows += 1;
        if let Some(block) = blocks.take(&row, columns) {
            survey.blocks.push(block);
            progress(survey.rows);
        }
        match opening(&row, columns, how) {
            Err(why) => survey.note(row.number, why),
            Ok(opening) => survey.count(&mut seen, &opening),
        }
        Ok(())
    })?;
    let Some(columns) = columns else { return Err(finder.missing()) };
    if survey.rows == 0 {
        return Err(TableError::Unfit("只有列名,没有一行成员".into()));
    }
    survey.blocks.extend(blocks.rest());
    survey.titles = columns.titles;
    survey.bad_rows.sort_by_key(|bad| bad.row);
    survey.bad_rows.truncate(BAD_ROWS_MAX);
    progress(survey.rows);
    Ok(survey)
}

impl Survey {
    fn note(&mut self, row: u64, why: String) {
        self.bad += 1;
        if self.bad_rows.len() < 2 * BAD_ROWS_MAX {
            self.bad_rows.push(BadRow { row, why });
        }
    }

    fn count(&mut self, seen: &mut HashMap<KeyBytes, (u64, i64)>, opening: &Opening) {
        let key = of_person(opening);
        if let Some((first, points)) = seen.get(&key).copied() {
            let both = |other: u64| format!("{} 在第 {other} 行也有,不知道听哪一行", opening.who.value);
            if self.doubled.insert(key, first).is_none() {
                self.uncount(points);
                self.note(first, both(opening.row));
            }
            return self.note(opening.row, both(first));
        }
        let Some(sum) = self.sum.checked_add(opening.points).filter(|sum| *sum <= POINTS_MAX) else {
            return self.note(opening.row, "到这一行为止,积分加起来太大了(超过 9007199254740991)".into());
        };
        self.sum = sum;
        self.wxids += u64::from(is_wxid(&opening.who));
        if opening.points == 0 {
            self.zero += 1
        } else {
            self.good += 1
        }
        seen.insert(key, (opening.row, opening.points));
    }

    fn uncount(&mut self, points: i64) {
        self.sum -= points;
        if points == 0 { self.zero -= 1 } else { self.good -= 1 }
    }
}

/// Reads the file a second time and hands over what the first reading found good, some hundred at a time.
///
/// # Errors
/// What `book` says, or that the file changed between the two readings: the block that changed, and what follows, is not handed over.
pub fn again<E: From<TableError>>(table: &mut Table, how: &How, survey: &Survey, mut book: impl FnMut(Vec<Opening>) -> Result<(), E>) -> Result<(), E> {
    let (mut finder, mut columns) = (Finder::new(how.format, how.chosen.clone()), None);
    let (mut blocks, mut waiting, mut at) = (Blocks::default(), Vec::with_capacity(ROWS_PER_BLOCK), 0);
    let mut checked = |waiting: &mut Vec<Opening>, block: [u8; 16]| {
        if survey.blocks.get(at) != Some(&block) {
            let text = "文件在检查以后被改过,停在改动的地方;已经记下的不会再记,请再执行一次".to_owned();
            return Err(E::from(TableError::Unfit(text)));
        }
        at += 1;
        book(std::mem::take(waiting))
    };
    table.walk(|row| -> Result<(), E> {
        let Some(columns) = &columns else {
            columns = finder.look(&row)?;
            return Ok(());
        };
        let block = blocks.take(&row, columns);
        let good = opening(&row, columns, how).ok().filter(|opening| opening.points > 0 && !survey.doubled.contains_key(&of_person(opening)));
        waiting.extend(good);
        block.map_or(Ok(()), |block| checked(&mut waiting, block))
    })?;
    blocks.rest().map_or(Ok(()), |block| checked(&mut waiting, block))
}

/// What names a person within a file: the id, and the group where the row has one.
fn of_person(opening: &Opening) -> KeyBytes {
    KeyBytes::digest(format!("{}\0{}\0{}", opening.who.kind.as_str(), opening.who.folded(), opening.chat.as_deref().unwrap_or_default()).as_bytes())
}

/// Whether an id is one of personal WeChat, by which WeCom never tells of anybody.
fn is_wxid(who: &Identity) -> bool {
    who.value.starts_with("wxid_")
}

/// What a row says, or why it cannot be taken over.
fn opening(row: &Row, columns: &Columns, how: &How) -> Result<Opening, String> {
    let who = Identity::from_wecom(id(row.cell(columns.member))?);
    let points = points(row.cell(columns.points))?;
    let name = columns.name.map(|at| row.cell(at).text()).map(name).filter(|name| !name.is_empty());
    let chat = columns.chat.filter(|_| how.per_group).map(|at| row.cell(at).text().to_owned()).filter(|chat| !chat.is_empty());
    if how.per_group && chat.is_none() {
        return Err("这个积分活动每个群分开记,这一行没有写群的编号(「群ID」一列)".into());
    }
    Ok(Opening { row: row.number, who, name, chat, points })
}

fn id(cell: &Cell) -> Result<&str, String> {
    let text = match cell {
        Cell::Empty => return Err("没有成员编号".into()),
        Cell::Formula => return Err("成员编号是公式;请在表格里复制、粘贴为数值,再导入".into()),
        Cell::Rough(text) => return Err(format!("成员编号 {text} 被表格程序改成了数字,后面几位已经丢了;请把这一列设为文本,从原处再导出一次")),
        Cell::Other(text) => return Err(format!("成员编号是 {},不是编号", brief(text))),
        Cell::Text(text) => text.strip_prefix('\'').unwrap_or(text),
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '@' | '.');
    if !text.chars().all(fits) || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(format!("「{}」不是成员编号:编号由字母、数字和 _ - @ . 组成;昵称不能当编号", brief(text)));
    }
    if text.len() > ID_BYTES_MAX {
        return Err(format!("成员编号有 {} 个字符,最多 {ID_BYTES_MAX} 个", text.len()));
    }
    let mut digits = text.split(['e', 'E']);
    let rough = text.contains('.') && digits.next().is_some_and(|part| part.parse::<f64>().is_ok()) && digits.next().is_some();
    if rough {
        return Err(format!("成员编号 {text} 被表格程序改成了数字,后面几位已经丢了;请把这一列设为文本,从原处再导出一次"));
    }
    Ok(text)
}

fn points(cell: &Cell) -> Result<i64, String> {
    let text = match cell {
        Cell::Empty => return Err("没有积分;没有就写 0".into()),
        Cell::Formula => return Err("积分是公式;请在表格里复制、粘贴为数值,再导入".into()),
        Cell::Rough(text) => return Err(format!("积分 {text} 太大,最多 {POINTS_MAX}")),
        Cell::Other(text) => return Err(format!("积分是 {},不是数字", brief(text))),
        Cell::Text(text) => text.nfkc().collect::<String>(),
    };
    let plain: String = text.trim().trim_start_matches('\'').trim_end_matches('分').chars().filter(|c| !c.is_whitespace()).collect();
    let (sign, digits) = plain.strip_prefix('-').map_or((false, plain.strip_prefix('+').unwrap_or(&plain)), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = ungrouped(whole).ok_or_else(|| format!("积分「{}」不是数字", brief(&text)))?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("积分「{}」不是普通写法的数字", brief(&text)));
    }
    if fraction.bytes().any(|byte| byte != b'0') {
        return Err(format!("积分 {} 有小数;积分只能是整数,请先定好怎么取整", brief(&text)));
    }
    let points = whole.parse::<i64>().ok().filter(|points| *points <= POINTS_MAX).ok_or_else(|| format!("积分 {} 太大,最多 {POINTS_MAX}", brief(&text)))?;
    if sign && points != 0 {
        return Err(format!("积分 {} 是负数;期初余额不能欠分", brief(&text)));
    }
    Ok(points)
}

/// Digits without their thousands separators; `None` where they are anything else.
fn ungrouped(whole: &str) -> Option<String> {
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let rest: Vec<&str> = groups.collect();
    let fits = rest.is_empty() || (!first.is_empty() && first.len() <= 3 && rest.iter().all(|group| group.len() == 3));
    let digits = whole.replace(',', "");
    (fits && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

fn name(text: &str) -> String {
    let text = text.strip_prefix('\'').unwrap_or(text);
    text.chars().filter(|c| !c.is_control() && *c != char::REPLACEMENT_CHARACTER).take(NAME_CHARS_MAX).collect::<String>().trim().to_owned()
}

/// As much of a bad cell as helps to find it.
fn brief(text: &str) -> String {
    let mut brief: String = text.chars().filter(|c| !c.is_control()).take(20).collect();
    if text.chars().count() > 20 {
        brief.push('…');
    }
    brief
}

/// What was read, as one hash every [`ROWS_PER_BLOCK`] rows.
#[derive(Default)]
struct Blocks {
    hash: Sha256,
    rows: usize,
}

impl Blocks {
    fn take(&mut self, row: &Row, columns: &Columns) -> Option<[u8; 16]> {
        self.hash.update(row.number.to_be_bytes());
        for cell in [Some(columns.member), Some(columns.points), columns.chat].into_iter().flatten().map(|at| row.cell(at)) {
            self.hash.update((cell.text().len() as u64).to_be_bytes());
            self.hash.update(cell.text().as_bytes());
        }
        self.rows += 1;
        if self.rows == ROWS_PER_BLOCK { self.rest() } else { None }
    }

    fn rest(&mut self) -> Option<[u8; 16]> {
        if self.rows == 0 {
            return None;
        }
        self.rows = 0;
        let mut block = [0; 16];
        block.copy_from_slice(&self.hash.finalize_reset()[..16]);
        Some(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("jifen-members-{name}-{}.csv", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    fn look(name: &str, text: &str) -> Survey {
        let path = file(name, text);
        let survey = survey(&mut Table::open(&path, None).unwrap(), &How::default(), &mut |_| {});
        let _ = std::fs::remove_file(path);
        survey.unwrap()
    }

    fn text(text: &str) -> Cell {
        Cell::Text(text.into())
    }

    #[test]
    fn points_are_whole_numbers_however_they_are_written() {
        for (written, points_meant) in
            [("12", 12), ("1,234,567", 1_234_567), ("30.00", 30), ("12", 12), ("+5", 5), ("20分", 20), ("0", 0), ("-0", 0), (" 7 ", 7)]
        {
            assert_eq!(points(&text(written)), Ok(points_meant), "{written}");
        }
        assert_eq!(points(&text("9007199254740991")), Ok(POINTS_MAX));
        for bad in ["", "abc", "1.5", "-3", "9007199254740992", "99999999999999999999", "1e3", "1.23E+15", "0x10", "1,23", "12,,345", "--1", "十"] {
            assert!(points(&text(bad)).is_err(), "{bad}");
        }
        assert!(points(&Cell::Formula).unwrap_err().contains("公式"));
        assert!(points(&text("1.5")).unwrap_err().contains("小数"));
        assert!(points(&text("-3")).unwrap_err().contains("负数"));
    }

    #[test]
    fn a_nickname_is_no_id() {
        assert_eq!(id(&text("aming")), Ok("aming"));
        assert_eq!(id(&text("'001")), Ok("001"));
        assert_eq!(id(&text("zhang.san@acme")), Ok("zhang.san@acme"));
        for bad in ["阿明", "a b", "_x", "a\u{0}b", "1.23E+15", "wm\u{fffd}"] {
            assert!(id(&text(bad)).is_err(), "{bad}");
        }
        assert!(id(&text(&"a".repeat(65))).is_err());
        assert!(id(&Cell::Empty).is_err());
    }

    #[test]
    fn every_bad_row_is_told_and_counted() {
        let survey = look("bad", "成员ID,姓名,积分\naming,阿明,12\n,无名,3\nxiaohong,小红,=1+1\nAMing,阿明二,5\nlaowang,老王,1.5\nlaoli,老李,8\nzero,零,0\n");
        let told: Vec<(u64, &str)> = survey.bad_rows.iter().map(|bad| (bad.row, &*bad.why)).collect();
        assert_eq!(told.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [2, 3, 4, 5, 6], "{told:?}");
        assert!(told[0].1.contains("第 5 行") && told[3].1.contains("第 2 行"), "{told:?}");
        assert_eq!((survey.rows, survey.good, survey.zero, survey.bad, survey.sum), (7, 1, 1, 5, 8));
    }

    #[test]
    fn the_second_reading_hands_over_the_good_rows_only() {
        let path = file("again", "成员ID,姓名,积分\naming,阿明,12\naming,阿明,12\nxiaohong,小红,3\nzero,零,0\n,无名,3\n");
        let (mut table, how, mut taken) = (Table::open(&path, None).unwrap(), How::default(), Vec::new());
        let survey = survey(&mut table, &how, &mut |_| {}).unwrap();
        again::<TableError>(&mut table, &how, &survey, |openings| {
            taken.extend(openings);
            Ok(())
        })
        .unwrap();
        let _ = std::fs::remove_file(path);
        assert_eq!(taken.iter().map(|opening| (&*opening.who.value, opening.points)).collect::<Vec<_>>(), [("xiaohong", 3)]);
        assert_eq!(survey.sum, 3);
    }

    #[test]
    fn a_file_that_changes_in_between_is_not_booked() {
        let path = file("changed", "成员ID,积分\naming,12\n");
        let (mut table, how) = (Table::open(&path, None).unwrap(), How::default());
        let survey = survey(&mut table, &how, &mut |_| {}).unwrap();
        std::fs::write(&path, "成员ID,积分\naming,99\n").unwrap();
        let result = again::<TableError>(&mut table, &how, &survey, |_| panic!("nothing is booked"));
        let _ = std::fs::remove_file(path);
        assert!(result.unwrap_err().to_string().contains("被改过"));
    }

    #[test]
    fn a_table_without_rows_or_columns_is_no_table_of_members() {
        for text in ["成员ID,积分\n", "昵称,积分\n阿明,3\n", "\n\n"] {
            let path = file("empty", text);
            let result = survey(&mut Table::open(&path, None).unwrap(), &How::default(), &mut |_| {});
            let _ = std::fs::remove_file(path);
            assert!(result.is_err(), "{text}");
        }
    }

    #[test]
    fn balances_per_group_need_the_group() {
        let path = file("groups", "成员ID,群ID,积分\naming,wrA,1\naming,wrB,2\nxiaohong,,3\n");
        let how = How { per_group: true, ..How::default() };
        let survey = survey(&mut Table::open(&path, None).unwrap(), &how, &mut |_| {}).unwrap();
        let _ = std::fs::remove_file(path);
        assert_eq!((survey.good, survey.bad, survey.sum), (2, 1, 3));
    }
}
