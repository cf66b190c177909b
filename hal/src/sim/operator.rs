//! What tests and operators do to a [`RouterDouble`] behind REST's back: faults, reboots, changes by hand.

use super::fault::{Fault, Latency};
use super::menus;
use super::router::{Output, RouterDouble};
use super::schema::USER;
use crate::units::{Duration, Instant};

impl RouterDouble {
    /// Lets something go wrong. Faults of coming requests queue up.
    pub fn inject(&mut self, now: Instant, fault: Fault) {
        self.advance(now);
        match fault {
            Fault::Stall(time) => {
                let waiting = self.pending.iter_mut().map(|pending| &mut pending.due);
                waiting.chain(self.lanes.values_mut()).for_each(|due| *due += time);
                self.stalled_until = self.stalled_until.max(now) + time;
            }
            Fault::AbortDamage(time) => self.damaged_until = self.damaged_until.max(now + time),
            Fault::Close => self.end_all(&Output::Close),
            Fault::Reset => self.end_all(&Output::Reset),
            Fault::Refuse(time) => self.refuse_until = now + time,
            Fault::Silent(time) => self.silent_until = now + time,
            _ => self.faults.push_back(fault),
        }
    }

    /// Ends all faults: listens again, and serves what waited.
    pub fn heal(&mut self, now: Instant) {
        self.faults.clear();
        for pending in &mut self.pending {
            pending.due = if pending.due < now { pending.due } else { now };
        }
        self.lanes.clear();
        self.stalled_until = now;
        self.damaged_until = now;
        self.refuse_until = now;
        self.silent_until = now;
    }

    /// Reboots: connections are cut, nothing listens for `downtime`; then ids are new, counters
    /// and uptime start from zero. Limits stay.
    pub fn reboot(&mut self, now: Instant, downtime: Duration) {
        self.advance(now);
        self.pending.clear();
        self.end_all(&Output::Reset);
        self.refuse_until = now + downtime;
        self.lanes.clear();
        self.stalled_until = self.refuse_until;
        self.damaged_until = now;
        self.booted = Some(self.refuse_until);
        self.sectors = 0;
        self.revision += 1;
        self.objects.reboot(self.setup.boot_swaps_ids);
    }

    /// The operator sets `max-limit` by hand; false if there is no such queue.
    pub fn set_limit(&mut self, queue: &str, max_limit: &str) -> bool {
        self.set_property(queue, "max-limit", max_limit)
    }

    /// The operator (or the router itself, as with `invalid`) sets any member of a queue; false
    /// if there is no such queue or member. The value is taken as it is.
    pub fn set_property(&mut self, queue: &str, property: &str, value: &str) -> bool {
        let Some((table, row)) = self.objects.find_queue(queue) else { return false };
        let Some(slot) = self.objects.tables[table].rows[row].values.get_mut(property) else { return false };
        value.clone_into(slot);
        self.revision += 1;
        true
    }

    /// The operator removes a queue; false if there is none of this name.
    pub fn remove_queue(&mut self, queue: &str) -> bool {
        let Some((table, row)) = self.objects.find_queue(queue) else { return false };
        self.objects.tables[table].rows.remove(row);
        self.revision += 1;
        true
    }

    /// The user's credentials change; with the name of another user that becomes the one.
    pub fn set_credentials(&mut self, user: &str, password: &str) {
        let row = self.objects.find(USER, user).or_else(|| self.objects.find(USER, &self.setup.user));
        if let Some(row) = row {
            let values = &mut self.objects.tables[USER].rows[row].values;
            values.insert("name", user.to_owned());
            values.insert("password", password.to_owned());
        }
        user.clone_into(&mut self.setup.user);
    }

    /// The policies of the user's group change.
    pub fn set_policy(&mut self, may_read: bool, may_write: bool) {
        self.objects.set_policy(&self.setup.user, menus::granted(may_read, may_write));
    }

    /// What the certificate of www-ssl shows as its SHA-256.
    pub fn set_fingerprint(&mut self, sha256: &[u8; 32]) {
        self.objects.set_fingerprint(sha256.iter().map(|byte| format!("{byte:02x}")).collect());
    }

    /// Requests take another time from now on.
    pub fn set_latency(&mut self, latency: Latency) {
        self.setup.latency = latency;
    }

    /// The router's part of a TLS handshake takes another time from now on.
    pub fn set_handshake(&mut self, time: Duration) {
        self.setup.handshake = time;
    }

    pub(super) fn end_all(&mut self, how: &Output) {
        for session in self.sessions.values_mut().filter(|s| !s.ended) {
            session.end(how.clone());
        }
    }
}
