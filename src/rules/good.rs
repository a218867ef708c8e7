//! `[good.<name>]`: what points are to buy. So far a catalogue: prices are planned and checked by it; nothing is redeemed yet.

use std::sync::Arc;

use jiff::civil::Date;
use schemars::JsonSchema;

use crate::model::day::Day;
use crate::rules::mistake::Mistakes;
use crate::rules::shared_keys;
use crate::rules::table::{RuleTable, integer};

/// Most that one piece may cost, in yuan: a slip of the finger is caught.
const YUAN_MAX: i64 = 1_000_000;

/// 积分能换什么:名称、价格、库存、成本。兑换在商城开放后才有;现在只用于体检(jifen check)和定价(jifen plan)。
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct GoodTable {
    /// 名称;不写就用表名。
    #[schemars(length(min = 1, max = 40), extend("examples" = ["户外水壶"]))]
    #[schemars(extend("x-en" = "Its name; without it the table's name. Nothing can be redeemed yet: goods serve `jifen check`, `jifen plan` and `jifen liability`."))]
    pub title: Option<String>,
    /// 价格:多少积分换一件。必须写。
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64), extend("examples" = [1500]))]
    #[schemars(extend("x-en" = "Its price in points. Required."))]
    pub price: Option<i64>,
    /// 库存:一共几件。不写是不限。
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64), extend("examples" = [100]))]
    #[schemars(extend("x-en" = "How many there are in all. Without it there is no end of them."))]
    pub stock: Option<i64>,
    /// 一件的成本,多少元,最多两位小数。写了,jifen plan 就算每积分值多少钱。
    #[schemars(extend("examples" = ["15.00"]))]
    #[schemars(extend("x-en" = "What one costs us in yuan, two decimals at most; `jifen plan` then tells what a point is worth."))]
    pub value: Option<String>,
    /// 上架日期,首尾两天都算。不写是一直。
    #[schemars(extend("examples" = ["2026-11-01..2026-11-30"]))]
    #[schemars(extend("x-en" = "First and last day on which it is offered, both included. Without it always."))]
    pub dates: Option<String>,
}

/// A good of a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Good {
    /// Its name in the file: `good.bottle`.
    pub code: Arc<str>,
    /// Its name for members.
    pub title: Arc<str>,
    /// Its price in points; 1 at least.
    pub price: i64,
    /// How many there are; `None` for no end.
    pub stock: Option<i64>,
    /// What one costs us, in fen.
    pub fen: Option<i64>,
    /// First and last day on which it is offered, both included.
    pub dates: Option<(Date, Date)>,
}

impl Good {
    /// Whether its last day is over.
    pub fn is_over(&self, day: Day) -> bool {
        self.dates.is_some_and(|(_, last)| day.date() > last)
    }
}

/// Reads a good.
pub fn read(name: &str, table: &RuleTable<'_>, mistakes: &mut Mistakes) -> Option<Good> {
    let price = table.get("price").and_then(integer);
    if price.is_none() {
        mistakes.error(table.span("price"), "missing-key", format!("[good.{name}] 没写价格;请写多少积分换一件,如 price = 1500"));
    }
    let fen = table.text("value").map(|text| fen(text).map_err(|reason| mistakes.error(table.span("value"), "bad-value", reason)));
    Some(Good {
        code: Arc::from(format!("good.{name}")),
        title: Arc::from(table.text("title").unwrap_or(name).trim()),
        price: price?,
        stock: table.get("stock").and_then(integer),
        fen: fen.and_then(Result::ok),
        dates: shared_keys::dates(table, mistakes),
    })
}

/// An amount in yuan as it is written (`15`, `15.00`), in fen.
///
/// # Errors
/// What is wrong, in words.
pub fn fen(text: &str) -> Result<i64, String> {
    let unread = || format!("「{text}」不是金额;请写一件的成本是多少元,如 \"15.00\",最多两位小数,不带「元」字");
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 9 || part.len() > 2 || !digits(whole) || !digits(part) {
        return Err(unread());
    }
    let (whole, part): (i64, i64) = (whole.parse().map_err(|_| unread())?, format!("{part:0<2}").parse().map_err(|_| unread())?);
    if whole > YUAN_MAX {
        return Err(format!("「{text}」元一件,像是多写了零;最多 {YUAN_MAX} 元"));
    }
    Ok(whole * 100 + part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::file::load;

    #[test]
    fn yuan_become_fen() {
        assert_eq!((fen("15"), fen("15.5"), fen(" 0.05 "), fen("0")), (Ok(1_500), Ok(1_550), Ok(5), Ok(0)));
        for bad in ["", ".5", "15元", "-1", "1.005", "1e3", "9999999", "99999999999999999999"] {
            assert!(fen(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_campaign_writes_only_what_differs() {
        let text = "check_in.daily = { keywords = [\"签到\"], points = 3 }\ngood.cup = { title = \"水杯\", price = 270, stock = 5, value = \"15.00\" }\n\
                    campaign.main = { groups = [\"*\"] }\ncampaign.vip = { groups = [\"VIP\"], good = { cup = { price = 200 } } }";
        let (rules, warnings) = load(text).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        assert_eq!(warnings, []);
        let prices: Vec<_> = rules.campaigns.iter().map(|campaign| (campaign.goods[0].price, campaign.goods[0].fen, &*campaign.goods[0].title)).collect();
        assert_eq!(prices, [(270, Some(1_500), "水杯"), (200, Some(1_500), "水杯")]);
    }

    #[test]
    fn a_price_is_required_and_what_is_wrong_is_told_in_its_place() {
        let told = |text: &str| -> Vec<(&str, usize, usize)> {
            load(text).err().unwrap_or_default().iter().map(|mistake| (mistake.code, mistake.line, mistake.column)).collect()
        };
        assert_eq!(told("[good.cup]\ntitle = \"水杯\""), [("missing-key", 1, 7)]);
        assert_eq!(told("[good.cup]\nprice = 0"), [("out-of-range", 2, 9)]);
        assert_eq!(told("[good.cup]\nprice = 10\nvalue = \"十五\""), [("bad-value", 3, 9)]);
    }
}
