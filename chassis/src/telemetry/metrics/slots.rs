//! A table that only grows and is read without a lock: what is looked up for every request and is
//! added a few hundred times in the life of a process.

use std::sync::OnceLock;

/// How far from its place an entry may stand.
const REACH: usize = 32;
/// An odd number with well-mixed bits (the golden ratio in 64 bits).
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;

/// Room for a fixed number of entries. Whoever finds no room does without: see `find_or_add`.
pub(super) struct Slots<T>(Box<[OnceLock<T>]>);

/// A cheap hash. Keys are of our own making, so nobody can choose colliding ones.
#[derive(Clone, Copy)]
pub(super) struct Key(u64);

impl<T> Slots<T> {
    /// `count` is a power of two.
    pub(super) fn new(count: usize) -> Self {
        Self((0..count.next_power_of_two()).map(|_| OnceLock::new()).collect())
    }

    /// The entry that `is` says is the right one, made on the first call. None when there is no room
    /// left near its place, so that nothing which grows without bound can fill the memory.
    pub(super) fn find_or_add(
        &self,
        key: Key,
        is: impl Fn(&T) -> bool,
        make: impl Fn() -> T,
    ) -> Option<&T> {
        self.near(key).map(|slot| slot.get_or_init(&make)).find(|entry| is(entry))
    }

    /// The entry, if it was added.
    pub(super) fn find(&self, key: Key, is: impl Fn(&T) -> bool) -> Option<&T> {
        self.near(key).map_while(OnceLock::get).find(|entry| is(entry))
    }

    fn near(&self, key: Key) -> impl Iterator<Item = &OnceLock<T>> {
        let mask = self.0.len() - 1;
        // The high bits are the well-mixed ones.
        let start = usize::try_from(key.0 >> 32).unwrap_or_default();
        (0..REACH.min(self.0.len())).map(move |step| &self.0[(start + step) & mask])
    }
}

impl Key {
    pub(super) fn new() -> Self {
        Self(MIX)
    }

    pub(super) fn number(self, number: u64) -> Self {
        Self((self.0.rotate_left(5) ^ number).wrapping_mul(MIX))
    }

    pub(super) fn text(self, text: &str) -> Self {
        let bytes = text.as_bytes();
        let (whole, rest) = bytes.as_chunks::<8>();
        let key = whole.iter().fold(self, |key, chunk| key.number(u64::from_le_bytes(*chunk)));
        let rest = rest.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte));
        key.number(rest ^ (bytes.len() as u64) << 56)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;

    fn add(slots: &Slots<String>, text: &str) -> Option<String> {
        let key = Key::new().text(text);
        slots.find_or_add(key, |entry| entry == text, || text.to_owned()).cloned()
    }

    #[test]
    fn what_was_added_is_found_again_and_made_once() {
        let slots = Slots::new(64);
        for text in ["", "GET", "PUT", "a longer text with more than eight bytes", "GET"] {
            assert_eq!(add(&slots, text).unwrap(), text);
        }
        assert_eq!(slots.0.iter().filter(|slot| slot.get().is_some()).count(), 4);
        let key = Key::new().text("GET");
        assert_eq!(slots.find(key, |entry| entry == "GET").unwrap(), "GET");
        assert_eq!(slots.find(Key::new().text("POST"), |entry| entry == "POST"), None);
    }

    #[test]
    fn a_full_table_finds_what_it_has_and_takes_nothing_more() {
        let slots = Slots::new(4);
        let names: Vec<String> = (0..10).map(|number| format!("name {number}")).collect();
        let kept: Vec<bool> = names.iter().map(|name| add(&slots, name).is_some()).collect();
        assert_eq!(kept.iter().filter(|kept| **kept).count(), 4);
        for (name, kept) in names.iter().zip(kept) {
            assert_eq!(add(&slots, name).is_some(), kept, "{name}");
        }
    }

    #[test]
    fn threads_that_add_the_same_get_the_same() {
        let slots = Slots::new(256);
        let addresses: Vec<Vec<usize>> = std::thread::scope(|scope| {
            let work = || {
                let names = (0..100).map(|number| number.to_string());
                let found = names.map(|name| {
                    let key = Key::new().text(&name);
                    slots.find_or_add(key, |entry| *entry == name, || name.clone()).unwrap()
                });
                found.map(|entry| std::ptr::from_ref(entry).addr()).collect()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(addresses.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
