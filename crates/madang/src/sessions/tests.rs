use std::collections::HashSet;

use tokio::{
    runtime::Handle,
    time::{advance, sleep},
};

use super::*;
use crate::{request::Request, settings::Settings};

/// 256 steps of 100 ms.
const HEARTBEAT: Duration = Duration::from_millis(25_600);
const STEP: Duration = Duration::from_millis(100);

fn session(id: SessionId, heartbeat: Duration) -> Session {
    let settings = Settings {
        heartbeat,
        ..Settings::default()
    };
    Session::new(id, Request::forgotten(), None, Arc::new(settings), ())
}

fn enter(sessions: &Sessions) -> Session {
    let session = sessions.enter(HEARTBEAT, |id| session(id, HEARTBEAT));
    session.unwrap()
}

#[test]
fn sessions_are_found_by_their_ids_whatever_their_slots() {
    let mut slots = Slots::default();
    let entered = (0..=u8::MAX).cycle().take(1000);
    let entered = entered.map(|slot| session(SessionId::generate(slot), HEARTBEAT).any());
    let mut entered: Vec<_> = entered.collect();
    for session in &entered {
        slots.insert(session.clone());
    }
    // One who is there already is so once.
    slots.insert(entered[7].clone());
    assert_eq!(slots.len(), 1000);
    let all = slots.all().map(AnySession::id).collect::<HashSet<_>>();
    assert_eq!(all, entered.iter().map(AnySession::id).collect());
    assert_eq!(slots.within(7).count(), 4);
    assert!(slots.within(7).all(|session| session.id().slot() == 7));

    for left in entered.drain(..500) {
        slots.remove(left.id());
        slots.remove(left.id());
        assert!(slots.get(left.id()).is_none());
    }
    assert_eq!(slots.len(), 500);
    assert_eq!(slots.all().count(), 500);
    for session in entered {
        assert_eq!(slots.get(session.id()).unwrap().id(), session.id());
    }
}

/// Has a session enter at a time.
fn enter_at(clock: &mut Clock, slots: &mut Slots, now: Instant) -> SessionId {
    let id = SessionId::generate(clock.enter(slots, now));
    slots.insert(session(id, HEARTBEAT).any());
    id
}

#[test]
fn the_hand_comes_by_one_heartbeat_after_the_opening_and_each_heartbeat_then() {
    let begin = Instant::now();
    let mut slots = Slots::default();
    let mut clock = Clock::new(HEARTBEAT, begin).unwrap();
    let mut pings = Vec::new();
    let mut entered = Vec::new();
    let mut wakes = 0;
    let mut go_on = |clock: &mut Clock, slots: &Slots, until: Instant| {
        while let Some(at) = clock.next(slots).filter(|at| *at <= until) {
            wakes += 1;
            let due = clock.advance(slots, at);
            pings.extend(due.iter().map(|session| (session.id(), at)));
        }
    };
    for millis in [0, 1, 99, 100, 12_345, 25_599, 25_600, 31_000, 200_000] {
        let at = begin + Duration::from_millis(millis);
        go_on(&mut clock, &slots, at);
        entered.push((enter_at(&mut clock, &mut slots, at), at));
    }
    go_on(&mut clock, &slots, begin + 10 * HEARTBEAT);

    for (id, entered) in entered {
        let own = pings.iter().filter(|(of, _)| *of == id);
        let own: Vec<_> = own.map(|(_, at)| *at).collect();
        let first = own[0] - entered;
        assert!(HEARTBEAT - STEP < first && first <= HEARTBEAT, "{first:?}");
        let turns = own.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(
            turns
                .collect::<Vec<_>>()
                .iter()
                .all(|turn| *turn == HEARTBEAT)
        );
        assert!(begin + 10 * HEARTBEAT - own[own.len() - 1] < HEARTBEAT);
    }
    assert!(wakes <= pings.len(), "nobody is woken for empty slots");
}

#[test]
fn who_enters_while_the_hand_is_late_is_not_told_at_once() {
    let begin = Instant::now();
    let mut slots = Slots::default();
    let mut clock = Clock::new(HEARTBEAT, begin).unwrap();
    let first = enter_at(&mut clock, &mut slots, begin);
    let late = begin + HEARTBEAT + 3 * STEP;
    let second = enter_at(&mut clock, &mut slots, late);
    let due = |sessions: Vec<AnySession>| sessions.iter().map(AnySession::id).collect::<Vec<_>>();
    assert_eq!(due(clock.advance(&slots, late)), [first]);
    let next = clock.next(&slots).unwrap();
    assert!(next > late + HEARTBEAT - 5 * STEP, "{:?}", next - late);
    assert_eq!(due(clock.advance(&slots, next)), [second]);
}

#[test]
fn after_a_pause_each_is_told_once() {
    let begin = Instant::now();
    let mut slots = Slots::default();
    let mut clock = Clock::new(HEARTBEAT, begin).unwrap();
    for step in 0..300 {
        enter_at(&mut clock, &mut slots, begin + step * STEP / 2);
    }
    let late = begin + 1000 * HEARTBEAT;
    let due = clock.advance(&slots, late);
    assert_eq!(due.len(), 300);
    let ids: HashSet<_> = due.iter().map(AnySession::id).collect();
    assert_eq!(ids.len(), 300);
    assert!(clock.advance(&slots, late).is_empty());
    assert!(clock.next(&slots).unwrap() > late);
}

#[test]
fn there_is_no_clock_for_a_heartbeat_that_never_comes() {
    let now = Instant::now();
    assert!(Clock::new(Duration::MAX, now).is_none());
    // And one for any other, however short.
    let mut slots = Slots::default();
    let mut clock = Clock::new(Duration::ZERO, now).unwrap();
    enter_at(&mut clock, &mut slots, now);
    assert_eq!(
        clock.advance(&slots, now + Duration::from_millis(1)).len(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_storm_is_not_told_to_ping_all_at_once() {
    let sessions = Sessions::default();
    for _ in 0..1000 {
        enter(&sessions);
        advance(Duration::from_millis(1)).await;
    }
    let state = sessions.state();
    let most = (0..=u8::MAX).map(|slot| state.open.within(slot).count());
    assert_eq!(most.max(), Some(100));
}

#[tokio::test(start_paused = true)]
async fn sessions_are_told_to_ping_but_not_those_with_a_heartbeat_of_their_own() {
    let sessions = Sessions::default();
    let session_of_its_own = |id| session(id, HEARTBEAT / 2);
    let own = sessions.enter(HEARTBEAT, session_of_its_own).unwrap();
    let usual = enter(&sessions);
    for _ in 0..3 {
        sleep(HEARTBEAT / 2).await;
        assert!(!usual.bell().answer_beat());
        sleep(HEARTBEAT / 2 + Duration::from_millis(1)).await;
        assert!(usual.bell().answer_beat());
    }
    assert!(!own.bell().answer_beat());
}

#[tokio::test(start_paused = true)]
async fn the_task_that_tells_is_there_as_long_as_there_are_sessions() {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let sessions = Sessions::default();
    assert_eq!(tasks(), 0);
    for _ in 0..2 {
        let (first, second) = (enter(&sessions), enter(&sessions));
        sleep(3 * HEARTBEAT).await;
        assert_eq!(tasks(), 1);
        sessions.leave(first.id());
        sleep(3 * HEARTBEAT).await;
        assert_eq!(tasks(), 1);
        assert!(second.bell().answer_beat());
        sessions.leave(second.id());
        sleep(HEARTBEAT).await;
        assert_eq!(tasks(), 0);
    }
    enter(&sessions);
    drop(sessions);
    sleep(HEARTBEAT).await;
    assert_eq!(tasks(), 0);
}

#[test]
fn a_register_outlives_the_runtime_of_its_first_sessions() {
    let sessions = Sessions::default();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true);
    let enter_first = async { enter(&sessions) };
    let first = runtime.build().unwrap().block_on(enter_first);
    runtime.build().unwrap().block_on(async {
        let second = enter(&sessions);
        sleep(2 * HEARTBEAT).await;
        assert!(first.bell().answer_beat());
        assert!(second.bell().answer_beat());
    });
}
