//! People of a batch: their numbers, names and accounts, given when they are first needed.

use std::sync::Arc;

use crate::model::cells::{AccountCell, AccountKey};
use crate::model::event::Event;
use crate::model::ids::IdentityId;
use crate::store::{IdentityRow, MemberRow, Person, PersonKey};

use super::working::{Heard, Working};

/// Longest name kept, in characters: what a WeCom client shows is shorter, and a name must not fill the database.
const NAME_MAX_CHARS: usize = 64;

impl Working<'_> {
    pub(super) fn name<'b>(&'b self, heard: &'b Heard<'_>, person: Option<&'b Person>) -> &'b str {
        let event = &heard.prepared.event;
        let told = event.name.as_deref().filter(|name| !name.trim().is_empty());
        told.or_else(|| person.and_then(|person| person.name.as_deref())).or_else(|| event.who.as_ref().map(|who| &*who.value)).unwrap_or_default()
    }

    /// The number of the outside id, given now if it is new; a member who is known under another name is renamed.
    pub(super) fn identity(&mut self, event: &Event, key: &PersonKey) -> IdentityId {
        let told: Option<Arc<str>> =
            event.name.as_deref().filter(|name| !name.trim().is_empty()).map(|name| name.chars().take(NAME_MAX_CHARS).collect::<String>().into());
        if let Some(person) = self.people.get_mut(key) {
            if told.is_some() && person.name != told {
                person.name = told;
                self.members.extend(person.member.map(|id| (id, MemberRow { id, corp: event.corp.clone(), name: person.name.clone() })));
            }
            return person.identity;
        }
        self.batch.head.identity.0 += 1;
        let id = self.batch.head.identity;
        let who = event.who.clone().unwrap_or_else(|| key.identity.clone());
        self.identities.insert(id, IdentityRow { id, corp: event.corp.clone(), identity: who, member: None });
        self.people.insert(key.clone(), Person { identity: id, member: None, name: told });
        id
    }

    /// The account that earns, opened with its member if this is the first time.
    pub(super) fn open_account(&mut self, heard: &Heard<'_>) -> Option<AccountKey> {
        let person_key = heard.person.as_ref()?;
        let event = &heard.prepared.event;
        let person = self.people.get_mut(person_key)?;
        let member = match person.member {
            Some(member) => member,
            None => {
                self.batch.head.member.0 += 1;
                let member = self.batch.head.member;
                person.member = Some(member);
                let identity = event.who.clone().unwrap_or_else(|| person_key.identity.clone());
                let row =
                    self.identities.entry(person.identity).or_insert(IdentityRow { id: person.identity, corp: event.corp.clone(), identity, member: None });
                row.member = Some(member);
                self.members.insert(member, MemberRow { id: member, corp: event.corp.clone(), name: person.name.clone() });
                member
            }
        };
        let key = self.account_key(heard, member)?;
        if !self.accounts.contains_key(&key) {
            self.batch.head.account.0 += 1;
            self.accounts.insert(key, AccountCell { id: self.batch.head.account, key, ..AccountCell::default() });
        }
        Some(key)
    }
}
