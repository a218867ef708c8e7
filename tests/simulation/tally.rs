//! What happened in the seeds that were lived: a world in which nothing goes wrong proves nothing.

use std::collections::BTreeMap;

use jifen::model::decision::Outcome;

use crate::checks::Books;

/// How often each thing happened.
pub type Tally = BTreeMap<&'static str, usize>;

/// What happened in one seed.
pub fn tally(books: &Books<'_>) -> Tally {
    let mut tally = Tally::new();
    let mut add = |what, times: usize| *tally.entry(what).or_default() += times;
    add("crashes", books.past.crashes as usize);
    add("clock steps", books.past.clock_steps.len());
    add("503", books.past.failed as usize);
    add("commits of unknown outcome", books.past.deaths as usize);
    add("events", books.events.len());
    add("postings", books.postings.len());
    add("reversals", books.postings.iter().filter(|posting| posting.reverses.is_some()).count());
    for row in &books.events {
        add("repairs", usize::from(row.record.repair.is_some()));
        add("recalls", usize::from(row.record.repair.as_ref().is_some_and(|repair| repair.takes_back.is_some())));
        add("recalled before", usize::from(row.record.outcome == Outcome::RecalledBefore));
        add("decided alone", usize::from(row.record.outcome == Outcome::DecidedAlone));
        add("clipped", row.record.verdicts.iter().filter(|verdict| format!("{:?}", verdict.ruling).contains("clipped_by: Some")).count());
    }
    for row in books.rows.values() {
        add(row.state.as_str(), 1);
    }
    add("texts people saw", books.shown.len());
    add("lost answers", books.shown.iter().filter(|shown| shown.is_unanswered).count());
    tally
}

/// What never happened although it should.
pub fn missing(tally: &Tally) -> Vec<&'static str> {
    tally.iter().filter(|(_, times)| **times == 0).map(|(what, _)| *what).collect()
}
