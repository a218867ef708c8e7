//! What the error codes of WeCom's API mean for us, and what to tell the operator.
//!
//! Source: developer.work.weixin.qq.com/document/path/90313.

use super::http::Answer;

/// Rest after 45009: the shortest of the platform's windows is a minute.
const RATE_LIMIT_SECS: u32 = 60;
/// Rest after «busy» and «too many at once».
const BUSY_SECS: u32 = 5;

/// What a code asks us to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It worked.
    Done,
    /// The access token is no longer good. 40001 is sometimes answered for a bad token, too.
    StaleToken,
    /// Not now.
    Later {
        /// Seconds to wait.
        after_secs: u32,
    },
    /// Never like this.
    Refused,
}

/// What an answer asks us to do.
pub(super) fn meaning(code: i64) -> Meaning {
    match code {
        0 => Meaning::Done,
        40001 | 40014 | 41001 | 42001 => Meaning::StaleToken,
        -1 | 45033 => Meaning::Later { after_secs: BUSY_SECS },
        45009 => Meaning::Later { after_secs: RATE_LIMIT_SECS },
        _ => Meaning::Refused,
    }
}

/// The code, what it means and what to do, for the operator. Of the platform's own text only our IP is taken over.
pub(super) fn explain(answer: &Answer) -> String {
    let code = answer.code;
    match (code, caller_ip(answer.text("errmsg"))) {
        (60020, Some(ip)) => format!("{code} {}(本机出口 IP:{ip})", advice(code)),
        _ => format!("{code} {}", advice(code)),
    }
}

fn advice(code: i64) -> &'static str {
    match code {
        -1 => "企业微信系统繁忙,稍后会再试",
        40001 => "secret 不对,或者应用已停用;请核对 jifen.toml 里的 secret",
        40013 => "企业 ID 不对;请核对 jifen.toml 里的 corp_id",
        40014 | 41001 | 42001 => "access_token 失效,刷新后仍被拒绝,稍后会再试",
        40056 | 301002 => "agent_id 不对,或与 secret 不是同一个应用;请核对 jifen.toml",
        40058 => "请求参数不被接受;请把这一条反馈给开发者",
        45002 => "内容太长;请缩短 rules.toml 里的回复模板",
        45009 => "发送太频繁,被企业微信限流,稍后会再试",
        45033 => "同时发送的请求太多,稍后会再试",
        48002 => "应用没有调用这个接口的权限;往群里发消息要求应用的可见范围是整个企业(根部门)",
        50003 | 301007 => "应用或企业已被停用;请在企业微信管理后台查看",
        60011 => "应用对这位成员没有权限;请在管理后台把成员加进应用的可见范围",
        60020 => "本机 IP 不在企业可信 IP 里;请在管理后台「应用管理 → 应用 → 企业可信IP」里加上,约一分钟后生效",
        60111 => "企业里没有这位成员,可能已离职",
        81013 | 82001 => "收件人不在应用的可见范围内;请在管理后台把成员加进应用的可见范围",
        86001 | 86003 => "群的 chat id 不对;请核对 jifen.toml 里的 groups,区分大小写",
        86008 => "这个群不是本应用创建的,应用不能在里面发言;请从 jifen.toml 的 groups 里去掉它",
        93000 => "群机器人的 webhook 地址已失效,或机器人已被移出群;请更新 jifen.toml 里的 webhook_key",
        93004 => "群机器人已被停用;请在群里重新启用",
        93006 => "群的 chat id 不对;chat id 区分大小写",
        93008 => "机器人不在这个群里;请把它重新加进群",
        _ => "企业微信拒绝了这次发送;错误码的说明见 developer.work.weixin.qq.com/document/path/90313",
    }
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

    fn explained(code: i64, errmsg: &str) -> String {
        explain(&Answer { code, fields: json!({"errcode": code, "errmsg": errmsg}) })
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
    fn what_may_be_tried_again_is_told_from_what_may_not() {
        assert_eq!(meaning(45009), Meaning::Later { after_secs: 60 });
        assert_eq!(meaning(42001), Meaning::StaleToken);
        assert_eq!(meaning(81013), Meaning::Refused);
        assert_eq!(meaning(123_456), Meaning::Refused);
    }
}
