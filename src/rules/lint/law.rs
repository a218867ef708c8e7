//! What the platform's terms and the law do not allow to be paid for: spreading links, and people brought by people brought by people.
//!
//! Terms: WeChat 外部链接内容管理规范 of 2019-10-28 names points (积分) among the inducements that must not be given for sharing.
//! Only what is sure is refused: 「读书分享」 shares what one has read.

use crate::rules::campaign::{Campaign, RuleEntry};
use crate::rules::lint::{Placed, worst};
use crate::rules::mistake::{Mistakes, Severity};

/// Words that mean spreading, wherever they stand.
const SPREADING: [&str; 7] = ["转发", "朋友圈", "集赞", "裂变", "晒圈", "发圈", "群发"];

/// What stands behind 「分享」 where a link is meant, not a story.
const SHARED: [&str; 14] = ["链接", "海报", "到", "给", "至", "商品", "小程序", "直播", "视频号", "好友", "有礼", "得", "领", "出去"];

/// Parts of event names that mean spreading.
const SPREADING_EVENTS: [&str; 6] = ["share", "shared", "forward", "forwarded", "moments", "repost"];

/// Words that mean being paid for whom others bring.
const LEVELS: [&str; 9] = ["下线", "二级分销", "三级分销", "二级邀请", "三级邀请", "二级推荐", "下级邀请", "拉人头", "团队提成"];

/// Looks at one rule.
pub fn check(campaign: &Campaign, (rule, head): Placed<'_>, mistakes: &mut Mistakes) {
    if rule.kind.most() == 0 {
        return;
    }
    let named = names(rule);
    if let Some(word) = named.iter().find(|word| spreads(word)) {
        let text = format!(
            "{} 给「{word}」发积分:微信不许用积分诱导分享、转发(外链规范),群和号都可能被封,所以不采用;不是这个意思,就在上一行加注释 # jifen: allow(sharing) 和理由",
            rule.code
        );
        mistakes.costly(head.clone(), Severity::Error, "sharing", text, worst::cost(campaign, &[rule]));
    }
    if let Some(word) = named.iter().find(|word| LEVELS.iter().any(|level| word.contains(level))) {
        let text = format!(
            "{} 给「{word}」发积分:按下级带来的人计酬,两级以上有传销风险,所以不采用;只奖直接邀请的人,或请法务看过后在上一行加注释 # jifen: allow(multi-level) 和理由",
            rule.code
        );
        mistakes.costly(head.clone(), Severity::Error, "multi-level", text, worst::cost(campaign, &[rule]));
    }
}

/// What a rule is called and what it listens for.
fn names(rule: &RuleEntry) -> Vec<&str> {
    let name = rule.code.split('.').nth(1);
    let words = rule.kind.listens_for().iter().map(|listen| &*listen.text);
    [Some(rule.title()), name, rule.kind.hears_of()].into_iter().flatten().chain(words).collect()
}

/// Whether this names spreading a link.
pub fn spreads(text: &str) -> bool {
    let of_link = |at: usize| {
        let behind = &text[at + "分享".len()..];
        SHARED.iter().any(|word| behind.starts_with(word)) || (behind.is_empty() && text.trim_start_matches('#') == "分享")
    };
    let english = |word: &str| text.to_lowercase().split(['_', '-', ' ', '.']).any(|part| part == word);
    SPREADING.iter().any(|word| text.contains(word))
        || text.match_indices("分享").any(|(at, _)| of_link(at))
        || SPREADING_EVENTS.iter().any(|word| english(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreading_is_told_from_telling() {
        for text in ["分享", "转发朋友圈", "分享链接得积分", "集赞", "share", "moments_share", "#分享", "分享到群"] {
            assert!(spreads(text), "{text}");
        }
        for text in ["读书分享", "经验分享", "分享会", "分享心得", "shared_ride".trim_start_matches("shared_"), "签到", "sharpen", "分享一道菜"]
        {
            assert!(!spreads(text), "{text}");
        }
    }
}
