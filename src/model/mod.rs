//! Nouns: the plain values every layer speaks of, and the one fold (`cells::AccountCell::apply`). No IO, no clock, no chance.

pub mod ids;
pub mod points;
pub mod day;
pub mod act;
pub mod event;
pub mod claim;
pub mod decision;
pub mod reply;
pub mod repair;
pub mod cells;
pub mod lots;
pub mod unite;
pub mod journal;
pub mod purchase;
pub mod args;
pub mod chart;
pub mod mark;
pub mod record;
pub mod wish;
