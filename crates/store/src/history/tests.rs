use super::*;
use crate::testing::*;

fn page(before: Option<Seq>, after: Option<Seq>, limit: u64) -> Page {
    Page::new(before, after, Some(limit)).unwrap()
}

/// A room with so many messages, each of which says its number.
fn filled(count: u64) -> Fixture {
    let mut fixture = Fixture::with_room();
    let numbers: Vec<_> = (1..=count).collect();
    for chunk in numbers.chunks(500) {
        let batch: Vec<_> = chunk
            .iter()
            .map(|n| say("마당", &format!("말 {n}"), 1))
            .collect();
        fixture.commit(&batch);
    }
    fixture
}

fn read(fixture: &Fixture, page: Page) -> (Vec<Seq>, bool) {
    let page = fixture
        .readers
        .history(&room("마당"), page, usize::MAX)
        .unwrap()
        .unwrap();
    (
        page.events.iter().map(|event| event.seq).collect(),
        page.more,
    )
}

#[test]
fn a_room_that_is_not_there_has_no_history() {
    let fixture = Fixture::new();
    let nowhere = room("nowhere");
    assert_eq!(
        fixture
            .readers
            .history(&nowhere, page(None, None, 1), 1)
            .unwrap(),
        None
    );
    assert_eq!(
        fixture.readers.events_after(&nowhere, 0, 1, 1).unwrap(),
        None
    );
    assert_eq!(fixture.readers.room_head(&nowhere).unwrap(), None);
}

#[test]
fn an_empty_room_has_an_empty_page() {
    let fixture = Fixture::with_room();
    let empty = fixture
        .readers
        .history(&room("마당"), page(None, None, 1), 1)
        .unwrap()
        .unwrap();
    assert_eq!((empty.events, empty.more), (vec![], false));
    assert_eq!((empty.room.head, empty.room.first), (0, 1));
    assert_eq!(
        fixture.readers.room_head(&room("마당")).unwrap(),
        Some(empty.room)
    );
}

#[test]
fn a_page_lies_where_it_was_asked_for_oldest_first() {
    let fixture = filled(10);
    assert_eq!(read(&fixture, page(None, None, 3)), (vec![8, 9, 10], true));
    assert_eq!(
        read(&fixture, page(None, None, 10)),
        ((1..=10).collect(), false)
    );
    assert_eq!(read(&fixture, page(Some(4), None, 2)), (vec![2, 3], true));
    assert_eq!(
        read(&fixture, page(Some(4), None, 3)),
        (vec![1, 2, 3], false)
    );
    assert_eq!(read(&fixture, page(Some(1), None, 3)), (vec![], false));
    assert_eq!(read(&fixture, page(Some(0), None, 3)), (vec![], false));
    assert_eq!(
        read(&fixture, page(Some(rooms::MAX_SEQ), None, 1)),
        (vec![10], true)
    );
    assert_eq!(read(&fixture, page(None, Some(0), 2)), (vec![1, 2], true));
    assert_eq!(read(&fixture, page(None, Some(8), 2)), (vec![9, 10], false));
    assert_eq!(read(&fixture, page(None, Some(10), 2)), (vec![], false));
    assert_eq!(
        read(&fixture, page(None, Some(rooms::MAX_SEQ), 2)),
        (vec![], false)
    );
}

#[test]
fn a_page_says_how_far_the_log_reached() {
    let mut fixture = filled(3);
    let subscribed = head(fixture.commit_one(subscribe(1, "마당", 2)));
    let page = fixture
        .readers
        .history(&room("마당"), page(Some(2), None, 1), 1)
        .unwrap()
        .unwrap();
    assert_eq!(page.room, subscribed);
    assert_eq!(page.room.head, 3);
}

#[test]
fn a_page_ends_before_it_grows_too_large() {
    let mut fixture = Fixture::with_room();
    let large = "a".repeat(1000 - 256);
    fixture.commit(&[
        say("마당", &large, 1),
        say("마당", &large, 1),
        say("마당", &large, 1),
    ]);
    let read = |page, max_bytes| {
        let page = fixture
            .readers
            .history(&room("마당"), page, max_bytes)
            .unwrap()
            .unwrap();
        (
            page.events
                .iter()
                .map(|event| event.seq)
                .collect::<Vec<_>>(),
            page.more,
        )
    };
    assert_eq!(read(page(None, Some(0), 9), 3000), (vec![1, 2, 3], false));
    assert_eq!(read(page(None, Some(0), 9), 2999), (vec![1, 2], true));
    assert_eq!(read(page(None, None, 9), 2000), (vec![2, 3], true));
    assert_eq!(read(page(None, None, 9), 0), (vec![3], true));
    assert_eq!(read(page(None, Some(2), 9), 0), (vec![3], false));
}

#[test]
fn ten_thousand_events_are_read_forwards_without_a_hole() {
    let fixture = filled(10_000);
    let mut read = Vec::new();
    loop {
        let after = read.last().copied().unwrap_or(0);
        let page = fixture
            .readers
            .events_after(&room("마당"), after, 700, usize::MAX);
        let page = page.unwrap().unwrap();
        read.extend(page.events.iter().map(|event| event.seq));
        if !page.more {
            break;
        }
        assert_eq!(page.events.len(), 700);
    }
    assert_eq!(read, (1..=10_000).collect::<Vec<_>>());
}

#[test]
fn ten_thousand_events_are_read_backwards_without_a_hole() {
    let fixture = filled(10_000);
    let mut read = Vec::new();
    let mut next = page(None, None, 200);
    loop {
        let page = fixture
            .readers
            .history(&room("마당"), next, 20_000)
            .unwrap()
            .unwrap();
        read.extend(page.events.iter().rev().map(|event| event.seq));
        if !page.more {
            break;
        }
        next.anchor = Anchor::Before(page.events[0].seq);
    }
    assert_eq!(read, (1..=10_000).rev().collect::<Vec<_>>());
}
