//! A crowd: a busy morning of the internal group, as the conversation archive tells it, to see how few messages the group gets.

use crate::demo::scene::{Chat, Line, LineKind};
use crate::demo::stage::{Refusal, Stage};
use crate::demo::tenant::INNER_CHAT;
use crate::model::day::Millis;
use crate::model::ids::EventKey;
use crate::pipeline::recall::kept_under;

/// Colleagues who check in.
pub const CROWD: i64 = 500;
/// The time they take: the ten minutes that one digest tells of.
const CROWD_MILLIS: i64 = 600_000;

impl Stage {
    /// One of them writes something that mentions nobody. Gives the key it is kept under.
    pub async fn colleague_says(&self, number: i64, text: &str) -> Result<EventKey, Refusal> {
        let record = self.sender.archived_inside(INNER_CHAT, &format!("同事{number:03}"), text);
        let key = kept_under(&record.event);
        (self.hear)(record.event).await.map_err(|_| "没有记上:存储暂时不可用")?;
        Ok(key)
    }

    /// All of them write 签到 within the next full ten minutes; the clock goes on to their end.
    pub async fn crowd(&self) -> Result<u64, Refusal> {
        let begins = Millis((self.clock.now().0.div_euclid(CROWD_MILLIS) + 1) * CROWD_MILLIS);
        let text = format!("{CROWD} 位同事在 10 分钟里各发一句「签到」,都由会话内容存档听到");
        let notice = self.scene.add(Line::new(Chat::Inner, "", LineKind::Notice, &text, begins));
        for number in 0..CROWD {
            self.clock.set(Millis(begins.0 + number * CROWD_MILLIS / CROWD));
            self.colleague_says(number + 1, "签到").await?;
        }
        self.clock.set(Millis(begins.0 + CROWD_MILLIS));
        Ok(notice)
    }
}
