//! Links: the one a message carries, without what tells only who shared it, so that one page is one link.

use std::sync::LazyLock;

use regex::Regex;

use crate::model::event::Said;

/// Longest link that is looked at, in bytes.
const LINK_BYTES_MAX: usize = 2_048;

/// Parts of a query that say how a page was reached and not which page it is.
const TRACKING: [&str; 18] = [
    "appuid",
    "apptime",
    "from",
    "fromuid",
    "scene",
    "share_from_user_hidden",
    "share_id",
    "share_token",
    "shareuid",
    "source",
    "spm",
    "timestamp",
    "type",
    "wxshare_count",
    "xhsshare",
    "xsec_source",
    "xsec_token",
    "app_platform",
];

static WRITTEN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"(?i)https?://[^\s\p{Han},。!?、;「」《》()<>"']+"#).expect("a constant pattern"));

/// The link a message carries, or that stands in its text, in the form under which it is one link.
pub fn link_of(said: &Said) -> Option<String> {
    let carried = said.link.as_deref().map(str::trim).filter(|link| !link.is_empty());
    // Most talk holds none: that is found out cheaply.
    let written = || said.text.contains("://").then(|| WRITTEN.find(&said.text)).flatten().map(|found| found.as_str());
    carried.or_else(written).map(normalised)
}

/// Scheme, `www.`, letter case of the host, anchor, a closing slash and the traces of sharing do not matter.
pub fn normalised(link: &str) -> String {
    let link = link.get(..LINK_BYTES_MAX).unwrap_or(link);
    let link = link.split('#').next().unwrap_or(link);
    let rest = link.split_once("://").map_or(link, |(_, rest)| rest);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (host, path) = path.split_once('/').unwrap_or((path, ""));
    let host = host.to_lowercase();
    let host = host.strip_prefix("www.").unwrap_or(&host);
    let is_told = |part: &&str| {
        let name = part.split('=').next().unwrap_or(part).to_lowercase();
        !name.is_empty() && !name.starts_with("utm_") && !TRACKING.contains(&name.as_str())
    };
    let mut query: Vec<&str> = query.split('&').filter(is_told).collect();
    query.sort_unstable();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{host}/{}{mark}{}", path.trim_end_matches('/'), query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_page_is_one_link_however_it_was_shared() {
        let note = normalised("https://www.xiaohongshu.com/explore/64a1?xsec_token=AB&xhsshare=WeixinSession");
        for same in
            ["http://xiaohongshu.com/explore/64a1", "https://www.XIAOHONGSHU.com/explore/64a1/?utm_source=x#top", "xiaohongshu.com/explore/64a1?share_id=9"]
        {
            assert_eq!(normalised(same), note, "{same}");
        }
        for other in ["https://www.xiaohongshu.com/explore/64a2", "https://xiaohongshu.com/Explore/64a1", "https://mp.weixin.qq.com/s?sn=1"] {
            assert_ne!(normalised(other), note, "{other}");
        }
        assert_ne!(normalised("https://item.taobao.com/item.htm?id=1&spm=a"), normalised("https://item.taobao.com/item.htm?id=2&spm=a"));
        assert_eq!(normalised("https://item.taobao.com/item.htm?spm=b&x=1&id=2"), normalised("https://item.taobao.com/item.htm?id=2&x=1"));
    }

    #[test]
    fn a_link_in_a_text_is_found() {
        let said = |text: &str| Said { text: text.into(), ..Said::default() };
        assert_eq!(link_of(&said("打卡 https://xhslink.com/a/B1,快来看")).as_deref(), Some("xhslink.com/a/B1"));
        assert_eq!(link_of(&said("打卡")), None);
        assert_eq!(link_of(&Said { link: Some(" ".into()), ..Said::default() }), None);
    }
}
