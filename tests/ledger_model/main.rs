//! Ten thousand random accounts — earning, waiting, spending, expiring, late, doubled, recalled — hold what a model says that is written to
//! be obviously right; whatever the size of the batches.

mod model;
mod town;

use std::collections::BTreeMap;

use model::{Act, Model};
use town::{Rng, Town, history};

/// Accounts of the large run.
const ACCOUNTS: usize = 10_000;

/// Days that a history lasts.
const DAYS: i64 = 24;

/// Acts of an account on a day, at most.
const ACTS_PER_DAY: u64 = 2;

#[test]
fn ten_thousand_accounts_hold_what_the_model_says_on_every_day() {
    let mut town = Town::new(1_024);
    let mut models: Vec<Model> = (0..ACCOUNTS).map(|_| Model::default()).collect();
    let mut rngs: Vec<Rng> = (0..ACCOUNTS as u64).map(Rng::new).collect();
    for day in 0..DAYS {
        for (member, (model, rng)) in models.iter_mut().zip(&mut rngs).enumerate() {
            // A tenth of them on a day: over all days each has two or three busy ones, and some have ten.
            let is_busy = rng.below(10) == 0 || member % 100 == 0;
            let acts = if is_busy { history(rng, model, day, ACTS_PER_DAY) } else { Vec::new() };
            play(&mut town, model, member, day, &acts);
        }
        town.commit();
        let accounts = town.accounts();
        for (member, model) in models.iter().enumerate() {
            town.compare(&accounts, member, model, day);
        }
    }
    town.prove();
    // None of what is claimed here goes without saying.
    let moved: BTreeMap<String, i64> = town.books().into_values().flat_map(|(_, _, moved)| moved).fold(BTreeMap::new(), |mut all, (code, points)| {
        *all.entry(code).or_default() += points;
        all
    });
    assert!(moved["expiry"] < 0 && moved["opening"] < 0 && moved.contains_key("settlement") && moved["check_in.held"] > 0, "{moved:?}");
}

#[test]
fn batches_cut_anywhere_give_the_same_books() {
    let books: Vec<_> = [1, 7, 1_024]
        .map(|batch| {
            let (mut town, mut models) = (Town::new(batch), Vec::new());
            for member in 0..50 {
                let (mut model, mut rng) = (Model::default(), Rng::new(90_000 + member as u64));
                for day in 0..DAYS {
                    let acts = history(&mut rng, &mut model, day, 4);
                    play(&mut town, &mut model, member, day, &acts);
                }
                town.commit();
                models.push(model);
            }
            let accounts = town.accounts();
            models.iter().enumerate().for_each(|(member, model)| town.compare(&accounts, member, model, DAYS - 1));
            town.prove();
            town.books()
        })
        .into_iter()
        .collect();
    assert_eq!(books[0], books[1]);
    assert_eq!(books[0], books[2]);
}

/// Has the day begin, then does what is to be done on it.
fn play(town: &mut Town, model: &mut Model, member: usize, day: i64, acts: &[Act]) {
    if model.begins(day) {
        town.due(member, day);
    }
    for act in acts {
        let Some(act) = affordable(model, day, act) else { continue };
        let doubled = model.does(day, &act);
        town.does(member, day, &act);
        if doubled {
            town.does(member, day, &act);
        }
    }
}

/// Nobody spends more than there is.
fn affordable(model: &Model, day: i64, act: &Act) -> Option<Act> {
    match act {
        Act::Said { .. } | Act::Recalled { .. } => Some(act.clone()),
        Act::Spent { id, amount } => {
            let amount = (*amount).min(model.spendable(day));
            (amount > 0).then_some(Act::Spent { id: *id, amount })
        }
    }
}
