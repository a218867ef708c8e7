//! The whole journal in order, an event at a time with its postings, in bounded memory.

use std::collections::VecDeque;

use super::{Reader, StoreError};
use crate::model::ids::{EventSeq, PostingSeq};
use crate::model::journal::{EventRow, Posting};

/// Rows read at a time: enough to make a round trip cheap, about a megabyte.
pub const PAGE: usize = 1024;

/// Walks from the first event to the last.
pub struct Walk<'a> {
    reader: &'a dyn Reader,
    events: VecDeque<EventRow>,
    postings: VecDeque<Posting>,
    next_event: EventSeq,
    next_posting: PostingSeq,
}

impl<'a> Walk<'a> {
    /// A walk from the beginning. Freeze the reader first if a writer may be at work.
    pub fn new(reader: &'a dyn Reader) -> Self {
        Walk { reader, events: VecDeque::new(), postings: VecDeque::new(), next_event: EventSeq(1), next_posting: PostingSeq(1) }
    }

    /// The next event with its postings. In a sound journal every posting's event is this one; a posting of an earlier event
    /// that did not stand behind it comes along with the next.
    pub fn step(&mut self) -> Result<Option<(EventRow, Vec<Posting>)>, StoreError> {
        if self.events.is_empty() {
            self.events = self.reader.events(self.next_event, PAGE)?.into();
            let Some(last) = self.events.back() else { return Ok(None) };
            self.next_event = EventSeq(last.seq.0 + 1);
        }
        let Some(event) = self.events.pop_front() else { return Ok(None) };
        let mut postings = Vec::new();
        while let Some(posting) = self.posting_until(event.seq)? {
            postings.push(posting);
        }
        Ok(Some((event, postings)))
    }

    /// After the last event: the first posting that belongs to none, if there is one.
    pub fn leftover(&mut self) -> Result<Option<Posting>, StoreError> {
        self.posting_until(EventSeq(i64::MAX))
    }

    fn posting_until(&mut self, event: EventSeq) -> Result<Option<Posting>, StoreError> {
        if self.postings.is_empty() {
            self.postings = self.reader.postings(self.next_posting, PAGE)?.into();
            let Some(last) = self.postings.back() else { return Ok(None) };
            self.next_posting = PostingSeq(last.seq.0 + 1);
        }
        Ok(self.postings.pop_front_if(|posting| posting.event <= event))
    }
}
