//! What is true of a value at any time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use crate::life::bytes;
use crate::open::Place;
use crate::{Calls, RETRY};

impl Calls {
    /// Everything that is known twice is known alike.
    pub(super) fn check(&self, now: Instant) {
        self.check_counts();
        self.check_dues(now);
        self.check_services(now);
        self.check_workers();
    }

    /// Nobody serves, nothing is open, and nothing is left of what was.
    pub(super) fn check_empty(&self) {
        assert!(self.services.is_empty(), "{:?}", self.services);
        assert!(self.workers.is_empty(), "{:?}", self.workers);
        assert!(self.open.is_empty(), "{:?}", self.open);
        assert!(self.open_of.is_empty(), "{:?}", self.open_of);
        assert!(self.dues.is_empty(), "{:?}", self.dues);
        assert!(self.service_dues.is_empty(), "{:?}", self.service_dues);
        assert_eq!(self.open_bytes, 0);
    }

    fn check_counts(&self) {
        let sum: usize = self.open.values().map(|open| bytes(&open.call)).sum();
        assert_eq!(self.open_bytes, sum);
        let mut open_of = HashMap::new();
        for open in self.open.values() {
            *open_of.entry(open.call.from.id.clone()).or_insert(0) += 1;
        }
        assert_eq!(self.open_of, open_of);
    }

    fn check_dues(&self, now: Instant) {
        for (at, id) in &self.dues {
            assert_eq!(self.open.get(id).unwrap().looked_at, *at, "{id}");
        }
        for (id, open) in &self.open {
            let is_due = self.dues.contains(&(open.looked_at, *id));
            assert!(is_due || open.ending.is_some(), "{id} is never looked at");
            let late = open.looked_at > open.due().max(now) + RETRY;
            assert!(!late || open.ending.is_some(), "{id} is looked at too late");
        }
    }

    fn check_services(&self, now: Instant) {
        for (name, service) in &self.services {
            let of_it = || self.open.values().filter(|open| open.call.service == *name);
            assert_eq!(service.open, of_it().count());
            let arriving = of_it().filter(|open| open.place == Place::Arriving(None));
            assert_eq!(service.arriving, arriving.count());
            let waiting: BTreeMap<_, _> = of_it()
                .filter(|open| open.place == Place::Waiting && open.ending.is_none())
                // What is over its time is not handed out any more.
                .filter(|open| service.waiting.contains_key(&open.order) || now < open.deadline)
                .map(|open| (open.order, open.call.id))
                .collect();
            assert_eq!(service.waiting, waiting, "{name}");
            assert_eq!(service.gone_since.is_none(), service.is_served());
            if let Some(since) = service.gone_since {
                let due = (since + self.limits.grace, name.clone());
                assert!(self.service_dues.contains(&due) || !service.is_unused());
            }
            if service.free().is_some() && !service.waiting.is_empty() {
                let retried = |(at, of): &(Instant, _)| of == name && *at <= now + RETRY;
                assert!(self.service_dues.iter().any(retried), "a place is free");
            }
        }
        for open in self.open.values() {
            assert!(self.services.contains_key(&open.call.service));
        }
    }

    fn check_workers(&self) {
        let mut workers: HashMap<_, BTreeSet<_>> = HashMap::new();
        for (name, service) in &self.services {
            for worker in &service.workers {
                let names = workers.entry(worker.id).or_default();
                assert!(names.insert(name.clone()), "a worker is there twice");
                for id in &worker.held {
                    let open = self.open.get(id).unwrap();
                    assert_eq!(open.call.service, *name);
                    let by = match open.place {
                        Place::Arriving(by) => by,
                        Place::Handing { worker: by, .. } | Place::Held(by) => Some(by),
                        Place::Waiting | Place::Lost { .. } => None,
                    };
                    assert_eq!(by, Some(worker.id), "{id} takes a place");
                }
            }
        }
        let serving = self.workers.iter().filter(|(_, names)| !names.is_empty());
        let serving: HashMap<_, _> = serving.map(|(id, names)| (*id, names.clone())).collect();
        assert_eq!(serving, workers);
        for (id, open) in &self.open {
            if let Place::Held(by) = open.place {
                let service = &self.services[&open.call.service];
                let by = service.workers.iter().find(|worker| worker.id == by);
                assert!(by.unwrap().held.contains(id), "{id} takes no place");
            }
        }
    }
}
