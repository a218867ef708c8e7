//! One event as a line of JSON, as `jifen replay` and `POST /api/v1/events` read it.
//!
//! ```json
//! {"id":"m-1","at":"2026-11-22T09:00:00+08:00","corp":"acme","group":"wrDemoGroup","member":"aming","name":"阿明","said":{"text":"签到"}}
//! ```
//!
//! `said` may also have `images` (a count, or a list of content hashes: `["sha256:…", {"hash":"…","look":"32 hexadecimal digits"}]`), `video`,
//! `link`, `quote` and `at_assistant`. Without `group` it is a single chat. Instead of `said`: `"joined":{}`, `"left":{}`, `"listed":{"joined_at":"…"}`, `"recalled":{"of":"m-1"}`,
//! `"order_paid":{"shop":"taobao","number":"…","fen":26800}`, `"happened":{"event":"verified","subject":"…"}`. What happened in no chat may name the
//! `campaign` in whose books it belongs; without, it goes where single chats go. In a replay, `source` names the channel that would have
//! brought it (`app/1000002`), so that history already received is known; it defaults to `replay`. What two sources tell of one message pays
//! once. A caller of the API names no source: it is the caller's own.

use serde::Deserialize;

use crate::model::act::{Act, listed_at};
use crate::model::day::Millis;
use crate::model::event::{Channel, Event, GroupKind, Identity, Kind, Look, Picture, Place, Said, Via};
use crate::model::ids::{EventKey, KeyBytes};

/// Longest id of a line, in bytes; WeCom's own have 64 at most.
const ID_BYTES_MAX: usize = 256;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    at: jiff::Timestamp,
    corp: Option<String>,
    group: Option<String>,
    campaign: Option<String>,
    member: String,
    name: Option<String>,
    source: Option<String>,
    said: Option<SaidLine>,
    joined: Option<Nothing>,
    left: Option<Nothing>,
    listed: Option<ListedLine>,
    recalled: Option<RecalledLine>,
    order_paid: Option<OrderLine>,
    happened: Option<HappenedLine>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListedLine {
    joined_at: jiff::Timestamp,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidLine {
    #[serde(default)]
    text: String,
    #[serde(default)]
    images: Images,
    #[serde(default)]
    video: bool,
    link: Option<String>,
    quote: Option<String>,
    #[serde(default)]
    at_assistant: bool,
}

/// How many pictures, or their content hashes.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Images {
    Count(u32),
    Listed(Vec<Image>),
}

/// A picture by a name for its contents (a checksum), or together with what it looks like: 32 hexadecimal digits.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Image {
    Hash(String),
    Looked { hash: String, look: String },
}

/// Pictures of one line; no message of WeCom has nearly as many.
const PICTURES_MAX: usize = 100;

impl Images {
    fn read(&self) -> Result<(u32, Vec<Picture>), String> {
        let images = match self {
            Images::Count(count) => return Ok((*count, Vec::new())),
            Images::Listed(images) => images,
        };
        if images.len() > PICTURES_MAX {
            return Err(format!("images 里有 {} 张图片,一条消息最多 {PICTURES_MAX} 张", images.len()));
        }
        let pictures: Vec<Picture> = images.iter().map(Image::read).collect::<Result<_, _>>()?;
        Ok((u32::try_from(pictures.len()).unwrap_or(u32::MAX), pictures))
    }
}

impl Image {
    fn read(&self) -> Result<Picture, String> {
        let (Image::Hash(hash) | Image::Looked { hash, .. }) = self;
        if hash.is_empty() {
            return Err("images 里有一个空的哈希".into());
        }
        let look = match self {
            Image::Hash(_) => None,
            Image::Looked { look, .. } => Some(read_look(look).ok_or_else(|| format!("look 要写 32 个十六进制数字,「{look}」不是"))?),
        };
        Ok(Picture { look, ..Picture::known_as(hash.as_bytes()) })
    }
}

fn read_look(text: &str) -> Option<Look> {
    let half = |half: &str| half.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u64::from_str_radix(half, 16).ok()).flatten();
    let (first, second) = text.split_at_checked(16).filter(|_| text.len() == 32)?;
    Some(Look([half(first)?, half(second)?]))
}

impl Default for Images {
    fn default() -> Self {
        Images::Count(0)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecalledLine {
    of: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderLine {
    shop: String,
    number: String,
    fen: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HappenedLine {
    event: String,
    subject: Option<String>,
}

/// Why a line of a caller is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It cannot be read, or says what it must not.
    Wrong(String),
    /// It speaks for another corp than the caller's.
    Foreign(String),
}

/// Reads one line of a replay. `corp` stands in where the line names none.
///
/// # Errors
/// What is wrong, in words.
pub fn parse_line(line: &str, corp: &str, received_at: Millis) -> Result<Event, String> {
    let line = read(line)?;
    let corp = line.corp.as_deref().unwrap_or(corp).to_owned();
    if corp.is_empty() {
        return Err("corp 是空的".into());
    }
    let source = format!("{corp}/{}", line.source.as_deref().unwrap_or("replay"));
    event(line, &corp, &source, Via { channel: Channel::Replay, ..Via::default() }, received_at)
}

/// Reads one line of a caller of the API, who speaks for one corp. Answers with the line's own id beside the event.
///
/// # Errors
/// See [`Refused`].
pub fn parse_told(text: &str, corp: &str, caller: &str, received_at: Millis) -> Result<(String, Event), Refused> {
    let line = read(text).map_err(Refused::Wrong)?;
    if let Some(other) = line.corp.as_deref().filter(|named| *named != corp) {
        return Err(Refused::Foreign(format!("corp 写的是「{other}」,而这个令牌属于「{corp}」;请去掉 corp,或换那个企业的令牌")));
    }
    if line.source.is_some() {
        return Err(Refused::Wrong("不能写 source:来源由令牌决定,同一个 id 在同一个令牌下永远只算一次".into()));
    }
    let id = line.id.clone();
    let via = Via { channel: Channel::Api, name: caller.into(), reply_url: None };
    event(line, corp, &format!("{corp}/api/{caller}"), via, received_at).map(|event| (id, event)).map_err(Refused::Wrong)
}

fn read(line: &str) -> Result<Line, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| format!("不是一条能读的事件({error})"))?;
    let ids = [
        ("id", Some(&line.id)),
        ("member", Some(&line.member)),
        ("group", line.group.as_ref()),
        ("corp", line.corp.as_ref()),
        ("campaign", line.campaign.as_ref()),
    ];
    let happened = line.happened.iter().flat_map(|happened| [("event", Some(&happened.event)), ("subject", happened.subject.as_ref())]);
    for (field, value) in ids.into_iter().chain(happened).filter_map(|(field, value)| Some((field, value?))) {
        if value.is_empty() {
            return Err(format!("{field} 是空的"));
        }
        if value.len() > ID_BYTES_MAX {
            return Err(format!("{field} 有 {} 字节,最多 {ID_BYTES_MAX}", value.len()));
        }
        if value.chars().any(char::is_control) {
            return Err(format!("{field} 里有控制字符"));
        }
    }
    Ok(line)
}

fn event(line: Line, corp: &str, source: &str, via: Via, received_at: Millis) -> Result<Event, String> {
    let place = match (&line.group, &line.campaign) {
        (chat, Some(campaign)) if line.said.is_none() && line.recalled.is_none() => {
            Place::Books { campaign: campaign.as_str().into(), chat: chat.as_deref().map(Into::into) }
        }
        (_, Some(_)) => return Err("消息和撤回不能写 campaign:它们属于哪个活动由所在的群决定".into()),
        (Some(chat), None) => Place::Group { chat: chat.as_str().into(), kind: GroupKind::Internal, title: None },
        (None, None) => Place::Single,
    };
    Ok(Event {
        key: EventKey { source: source.into(), key: KeyBytes::of(&line.id) },
        corp: corp.into(),
        at: at(&line),
        received_at,
        clamped: false,
        place,
        who: Some(Identity::from_wecom(&line.member)),
        name: line.name.clone(),
        via,
        kind: kind(line)?,
    })
}

/// When it happened; somebody on a member list joined when the list says, as far back as joins are followed.
fn at(line: &Line) -> Millis {
    let told = Millis::from(line.at);
    line.listed.as_ref().map_or(told, |listed| listed_at(Millis::from(listed.joined_at), told))
}

fn said(said: SaidLine) -> Result<Kind, String> {
    let SaidLine { text, images, video, link, quote, at_assistant } = said;
    let (images, pictures) = images.read()?;
    Ok(Kind::Said(Said { text, images, pictures, video, link, quote, at_assistant, ..Said::default() }))
}

fn kind(line: Line) -> Result<Kind, String> {
    let mut kinds = Vec::new();
    kinds.extend(line.said.map(said).transpose()?);
    kinds.extend(line.joined.map(|Nothing {}| Kind::Did(Act::Joined)));
    kinds.extend(line.left.map(|Nothing {}| Kind::Did(Act::Left)));
    kinds.extend(line.listed.map(|listed| Kind::Did(Act::Listed { joined_at: Millis::from(listed.joined_at) })));
    kinds.extend(line.recalled.map(|recalled| Kind::Recalled { of: KeyBytes::of(&recalled.of) }));
    kinds.extend(line.order_paid.map(|order| Kind::Did(Act::OrderPaid { shop: order.shop.into(), number: order.number.into(), fen: order.fen })));
    kinds.extend(line.happened.map(|happened| Kind::Did(Act::Happened { event: happened.event.into(), subject: happened.subject.map(Into::into) })));
    match (kinds.pop(), kinds.is_empty()) {
        (Some(kind), true) => Ok(kind),
        (Some(_), false) => Err("一行只能写 said、joined、left、listed、recalled、order_paid、happened 中的一个".into()),
        (None, _) => Err("缺少 said、joined、left、listed、recalled、order_paid、happened 中的一个".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(more: &str) -> Result<(String, Event), Refused> {
        let line = format!(r#"{{"id":"v-1","at":"2026-11-22T09:00:00+08:00","member":"aming"{more}}}"#);
        parse_told(&line, "acme", "shop", Millis(0))
    }

    #[test]
    fn a_callers_id_is_its_own_for_ever() {
        let (id, event) = told(r#","happened":{"event":"verified"}"#).unwrap();
        assert_eq!((id.as_str(), &*event.key.source, &*event.corp, event.via.channel), ("v-1", "acme/api/shop", "acme", Channel::Api));
        assert!(told(r#","corp":"acme","happened":{"event":"verified"}"#).is_ok());
    }

    #[test]
    fn a_caller_speaks_for_no_other_corp_or_channel() {
        assert!(matches!(told(r#","corp":"other","left":{}"#), Err(Refused::Foreign(why)) if why.contains("「other」")));
        assert!(matches!(told(r#","source":"app/1000002","left":{}"#), Err(Refused::Wrong(why)) if why.contains("source")));
    }

    #[test]
    fn ids_are_there_short_and_printable() {
        for (more, says) in [
            (r#","group":"","left":{}"#, "group 是空的"),
            (r#","group":"a\u0000b","left":{}"#, "控制字符"),
            (&format!(r#","group":"{}","left":{{}}"#, "g".repeat(300)), "最多 256"),
            ("", "缺少 said"),
            (r#","left":{},"joined":{}"#, "只能写"),
            (r#","left":{},"lef":{}"#, "unknown field"),
        ] {
            assert!(matches!(told(more), Err(Refused::Wrong(why)) if why.contains(says)), "{more}");
        }
    }
}
