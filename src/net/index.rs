//! Pure. The number of an interface: it names its table, its rules and the mark of its flows.
//!
//! A flow keeps its mark for as long as it lives, whatever becomes of the configuration meanwhile, and over a restart. So a number
//! once given stays with its interface, in whatever order the configuration names it, and goes to another only when none is left.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::words::INDEX_MAX;

/// The numbers given so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indexes(BTreeMap<String, u8>);

impl Indexes {
    /// Gives a number, the lowest that is free, to each of `devices` that has none. Says whether anything changed.
    pub fn assign(&mut self, devices: &[&str]) -> bool {
        let before = self.clone();
        // What was kept may be damaged.
        let mut used = BTreeSet::new();
        self.0.retain(|_, index| (1..=INDEX_MAX).contains(index) && used.insert(*index));
        for device in devices {
            if self.0.contains_key(*device) {
                continue;
            }
            if self.0.len() >= usize::from(INDEX_MAX) {
                self.0.retain(|known, _| devices.contains(&known.as_str()));
            }
            let is_free = |index: &u8| self.0.values().all(|used| used != index);
            if let Some(index) = (1..=INDEX_MAX).find(is_free) {
                self.0.insert((*device).to_owned(), index);
            }
        }
        *self != before
    }

    /// The number of an interface, 1 to [`INDEX_MAX`]; `None` where more have been named than there are numbers.
    #[must_use]
    pub fn of(&self, device: &str) -> Option<u8> {
        self.0.get(device).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(indexes: &Indexes, devices: &[&str]) -> Vec<Option<u8>> {
        devices.iter().map(|device| indexes.of(device)).collect()
    }

    #[test]
    fn a_number_stays_with_its_interface_whatever_the_order() {
        let mut indexes = Indexes::default();
        assert!(indexes.assign(&["wwan1", "wwan2", "eth0"]));
        assert_eq!(numbers(&indexes, &["wwan1", "wwan2", "eth0"]), [Some(1), Some(2), Some(3)]);
        assert!(!indexes.assign(&["eth0", "wwan2"]));
        assert!(indexes.assign(&["wwan9", "eth0"]));
        let all = ["wwan1", "wwan2", "eth0", "wwan9"];
        assert_eq!(
            numbers(&indexes, &all),
            [Some(1), Some(2), Some(3), Some(4)],
            "flows of wwan1 may live on"
        );
        let text = serde_json::to_string(&indexes).unwrap();
        assert_eq!(serde_json::from_str::<Indexes>(&text).unwrap(), indexes);
    }

    #[test]
    fn numbers_of_the_forgotten_are_used_again_when_none_is_left() {
        let mut indexes = Indexes::default();
        for number in 0..1000 {
            indexes.assign(&["wwan1", &format!("wwan{number}")]);
            assert_eq!(indexes.of("wwan1"), Some(1));
            assert!(indexes.of(&format!("wwan{number}")).is_some_and(|index| index <= INDEX_MAX));
        }
        let many: Vec<_> = (0..300).map(|number| format!("wwan{number}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        indexes.assign(&many);
        let given: BTreeSet<_> = many.iter().filter_map(|device| indexes.of(device)).collect();
        assert_eq!(given.len(), usize::from(INDEX_MAX), "each number once");
    }

    #[test]
    fn damaged_numbers_are_given_anew() {
        let mut indexes: Indexes = serde_json::from_str(r#"{"a": 0, "b": 7, "c": 7, "d": 255}"#).unwrap();
        assert!(indexes.assign(&["a", "b", "c", "d"]));
        assert_eq!(numbers(&indexes, &["a", "b", "c", "d"]), [Some(1), Some(7), Some(2), Some(3)]);
    }
}
