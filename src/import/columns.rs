//! Which column is which, by the names that tools and people give them.

use unicode_normalization::UnicodeNormalization;

use super::table::{Row, TableError};

/// Rows looked through for the one with the names: some tools put a title and notes above the table.
const HEADER_ROWS_MAX: usize = 20;

/// Which tool wrote the file: it decides what a column means that several tools use differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Any: the likeliest column of each kind.
    #[default]
    Any,
    /// 微伴助手: customers by their external_userid; staff columns beside it are passed over.
    Weiban,
    /// WeTool: personal WeChat ids (`wxid_…`).
    Wetool,
    /// Nothing but the plain names (`成员ID`, `积分` …), and jifen's own export.
    Plain,
}

/// Where what we need stands, from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// The stable id of a person.
    pub member: usize,
    /// Points.
    pub points: usize,
    /// The name to show.
    pub name: Option<usize>,
    /// The chat id of a group.
    pub chat: Option<usize>,
    /// The names as they stand in the file: of the id, of the points.
    pub titles: (String, String),
}

/// Names of columns an operator chose by hand.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    /// That of the id.
    pub member: Option<String>,
    /// That of the points.
    pub points: Option<String>,
}

const EXTERNAL: &[&str] =
    &["externaluserid", "外部联系人externaluserid", "外部联系人id", "外部联系人编号", "客户id", "客户编号", "客户externaluserid", "外部userid"];
const USERID: &[&str] =
    &["userid", "成员id", "成员userid", "成员账号", "成员编号", "员工id", "员工账号", "企业微信id", "企业微信账号", "企微id", "企微账号", "账号", "memberid"];
const MEMBER: &[&str] = &["member", "成员", "会员id", "会员编号", "用户id", "用户编号", "id", "编号"];
const WXID: &[&str] = &["wxid", "微信id", "微信wxid", "微信原始id", "原始id"];

const BALANCE: &[&str] = &["可用积分", "剩余积分", "积分余额", "当前积分", "现有积分", "余额", "balance", "availablepoints", "currentpoints"];
const POINTS: &[&str] = &["积分", "积分数", "积分值", "分数", "分值", "points", "point", "score"];
const SUM: &[&str] = &["总积分", "积分总数", "合计积分", "totalpoints"];

const NAME: &[&str] = &[
    "姓名",
    "昵称",
    "名称",
    "名字",
    "客户昵称",
    "客户名称",
    "客户姓名",
    "成员昵称",
    "成员姓名",
    "成员名称",
    "微信昵称",
    "群昵称",
    "会员名",
    "name",
    "nickname",
];
const CHAT: &[&str] = &["群id", "群聊id", "客户群id", "群编号", "chatid", "groupid", "roomid"];

impl Format {
    /// Names of the id column, likeliest first.
    fn member(self) -> &'static [&'static [&'static str]] {
        match self {
            Format::Any => &[EXTERNAL, USERID, WXID, MEMBER],
            Format::Weiban => &[EXTERNAL, MEMBER],
            Format::Wetool => &[EXTERNAL, WXID, MEMBER],
            Format::Plain => &[MEMBER, USERID, EXTERNAL],
        }
    }

    /// Names of the points column, likeliest first.
    fn points(self) -> &'static [&'static [&'static str]] {
        &[BALANCE, POINTS, SUM]
    }
}

/// Finds the columns while rows come in; the first rows are looked through for the names.
#[derive(Debug)]
pub struct Finder {
    format: Format,
    chosen: Chosen,
    /// The row with most cells so far: what is shown where nothing fits.
    widest: Vec<String>,
    looked: usize,
}

impl Finder {
    /// A search for the columns of this tool, or those chosen by hand.
    pub fn new(format: Format, chosen: Chosen) -> Self {
        Finder { format, chosen, widest: Vec::new(), looked: 0 }
    }

    /// Looks at a row; `None` if it is not the one with the names.
    ///
    /// # Errors
    /// Two columns could be meant, or no row among the first has the names.
    pub fn look(&mut self, row: &Row) -> Result<Option<Columns>, TableError> {
        let titles: Vec<String> = row.cells.iter().map(|cell| folded(cell.text())).collect();
        let member = which(&titles, self.chosen.member.as_deref(), self.format.member())?;
        let points = which(&titles, self.chosen.points.as_deref(), self.format.points())?;
        if let (Some(member), Some(points)) = (member, points) {
            let title = |at: usize| row.cell(at).text().to_owned();
            let (name, chat) = (first(&titles, NAME), first(&titles, CHAT));
            return Ok(Some(Columns { member, points, name: name.filter(|at| *at != member), chat, titles: (title(member), title(points)) }));
        }
        if row.cells.iter().filter(|cell| !cell.is_empty()).count() > self.widest.len() {
            self.widest = row.cells.iter().filter(|cell| !cell.is_empty()).map(|cell| shown(cell.text())).collect();
        }
        self.looked += 1;
        if self.looked >= HEADER_ROWS_MAX { Err(self.missing()) } else { Ok(None) }
    }

    /// What to say where no row has the names.
    pub fn missing(&self) -> TableError {
        let has = if self.widest.is_empty() { "一列也没有".to_owned() } else { self.widest.join("、") };
        let titles: Vec<String> = self.widest.iter().map(|title| folded(title)).collect();
        let (member, points) = (found(&titles, self.format.member()), found(&titles, self.format.points()));
        let mut needs = Vec::new();
        match &self.chosen.member {
            Some(chosen) if !titles.contains(&folded(chosen)) => needs.push(format!("「{chosen}」")),
            None if !member => needs.push("成员编号(external_userid、userid 或「成员ID」)".to_owned()),
            Some(_) | None => {}
        }
        match &self.chosen.points {
            Some(chosen) if !titles.contains(&folded(chosen)) => needs.push(format!("「{chosen}」")),
            None if !points => needs.push("积分(「积分」「积分余额」或 points)".to_owned()),
            Some(_) | None => {}
        }
        let nickname = !member && self.chosen.member.is_none() && first(&titles, NAME).is_some();
        let why = if nickname { "。昵称会变、会重名,不能当编号" } else { "" };
        let hint = "也可以用 --member-column、--points-column 说出列名";
        TableError::Unfit(format!("列对不上:文件里有 {has};还缺 {}{why}。{hint}", needs.join("和")))
    }
}

/// The column chosen by hand, else the one with the likeliest name.
fn which(titles: &[String], chosen: Option<&str>, tiers: &[&[&str]]) -> Result<Option<usize>, TableError> {
    match chosen.map(folded) {
        Some(chosen) => Ok(titles.iter().position(|title| *title == chosen)),
        None => among(titles, tiers),
    }
}

/// The one column with the likeliest name.
fn among(titles: &[String], tiers: &[&[&str]]) -> Result<Option<usize>, TableError> {
    for names in tiers {
        let mut places = titles.iter().enumerate().filter(|(_, title)| names.contains(&title.as_str()));
        match (places.next(), places.next()) {
            (Some((_, first)), Some((_, second))) => {
                let text = format!("有两列都像:「{first}」和「{second}」;请用 --member-column 或 --points-column 说出用哪一列");
                return Err(TableError::Unfit(text));
            }
            (Some((at, _)), None) => return Ok(Some(at)),
            (None, _) => {}
        }
    }
    Ok(None)
}

fn found(titles: &[String], tiers: &[&[&str]]) -> bool {
    tiers.iter().any(|names| titles.iter().any(|title| names.contains(&title.as_str())))
}

fn first(titles: &[String], names: &[&str]) -> Option<usize> {
    titles.iter().position(|title| names.contains(&title.as_str()))
}

/// A name without what people add to it: width, case, spaces, underscores, stars, a unit in brackets.
fn folded(title: &str) -> String {
    let plain: String = title.nfkc().collect::<String>().to_lowercase();
    let plain = plain.split('(').next().filter(|part| !part.trim().is_empty()).unwrap_or(&plain).to_owned();
    plain.chars().filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-' | '*' | '.' | '\u{feff}' | '\u{200b}' | ')')).collect()
}

/// A name as it is shown: no longer than helps.
fn shown(title: &str) -> String {
    title.chars().filter(|c| !c.is_control()).take(24).collect()
}

#[cfg(test)]
mod tests {
    use super::super::table::Cell;
    use super::*;

    fn row(cells: &[&str]) -> Row {
        Row { number: 1, cells: cells.iter().map(|text| Cell::Text((*text).to_owned())).collect() }
    }

    fn columns(format: Format, cells: &[&str]) -> (usize, usize, Option<usize>) {
        let columns = Finder::new(format, Chosen::default()).look(&row(cells)).unwrap().unwrap();
        (columns.member, columns.points, columns.name)
    }

    #[test]
    fn columns_are_known_by_the_names_that_tools_give_them() {
        assert_eq!(columns(Format::Any, &["客户昵称", "external_userid", "所属员工", "剩余积分"]), (1, 3, Some(0)));
        assert_eq!(columns(Format::Weiban, &["客户名称", "外部联系人ID(external_userid)", "userid", "总积分", "可用积分"]), (1, 4, Some(0)));
        assert_eq!(columns(Format::Wetool, &["序号", "微信ID", "昵称", "积 分"]), (1, 3, Some(2)));
        assert_eq!(columns(Format::Any, &["成员ID*", "姓名", "积分(分)"]), (0, 2, Some(1)));
        assert_eq!(columns(Format::Plain, &["corp", "campaign", "member", "name", "lifetime", "balance"]), (2, 5, Some(3)));
        assert_eq!(columns(Format::Any, &["UserID", "Name", "Points"]), (0, 2, Some(1)));
    }

    #[test]
    fn the_names_may_stand_below_a_title() {
        let mut finder = Finder::new(Format::Any, Chosen::default());
        assert_eq!(finder.look(&row(&["晨跑群积分统计"])).unwrap(), None);
        assert!(finder.look(&row(&["成员ID", "积分"])).unwrap().is_some());
    }

    #[test]
    fn wrong_columns_are_told_with_what_is_there_and_what_is_needed() {
        let mut finder = Finder::new(Format::Any, Chosen::default());
        assert_eq!(finder.look(&row(&["昵称", "累计积分"])).unwrap(), None);
        let text = finder.missing().to_string();
        for part in ["昵称、累计积分", "还缺 成员编号", "积分余额", "不能当编号", "--points-column"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn lifetime_points_count_only_when_they_are_named() {
        let chosen = Chosen { points: Some("累计积分".into()), member: None };
        let columns = Finder::new(Format::Any, chosen).look(&row(&["成员ID", "积分", "累计积分"])).unwrap().unwrap();
        assert_eq!((columns.points, &*columns.titles.1), (2, "累计积分"));
    }

    #[test]
    fn two_columns_that_could_be_meant_are_asked_about() {
        let error = Finder::new(Format::Any, Chosen::default()).look(&row(&["成员ID", "积分", "分数"])).unwrap_err();
        assert!(error.to_string().contains("「积分」和「分数」") || error.to_string().contains("「分数」"), "{error}");
    }
}
