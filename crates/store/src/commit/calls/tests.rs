use crate::testing::*;
use crate::{Outcome, Write};

#[test]
fn what_was_accepted_waits_until_it_is_answered() {
    let mut fixture = Fixture::new();
    let asked = [1, 2, 3].map(|number| call(number, "order", "[ 1.0,\t\"커피\" ]"));
    let outcomes = fixture.commit(&asked.clone().map(accept));
    assert_eq!(outcomes, [Outcome::Done, Outcome::Done, Outcome::Done]);
    fixture.commit(&[answer(2, Ok("7"), 50)]);
    let open: Vec<_> = fixture.readers.open_calls().unwrap();
    let open: Vec<_> = open.into_iter().map(|open| open.call).collect();
    assert_eq!(open, [asked[0].clone(), asked[2].clone()]);
}

#[test]
fn of_answers_the_first_counts() {
    let mut fixture = Fixture::new();
    let stored = [
        accept(call(1, "order", "null")),
        answer(1, Err("sold_out"), 70),
        answer(1, Ok("1"), 80),
        answer(9, Ok("1"), 80),
    ];
    assert_eq!(fixture.commit(&stored), [const { Outcome::Done }; 4]);
    let row = fixture.call(1, 0).unwrap();
    assert_eq!(row.answer, Some((answered(Err("sold_out")), at(70))));
    assert_eq!(fixture.call(9, 0), None);
    let early = [accept(call(2, "order", "null")), answer(2, Ok("1"), 1)];
    fixture.commit(&early);
    let when = fixture.call(2, 0).unwrap().answer.unwrap().1;
    assert_eq!(when, at(2), "no answer comes before its question");
}

#[test]
fn who_alone_may_go_on_with_a_call_is_known_while_it_is_open() {
    let mut fixture = Fixture::new();
    let given = |fixture: &Fixture| {
        let open = fixture.readers.open_calls().unwrap();
        open.into_iter()
            .map(|open| open.given_to)
            .collect::<Vec<_>>()
    };
    fixture.commit(&[
        Write::AcceptCall {
            call: call(1, "order", "1"),
            given_to: Some(user(7).id),
            answered_since: at(0),
        },
        accept(call(2, "order", "2")),
    ]);
    assert_eq!(given(&fixture), [Some(user(7).id), None]);
    fixture.commit(&[hand(1, None), hand(2, Some(8)), hand(9, Some(8))]);
    assert_eq!(given(&fixture), [None, Some(user(8).id)]);
    fixture.commit(&[answer(2, Ok("1"), 9), hand(2, Some(7))]);
    let given = "SELECT given_to FROM calls WHERE answered_at IS NOT NULL";
    assert_eq!(fixture.text(given).as_deref(), Some("u_8"));
}

#[test]
fn a_key_stands_for_its_call_within_a_batch_and_after_it() {
    let mut fixture = Fixture::new();
    let asked = |number, method, params| accept(keyed(call(number, method, params), "k"));
    let outcomes = fixture.commit(&[
        asked(1, "order", "{\"a\":1}"),
        asked(2, "order", "{\"a\":1}"),
        asked(3, "order", "{\"a\": 1}"),
        asked(4, "cancel", "{\"a\":1}"),
    ]);
    assert_eq!(
        outcomes,
        [
            Outcome::Done,
            Outcome::SameCall(call_id(1)),
            Outcome::OtherCall(call_id(1)),
            Outcome::OtherCall(call_id(1))
        ]
    );
    fixture.commit_one(answer(1, Ok("1"), 50));
    let mut fixture = fixture.lose(60);
    assert_eq!(
        fixture.commit_one(asked(5, "order", "{\"a\":1}")),
        Outcome::SameCall(call_id(1))
    );
    let mut elsewhere = keyed(call(6, "order", "{\"a\":1}"), "k");
    elsewhere.service = service("bakery");
    assert_eq!(
        fixture.commit_one(accept(elsewhere)),
        Outcome::OtherCall(call_id(1))
    );
    // Another user's key is another.
    let mut others = keyed(call(7, "order", "{\"a\":1}"), "k");
    others.from = user(2);
    assert_eq!(fixture.commit_one(accept(others)), Outcome::Done);
    assert_eq!(fixture.number("SELECT count(*) FROM calls"), Some(2));
}

#[test]
fn a_key_is_free_again_when_its_call_was_answered_too_long_ago() {
    let mut fixture = Fixture::new();
    let asked = |number, since| Write::AcceptCall {
        call: keyed(call(number, "order", "1"), "k"),
        given_to: None,
        answered_since: at(since),
    };
    fixture.commit(&[asked(1, 0), answer(1, Ok("1"), 50)]);
    let outcomes = fixture.commit(&[asked(2, 50), asked(3, 51), asked(4, 9999)]);
    let (same, first, second) = (Outcome::SameCall, call_id(1), call_id(3));
    // The last: an open call keeps its key.
    assert_eq!(outcomes, [same(first), Outcome::Done, same(second)]);
    assert_eq!(fixture.call(1, 0), None);
    assert_eq!(fixture.number("SELECT count(*) FROM calls"), Some(1));
}

#[test]
fn a_call_that_is_there_is_accepted_once() {
    let mut fixture = Fixture::new();
    let twice = [
        accept(call(1, "order", "1")),
        answer(1, Ok("1"), 5),
        accept(call(1, "order", "1")),
        accept(keyed(call(2, "order", "1"), "k")),
        accept(keyed(call(2, "order", "1"), "k")),
    ];
    let outcomes = fixture.commit(&twice);
    assert_eq!(outcomes[..4], [const { Outcome::Done }; 4]);
    assert_eq!(outcomes[4], Outcome::SameCall(call_id(2)));
    assert_eq!(fixture.number("SELECT count(*) FROM calls"), Some(2));
    assert_eq!(fixture.readers.open_calls().unwrap().len(), 1);
}

#[test]
fn no_state_is_stored_that_is_none() {
    let mut fixture = Fixture::new();
    fixture.commit(&[
        accept(call(1, "order", "1")),
        accept(call(2, "order", "1")),
        answer(2, Ok("1"), 5),
    ]);
    for change in [
        "answered_at = 1 WHERE answered_at IS NULL",
        "result = '1' WHERE answered_at IS NULL",
        "code = 'a', message = 'b' WHERE answered_at IS NULL",
        "code = 'a', message = 'b' WHERE answered_at IS NOT NULL",
        "code = 'a', result = NULL WHERE answered_at IS NOT NULL",
        "answered_at = NULL WHERE answered_at IS NOT NULL",
    ] {
        let sql = format!("UPDATE calls SET {change}");
        let refused = fixture.store.connection.execute(&sql, []).unwrap_err();
        assert!(refused.to_string().contains("CHECK"), "{change}: {refused}");
    }
}
