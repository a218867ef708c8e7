//! `needs`: a word that counts only together with a picture, a link or a video of the same sender, in one message or in two, in either order.
//!
//! A half that comes alone is remembered in the account (`#word`, `#proof`) and waits; what a pair was made of is remembered as spent. Of one
//! picture or link a campaign pays once, whoever sends it.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::cells::Recent;
use crate::model::decision::{Mark, Media, Needs, Refusal};
use crate::rules::mistake::Mistakes;
use crate::rules::table::{RuleTable, parse_duration_secs};
use crate::rules::{Hearing, Own};

/// Where words are remembered that wait for their picture.
const WORD: &str = "#word";
/// Where pictures (links, videos) are remembered that wait for their word; each by its number, 0 where that is not known.
pub const PROOF: &str = "#proof";
/// Where halves are remembered that are paid for.
const SPENT: &str = "#spent";
/// The fingerprint of a word in these memories; no proof is likely to have it.
const A_WORD: u64 = u64::MAX;

/// How far apart the two may be where the operator says nothing.
pub const WITHIN_SECS_DEFAULT: i64 = 10 * 60;
/// Longest time to wait for the other half; who is slower says the word again.
const WITHIN_SECS_MAX: i64 = 24 * 60 * 60;
/// Pictures of one message that are remembered while they wait: one is paid for.
const WAITING_MAX: usize = 3;

/// `needs = "image" | "link" | "video"`
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NeedsName {
    /// 图片
    Image,
    /// 链接
    Link,
    /// 视频
    Video,
}

/// A compiled `needs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pairing {
    /// What must come with the word.
    pub needs: Needs,
    /// How far apart the two may be.
    pub within_secs: i64,
}

/// What makes a pair complete: what is paid for, and what is remembered for it.
pub type Complete = Vec<Mark>;

impl Pairing {
    /// Compiles the two keys; `within` alone is a mistake.
    pub fn compile(table: &RuleTable<'_>, needs: Option<NeedsName>, within: Option<&str>, mistakes: &mut Mistakes) -> Option<Self> {
        let within_secs = match within.map(parse_duration_secs) {
            None => WITHIN_SECS_DEFAULT,
            Some(Ok(secs @ 1..=WITHIN_SECS_MAX)) => secs,
            Some(Ok(_)) => {
                mistakes.error(table.span("within"), "bad-duration", "within 要在 1s 到 24h 之间,例如 within = \"10m\"");
                WITHIN_SECS_DEFAULT
            }
            Some(Err(reason)) => {
                mistakes.error(table.span("within"), "bad-duration", reason);
                WITHIN_SECS_DEFAULT
            }
        };
        let Some(needs) = needs else {
            if within.is_some() {
                mistakes.error(table.span("within"), "missing-key", "within 要和 needs 一起写,例如 needs = \"image\", within = \"10m\"");
            }
            return None;
        };
        let needs = match needs {
            NeedsName::Image => Needs::Image,
            NeedsName::Link => Needs::Link,
            NeedsName::Video => Needs::Video,
        };
        Some(Pairing { needs, within_secs })
    }

    /// Whether a message brings what is needed.
    pub fn is_met_by(&self, media: &Media) -> bool {
        match self.needs {
            Needs::Image => media.images > 0,
            Needs::Link => media.link.is_some(),
            Needs::Video => media.video,
        }
    }

    /// The pair that this event completes, or why there is none yet.
    ///
    /// # Errors
    /// The other half is missing, or what came was paid for before.
    pub fn complete(&self, hearing: &Hearing<'_>, own: Own<'_>) -> Result<Complete, Refusal> {
        let (needs, within_secs) = (self.needs, self.within_secs);
        let brought = self.fresh(&hearing.traits.media);
        let brings = self.is_met_by(&hearing.traits.media);
        if hearing.matched && brings {
            return brought.first().map(|number| self.paid_for(*number)).ok_or(Refusal::ProofUsed { needs });
        }
        if hearing.matched {
            let waiting = self.waiting(own, PROOF, hearing).find(|proof| !hearing.traits.media.used.contains(&proof.fingerprint));
            let proof = waiting.ok_or(Refusal::ProofMissing { needs, within_secs })?;
            return Ok(self.paid_for(proof.fingerprint).into_iter().chain([spent(proof)]).collect());
        }
        let number = *brought.first().ok_or(Refusal::ProofUsed { needs })?;
        let word = self.waiting(own, WORD, hearing).next().ok_or(Refusal::WordMissing { needs, within_secs })?;
        Ok(self.paid_for(number).into_iter().chain([spent(word)]).collect())
    }

    /// What is remembered of an event that completes no pair: a word also waits when what came with it was paid for before.
    pub fn kept(&self, hearing: &Hearing<'_>) -> Vec<Mark> {
        let at = hearing.event.at;
        if hearing.matched {
            return vec![Mark::Recent { key: WORD.into(), at, fingerprint: A_WORD }];
        }
        let proofs = self.fresh(&hearing.traits.media).into_iter().take(WAITING_MAX);
        proofs.map(|fingerprint| Mark::Recent { key: PROOF.into(), at, fingerprint }).collect()
    }

    /// What a message brings that nobody was paid for, by number; 0 for what cannot be told from others.
    fn fresh(&self, media: &Media) -> Vec<u64> {
        let mut numbers: Vec<u64> = match self.needs {
            Needs::Image => {
                let unknown = usize::try_from(media.images).unwrap_or(usize::MAX).saturating_sub(media.pictures.len()).min(1);
                media.pictures.iter().map(|picture| picture.original()).chain(std::iter::repeat_n(0, unknown)).collect()
            }
            Needs::Link => media.link.into_iter().collect(),
            Needs::Video => {
                if media.video {
                    vec![0]
                } else {
                    Vec::new()
                }
            }
        };
        numbers.retain(|number| !media.used.contains(number));
        numbers
    }

    /// Halves within reach of this event that wait, nearest first.
    fn waiting<'a>(&self, own: Own<'a>, part: &str, hearing: &Hearing<'_>) -> impl Iterator<Item = Recent> + use<'a> {
        let (at, reach) = (hearing.event.at.0, self.within_secs.saturating_mul(1000));
        let spent = own.part(SPENT).map_or(&[][..], |state| &state.recent);
        let halves = own.part(part).map_or(&[][..], |state| &state.recent);
        let mut waiting: Vec<Recent> = halves.iter().filter(|half| (half.at.0 - at).abs() <= reach && !spent.contains(half)).copied().collect();
        waiting.sort_by_key(|half| (half.at.0 - at).abs());
        waiting.into_iter()
    }

    fn paid_for(&self, number: u64) -> Complete {
        if number == 0 { Vec::new() } else { vec![Mark::Proof { key: "".into(), number, used: true }] }
    }

    /// What must come, as one asks for it: `一张截图`.
    pub fn one_of(needs: Needs) -> &'static str {
        match needs {
            Needs::Image => "一张截图",
            Needs::Link => "一个链接",
            Needs::Video => "一段视频",
        }
    }

    /// The rule in words: `发「打卡」和一张截图(10 分钟内,先后都行)`.
    pub fn in_words(&self) -> String {
        format!("和{}({}内,先后都行)", Self::one_of(self.needs), in_words(self.within_secs))
    }
}

fn spent(half: Recent) -> Mark {
    Mark::Recent { key: SPENT.into(), at: half.at, fingerprint: half.fingerprint }
}

/// A length of time as one says it: `10 分钟`.
pub fn in_words(secs: i64) -> String {
    match secs {
        secs if secs % 3600 == 0 => format!("{} 小时", secs / 3600),
        secs if secs % 60 == 0 => format!("{} 分钟", secs / 60),
        secs => format!("{secs} 秒"),
    }
}
