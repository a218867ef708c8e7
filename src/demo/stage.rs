//! Acting: what somebody does on the page, as the channel that would hear it tells the daemon, and what comes of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::interval;

use crate::clock::Clock;
use crate::demo::books::Books;
use crate::demo::editor::Editor;
use crate::demo::history::{self, Booked};
use crate::demo::scene::{Chat, Line, LineKind, Person, Scene, Wire};
use crate::demo::sender::{Archived, Callback, Sender};
use crate::demo::tenant::{self, BOT_TITLE, INNER_CHAT};
use crate::demo::wecom::{Double, Received};
use crate::model::event::Picture;
use crate::model::ids::{EventKey, PostingSeq};
use crate::picture::Sight;
use crate::pipeline::Handle;
use crate::pipeline::recall::kept_under;
use crate::web::Hear;

/// How often the books are looked at for what changed by itself.
const LOOK_PERIOD: Duration = Duration::from_millis(250);
/// Postings from before the start that are shown.
const LEDGER_SHOWN: i64 = 60;
/// Longest text the page may send; WeCom's own limit is 2 048 bytes, the daemon takes more.
const TEXT_CHARS_MAX: usize = 20_000;

/// The page's state, the double, and the running daemon.
pub struct Stage {
    /// What the page shows.
    pub scene: Scene,
    /// The clock that daemon and demo share.
    pub clock: Clock,
    /// WeCom's API.
    pub double: Double,
    /// WeCom's callbacks.
    pub sender: Sender,
    /// The daemon's ear, for archive records.
    pub hear: Hear,
    /// The daemon's pipeline.
    pub handle: Handle,
    /// The daemon's store.
    pub books: Books,
    /// The page's rules.toml.
    pub editor: Editor,
}

/// Why something cannot be done, for people.
pub type Refusal = &'static str;

impl Stage {
    /// Shows what is in the books already, and says where it comes from.
    pub fn open(&self, booked: Option<Booked>) {
        self.scene.set_rules(&self.handle.rules().hash.to_string());
        match self.books.newest().and_then(|newest| self.skip_rules().map(|()| newest)) {
            Ok(newest) => self.scene.begin_after(newest.0 - LEDGER_SHOWN),
            Err(error) => tracing::warn!(%error, "the demo cannot read the store"),
        }
        self.book();
        if let Some(Booked { events, people }) = booked {
            self.announce(
                &[Chat::Inner, Chat::Customer, Chat::Single],
                &format!("账本里已有 {} 天的示例聊天({people} 人,{events} 条),改规则时拿它们试算", history::DAYS),
            );
        }
    }

    /// A grey line in these chats.
    pub fn announce(&self, chats: &[Chat], text: &str) {
        for chat in chats {
            self.scene.add(Line::new(*chat, "", LineKind::Notice, text, self.clock.now()));
        }
    }

    /// Somebody writes something.
    pub async fn say(&self, chat: Chat, who: &str, text: &str) -> Result<u64, Refusal> {
        if text.trim().is_empty() || text.chars().count() > TEXT_CHARS_MAX {
            return Err("要有 1 到 20000 个字");
        }
        let person = self.person_in(chat, who)?;
        let id = self.scene.add(Line::new(chat, who, LineKind::Text, text, self.clock.now()));
        match chat {
            Chat::Single => self.deliver(id, &self.sender.app_text(who, text)).await,
            Chat::Customer => self.archive(id, self.sender.archived_text(&person.id, text)).await,
            Chat::Inner if text.contains(&format!("@{BOT_TITLE}")) => self.deliver(id, &self.sender.aibot_text(&self.double, id, who, text, &[])).await,
            Chat::Inner => self.unheard(id, &format!("机器人听不到(没有 @{BOT_TITLE})")),
        }
        Ok(id)
    }

    /// Somebody sends a picture that nobody has sent before.
    pub async fn picture(&self, chat: Chat, who: &str) -> Result<u64, Refusal> {
        let sight = Sight { picture: Picture::known_as(tenant::hex(16).as_bytes()), crops: Vec::new() };
        self.attach(chat, who, "", &sight).await
    }

    /// Somebody sends a picture, alone or with words. In the app's single chat the words are a message before it.
    pub async fn attach(&self, chat: Chat, who: &str, text: &str, sight: &Sight) -> Result<u64, Refusal> {
        let (person, text) = (self.person_in(chat, who)?, text.trim());
        if text.chars().count() > TEXT_CHARS_MAX {
            return Err("最多 20000 个字");
        }
        let shown = if text.is_empty() || chat == Chat::Single { "[图片]" } else { text };
        if chat == Chat::Single && !text.is_empty() {
            self.say(chat, who, text).await?;
        }
        let id = self.scene.add(Line::new(chat, who, LineKind::Picture, shown, self.clock.now()));
        match chat {
            Chat::Single => self.deliver(id, &self.sender.app_picture(who, &sight.picture)).await,
            Chat::Customer => self.archive(id, self.sender.archived_picture(&person.id, text, sight)).await,
            Chat::Inner if text.contains(&format!("@{BOT_TITLE}")) => {
                self.deliver(id, &self.sender.aibot_text(&self.double, id, who, text, &[sight.picture])).await;
            }
            Chat::Inner => self.unheard(id, &format!("机器人听不到(和图片一起发的话里没有 @{BOT_TITLE})")),
        }
        Ok(id)
    }

    /// Somebody takes a message back. Only the archive hears of it.
    pub async fn recall(&self, id: u64) -> Result<u64, Refusal> {
        let line = self.scene.line(id).filter(|line| matches!(line.kind, LineKind::Text | LineKind::Picture) && !line.recalled);
        let line = line.ok_or("这条消息不能撤回")?;
        self.scene.change(id, |line| line.recalled = true);
        let text = format!("{} 撤回了一条消息", self.scene.name_of(&line.who));
        let notice = self.scene.add(Line::new(line.chat, &line.who, LineKind::Notice, &text, self.clock.now()));
        match line.archived {
            Some(of) => {
                self.archive(notice, self.sender.archived_recall(&line.who, &of)).await;
                // It may have changed what the sender's other messages earn.
                self.scene.judged(&line.who).into_iter().for_each(|(id, key)| self.judge(id, &key));
            }
            None => self.unheard(notice, "企业微信不把这里的撤回告诉机器人和应用"),
        }
        Ok(notice)
    }

    /// WeCom sends a callback once more, byte for byte, as it does when an answer was lost. Gives what was answered.
    pub async fn resend(&self, id: u64) -> Result<String, Refusal> {
        let wire = self.scene.line(id).and_then(|line| line.wire).ok_or("这条消息没有回调")?;
        let (uri, body) = wire.request.strip_prefix("POST ").zip(wire.body.as_deref()).ok_or("这条消息没有回调")?;
        let status = self.sender.post(uri, body).await;
        self.book();
        Ok(answered(status))
    }

    /// Somebody joins or leaves a group.
    pub async fn come_or_go(&self, chat: Chat, who: &str, joins: bool) -> Result<u64, Refusal> {
        let person = self.scene.person(who).ok_or("没有这个人")?;
        let verb = if joins { "加入了群聊" } else { "退出了群聊" };
        if chat == Chat::Single {
            return Err("单聊没有进出群");
        }
        let id = self.scene.add(Line::new(chat, who, LineKind::Notice, &format!("{} {verb}", person.name), self.clock.now()));
        if chat == Chat::Inner {
            self.unheard(id, "内部群进出人,企业微信不通知机器人");
            return Ok(id);
        }
        self.scene.set_present(who, joins);
        self.deliver(id, &self.sender.members_changed(&person.id, joins)).await;
        Ok(id)
    }

    fn person_in(&self, chat: Chat, who: &str) -> Result<Person, Refusal> {
        let person = self.scene.person(who).ok_or("没有这个人,请重新选择发言的人")?;
        match chat {
            Chat::Inner | Chat::Single if person.customer => Err("客户不在这里:内部群和应用单聊只有员工"),
            Chat::Customer if !person.present => Err("已经退群,先点「重新入群」"),
            Chat::Inner | Chat::Single | Chat::Customer => Ok(person),
        }
    }

    fn unheard(&self, id: u64, note: &str) {
        self.scene.change(id, |line| line.note = Some(note.to_owned()));
    }

    async fn deliver(&self, id: u64, callback: &Callback) {
        let sent = self.sender.deliver(callback).await;
        let answer = format!("{}(第 {} 次发送)", answered(sent.status), sent.attempts);
        let note = (!sent.is_acknowledged()).then(|| format!("没有送到:{answer}"));
        let request = format!("POST {}", sent.uri);
        self.scene.change(id, |line| {
            line.wire = Some(Wire { request, body: Some(sent.body), plain: callback.plain.clone(), answer });
            line.note = note;
        });
        self.judge(id, &callback.key);
    }

    async fn archive(&self, id: u64, record: Archived) {
        let key = kept_under(&record.event);
        let heard = (self.hear)(record.event).await;
        self.scene.change(id, |line| {
            line.archived = Some(record.id);
            line.note = heard.is_err().then(|| "没有记上:存储暂时不可用".to_owned());
            line.wire = Some(Wire {
                request: "会话内容存档:定时拉取,没有回调".to_owned(), body: None, plain: record.plain, answer: "已记入".to_owned()
            });
        });
        self.judge(id, &key);
    }

    /// Writes under a bubble what became of it.
    fn judge(&self, id: u64, key: &EventKey) {
        match self.books.about(key) {
            Ok(Some((verdicts, replies))) => self.scene.change(id, |line| {
                line.verdicts = verdicts;
                line.replies = replies;
                line.key = Some(key.clone());
            }),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the demo cannot read the store"),
        }
        self.book();
    }

    /// Shows postings that are new.
    fn book(&self) {
        let rows = match self.books.ledger_after(PostingSeq(self.scene.last_posting())) {
            Ok(rows) if rows.is_empty() => return,
            Ok(rows) => rows,
            Err(error) => return tracing::warn!(%error, "the demo cannot read the ledger"),
        };
        let mut balances = self.books.balances().unwrap_or_default();
        // A crowd has no faces on the page.
        balances.retain(|balance| self.scene.person(&balance.id).is_some());
        self.scene.book(rows, balances);
    }

    /// Shows what the API received and what changed in the books, for ever. Abort it to stop.
    pub async fn follow(self: Arc<Self>) {
        let mut received = 0;
        let mut calls = self.double.changes();
        let mut look = interval(LOOK_PERIOD);
        loop {
            tokio::select! {
                _ = calls.changed() => {}
                _ = look.tick() => {}
            }
            for call in self.double.received_after(received) {
                received = call.number;
                self.show(&call);
            }
            for (id, key) in self.scene.unsettled() {
                self.judge(id, &key);
            }
            self.book();
            self.follow_rules();
        }
    }

    /// A call of the API as people see it.
    fn show(&self, call: &Received) {
        let Some(shown) = &call.shown else { return };
        let wire = Wire {
            request: format!("POST /cgi-bin/{}", call.call),
            body: None,
            plain: serde_json::to_string_pretty(&call.body).unwrap_or_default(),
            answer: format!("errcode {}", call.errcode),
        };
        let chat = if shown.chat.is_some() { Chat::Inner } else { Chat::Single };
        if shown.chat.as_deref().is_some_and(|chat| chat != INNER_CHAT) {
            return;
        }
        let everybody = vec![String::new()];
        let readers = if chat == Chat::Single { &shown.to } else { &everybody };
        for reader in readers {
            let mut line = Line::new(chat, reader, LineKind::Bot, &shown.text, call.at);
            line.answers = shown.answers;
            line.note = Some(call.call.to_owned());
            line.wire = Some(wire.clone());
            self.scene.add(line);
        }
    }
}

fn answered(status: Option<u16>) -> String {
    status.map_or("没有应答".to_owned(), |status| format!("HTTP {status}"))
}
