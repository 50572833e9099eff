use std::sync::LazyLock;
use std::time::Duration;

use super::*;
use crate::UserName;

const SMALL: PresenceSettings = PresenceSettings {
    grace: Duration::from_secs(10),
    window: Duration::from_millis(250),
    named: 3,
    // Of those tests that are about something else none waits for it.
    counts_per_second: 1_000,
};

/// So many milliseconds after the tests' beginning, by the clock that never jumps.
fn at(millis: i64) -> Instant {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    *START + Duration::from_millis(millis.try_into().unwrap())
}

/// The same by the clock on the wall.
fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn named(id: u8, name: &str) -> User {
    let id = UserId::parse(&format!("u_{id}")).unwrap();
    User {
        id,
        name: UserName::parse(name).unwrap(),
        guest: false,
    }
}

fn user(id: u8) -> User {
    named(id, &format!("사람 {id}"))
}

fn session(id: u8) -> SessionId {
    SessionId::from(u128::from(id))
}

/// A room in which user 1 has been for long.
fn room() -> Presence {
    let mut room = Presence::new(SMALL);
    room.enter(session(1), &user(1), time(0), at(0));
    assert!(room.tick(at(250)).is_some());
    room
}

fn change(joined: &[User], left: &[User], count: usize) -> Option<Change> {
    Some(Change {
        joined: joined.to_vec(),
        left: left.to_vec(),
        count,
    })
}

#[test]
fn the_defaults_are_those_of_the_protocol() {
    let settings = PresenceSettings::default();
    assert_eq!(settings.grace, Duration::from_secs(10));
    assert_eq!(settings.window, Duration::from_millis(250));
    assert_eq!(settings.named, 200);
    // Up to 1,000 it is the window that counts.
    assert_eq!(settings.counts_per_second, 4_000);
}

#[test]
fn one_who_enters_is_present_at_once_and_told_a_window_later() {
    let mut room = Presence::new(SMALL);
    assert_eq!(room.next_due(), None);
    room.enter(session(1), &user(1), time(1_000), at(1_000));
    assert_eq!(
        room.snapshot(),
        Snapshot {
            count: 1,
            users: vec![user(1)]
        }
    );
    assert_eq!(room.next_due(), Some(at(1_250)));
    assert_eq!(room.tick(at(1_249)), None);
    assert_eq!(room.tick(at(1_250)), change(&[user(1)], &[], 1));
    assert_eq!(room.tick(at(9_999)), None);
    assert_eq!(room.next_due(), None);
}

#[test]
fn changes_are_gathered_from_the_first_one_on() {
    let mut room = room();
    room.enter(session(2), &user(2), time(1_000), at(1_000));
    room.enter(session(3), &user(3), time(1_200), at(1_200));
    room.leave(session(1), at(1_240), Leave::Clean);
    assert_eq!(room.next_due(), Some(at(1_250)));
    assert_eq!(
        room.tick(at(1_250)),
        change(&[user(2), user(3)], &[user(1)], 2)
    );
}

#[test]
fn a_user_is_present_while_any_session_is_in() {
    let mut room = room();
    room.enter(session(2), &user(1), time(1_000), at(1_000));
    assert_eq!(room.who().users[0].sessions, 2);
    room.leave(session(1), at(1_100), Leave::Clean);
    assert_eq!(room.tick(at(9_000)), None);
    let who = Occupant {
        user: user(1),
        sessions: 1,
        since: time(0),
    };
    assert_eq!(
        room.who(),
        Who {
            count: 1,
            users: vec![who]
        }
    );
    room.leave(session(2), at(10_000), Leave::Clean);
    assert_eq!(room.tick(at(10_250)), change(&[], &[user(1)], 0));
    assert!(room.is_empty());
}

#[test]
fn entering_twice_with_one_session_is_the_same_as_once() {
    let mut room = room();
    room.enter(session(1), &user(1), time(1_000), at(1_000));
    room.leave(session(1), at(2_000), Leave::Clean);
    assert_eq!(room.snapshot().count, 0);
    room.leave(session(1), at(2_000), Leave::Clean);
    room.leave(session(9), at(2_000), Leave::Broken);
    assert_eq!(room.tick(at(2_250)), change(&[], &[user(1)], 0));
}

#[test]
fn a_broken_connection_shows_after_its_grace() {
    let mut room = room();
    room.leave(session(1), at(1_000), Leave::Broken);
    let who = Occupant {
        user: user(1),
        sessions: 0,
        since: time(0),
    };
    assert_eq!(
        room.who(),
        Who {
            count: 1,
            users: vec![who]
        }
    );
    assert_eq!(room.next_due(), Some(at(11_000)));
    assert_eq!(room.tick(at(10_999)), None);
    assert_eq!(room.tick(at(11_000)), None);
    assert_eq!(room.snapshot().count, 0);
    assert_eq!(room.next_due(), Some(at(11_250)));
    assert_eq!(room.tick(at(11_250)), change(&[], &[user(1)], 0));
}

#[test]
fn a_late_tick_tells_at_once_what_is_overdue() {
    let mut room = room();
    room.leave(session(1), at(1_000), Leave::Broken);
    assert_eq!(room.tick(at(60_000)), change(&[], &[user(1)], 0));
}

#[test]
fn of_one_who_comes_back_within_the_grace_nobody_is_told() {
    let mut room = room();
    room.leave(session(1), at(1_000), Leave::Broken);
    room.enter(session(2), &user(1), time(10_999), at(10_999));
    assert_eq!(room.next_due(), None);
    assert_eq!(room.tick(at(60_000)), None);
    assert_eq!(room.who().users[0].since, time(0));
}

#[test]
fn the_last_session_decides_whether_there_is_a_grace() {
    let mut room = room();
    room.enter(session(2), &user(1), time(500), at(500));
    room.leave(session(1), at(1_000), Leave::Broken);
    assert_eq!(room.next_due(), None);
    room.leave(session(2), at(1_100), Leave::Clean);
    assert_eq!(room.tick(at(1_350)), change(&[], &[user(1)], 0));
}

#[test]
fn joining_and_leaving_within_one_window_cancel_out() {
    let mut room = room();
    room.enter(session(2), &user(2), time(1_000), at(1_000));
    room.leave(session(2), at(1_100), Leave::Clean);
    room.leave(session(1), at(1_100), Leave::Clean);
    room.enter(session(3), &user(1), time(1_200), at(1_200));
    assert_eq!(room.tick(at(1_250)), None);
    assert_eq!(room.next_due(), None);
}

#[test]
fn one_who_was_seen_is_told_to_have_left_even_within_one_window() {
    let mut room = room();
    room.enter(session(2), &user(2), time(1_000), at(1_000));
    room.enter(session(3), &user(3), time(1_100), at(1_100));
    assert!(room.snapshot().users.contains(&user(2)));
    room.leave(session(2), at(1_200), Leave::Clean);
    assert_eq!(room.tick(at(1_250)), change(&[user(3)], &[user(2)], 2));
}

#[test]
fn one_who_was_seen_to_be_away_is_told_to_have_joined() {
    let mut room = room();
    room.leave(session(1), at(1_000), Leave::Clean);
    assert_eq!(room.who().count, 0);
    room.enter(session(2), &user(1), time(1_100), at(1_100));
    assert_eq!(room.tick(at(1_250)), change(&[user(1)], &[], 1));
}

#[test]
fn a_new_name_is_told_like_a_new_user() {
    let mut room = room();
    room.enter(session(2), &named(1, "새 이름"), time(1_000), at(1_000));
    assert_eq!(room.tick(at(1_250)), change(&[named(1, "새 이름")], &[], 1));
    room.leave(session(1), at(2_000), Leave::Clean);
    assert_eq!(room.tick(at(2_250)), None);
}

#[test]
fn a_session_that_comes_as_another_user_left_as_the_first() {
    let mut room = room();
    room.enter(session(1), &user(2), time(1_000), at(1_000));
    assert_eq!(room.tick(at(1_250)), change(&[user(2)], &[user(1)], 1));
}

#[test]
fn in_a_crowd_only_the_number_is_told() {
    let mut room = room();
    for id in 2..=5 {
        room.enter(session(id), &user(id), time(1_000), at(1_000));
    }
    assert_eq!(room.tick(at(1_250)), change(&[], &[], 5));
    let Snapshot { count, users } = room.snapshot();
    assert_eq!((count, users.len()), (5, 0));
    let Who { count, users } = room.who();
    assert_eq!((count, users.len()), (5, 3));
    room.leave(session(1), at(2_000), Leave::Clean);
    assert_eq!(room.tick(at(2_250)), change(&[], &[], 4));
}

#[test]
fn when_a_crowd_thins_out_everyone_is_named_once() {
    let mut room = room();
    for id in 2..=5 {
        room.enter(session(id), &user(id), time(1_000), at(1_000));
    }
    assert_eq!(room.tick(at(1_250)), change(&[], &[], 5));
    room.leave(session(1), at(2_000), Leave::Clean);
    room.leave(session(2), at(2_000), Leave::Clean);
    let everyone = [user(3), user(4), user(5)];
    assert_eq!(
        room.tick(at(2_250)),
        change(&everyone, &[user(1), user(2)], 3)
    );
    room.leave(session(3), at(3_000), Leave::Clean);
    assert_eq!(room.tick(at(3_250)), change(&[], &[user(3)], 2));
}

#[test]
fn the_larger_a_crowd_the_less_often_it_is_counted() {
    let mut room = Presence::new(PresenceSettings {
        counts_per_second: 2,
        ..SMALL
    });
    for id in 1..=5 {
        room.enter(session(id), &user(id), time(1_000), at(1_000));
    }
    // The first count is told as soon as any change.
    assert_eq!(room.tick(at(1_250)), change(&[], &[], 5));
    room.enter(session(6), &user(6), time(1_300), at(1_300));
    // Five heard it; twice a second for one is every 2.5 s for five.
    assert_eq!(room.next_due(), Some(at(3_750)));
    room.leave(session(1), at(2_000), Leave::Clean);
    room.leave(session(2), at(2_000), Leave::Clean);
    assert_eq!(room.tick(at(3_750)), change(&[], &[], 4));
    // When nothing has happened for long, a change is told at once again.
    room.leave(session(3), at(9_000), Leave::Clean);
    assert_eq!(
        room.tick(at(9_250)),
        change(&[user(4), user(5), user(6)], &[user(3)], 3)
    );
    // And where names are told it is the window alone.
    room.leave(session(4), at(9_300), Leave::Clean);
    assert_eq!(room.tick(at(9_550)), change(&[], &[user(4)], 2));
}

#[test]
fn one_who_was_there_before_a_restart_and_comes_back_in_time_never_left() {
    let mut room = Presence::new(SMALL);
    room.restore(user(1), time(5), at(10_000));
    room.restore(user(1), time(6), at(11_000));
    assert_eq!(room.next_due(), Some(at(10_000)));
    assert_eq!(room.snapshot().users, [user(1)]);
    let who = room.who();
    assert_eq!((who.users[0].sessions, who.users[0].since), (0, time(5)));
    room.enter(session(1), &user(1), time(9_999), at(9_999));
    assert_eq!(room.next_due(), None);
    assert_eq!(room.who().users[0].since, time(5));
}

#[test]
fn one_who_was_there_before_a_restart_and_does_not_come_back_left_once() {
    let mut room = Presence::new(SMALL);
    room.restore(user(1), time(5), at(10_000));
    room.restore(user(2), time(5), at(10_000));
    room.enter(session(2), &user(2), time(20), at(20));
    assert_eq!(room.tick(at(10_000)), None);
    assert_eq!(room.tick(at(10_250)), change(&[], &[user(1)], 1));
    assert_eq!(room.next_due(), None);
}

/// What happens to a room.
#[derive(Debug, Clone)]
enum Step {
    Enter { session: u8, user: u8, name: u8 },
    Leave { session: u8, how: Leave },
    Wait { millis: i64 },
    Look,
}

/// One in the room who keeps a list of who is present, by the rules of [`Change`].
#[derive(Debug, Clone)]
struct Watcher {
    list: Option<BTreeMap<UserId, User>>,
}

impl Watcher {
    fn looking_at(snapshot: Snapshot) -> Self {
        let whole = snapshot.count <= SMALL.named;
        let users = snapshot
            .users
            .into_iter()
            .map(|user| (user.id.clone(), user));
        Self {
            list: whole.then(|| users.collect()),
        }
    }

    fn hears(&mut self, change: &Change) {
        if change.count > SMALL.named {
            self.list = None;
            return;
        }
        let list = self.list.get_or_insert_default();
        for user in &change.joined {
            list.insert(user.id.clone(), user.clone());
        }
        for user in &change.left {
            list.remove(&user.id);
        }
        assert_eq!(list.len(), change.count, "a change leads to a whole list");
    }
}

/// Who is present, worked out from the whole story each time.
#[derive(Debug, Default)]
struct Model {
    story: Vec<(i64, Step)>,
}

impl Model {
    fn present(&self, now: i64) -> BTreeMap<UserId, User> {
        let mut here: BTreeMap<u8, u8> = BTreeMap::new();
        let mut lost: BTreeMap<u8, i64> = BTreeMap::new();
        let mut names: BTreeMap<u8, User> = BTreeMap::new();
        let grace = 10_000;
        for (at, step) in &self.story {
            lost.retain(|_, until| *until > *at);
            match step {
                Step::Enter {
                    session,
                    user,
                    name,
                } => {
                    here.insert(*session, *user);
                    lost.remove(user);
                    names.insert(*user, named(*user, &format!("{name}")));
                }
                Step::Leave { session, how } => {
                    let Some(user) = here.remove(session) else {
                        continue;
                    };
                    if *how == Leave::Broken && !here.values().any(|other| *other == user) {
                        lost.insert(user, *at + grace);
                    }
                }
                Step::Wait { .. } | Step::Look => {}
            }
        }
        lost.retain(|_, until| *until > now);
        let present = here
            .values()
            .chain(lost.keys())
            .map(|user| names[user].clone());
        present.map(|user| (user.id.clone(), user)).collect()
    }
}

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
    use proptest::prelude::*;
    let step = prop_oneof![
        // A session belongs to one user for its life.
        4 => (0..12_u8, 0..2_u8)
            .prop_map(|(session, name)| Step::Enter { session, user: session % 6, name }),
        3 => (0..12_u8).prop_map(|session| Step::Leave { session, how: Leave::Clean }),
        3 => (0..12_u8).prop_map(|session| Step::Leave { session, how: Leave::Broken }),
        2 => (1..400_i64).prop_map(|millis| Step::Wait { millis }),
        1 => (9_000..11_000_i64).prop_map(|millis| Step::Wait { millis }),
        2 => Just(Step::Look),
    ];
    prop::collection::vec(step, 1..80)
}

/// Lets time pass until `to`, with a tick whenever one is due.
fn pass(room: &mut Presence, to: i64, watchers: &mut [Watcher]) {
    while let Some(due) = room.next_due().filter(|due| *due <= at(to)) {
        if let Some(change) = room.tick(due) {
            watchers
                .iter_mut()
                .for_each(|watcher| watcher.hears(&change));
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(500))]

    #[test]
    fn what_was_told_adds_up_to_the_truth_for_everyone_who_ever_looked(steps in steps()) {
        let mut room = Presence::new(SMALL);
        let mut model = Model::default();
        // One was there when the server stopped.
        room.restore(named(7, "0"), time(0), at(10_000));
        let before = Step::Enter { session: 100, user: 7, name: 0 };
        let stop = Step::Leave { session: 100, how: Leave::Broken };
        model.story = vec![(0, before), (0, stop)];
        let mut watchers = vec![Watcher::looking_at(room.snapshot())];
        let mut now = 0;
        for step in steps {
            match &step {
                Step::Enter { session: id, user, name } => {
                    room.enter(session(*id), &named(*user, &format!("{name}")), time(now), at(now));
                }
                Step::Leave { session: id, how } => room.leave(session(*id), at(now), *how),
                Step::Wait { millis } => {
                    now += millis;
                    pass(&mut room, now, &mut watchers);
                }
                Step::Look => watchers.push(Watcher::looking_at(room.snapshot())),
            }
            model.story.push((now, step));
            let truth = model.present(now);
            proptest::prop_assert_eq!(room.who().count, truth.len());
        }
        now += 60_000;
        pass(&mut room, now, &mut watchers);
        proptest::prop_assert_eq!(room.next_due(), None);
        let truth = model.present(now);
        let crowd = truth.len() > SMALL.named;
        for watcher in watchers {
            proptest::prop_assert_eq!(&watcher.list, &(!crowd).then(|| truth.clone()));
        }
    }
}
