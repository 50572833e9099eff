use std::thread;

use super::*;
use crate::testing::*;

#[test]
fn a_reader_cannot_write() {
    let fixture = Fixture::with_room();
    let write = fixture
        .readers
        .read(|connection| connection.execute("DELETE FROM rooms", []));
    assert!(write.is_err());
    assert_eq!(fixture.number("SELECT count(*) FROM rooms"), Some(1));
}

#[test]
fn more_readers_than_connections_take_turns() {
    let mut fixture = Fixture::with_room();
    fixture.commit(&(0..100).map(|_| say("마당", "a", 1)).collect::<Vec<_>>());
    let readers = &fixture.readers;
    thread::scope(|scope| {
        for _ in 0..4 * CONNECTIONS {
            scope.spawn(|| {
                for _ in 0..20 {
                    let head = readers.room_head(&room("마당")).unwrap().unwrap();
                    assert_eq!(head.head, 100);
                }
            });
        }
    });
}

#[test]
fn a_reader_sees_all_of_a_batch_or_nothing_of_it() {
    let Fixture {
        folder: _folder,
        mut store,
        readers,
        ..
    } = Fixture::with_room();
    thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut last = 0;
            while last < 200 {
                let page = readers.events_after(&room("마당"), 0, u64::MAX, usize::MAX);
                let page = page.unwrap().unwrap();
                assert_eq!(page.events.len() as u64, page.room.head);
                assert_eq!(page.room.head % 4, 0);
                assert!(page.room.head >= last);
                last = page.room.head;
            }
        });
        for _ in 0..50 {
            store.commit(&[0; 4].map(|_| say("마당", "a", 1))).unwrap();
        }
        reading.join().unwrap();
    });
}

#[test]
fn a_reader_that_panics_takes_no_connection_with_it() {
    let fixture = Fixture::with_room();
    for _ in 0..2 * CONNECTIONS {
        let readers = fixture.readers.clone();
        let fall = thread::spawn(move || readers.read::<()>(|_| panic!("a fall in a test")));
        assert!(fall.join().is_err());
    }
    assert_eq!(fixture.number("SELECT count(*) FROM rooms"), Some(1));
}
