//! HTTP in: WeCom's callbacks, and what a keeper of the daemon asks for.

use std::pin::Pin;
use std::sync::Arc;

use crate::model::event::Event;
use crate::model::ids::EventSeq;

pub mod server;
pub mod callback;
pub mod api;
pub mod health;
pub mod metrics;

/// Hands an event to the pipeline and comes back after the commit that holds it.
pub type Hear = Arc<dyn Fn(Event) -> Pin<Box<dyn Future<Output = Result<Heard, NotNow>> + Send>> + Send + Sync>;

/// Hands several events to the pipeline, in this order, and comes back after the commit of the last. On [`NotNow`] some may be written.
pub type HearAll = Arc<dyn Fn(Vec<Event>) -> Pin<Box<dyn Future<Output = Result<Vec<Heard>, NotNow>> + Send>> + Send + Sync>;

/// An event that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Its place in the journal.
    pub seq: EventSeq,
    /// It was acted on before.
    pub known: bool,
}

/// An event that cannot be committed now: the queue is full, the store refuses, or we are stopping. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotNow;
