//! The agent's own log, to journald: what it says of its own state. The audit has its own way there.
//!
//! A message that journald does not take at once is dropped, and counted in the next: no log is worth a hung agent.

use crate::journal::{Journal, Message};
use curfew_protocol::audit::SYSLOG_IDENTIFIER;
use std::fmt::{self, Write};
use std::sync::{Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Sends what is logged from here on to journald.
pub fn to_journal() {
    tracing_subscriber::registry().with(LevelFilter::INFO).with(JournalLayer::default()).init();
}

/// Writes each event as one message to journald.
#[derive(Debug, Default)]
struct JournalLayer(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    journal: Option<Journal>,
    dropped: u64,
}

impl<S: Subscriber> Layer<S> for JournalLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = line.message;
        for (name, value) in &line.fields {
            let _ = write!(text, " {name}={value}");
        }
        if state.dropped > 0 {
            let _ = write!(text, " ({} messages before this one were dropped)", state.dropped);
        }
        let mut message = Message::new(SYSLOG_IDENTIFIER, priority(*event.metadata().level()), &text);
        for (name, value) in &line.fields {
            message.put(&name.to_uppercase(), value);
        }
        if state.journal.is_none() {
            state.journal = Journal::connect().ok();
        }
        match state.journal.as_ref().map(|journal| journal.send(&message)) {
            Some(Ok(())) => state.dropped = 0,
            _ => {
                state.dropped += 1;
                state.journal = None;
            }
        }
    }
}

/// syslog(3)'s severity, as text.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

/// The text of an event, and its fields, which go behind it and into fields of their own.
#[derive(Default)]
struct Line {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => self.fields.push((name, format!("{value:?}"))),
        }
    }
}
