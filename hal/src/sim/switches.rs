//! What tests and operators do to the mangle rules and address lists of a [`RouterDouble`].

use super::router::RouterDouble;
use super::site::{LIST, LIST6, MANGLE, MANGLE6};
use crate::units::Instant;

impl RouterDouble {
    /// Adds a rule that marks new connections, disabled.
    ///
    /// # Panics
    /// Never with these values.
    pub fn add_rule(&mut self, six: bool, comment: &str) {
        let table = if six { MANGLE6 } else { MANGLE };
        let given = [
            ("action", "mark-connection"),
            ("chain", "prerouting"),
            ("comment", comment),
            ("connection-state", "new"),
            ("disabled", "yes"),
            ("new-connection-mark", "wanctl-steer"),
        ];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let _ = self.objects.add(table, &given);
    }

    /// Whether the rule with this comment is enabled; `None` when there is none.
    #[must_use]
    pub fn rule(&self, comment: &str) -> Option<bool> {
        let rows = [MANGLE, MANGLE6].into_iter().flat_map(|table| &self.objects.tables[table].rows);
        rows.into_iter().find(|row| row.get("comment") == comment).map(|row| row.get("disabled") != "true")
    }

    /// The operator (or a script) changes a rule; false when there is none with this comment.
    pub fn set_rule(&mut self, comment: &str, property: &'static str, value: &str) -> bool {
        let rows = [MANGLE, MANGLE6]
            .map(|table| self.objects.tables[table].rows.iter().position(|r| r.get("comment") == comment));
        let Some((table, row)) = [MANGLE, MANGLE6].into_iter().zip(rows).find_map(|(t, row)| Some((t, row?))) else {
            return false;
        };
        self.objects.tables[table].rows[row].values.insert(property, value.to_owned());
        true
    }

    /// The addresses on a list at `now`, of IPv4 and IPv6.
    pub fn listed(&mut self, now: Instant, list: &str) -> Vec<String> {
        self.objects.advance(now);
        let rows = [LIST, LIST6].into_iter().flat_map(|table| &self.objects.tables[table].rows);
        rows.filter(|row| row.get("list") == list).map(|row| row.get("address").to_owned()).collect()
    }

    /// The operator takes everything off a list.
    pub fn clear_list(&mut self, list: &str) {
        for table in [LIST, LIST6] {
            self.objects.tables[table].rows.retain(|row| row.get("list") != list);
        }
    }
}
