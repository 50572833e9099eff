//! What those who are in a room take there in memory.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::time::{Duration, Instant};

use madang_rooms::{Presence, PresenceSettings, SessionId, Timestamp, User, UserId, UserName};

/// Bytes of heap in a room with so many people whose names are known to the server anyway.
fn bytes(people: u32) -> u64 {
    let users: Vec<_> = (0..people)
        .map(|number| User {
            id: UserId::parse(&format!("u_{:026}", number.wrapping_mul(0x9E37_79B9))).unwrap(),
            name: UserName::parse(&format!("사람 {number}")).unwrap(),
            guest: true,
        })
        .collect();
    let mut kept = None;
    let heap = allocation_counter::measure(|| {
        let mut room = Presence::new(PresenceSettings::default());
        let now = Instant::now();
        for (number, user) in (1u128..).zip(&users) {
            room.enter(
                SessionId::from(number),
                user,
                Timestamp::from_millis(0),
                now,
            );
        }
        room.tick(now + Duration::from_secs(60)).unwrap();
        kept = Some(room);
    });
    u64::try_from(heap.bytes_current).unwrap()
}

#[test]
fn a_person_in_a_room_takes_little_there() {
    let per_person = |people: u32| bytes(people) / u64::from(people);
    let [two, hundred, crowd] = [2, 100, 10_000].map(per_person);
    println!("{two} bytes of two, {hundred} of a hundred, {crowd} of 10,000");
    // A hash table is up to half empty.
    assert!(two <= 200 && hundred <= 112 && crowd <= 144);
}
