//! Bringing in what another tool kept: tables of people and their points, read row by row and booked as opening balances.
//!
//! [`table`] opens a file whatever it is (CSV in UTF-8, UTF-16 or GBK, XLSX), [`columns`] finds the columns by their names, [`members`] makes
//! rows into openings and says of each bad one what is wrong, [`opening`] books them. A file is read twice: once to look at all of it, and,
//! only if all of it is good, once more to book it; neither reading holds it in memory.

pub mod table;
mod text;
mod workbook;
pub mod columns;
pub mod members;
pub mod opening;
