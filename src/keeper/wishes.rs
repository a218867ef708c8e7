//! What operators ask of rules.toml by chat: 「停用 每日签到」. The pipeline recognised it ([`crate::model::wish`]); here the file is changed, line
//! by line, and proposed like every other text. Who asked is answered in any case.

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::note::{Note, event};
use super::{Asked, Denied, Desk, Proposal};
use crate::clock::Clock;
use crate::model::wish::Wish;
use crate::pipeline::Handle;
use crate::rules::campaign::{Mode, Rules};
use crate::rules::edit::{EditError, Target, set_mode};
use crate::rules::switch;

/// Wishes that may wait: operators are few.
pub const WISHES_MAX: usize = 64;

/// How often a wish is tried where somebody else changes the rules at the same time.
const TRIES: u32 = 5;

/// Obstacles told in a chat.
const TOLD_MAX: usize = 3;

/// Grants wishes, one after the other, until nobody is left to have any.
pub async fn run(mut wishes: mpsc::Receiver<Wish>, desk: Desk, handle: Handle, clock: Clock) {
    while let Some(wish) = wishes.recv().await {
        let Err(reason) = grant(&wish, &desk, &handle).await else { continue };
        tracing::warn!(rule = &*wish.switch.target, on = wish.switch.on, reason, "what an operator asked for could not be done");
        let told = format!("没有{} {}:{reason}", switch::verb(wish.switch.on), wish.switch.name);
        let by = wish.who.value.clone();
        let refused = event(Note { by, accepted: false, told, asked: Some(asked(&wish)) }, None, &handle.rules(), clock.now());
        if let Some(event) = refused
            && let Err(error) = handle.hear(event).await
        {
            tracing::warn!(%error, "an operator could not be answered");
        }
    }
}

/// Has the rules changed as wished; why not, in words.
async fn grant(wish: &Wish, desk: &Desk, handle: &Handle) -> Result<(), String> {
    for _ in 0..TRIES {
        let live = handle.rules();
        let (hash, wanted) = (live.hash, wish.clone());
        let edited = spawn_blocking(move || edited(&live, &wanted)).await.map_err(|_| "程序出错了,请在 rules.toml 里改".to_owned())?;
        let text = edited.map_err(|error| error.to_string())?;
        let proposal = Proposal {
            text,
            base: Some(hash),
            by: wish.who.value.clone(),
            asked: Some(asked(wish)),
            told: Some(switch::done(&wish.switch)),
            even_unwritten: true,
        };
        match desk.propose(proposal).await {
            Ok(_) => return Ok(()),
            Err(Denied::Changed) => {}
            Err(Denied::Bad(examined)) => return Err(format!("改完通不过检查:\n{}", examined.obstacles("rules.toml", TOLD_MAX).join("\n"))),
            Err(denied @ (Denied::Unwritable { .. } | Denied::Busy)) => return Err(denied.to_string()),
        }
    }
    Err(Denied::Changed.to_string())
}

fn edited(live: &Rules, wish: &Wish) -> Result<String, EditError> {
    let target = if wish.switch.is_campaign { Target::Campaign(&wish.switch.target) } else { Target::Rule(&wish.switch.target) };
    set_mode(&live.text, target, if wish.switch.on { Mode::Live } else { Mode::Off })
}

fn asked(wish: &Wish) -> Asked {
    Asked { corp: wish.corp.clone(), place: wish.place.clone(), who: wish.who.clone(), via: wish.via.clone() }
}
