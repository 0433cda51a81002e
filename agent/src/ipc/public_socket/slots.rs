//! Connections on the public socket, counted. Root's are not: nobody crowds them out, and they crowd out nobody.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::rc::Rc;
use tokio::task::AbortHandle;

/// The most connections at once.
const MOST_CONNECTIONS: usize = 1024;

/// The most connections at once of one user.
const MOST_A_USER: usize = 64;

/// The connections that are open.
#[derive(Debug, Default)]
pub struct Slots {
    open: RefCell<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// Counts what happens, in place of a clock.
    now: u64,
    held: HashMap<u64, Held>,
    of: HashMap<u32, usize>,
}

#[derive(Debug)]
struct Held {
    uid: u32,
    /// Since when it has no call in hand, if it has none.
    idle_since: Option<u64>,
    task: Option<AbortHandle>,
}

impl Open {
    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    fn remove(&mut self, number: u64) -> Option<Held> {
        let held = self.held.remove(&number)?;
        if let Some(own) = self.of.get_mut(&held.uid) {
            *own -= 1;
            if *own == 0 {
                self.of.remove(&held.uid);
            }
        }
        Some(held)
    }

    /// Makes room: of the users with the most connections, the one that is idle for the longest time goes.
    fn hang_up_on_one(&mut self) -> bool {
        let idle = self.held.iter().filter_map(|(number, held)| Some((number, held.uid, held.idle_since?)));
        let weight = |uid| self.of.get(&uid).copied().unwrap_or(0);
        let goes = idle.max_by_key(|&(_, uid, since)| (weight(uid), Reverse(since))).map(|(number, ..)| *number);
        let Some(held) = goes.and_then(|number| self.remove(number)) else { return false };
        if let Some(task) = held.task {
            task.abort();
        }
        true
    }
}

/// A connection's slot.
#[derive(Debug)]
pub struct Slot {
    slots: Rc<Slots>,
    number: u64,
}

impl Slot {
    /// Takes one for a connection of `uid`; none where they have their share, or everybody is busy.
    pub fn take(slots: &Rc<Slots>, uid: u32) -> Option<Self> {
        let open = &mut *slots.open.borrow_mut();
        if open.of.get(&uid).is_some_and(|own| *own >= MOST_A_USER) {
            return None;
        }
        if open.held.len() >= MOST_CONNECTIONS && !open.hang_up_on_one() {
            return None;
        }
        let number = open.tick();
        open.held.insert(number, Held { uid, idle_since: Some(number), task: None });
        *open.of.entry(uid).or_insert(0) += 1;
        Some(Self { slots: Rc::clone(slots), number })
    }

    /// The slot's number, for [`Slots::has_task`].
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Notes that it has a call in hand, or none any more.
    pub fn note(&self, busy: bool) {
        let open = &mut *self.slots.open.borrow_mut();
        let now = open.tick();
        if let Some(held) = open.held.get_mut(&self.number) {
            held.idle_since = (!busy).then_some(now);
        }
    }
}

impl Slots {
    /// Notes which task serves the connection in the slot.
    pub fn has_task(&self, number: u64, task: AbortHandle) {
        if let Some(held) = self.open.borrow_mut().held.get_mut(&number) {
            held.task = Some(task);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.open.borrow_mut().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(slots: &Rc<Slots>, users: std::ops::Range<u32>) -> Vec<Slot> {
        users.flat_map(|uid| std::iter::from_fn(move || Slot::take(slots, uid)).take(MOST_A_USER)).collect()
    }

    fn is_open(slots: &Slots, slot: &Slot) -> bool {
        slots.open.borrow().held.contains_key(&slot.number)
    }

    #[test]
    fn a_user_has_so_many_connections_and_gets_them_back() {
        let slots = Rc::default();
        let mut held = crowd(&slots, 1000..1001);
        assert_eq!(held.len(), MOST_A_USER);
        assert!(Slot::take(&slots, 1000).is_none());
        held.pop();
        assert!(Slot::take(&slots, 1000).is_some());
        drop(held);
        assert!(slots.open.borrow().held.is_empty() && slots.open.borrow().of.is_empty());
    }

    #[test]
    fn many_users_together_shut_nobody_out() {
        let slots = Rc::default();
        let held = crowd(&slots, 1000..1016);
        assert_eq!(held.len(), MOST_CONNECTIONS);
        let newcomer = Slot::take(&slots, 2000);
        assert!(newcomer.is_some(), "sixteen users hold everything");
        assert_eq!(held.iter().filter(|slot| !is_open(&slots, slot)).count(), 1);
        assert!(held.first().is_some_and(|first| !is_open(&slots, first)), "not the one that was idle for longest");
    }

    #[test]
    fn who_has_a_call_in_hand_is_not_hung_up_on() {
        let slots = Rc::default();
        let one_each: Vec<Slot> = (1000..2024).filter_map(|uid| Slot::take(&slots, uid)).collect();
        assert_eq!(one_each.len(), MOST_CONNECTIONS);
        one_each.iter().for_each(|slot| slot.note(true));
        assert!(Slot::take(&slots, 5000).is_none());
        if let Some(done) = one_each.get(700) {
            done.note(false);
            assert!(Slot::take(&slots, 5000).is_some());
            assert!(!is_open(&slots, done));
        }
    }
}
