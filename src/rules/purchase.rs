//! Purchases: a rule that takes points for something. Bought once it stands as it was booked; what may be spent is looked at then and never
//! again, so deciding again buys nothing.

use crate::model::day::{Day, Period};
use crate::model::decision::{Args, Chart, Entry, Part, Refusal, Ruling, Side};
use crate::model::lots::LotPart;
use crate::model::purchase::NotBought;
use crate::rules::campaign::{Mode, RuleEntry};
use crate::rules::cap::{Limits, Periods, room};
use crate::rules::decide::Scene;
use crate::rules::marks::{counts, with_key};
use crate::rules::so_far::SoFar;
use crate::rules::{Hearing, Own};

impl Scene<'_> {
    /// Decides a purchase. Of the caps only the rule's own `max_times` holds: nothing is earned.
    pub(super) fn purchase(&self, rule: &RuleEntry, hearing: &Hearing<'_>, so_far: &mut SoFar) -> Result<(Ruling, Args), Refusal> {
        let nothing = || Refusal::NotBought(NotBought::NothingMissed);
        if self.facts.again || rule.common.mode != Mode::Live {
            return Err(nothing());
        }
        // What came after it was decided without it, and a purchase is never decided again: so it is not made in the past.
        if self.facts.account.is_some_and(|account| self.event.at < account.frontier) {
            return Err(Refusal::NotBought(NotBought::Late));
        }
        let periods = Periods { day: self.day, window: None };
        let limits = Limits { max_times: rule.common.limits.max_times.clone(), max_points: Vec::new() };
        let used = |period: Period| self.used(&rule.code, period, &so_far.marks);
        if let Err(Refusal::Already { cap, .. }) = room(&limits, &rule.code, periods, 1, used) {
            return Err(Refusal::NotBought(NotBought::TooOften(cap)));
        }
        let offer = rule.kind.offer(hearing, Own::new(self.state(), &rule.code).after(so_far.pending(rule.common.mode)))?;
        let price = offer.points.checked_neg().filter(|price| *price >= 0).ok_or_else(nothing)?;
        let parts = self.pay(price, so_far)?;
        so_far.bought.extend(parts.into_iter().map(|part| spent(rule, part, self.day)));
        so_far.is_willed = true;
        so_far.points -= price;
        so_far.ready -= price;
        so_far.marks.extend(offer.marks.into_iter().map(|mark| with_key(mark, &rule.code)));
        so_far.marks.extend(counts(&rule.code, &limits, periods, 0, Some(&rule.common.counted)));
        Ok((Ruling::Moved(-price), offer.args))
    }

    /// The lots that pay a price, after what this very event has spent already.
    fn pay(&self, price: i64, so_far: &SoFar) -> Result<Vec<LotPart>, Refusal> {
        if price == 0 {
            return Ok(Vec::new());
        }
        let before: i64 = so_far.bought.iter().map(|entry| entry.amount).sum();
        let have = self.state().map_or(0, |state| state.spendable(self.day)).saturating_sub(before);
        let all = self.state().zip(before.checked_add(price)).and_then(|(state, all)| state.spend(all, self.day));
        let mut parts = all.ok_or(Refusal::NotBought(NotBought::Short { price, have: have.max(0) }))?;
        let mut passed = before;
        for part in &mut parts {
            let taken = passed.min(part.amount);
            part.amount -= taken;
            passed -= taken;
        }
        parts.retain(|part| part.amount > 0);
        Ok(parts)
    }
}

fn spent(rule: &RuleEntry, part: LotPart, day: Day) -> Entry {
    Entry {
        code: rule.code.clone(),
        src: Side::Own(Part::Available),
        dst: Side::System(Chart::Spent),
        amount: part.amount,
        day,
        vests_on: part.vests_on,
        expires_on: part.expires_on,
        slot_event: None,
        reverses: None,
    }
}
