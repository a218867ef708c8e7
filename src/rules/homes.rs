//! Keys in the wrong place: where in the file each belongs, so that it can be moved there.

use serde_json::Value;
use toml::de::DeTable;

use crate::rules::fit::{known_keys, resolve};
use crate::rules::mistake::Lines;
use crate::rules::table::in_order;

/// Tables in which a key is looked for, the whole campaign first.
const TABLES: [&str; 6] = ["campaign", "check_in", "speaking", "festival", "good", "event"];

/// A document in which keys may stand elsewhere.
pub struct Homes<'s, 'd> {
    /// The whole schema.
    pub schema: &'s Value,
    /// Where the lines of the file begin.
    pub lines: Lines,
    /// The whole file.
    pub document: &'d DeTable<'d>,
}

impl Homes<'_, '_> {
    /// What to do with a key that belongs elsewhere: one before the first table, or behind the last, which is a `[[test]]`.
    pub fn misplaced(&self, table: &str, name: &str) -> Option<String> {
        let homes = self.of(name);
        if homes.is_empty() {
            return None;
        }
        let homes = homes.join("、");
        match table {
            "" => Some(format!("{name} 前面还没有表头,它不属于任何一张表;请移到它该在的表下面:{homes}")),
            "test" => Some(format!("{name} 这一行算在上面的 [[test]] 里了;请移到它该在的表下面:{homes}")),
            _ => None,
        }
    }

    /// What to do with keys directly under `[campaign]`, where there is a campaign with a name, or should be one.
    pub fn nameless(&self, kind: &str, table: &DeTable<'_>) -> Option<String> {
        let keys = if TABLES.contains(&kind) { self.keys(kind) } else { Vec::new() };
        let (name, _) = in_order(table).into_iter().find(|(name, _)| keys.contains(&name.get_ref().as_ref()))?;
        let home = self.first(kind, &keys);
        match home {
            Some(home) => Some(format!("[{kind}] 少了名字;请把 {} 移到{home} 下面,再删掉 [{kind}] 这一行", name.get_ref())),
            None if kind == "campaign" => Some(format!("[campaign] 少了名字;请写成 [campaign.main],{} 写在它下面", name.get_ref())),
            None => None,
        }
    }

    /// The first table of each kind that takes such a key: `第 171 行 [campaign.main]`.
    fn of(&self, name: &str) -> Vec<String> {
        let takes = |kind: &&&str| self.keys(kind).contains(&name);
        TABLES.iter().filter(takes).filter_map(|kind| self.first(kind, &self.keys(kind))).take(3).collect()
    }

    fn first(&self, kind: &str, keys: &[&str]) -> Option<String> {
        let tables = self.document.get(kind)?.get_ref().as_table()?;
        let is_named = |name: &str| !keys.contains(&name);
        let (name, _) = in_order(tables).into_iter().find(|(name, value)| value.get_ref().is_table() && is_named(name.get_ref()))?;
        Some(format!("第 {} 行 [{kind}.{}]", self.lines.line(name.span().start), name.get_ref()))
    }

    fn keys(&self, kind: &str) -> Vec<&str> {
        let kind = self.schema.get("properties").and_then(|kinds| kinds.get(kind));
        let each = kind.and_then(|kind| resolve(self.schema, kind).get("additionalProperties"));
        each.map(|each| known_keys(resolve(self.schema, each))).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::file::load;

    const RULES: &str = "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n[campaign.main]\ngroups = [\"*\"]\n";

    fn told(text: &str) -> String {
        load(text).expect_err("misplaced").iter().map(|mistake| format!("{}: {}\n", mistake.line, mistake.text)).collect()
    }

    #[test]
    fn a_key_in_the_wrong_place_is_told_where_it_belongs() {
        let first = told(&format!("max_points = {{ day = 20 }}\n{RULES}"));
        assert!(first.starts_with("1: max_points 前面还没有表头") && first.contains("第 5 行 [campaign.main]、第 2 行 [check_in.daily]"), "{first}");
        let last = told(&format!("{RULES}[[test]]\nname = \"t\"\nchat = \"11-22 09:00 阿明: 签到 => +2\"\nmax_points = {{ day = 20 }}\n"));
        assert!(last.starts_with("9: max_points 这一行算在上面的 [[test]] 里了;") && last.contains("第 4 行 [campaign.main]"), "{last}");
    }

    #[test]
    fn a_campaign_without_a_name_is_told_of_the_one_that_has_one() {
        let both = told(&format!("{RULES}[campaign]\nmax_points = {{ day = 20 }}\n"));
        assert!(both.contains("请把 max_points 移到第 4 行 [campaign.main] 下面"), "{both}");
        let alone = told("check_in.daily = { keywords = [\"签到\"], points = 2 }\n[campaign]\nmax_points = { day = 20 }\n");
        assert!(alone.contains("请写成 [campaign.main],max_points 写在它下面"), "{alone}");
    }
}
