//! How many sessions there may be, in all and from one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::config::Limits;

/// Counts the sessions.
pub(super) struct Admission {
    most: usize,
    most_per_address: usize,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    all: usize,
    /// Only kept where there is a limit per address.
    by_address: HashMap<IpAddr, usize>,
}

/// One session's place, given back when it is dropped.
pub(super) struct Permit {
    admission: Arc<Admission>,
    /// Boxed, as it is there for every session and most often nothing.
    address: Option<Box<IpAddr>>,
}

impl Admission {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            most: limits.sessions,
            most_per_address: limits.sessions_per_address,
            counts: Mutex::default(),
        })
    }

    /// A place for a session from `address`, if there is one.
    pub(super) fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Permit> {
        let address = address.filter(|_| self.most_per_address > 0);
        let mut counts = self.counts();
        if counts.all >= self.most {
            return None;
        }
        if let Some(address) = address {
            let here = counts.by_address.entry(address).or_default();
            if *here >= self.most_per_address {
                return None;
            }
            *here += 1;
        }
        counts.all += 1;
        Some(Permit {
            admission: self.clone(),
            address: address.map(Box::new),
        })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        counts.all -= 1;
        if let Some(address) = self.address.as_deref()
            && let Some(here) = counts.by_address.get_mut(address)
        {
            *here -= 1;
            if *here == 0 {
                counts.by_address.remove(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(sessions: usize, sessions_per_address: usize) -> Arc<Admission> {
        Admission::new(&Limits {
            sessions,
            sessions_per_address,
            ..Limits::default()
        })
    }

    #[test]
    fn a_place_is_free_again_when_its_session_has_ended() {
        let admission = admission(2, 0);
        let first = admission.admit(None).unwrap();
        let _second = admission.admit(None).unwrap();
        assert!(admission.admit(None).is_none());
        drop(first);
        assert!(admission.admit(None).is_some());
    }

    #[test]
    fn one_address_cannot_take_the_place_of_others() {
        let admission = admission(10, 2);
        let [here, there] = [1, 2].map(|last| Some(IpAddr::from([10, 0, 0, last])));
        let first = admission.admit(here).unwrap();
        let _second = admission.admit(here).unwrap();
        assert!(admission.admit(here).is_none());
        assert!(admission.admit(there).is_some());
        drop(first);
        assert!(admission.admit(here).is_some());
        drop(_second);
        assert!(admission.counts().by_address.is_empty());
    }
}
