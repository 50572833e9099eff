use rooms::{CallId, Data};

use crate::testing::*;

#[test]
fn an_answer_is_read_as_it_was_given_for_as_long_as_it_is_kept() {
    let mut fixture = Fixture::new();
    let json = "{ \"b\" : 1.0, \"a\":\t[\"\\u0000\", \"안녕\", 1e999], \"b\": 2 }";
    fixture.commit(&[
        accept(call(1, "order", json)),
        accept(call(2, "order", "null")),
        accept(call(3, "order", "null")),
        answer(1, Ok(json), 50),
        answer(2, Err("sold_out"), 60),
    ]);
    let row = fixture.call(1, 50).unwrap();
    assert_eq!((&row.user, row.at), (&user(1).id, at(1)));
    assert_eq!(
        (row.service.as_str(), row.method.as_str()),
        ("카페", "order")
    );
    assert_eq!(row.answer, Some((answered(Ok(json)), at(50))));
    assert_eq!(fixture.call(1, 51), None, "it was answered before");
    let failed = fixture.call(2, 51).unwrap().answer;
    assert_eq!(failed, Some((answered(Err("sold_out")), at(60))));
    let open = fixture.call(3, 99_999).unwrap();
    assert_eq!(open.answer, None);
    assert_eq!(fixture.call(4, 0), None);
}

#[test]
fn open_calls_are_read_whole_and_in_the_order_of_asking() {
    let mut fixture = Fixture::new();
    let json = format!("[\"{}\" , 1.0]", "가".repeat(30_000));
    let mut asked = [
        keyed(call(3, "order", &json), "열쇠"),
        call(1, "order", "null"),
        call(2, "멈춤", "{}"),
    ];
    asked[1].from.guest = false;
    fixture.commit(&asked.clone().map(accept));
    let fixture = fixture.lose(10);
    let open = fixture.readers.open_calls().unwrap();
    let open: Vec<_> = open.into_iter().map(|open| open.call).collect();
    asked.sort_by_key(|call| call.id);
    assert_eq!(open, asked);
}

#[test]
fn the_id_of_a_call_is_stored_as_its_ulid() {
    let mut fixture = Fixture::new();
    fixture.commit_one(accept(call(1, "order", "null")));
    let id = fixture.text("SELECT id FROM calls").unwrap();
    assert_eq!(format!("c_{id}"), CallId::new(at(1), 1).to_string());
    assert_eq!(
        fixture.text("SELECT params FROM calls").as_deref(),
        Some(Data::null().0.get())
    );
}
