//! jifen: the open points system for WeCom (企业微信) groups.

pub mod model;
pub mod clock;
pub mod settings;
pub mod rules;
pub mod store;
pub mod wecom;
pub mod pipeline;
pub mod outbox;
pub mod replay;
pub mod scenario;
pub mod verify;
pub mod export;
pub mod explain;
pub mod web;
pub mod app;
pub mod demo;
pub mod cli;
