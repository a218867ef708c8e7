//! What a decision books: postings for its entries, outbox rows for its replies.

use crate::model::decision::{Decision, Entry, Part, Side};
use crate::model::event::{Channel, Event, GroupKind, Place};
use crate::model::ids::{AccountId, EventSeq, PostingSeq};
use crate::model::journal::{AccountRef, Posting};
use crate::model::reply::{Occasion, Reply};
use crate::rules::coverage::Coverage;
use crate::rules::grant::Notice;
use crate::store::{Destination, REPLIES_PER_EVENT_MAX, ReplyRow, ReplyState, reply_id};

use super::working::{Heard, Working};

impl Working<'_> {
    pub(super) fn postings(&mut self, heard: &Heard<'_>, decision: &Decision, account: Option<AccountId>, event: EventSeq) -> Vec<Posting> {
        let (Some(account), Some(campaign)) = (account, heard.campaign) else { return Vec::new() };
        let side = |side: Side| match side {
            Side::Own(part) => (AccountRef::Member(account), part),
            Side::System(chart) => (AccountRef::System { campaign, chart }, Part::Available),
        };
        let next = &mut self.batch.head.posting;
        let book = |(ord, entry): (usize, &Entry)| {
            *next = PostingSeq(next.0 + 1);
            let ((src, src_part), (dst, dst_part)) = (side(entry.src), side(entry.dst));
            Posting {
                seq: *next,
                event,
                ord: ord as u32,
                code: entry.code.clone(),
                src,
                src_part,
                dst,
                dst_part,
                amount: entry.amount,
                day: entry.day,
                vests_on: entry.vests_on,
                expires_on: entry.expires_on,
                reverses: entry.reverses,
                slot_event: entry.slot_event,
                link: [0; 16],
                digest: [0; 16],
            }
        };
        decision.entries.iter().enumerate().map(book).collect()
    }

    fn is_among_customers(&self, event: &Event) -> bool {
        match &event.place {
            Place::Single => false,
            Place::Group { kind, .. } => *kind == GroupKind::Customer,
            Place::Books { chat, .. } => {
                let known = chat.as_ref().and_then(|chat| self.directory.groups.get(&(event.corp.clone(), chat.clone())));
                known.is_some_and(|group| group.kind == GroupKind::Customer)
            }
        }
    }

    pub(super) fn replies(&mut self, heard: &Heard<'_>, decision: &mut Decision, seq: EventSeq) {
        let event = &heard.prepared.event;
        if decision.replies.is_empty() {
            return;
        }
        let person = heard.person.as_ref().and_then(|person| self.people.get(person));
        let campaign = match heard.coverage {
            Coverage::Campaign(at) => Some(self.context.rules.campaigns[at].id.clone()),
            Coverage::None | Coverage::Unresolved => None,
        };
        let destination = Destination {
            chat: event.place.chat().cloned(),
            customers: self.is_among_customers(event),
            to: event.who.as_ref().map(|who| (who.kind, who.value.clone())),
            name: self.name(heard, person).into(),
            campaign,
            channel: event.via.channel,
            channel_name: event.via.name.clone(),
            reply_url: event.via.reply_url.clone(),
        };
        let (state, reason) = match event.via.channel {
            _ if heard.of.is_some() => (ReplyState::Suppressed, Some("这条消息是后来补判的,不再回复".into())),
            Channel::Replay => (ReplyState::Suppressed, Some("历史补录,不发送".into())),
            Channel::App | Channel::Aibot | Channel::Robot | Channel::Archive | Channel::Api | Channel::House if !self.context.has_room => {
                (ReplyState::Expired, Some("发件箱已满".into()))
            }
            Channel::App | Channel::Aibot | Channel::Robot | Channel::Archive | Channel::Api | Channel::House => (ReplyState::Waiting, None),
        };
        for (place, reply) in std::mem::take(&mut decision.replies).into_iter().take(REPLIES_PER_EVENT_MAX).enumerate() {
            if reply.template.occasion == Occasion::Alarm && self.context.operators.chat.is_none() {
                tracing::warn!(alarm = ?reply.args, "the operators should know, and jifen.toml names no [operators] chat");
                continue;
            }
            let destination = self.redirected(&destination, &reply);
            self.batch.replies.push(ReplyRow {
                id: reply_id(seq, place),
                event: seq,
                corp: event.corp.clone(),
                rules: self.context.rules.hash,
                destination,
                reply,
                created_at: event.received_at,
                state,
                tries: 0,
                reason: reason.clone(),
            });
        }
    }

    /// Where a reply goes that is for somebody else than who caused it, or for them alone.
    fn redirected(&self, destination: &Destination, reply: &Reply) -> Destination {
        let destination = destination.clone();
        match reply.template.occasion {
            Occasion::Granted if self.context.rules.grant.notice != Notice::Group => Destination { chat: None, customers: false, ..destination },
            // What a member has is nobody else's affair, also where the group keeps the balance.
            Occasion::Expiring => Destination { chat: None, customers: false, ..destination },
            Occasion::Alarm => Destination { chat: self.context.operators.chat.clone(), customers: false, to: None, reply_url: None, ..destination },
            _ => destination,
        }
    }
}
