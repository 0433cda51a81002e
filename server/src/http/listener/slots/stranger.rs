//! Connections that have not shown a credential, and which of them goes for another one.

use aws_lc_rs::rand;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// A stranger that has said nothing for this long has had its time.
const SILENT: Duration = Duration::from_secs(1);

/// So has one that has been here for this long, whatever it said.
const OLD: Duration = Duration::from_secs(5);

/// What a stranger has shown.
const NOTHING: u8 = 0;
const BYTES: u8 = 1;
const HANDSHAKE: u8 = 2;

/// A connection that has not shown a credential.
#[derive(Debug)]
pub(super) struct Stranger {
    came: Duration,
    shown: AtomicU8,
    /// When it last said something, in milliseconds.
    heard: AtomicU64,
    pub leave: Notify,
}

impl Stranger {
    /// One that has come now.
    pub(super) fn new(now: Duration) -> Arc<Self> {
        let (shown, heard) = (AtomicU8::new(NOTHING), AtomicU64::new(millis(now)));
        Arc::new(Self { came: now, shown, heard, leave: Notify::new() })
    }

    /// It said something.
    pub(super) fn heard(&self, now: Duration) {
        self.heard.store(millis(now), Ordering::Relaxed);
        self.shown.fetch_max(BYTES, Ordering::Relaxed);
    }

    /// Its TLS handshake is done.
    pub(super) fn shook_hands(&self) {
        self.shown.store(HANDSHAKE, Ordering::Relaxed);
    }

    fn has_shown(&self, what: u8) -> bool {
        self.shown.load(Ordering::Relaxed) == what
    }

    fn had_its_time(&self, now: Duration) -> bool {
        let heard = Duration::from_millis(self.heard.load(Ordering::Relaxed));
        now.saturating_sub(heard) >= SILENT || now.saturating_sub(self.came) >= OLD
    }
}

/// Which one goes: any one that has sent nothing or had its time, then any one whose TLS handshake is not done. Nobody knows which: a flood of the silent does
/// not push out the one that has just come and is about to speak.
pub(super) fn least(strangers: &[Arc<Stranger>], now: Duration) -> Option<&Arc<Stranger>> {
    any(strangers, |it| it.has_shown(NOTHING) || it.had_its_time(now))
        .or_else(|| any(strangers, |it| it.has_shown(BYTES)))
}

fn any(strangers: &[Arc<Stranger>], is_one: impl Fn(&Stranger) -> bool) -> Option<&Arc<Stranger>> {
    let ones: Vec<_> = strangers.iter().filter(|it| is_one(it)).collect();
    let mut bytes = [0; 4];
    // Without randomness it is the first one: the oldest.
    let _ = rand::fill(&mut bytes);
    let place = usize::try_from(u32::from_ne_bytes(bytes)).unwrap_or(0).checked_rem(ones.len())?;
    ones.get(place).copied()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
