//! What the error codes of WeCom's API mean for us, and what to tell the operator: one table.
//!
//! Source: developer.work.weixin.qq.com/document/path/90313; what an AI bot's codes mean also WecomTeam/wecom-openclaw-plugin.

use super::http::Answer;

const MINUTE_SECS: u32 = 60;
const HOUR_SECS: u32 = 60 * MINUTE_SECS;
const DAY_SECS: u32 = 24 * HOUR_SECS;

/// What a code asks us to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It worked.
    Done,
    /// The access token is no longer good. 40001 is sometimes answered for a bad token, too.
    StaleToken,
    /// Their trouble, over in a moment.
    Busy,
    /// Too many messages: who sent it rests until the window is over.
    Limited,
    /// Too many at once: fewer at a time.
    Crowded,
    /// The text is too long for one message.
    Split,
    /// Never like this: this message or this recipient. Also every code that is not in the table.
    Drop,
    /// This robot or app cannot speak in this group any more; elsewhere it may.
    Gone,
    /// This app cannot speak at all before a person changes something.
    Stop,
}

use Meaning::{Busy, Crowded, Done, Drop, Gone, Limited, Split, StaleToken, Stop};

/// Code, meaning, and what to tell the operator.
const TABLE: &[(i64, Meaning, &str)] = &[
    (-1, Busy, "企业微信系统繁忙,稍后会再试"),
    (0, Done, "成功"),
    (40001, StaleToken, "secret 不对,或者应用已停用;请核对 jifen.toml 里的 secret"),
    (40013, Stop, "企业 ID 不对;请核对 jifen.toml 里的 corp_id"),
    (40014, StaleToken, "access_token 失效,刷新后仍被拒绝,稍后会再试"),
    (40056, Stop, "agent_id 不对,或与 secret 不是同一个应用;请核对 jifen.toml"),
    (40058, Drop, "请求参数不被接受;AI 机器人的回复地址用过一次或超过一小时也会这样"),
    (40096, Drop, "外部联系人的 id 不对,或对方已不是客户"),
    (41001, StaleToken, "请求里没有 access_token,刷新后仍被拒绝,稍后会再试"),
    (42001, StaleToken, "access_token 失效,刷新后仍被拒绝,稍后会再试"),
    (42045, Drop, "模板卡片缺少可用的 card_action;请把这一条反馈给开发者"),
    (44004, Drop, "消息是空的;请检查 rules.toml 里的回复模板"),
    (45002, Split, "内容太长;请缩短 rules.toml 里的回复模板"),
    (45009, Limited, "发送太频繁,被企业微信限流,排队等限流结束再发"),
    (45033, Crowded, "同时发送的请求太多,放慢后会再试"),
    (48002, Stop, "应用没有调用这个接口的权限;往群里发消息要求应用的可见范围是整个企业(根部门)"),
    (50003, Stop, "应用已被停用;请在企业微信管理后台启用"),
    (60011, Drop, "应用对这位成员没有权限;请在管理后台把成员加进应用的可见范围"),
    (60020, Stop, "本机 IP 不在企业可信 IP 里;请在管理后台「应用管理 → 应用 → 企业可信IP」里加上,约一分钟后生效"),
    (60111, Drop, "企业里没有这位成员,可能已离职"),
    (81013, Drop, "收件人不在应用的可见范围内;请在管理后台把成员加进应用的可见范围"),
    (82001, Drop, "收件人不在应用的可见范围内;请在管理后台把成员加进应用的可见范围"),
    (84061, Drop, "对方不是企业的客户,不能私信"),
    (86001, Gone, "群的 chat id 不对;请核对 jifen.toml 里的 groups,区分大小写"),
    (86003, Gone, "群的 chat id 不对;请核对 jifen.toml 里的 groups,区分大小写"),
    (86008, Gone, "这个群不是本应用创建的,应用不能在里面发言;请从 jifen.toml 的 groups 里去掉它"),
    (86216, Gone, "群里有不可用的成员,应用不能在里面发言;请在管理后台检查群成员"),
    (86217, Gone, "应用不在这个群里,不能发言;请从 jifen.toml 的 groups 里去掉它"),
    (90501, Drop, "这个群不是客户群"),
    (93000, Gone, "群机器人的 webhook 地址已失效,或机器人已被移出群;请更新 jifen.toml 里的 webhook_key"),
    (93004, Gone, "群机器人已被停用;请在群里重新启用"),
    (93006, Gone, "群的 chat id 不对;chat id 区分大小写"),
    (93008, Gone, "机器人不在这个群里;请把它重新加进群"),
    (301_002, Stop, "agent_id 与 secret 不是同一个应用;请核对 jifen.toml"),
    (301_007, Stop, "企业已被停用或解散;请在企业微信管理后台查看"),
    (301_021, Drop, "收件人里有不可用的成员,可能已离职"),
    (846_605, Drop, "AI 机器人的这次提问已经不能回复"),
    (846_608, Drop, "AI 机器人的这次提问过去太久,不能再回复"),
];

const UNLISTED: &str = "企业微信拒绝了这次发送;错误码的说明见 developer.work.weixin.qq.com/document/path/90313";

/// What an answer asks us to do.
pub(super) fn meaning(code: i64) -> Meaning {
    row(code).map_or(Drop, |(_, meaning, _)| *meaning)
}

/// The code, what it means and what to do, for the operator. Of the platform's own text only our IP is taken over.
pub(super) fn explain(answer: &Answer) -> String {
    let code = answer.code;
    let advice = row(code).map_or(UNLISTED, |(_, _, advice)| *advice);
    match (code, caller_ip(answer.text("errmsg"))) {
        (60020, Some(ip)) => format!("{code} {advice}(本机出口 IP:{ip})"),
        _ => format!("{code} {advice}"),
    }
}

/// How long the window lasts that was used up (45009), in seconds, where the platform's text names it: `reach max api daily quota limit`.
pub(super) fn window_secs(answer: &Answer) -> Option<u32> {
    let text = answer.text("errmsg").to_ascii_lowercase();
    let names = |words: [&str; 2]| words.iter().any(|word| text.contains(word));
    [(["minute", "minutely"], MINUTE_SECS), (["hour", "hourly"], HOUR_SECS), (["daily", "per day"], DAY_SECS)]
        .into_iter()
        .find_map(|(words, secs)| names(words).then_some(secs))
}

fn row(code: i64) -> Option<&'static (i64, Meaning, &'static str)> {
    TABLE.iter().find(|(known, _, _)| *known == code)
}

/// `not allow to access from your ip, hint: […], from ip: 203.0.113.7, more info at …`
fn caller_ip(errmsg: &str) -> Option<std::net::IpAddr> {
    let (_, rest) = errmsg.split_once("from ip:")?;
    rest.split(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(code: i64, errmsg: &str) -> Answer {
        Answer { code, fields: json!({"errcode": code, "errmsg": errmsg}) }
    }

    fn explained(code: i64, errmsg: &str) -> String {
        explain(&answer(code, errmsg))
    }

    #[test]
    fn an_untrusted_ip_is_named() {
        let text = explained(60020, "not allow to access from your ip, hint: [1], from ip: 203.0.113.7, more info at https://open.work.weixin.qq.com");
        assert!(text.starts_with("60020 ") && text.ends_with("(本机出口 IP:203.0.113.7)"), "{text}");
    }

    #[test]
    fn the_platform_s_own_text_is_not_repeated() {
        assert!(!explained(40058, "secret=abc aming").contains("abc"));
        assert!(!explained(60020, "from ip: aming").contains("aming"));
    }

    #[test]
    fn a_code_stands_in_the_table_once_and_in_order() {
        assert!(TABLE.is_sorted_by(|(one, ..), (next, ..)| one < next));
    }

    #[test]
    fn each_code_asks_for_what_the_platform_says() {
        for (codes, meant) in [
            (vec![-1], Busy),
            (vec![40001, 40014, 41001, 42001], StaleToken),
            (vec![45009], Limited),
            (vec![45033], Crowded),
            (vec![45002], Split),
            (vec![86001, 86003, 86008, 93000, 93004, 93006, 93008], Gone),
            (vec![40013, 40056, 48002, 50003, 60020, 301_002, 301_007], Stop),
            (vec![40058, 60011, 60111, 81013, 82001, 123_456], Drop),
        ] {
            codes.into_iter().for_each(|code| assert_eq!(meaning(code), meant, "{code}"));
        }
    }

    #[test]
    fn a_window_is_read_where_the_platform_names_it() {
        for (errmsg, secs) in [
            ("api freq out of limit, hint: [1795300000]", None),
            ("api minute-quota reach limit", Some(60)),
            ("api hourly quota reach limit", Some(3_600)),
            ("reach max api daily quota limit", Some(86_400)),
        ] {
            assert_eq!(window_secs(&answer(45009, errmsg)), secs, "{errmsg}");
        }
    }
}
