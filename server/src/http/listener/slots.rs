//! Who has a slot: each connection is a stranger until a call on it has shown a credential, and strangers have few slots.
//!
//! | who | slots |
//! |---|---|
//! | strangers | a quarter of `max_connections`; `max_unknown_per_address` of one address |
//! | hosts | the others, but for those that are kept |
//! | administrators | as hosts, and [`KEPT`] |
//!
//! Where strangers are too many, the one goes that has shown least, first of the address itself, then of the address that has most: see
//! [`stranger`]. So whoever speaks at once gets through a flood.

mod stranger;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use stranger::Stranger;

/// The slots that are kept for administrators, at most an eighth of all.
const KEPT: usize = 32;

/// How long after a line of the log that an address has reached its limit the next one of it comes.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// The most addresses of which that is told in this time.
const TOLD_OF: usize = 16;

/// Every connection's slot.
#[derive(Debug)]
pub(crate) struct ConnectionSlots {
    hosts: usize,
    administrators: usize,
    strangers: usize,
    of_one_address: usize,
    since: Instant,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    known: usize,
    strangers: usize,
    by_address: HashMap<IpAddr, Vec<Arc<Stranger>>>,
    /// When it was told that an address has reached its limit.
    told: HashMap<IpAddr, Duration>,
}

/// A connection's slot. Dropped, it is free.
#[derive(Debug)]
pub(crate) struct ConnectionSlot {
    slots: Arc<ConnectionSlots>,
    address: IpAddr,
    stranger: Arc<Stranger>,
    known: Mutex<bool>,
}

/// Whose a credential is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Who {
    Host,
    Administrator,
}

impl ConnectionSlots {
    /// So many slots in all, and so many for strangers of one address.
    pub(crate) fn new(most: usize, of_one_address: usize) -> Arc<Self> {
        let strangers = (most / 4).max(1);
        let administrators = most.saturating_sub(strangers).max(1);
        let hosts = administrators.saturating_sub(KEPT.min(most / 8)).max(1);
        let taken = Mutex::default();
        Arc::new(Self { hosts, administrators, strangers, of_one_address, since: Instant::now(), taken })
    }

    /// A slot for a new connection from `address`, perhaps another stranger's; none if all of those are on their way to show a credential.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Arc<ConnectionSlot>> {
        let address = source(address);
        let now = self.since.elapsed();
        let mut taken = self.lock();
        let of_it = taken.by_address.get(&address).map_or(0, Vec::len);
        if of_it >= self.of_one_address {
            taken.tell(address, of_it, now);
            taken.send_one_away(address, now)?;
        } else if taken.strangers >= self.strangers {
            let most = taken.by_address.iter().max_by_key(|(_, strangers)| strangers.len());
            let most = most.map(|(address, _)| *address)?;
            taken.send_one_away(most, now)?;
        }
        let stranger = Stranger::new(now);
        taken.by_address.entry(address).or_default().push(stranger.clone());
        taken.strangers += 1;
        drop(taken);
        Some(Arc::new(ConnectionSlot { slots: self.clone(), address, stranger, known: Mutex::new(false) }))
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Says in the log that an address has reached its limit: once a minute, and of some addresses at most.
    fn tell(&mut self, address: IpAddr, connections: usize, now: Duration) {
        self.told.retain(|_, at| now.saturating_sub(*at) < TOLD_EVERY);
        if self.told.len() < TOLD_OF && !self.told.contains_key(&address) {
            self.told.insert(address, now);
            tracing::warn!(%address, connections, "an address has as many connections without a credential as max_unknown_per_address lets it have; for each new one, the one goes that has shown least");
        }
    }

    /// Sends the stranger of this address away that has shown least, if there is one that may go.
    fn send_one_away(&mut self, address: IpAddr, now: Duration) -> Option<()> {
        let leaves = stranger::least(self.by_address.get(&address)?, now)?.clone();
        leaves.leave.notify_one();
        self.remove(address, &leaves);
        Some(())
    }

    /// Whether it was there.
    fn remove(&mut self, address: IpAddr, stranger: &Arc<Stranger>) -> bool {
        let Some(strangers) = self.by_address.get_mut(&address) else { return false };
        let before = strangers.len();
        strangers.retain(|it| !Arc::ptr_eq(it, stranger));
        let removed = strangers.len() < before;
        if strangers.is_empty() {
            self.by_address.remove(&address);
        }
        self.strangers -= usize::from(removed);
        removed
    }
}

impl ConnectionSlot {
    /// The connection said something.
    pub(super) fn heard(&self) {
        self.stranger.heard(self.slots.since.elapsed());
    }

    /// Its TLS handshake is done.
    pub(super) fn shook_hands(&self) {
        self.stranger.shook_hands();
    }

    /// Where the connection comes from, as far as addresses are told apart.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns when the connection has to leave.
    pub(super) async fn sent_away(&self) {
        self.stranger.leave.notified().await;
    }

    /// Notes that a call on the connection has shown a credential. False: there is no slot for one more.
    pub(crate) fn is_known_as(&self, who: Who) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if *known {
            return true;
        }
        let mut taken = self.slots.lock();
        let most = if who == Who::Host { self.slots.hosts } else { self.slots.administrators };
        // One that was sent away meanwhile has no slot to give up.
        if taken.known >= most || !taken.remove(self.address, &self.stranger) {
            return false;
        }
        taken.known += 1;
        *known = true;
        true
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let known = *self.known.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut taken = self.slots.lock();
        if known {
            taken.known -= 1;
        } else {
            taken.remove(self.address, &self.stranger);
        }
    }
}

/// What counts as one address: of IPv6, what one customer has at least.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// As if it had said nothing for long.
    fn silence(slot: &ConnectionSlot) {
        slot.stranger.heard(Duration::ZERO);
    }

    /// As if it had done its handshake, and spoken just now.
    fn shakes(slot: &ConnectionSlot) {
        slot.heard();
        slot.shook_hands();
    }

    fn slots(most: usize, of_one_address: usize) -> Arc<ConnectionSlots> {
        let mut slots = ConnectionSlots::new(most, of_one_address);
        Arc::get_mut(&mut slots).unwrap().since = Instant::now().checked_sub(Duration::from_secs(3)).unwrap();
        slots
    }

    #[tokio::test]
    async fn one_address_has_few_places_and_the_silent_one_goes_first() {
        let slots = slots(1000, 3);
        let bad: Vec<_> = (0..3).map(|_| slots.take(address("192.0.2.1")).unwrap()).collect();
        bad.iter().for_each(|slot| shakes(slot));
        // All are on their way.
        assert!(slots.take(address("::ffff:192.0.2.1")).is_none());
        let other = slots.take(address("192.0.2.2")).unwrap();
        silence(&bad[1]);
        let new = slots.take(address("192.0.2.1")).unwrap();
        bad[1].sent_away().await;
        assert!(!bad[1].is_known_as(Who::Host), "it is gone");
        assert!(new.is_known_as(Who::Host) && other.is_known_as(Who::Host));
        // Who is known takes none of the strangers' slots.
        slots.take(address("192.0.2.1")).unwrap();
    }

    #[test]
    fn whoever_has_shown_more_stays_in_a_flood_of_those_that_say_nothing() {
        let slots = slots(1000, 3);
        let new = || slots.take(address("192.0.2.1"));
        let [shaken, spoken, silent] = [(); 3].map(|()| new().unwrap());
        shakes(&shaken);
        spoken.heard();
        let mut flood: Vec<_> = (0..100).map(|_| new().unwrap()).collect();
        assert!(!silent.is_known_as(Who::Host));
        // Where all have spoken, one goes that has not done its handshake.
        flood.last().unwrap().heard();
        flood.push(new().unwrap());
        let left = slots.lock().by_address[&address("192.0.2.1")].len();
        assert_eq!(left, 3);
        assert!(shaken.is_known_as(Who::Host));
    }

    #[test]
    fn that_an_address_is_at_its_limit_is_told_of_few_and_seldom() {
        let slots = slots(1000, 1);
        let all: Vec<_> = (0..200).map(|n| slots.take(IpAddr::from([192, 0, 2, n / 2])).unwrap()).collect();
        let mut taken = slots.lock();
        assert_eq!(taken.told.len(), TOLD_OF);
        taken.tell(address("192.0.2.250"), 1, Duration::from_secs(100));
        assert_eq!(taken.told.len(), 1);
        drop(taken);
        drop(all);
    }

    #[test]
    fn of_many_strangers_one_of_those_goes_that_are_most() {
        let slots = slots(16, 3);
        let bad: Vec<_> = (0..3).map(|_| slots.take(address("192.0.2.1")).unwrap()).collect();
        let good = slots.take(address("192.0.2.2")).unwrap();
        silence(&good);
        bad.iter().for_each(|slot| shakes(slot));
        assert!(slots.take(address("192.0.2.3")).is_none());
        silence(&bad[0]);
        let new = slots.take(address("192.0.2.3")).unwrap();
        assert!(good.is_known_as(Who::Host) && new.is_known_as(Who::Host) && !bad[0].is_known_as(Who::Host));
    }

    #[test]
    fn administrators_have_places_that_hosts_do_not_get_and_all_come_free() {
        let slots = slots(16, 100);
        let all: Vec<_> = (0..12)
            .map(|n| {
                let slot = slots.take(address("192.0.2.1")).unwrap();
                (slot.is_known_as(if n < 11 { Who::Host } else { Who::Administrator }), slot)
            })
            .collect();
        let got: Vec<_> = all.iter().map(|(got, _)| *got).collect();
        assert_eq!(got, [[true; 10].as_slice(), &[false, true]].concat());
        drop(all);
        let taken = slots.lock();
        assert_eq!((taken.known, taken.strangers, taken.by_address.len()), (0, 0, 0));
    }

    #[test]
    fn an_ipv6_address_counts_with_its_neighbours() {
        assert_eq!(source(address("2001:db8::1")), source(address("2001:db8::ffff:1:2:3")));
        assert_ne!(source(address("2001:db8::1")), source(address("2001:db8:0:1::1")));
    }
}
