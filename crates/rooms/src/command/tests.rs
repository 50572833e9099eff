use serde_json::value::RawValue;

use super::*;

fn request(text: &str) -> Request {
    Command::parse(text)
        .unwrap_or_else(|rejected| panic!("{text}: {rejected:?}"))
        .request
}

fn refusal(text: &str) -> Error {
    Command::parse(text).expect_err(text).error
}

fn refused_field(text: &str) -> (ErrorCode, String) {
    let error = refusal(text);
    (error.code, error.field.unwrap_or_default().into_owned())
}

fn content(text: &str) -> Content {
    match request(text) {
        Request::Send { content, .. } => content,
        other => panic!("{other:?}"),
    }
}

fn bad(field: &str) -> (ErrorCode, String) {
    (ErrorCode::BadField, field.to_owned())
}

fn long(field: &str) -> (ErrorCode, String) {
    (ErrorCode::TooLong, field.to_owned())
}

fn room(name: &str) -> Option<RoomName> {
    Some(RoomName::parse(name).unwrap())
}

#[test]
fn each_command_is_read_with_all_its_fields() {
    assert_eq!(request(r#"{"type":"ping"}"#), Request::Ping);
    assert_eq!(
        request(r#"{"type":"subscribe","id":1,"room":"lobby","since":41,"epoch":"e1"}"#),
        Request::Subscribe {
            room: room("lobby"),
            start: Start::After(41),
            epoch: Some("e1".to_owned())
        }
    );
    assert_eq!(
        request(r#"{"type":"unsubscribe","room":"마당"}"#),
        Request::Unsubscribe {
            room: room("마당")
        }
    );
    assert_eq!(
        request(r#"{"type":"send","room":"lobby","key":"k-17","text":"안녕","reply_to":3}"#),
        Request::Send {
            room: room("lobby"),
            key: Some(Key::parse("k-17").unwrap()),
            content: Content {
                text: Some("안녕".to_owned()),
                data: None,
                reply_to: Some(3)
            }
        }
    );
    assert_eq!(
        request(r#"{"type":"history","room":"lobby","before":58,"limit":20}"#),
        Request::History {
            room: room("lobby"),
            page: Page {
                anchor: Anchor::Before(58),
                limit: 20
            }
        }
    );
    assert_eq!(
        request(r#"{"type":"who","room":"lobby"}"#),
        Request::Who {
            room: room("lobby")
        }
    );
    assert_eq!(
        request(r#"{"type":"typing","room":"lobby","on":true}"#),
        Request::Typing {
            room: room("lobby"),
            on: true
        }
    );
    let data = RawValue::from_string(r#"{ "x":1.0}"#.to_owned()).unwrap();
    assert_eq!(
        request(r#"{"type":"signal","room":"lobby","data":{ "x":1.0}}"#),
        Request::Signal {
            room: room("lobby"),
            data: Data(data)
        }
    );
}

#[test]
fn what_passes_by_needs_its_one_field() {
    for value in ["null", "1", "\"true\"", "[]", "\"\""] {
        let text = format!(r#"{{"type":"typing","on":{value}}}"#);
        assert_eq!(refused_field(&text), bad("on"), "{value}");
    }
    assert_eq!(refused_field(r#"{"type":"typing"}"#), bad("on"));
    assert_eq!(
        refusal(r#"{"type":"typing","on":1}"#).message,
        "The field 'on' must be true or false."
    );
    for data in ["", r#","data":null"#, r#","data":"\ud800""#] {
        let text = format!(r#"{{"type":"signal"{data}}}"#);
        assert_eq!(refused_field(&text), bad("data"), "{data}");
    }
    let deep = format!(
        r#"{{"type":"signal","data":{}{}}}"#,
        "[".repeat(65),
        "]".repeat(65)
    );
    assert_eq!(refused_field(&deep), long("data"));
    for data in ["0", "false", "\"\"", "[]", "{ }"] {
        let text = format!(r#"{{"type":"signal","data":{data}}}"#);
        assert!(
            matches!(request(&text), Request::Signal { data: found, .. } if found.0.get() == data)
        );
    }
}

#[test]
fn a_room_may_be_left_out_and_null_is_left_out() {
    assert_eq!(request(r#"{"type":"who"}"#), Request::Who { room: None });
    assert_eq!(
        request(r#"{"type":"subscribe","room":null,"since":null,"last":null,"epoch":null}"#),
        Request::Subscribe {
            room: None,
            start: Start::Now,
            epoch: None
        }
    );
    assert!(
        content(r#"{"type":"send","text":"a","data":null,"key":null}"#)
            .data
            .is_none()
    );
}

#[test]
fn an_id_is_a_string_or_an_integer_and_comes_back_as_it_was() {
    for id in [
        "7",
        "-9223372036854775808",
        "9223372036854775807",
        "\"7\"",
        "\"주문-1\"",
        "\"😀\"",
    ] {
        let text = format!(r#"{{"type":"ping","id":{id}}}"#);
        let parsed = Command::parse(&text).unwrap().id.unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), id);
    }
    let longest = format!(r#"{{"type":"ping","id":"{}"}}"#, "가".repeat(64));
    assert!(Command::parse(&longest).unwrap().id.is_some());
    assert_eq!(
        Command::parse(r#"{"type":"ping","id":null}"#).unwrap().id,
        None
    );
}

#[test]
fn an_id_of_another_kind_is_refused() {
    for id in [
        "1.5",
        "1e3",
        "true",
        "[]",
        "{}",
        "9223372036854775808",
        "\"\"",
        r#""\ud800""#,
    ] {
        let text = format!(r#"{{"type":"ping","id":{id}}}"#);
        assert_eq!(refused_field(&text), bad("id"), "{id}");
    }
    let too_long = format!(r#"{{"type":"ping","id":"{}"}}"#, "a".repeat(65));
    assert_eq!(refused_field(&too_long), long("id"));
    assert_eq!(refusal(&too_long).limit, Some(64));
}

#[test]
fn an_error_carries_the_id_wherever_it_stands() {
    for text in [
        r#"{"id":7,"type":"dance"}"#,
        r#"{"type":"send","id":7}"#,
        r#"{"type":"send","room":"a b","text":"x","id":7}"#,
        r#"{"type":5,"id":7}"#,
        r#"{"id":7}"#,
        r#"{"type":"send","text":"\ud800","id":7}"#,
        // The syntax breaks after the id.
        r#"{"id":7,"type":"send","text":"#,
        r#"{"id":7,"type":"ping"} trailing"#,
    ] {
        assert_eq!(
            Command::parse(text).expect_err(text).id,
            Some(RequestId::Number(7)),
            "{text}"
        );
    }
}

#[test]
fn what_is_not_one_object_is_bad_json() {
    for text in [
        "",
        " ",
        "null",
        "7",
        "\"text\"",
        "[]",
        "[{}]",
        "{",
        "{}{}",
        "{'type':'ping'}",
        "{\"a\":1,}",
        "{\"a\":01}",
        "{\"a\":\"\n\"}",
        "{\"\\ud800\":1}",
        "\u{feff}{}",
        "{\"a\":nul}",
        "\0",
    ] {
        assert_eq!(refusal(text).code, ErrorCode::BadJson, "{text:?}");
    }
}

#[test]
fn bad_json_is_not_quoted_back() {
    let message = refusal(&format!("\"{}\"", "secret".repeat(1000))).message;
    assert!(message.contains("line 1"), "{message}");
    assert!(!message.contains("secret"));
}

#[test]
fn a_type_must_be_a_known_string() {
    for text in [
        "{}",
        r#"{"type":null}"#,
        r#"{"type":7}"#,
        r#"{"type":"\udfff"}"#,
    ] {
        assert_eq!(refused_field(text), bad("type"), "{text}");
    }
    for text in [
        r#"{"type":"Ping"}"#,
        r#"{"type":""}"#,
        r#"{"type":"ping\u0000"}"#,
        r#"{"type":"edit"}"#,
    ] {
        assert_eq!(refusal(text).code, ErrorCode::UnknownType, "{text}");
    }
}

#[test]
fn unknown_fields_are_ignored_and_the_last_of_two_counts() {
    let text = r#"{"type":"who","type":"ping","x":{"type":"send"},"y":[1,2]}"#;
    assert_eq!(request(text), Request::Ping);
    assert_eq!(
        content(r#"{"type":"send","text":7,"text":"b"}"#)
            .text
            .as_deref(),
        Some("b")
    );
    assert_eq!(
        refused_field(r#"{"type":"send","text":"b","text":null}"#),
        bad("text")
    );
    assert_eq!(
        content(r#"{"\u0074ype":"send","te\u0078t":"a"}"#)
            .text
            .as_deref(),
        Some("a")
    );
}

#[test]
fn a_bad_room_says_what_is_wrong_with_it() {
    for name in ["a b", "", ".", "..", "a/b", "a\\u0000", "\\ud83d", "😀"] {
        let text = format!(r#"{{"type":"who","room":"{name}"}}"#);
        assert_eq!(refused_field(&text), bad("room"), "{name}");
    }
    assert_eq!(refused_field(r#"{"type":"who","room":5}"#), bad("room"));
    let too_long = refusal(&format!(r#"{{"type":"who","room":"{}"}}"#, "방".repeat(65)));
    assert_eq!(
        (too_long.code, too_long.limit),
        (ErrorCode::TooLong, Some(64))
    );
    assert_eq!(too_long.field.as_deref(), Some("room"));
}

#[test]
fn a_decomposed_room_is_the_composed_one() {
    let text = "{\"type\":\"who\",\"room\":\"\u{1106}\u{1161}\u{1103}\u{1161}\u{11bc}\"}";
    assert_eq!(
        request(text),
        Request::Who {
            room: room("마당")
        }
    );
}

#[test]
fn a_subscription_begins_at_one_place() {
    let start = |fields: &str| match request(&format!(r#"{{"type":"subscribe"{fields}}}"#)) {
        Request::Subscribe { start, .. } => start,
        other => panic!("{other:?}"),
    };
    assert_eq!(start(""), Start::Now);
    assert_eq!(start(r#","since":0"#), Start::After(0));
    assert_eq!(start(r#","last":20"#), Start::Last(20));
    assert_eq!(start(r#","since":9007199254740991"#), Start::After(MAX_SEQ));
    let both = r#"{"type":"subscribe","since":1,"last":2}"#;
    assert_eq!(refused_field(both), bad("last"));
    for value in [
        "-1",
        "1.5",
        "1e3",
        "\"1\"",
        "true",
        "9007199254740992",
        "18446744073709551616",
    ] {
        let text = format!(r#"{{"type":"subscribe","since":{value}}}"#);
        assert_eq!(refused_field(&text), bad("since"), "{value}");
    }
    let epoch = format!(r#"{{"type":"subscribe","epoch":"{}"}}"#, "e".repeat(65));
    assert_eq!(refused_field(&epoch), long("epoch"));
    assert_eq!(
        refused_field(r#"{"type":"subscribe","epoch":1}"#),
        bad("epoch")
    );
}

#[test]
fn a_page_has_one_anchor_and_a_bounded_limit() {
    let page = |fields: &str| match request(&format!(r#"{{"type":"history"{fields}}}"#)) {
        Request::History { page, .. } => page,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        page(""),
        Page {
            anchor: Anchor::Latest,
            limit: 50
        }
    );
    assert_eq!(
        page(r#","after":0,"limit":1"#),
        Page {
            anchor: Anchor::After(0),
            limit: 1
        }
    );
    assert_eq!(page(r#","limit":200"#).limit, 200);
    for (fields, field) in [
        (r#","before":1,"after":2"#, "after"),
        (r#","limit":0"#, "limit"),
        (r#","limit":201"#, "limit"),
        (r#","limit":"50""#, "limit"),
        (r#","before":-1"#, "before"),
        (r#","after":9007199254740992"#, "after"),
    ] {
        assert_eq!(
            refused_field(&format!(r#"{{"type":"history"{fields}}}"#)),
            bad(field),
            "{fields}"
        );
    }
    let sentence = refusal(r#"{"type":"history","limit":201}"#).message;
    assert_eq!(
        sentence,
        "The field 'limit' must be a whole number from 1 to 200."
    );
}

#[test]
fn a_page_asked_for_elsewhere_has_the_same_bounds() {
    assert_eq!(
        Page::new(Some(9), None, Some(7)),
        Ok(Page {
            anchor: Anchor::Before(9),
            limit: 7
        })
    );
    for (page, field) in [
        (Page::new(Some(1), Some(1), None), "after"),
        (Page::new(Some(u64::MAX), None, None), "before"),
        (Page::new(None, Some(u64::MAX), None), "after"),
        (Page::new(None, None, Some(0)), "limit"),
        (Page::new(None, None, Some(u64::MAX)), "limit"),
    ] {
        assert_eq!(page.unwrap_err().field.as_deref(), Some(field));
    }
}

#[test]
fn a_message_needs_a_text_or_data() {
    for text in [
        r#"{"type":"send","room":"a"}"#,
        r#"{"type":"send","room":"a","text":null,"data":null}"#,
        r#"{"type":"send","room":"a","text":"","data":1}"#,
        r#"{"type":"send","room":"a","text":["a"]}"#,
        r#"{"type":"send","room":"a","text":"a\u0000b"}"#,
        r#"{"type":"send","room":"a","text":"\ude00\ud83d"}"#,
    ] {
        assert_eq!(refused_field(text), bad("text"), "{text}");
    }
    assert_eq!(
        refused_field(r#"{"type":"send","text":"a","reply_to":0}"#),
        bad("reply_to")
    );
    assert_eq!(
        refused_field(r#"{"type":"send","text":"a","key":""}"#),
        bad("key")
    );
    let key = format!(r#"{{"type":"send","text":"a","key":"{}"}}"#, "k".repeat(65));
    assert_eq!(refused_field(&key), long("key"));
}

#[test]
fn a_text_keeps_every_character() {
    let said = content(r#"{"type":"send","text":"줄\n바꿈 \ud83d\ude00 👩‍👩‍👧 \u1112\u1161\u11ab"}"#);
    // A text is not normalised: it is the sender's.
    assert_eq!(
        said.text.as_deref(),
        Some("줄\n바꿈 😀 👩‍👩‍👧 \u{1112}\u{1161}\u{11ab}")
    );
}

#[test]
fn data_is_kept_byte_for_byte() {
    for data in [
        "0",
        "false",
        "\"\"",
        "[]",
        "{ }",
        "1.0",
        "1e2",
        "{\"b\":1,\"a\":2,\"b\":3}",
        "[ 1 ,\t2 ]",
        r#""\u00e9\ud83d\ude00\/""#,
        r#"{"t":"[[[{\"\\"}"#,
        "123456789012345678901234567890",
        "\"\\u0000\"",
        "\"안녕\"",
    ] {
        let text = format!(r#"{{"type":"send","data":  {data}  }}"#);
        assert_eq!(content(&text).data.unwrap().get(), data);
    }
}

#[test]
fn data_with_half_a_character_is_refused() {
    for data in [
        r#""\ud800""#,
        r#"{"a":["\udc00"]}"#,
        r#"{"\ud83d":1}"#,
        r#"["\ud83d\ud83d"]"#,
    ] {
        let text = format!(r#"{{"type":"send","data":{data}}}"#);
        assert_eq!(refused_field(&text), bad("data"), "{data}");
    }
    // An escaped backslash makes no escape of what follows it.
    assert!(
        content(r#"{"type":"send","data":"\\ud800"}"#)
            .data
            .is_some()
    );
}

#[test]
fn data_nests_64_deep_and_no_deeper() {
    let nested = |open: &str, depth: usize, close: &str| {
        format!(
            r#"{{"type":"send","data":{}0{}}}"#,
            open.repeat(depth),
            close.repeat(depth)
        )
    };
    assert!(content(&nested("[", 64, "]")).data.is_some());
    assert!(content(&nested("{\"a\":", 64, "}")).data.is_some());
    let error = refusal(&nested("[", 65, "]"));
    assert_eq!(
        (error.code, error.field.as_deref()),
        (ErrorCode::TooLong, Some("data"))
    );
    assert_eq!(error.limit, Some(64));
    assert_eq!(refused_field(&nested("{\"a\":", 65, "}")), long("data"));
    let wide = format!(r#"{{"type":"send","data":[{}[]]}}"#, "[],{},".repeat(1000));
    assert!(content(&wide).data.is_some());
}

#[test]
fn nesting_of_any_depth_never_overflows_the_stack() {
    let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
    assert_eq!(
        refused_field(&format!(r#"{{"type":"send","data":{deep}}}"#)),
        long("data")
    );
    assert_eq!(
        request(&format!(r#"{{"type":"ping","x":{deep}}}"#)),
        Request::Ping
    );
    assert_eq!(refusal(&deep).code, ErrorCode::BadJson);
    let unclosed = format!(r#"{{"type":"ping","x":{}"#, "[{\"a\":".repeat(300_000));
    assert_eq!(refusal(&unclosed).code, ErrorCode::BadJson);
}

#[test]
fn a_post_has_the_fields_of_a_message_and_no_type() {
    let post = Post::parse(r#"{"name":"날씨","key":"k","text":"맑음","room":7}"#).unwrap();
    assert_eq!(post.name.as_deref(), Some("날씨"));
    assert_eq!(post.key, Some(Key::parse("k").unwrap()));
    assert_eq!(post.content.text.as_deref(), Some("맑음"));
    let refused = |text: &str| Post::parse(text).unwrap_err();
    assert_eq!(refused("[]").code, ErrorCode::BadJson);
    for (text, field) in [
        ("{}", "text"),
        (r#"{"text":"a","key":7}"#, "key"),
        (r#"{"text":"a","name":{}}"#, "name"),
    ] {
        assert_eq!(refused(text).field.as_deref(), Some(field), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,200}") {
        let _ = Command::parse(&text);
    }

    #[test]
    fn no_object_makes_the_parser_panic(
        text in r#"\{"(type|id|data|text|room)":("(send|who|\\u[d0][0-9c][0-9]{2}|a){0,3}"|[-0-9.e]{1,6}|\[{0,70}\]{0,70})(,"data":\[?"[\\"u0-9d]{0,9}"\]?)?\}"#
    ) {
        let _ = Command::parse(&text);
    }

    #[test]
    fn any_text_without_nul_arrives_as_it_was_sent(said in "[^\0]{1,100}") {
        let text = serde_json::json!({ "type": "send", "text": said }).to_string();
        proptest::prop_assert_eq!(content(&text).text, Some(said));
    }
}

const CALL: &str = "c_01KAQ6XV2R0000000000000007";

#[test]
fn a_call_is_read_with_all_its_fields() {
    let Request::Call(question) = request(
        r#"{"type":"call","id":3,"service":"카페","method":"order","params":{"a": [1]},"timeout_ms":60000,"key":"k"}"#,
    ) else {
        panic!("no call");
    };
    assert_eq!(question.service.as_str(), "카페");
    assert_eq!(question.method.as_str(), "order");
    assert_eq!(question.params.0.get(), r#"{"a": [1]}"#);
    assert_eq!(question.timeout_ms, Some(60_000));
    assert_eq!(question.key, Some(Key::parse("k").unwrap()));
    let Request::Call(question) = request(r#"{"type":"call","service":"a","method":"b"}"#) else {
        panic!("no call");
    };
    assert_eq!(question.params, Data::null());
    for (field, text) in [
        ("service", r#"{"type":"call","method":"b"}"#),
        ("service", r#"{"type":"call","service":"a b","method":"b"}"#),
        ("method", r#"{"type":"call","service":"a"}"#),
        (
            "timeout_ms",
            r#"{"type":"call","service":"a","method":"b","timeout_ms":0}"#,
        ),
        (
            "timeout_ms",
            r#"{"type":"call","service":"a","method":"b","timeout_ms":86400001}"#,
        ),
        ("ticket", r#"{"type":"collect"}"#),
        (
            "ticket",
            r#"{"type":"cancel","ticket":"c_01KAQ6XV2R0000000000000007"}"#,
        ),
    ] {
        assert_eq!(refused_field(text), bad(field), "{text}");
    }
}

#[test]
fn a_service_says_how_it_serves() {
    let serve = |text: &str| match request(text) {
        Request::Serve(serve) => serve,
        other => panic!("{other:?}"),
    };
    let plain = serve(r#"{"type":"serve","service":"cafe"}"#);
    assert_eq!(
        (plain.concurrency, plain.repeatable, plain.resume.len()),
        (1, false, 0)
    );
    let full = serve(&format!(
        r#"{{"type":"serve","service":"cafe","concurrency":1024,"repeatable":true,"resume":["{CALL}"]}}"#
    ));
    assert_eq!((full.concurrency, full.repeatable), (1_024, true));
    assert_eq!(full.resume, [CallId::parse(CALL).unwrap()]);
    for (field, rest) in [
        ("concurrency", r#""concurrency":0"#),
        ("concurrency", r#""concurrency":1025"#),
        ("repeatable", r#""repeatable":1"#),
        ("resume", r#""resume":"c_1""#),
        ("resume", r#""resume":["c_1"]"#),
    ] {
        let text = format!(r#"{{"type":"serve","service":"cafe",{rest}}}"#);
        assert_eq!(refused_field(&text), bad(field), "{text}");
    }
    let many = vec![format!("\"{CALL}\""); 1_025].join(",");
    let text = format!(r#"{{"type":"serve","service":"cafe","resume":[{many}]}}"#);
    assert_eq!(refused_field(&text), bad("resume"));
}

#[test]
fn an_answer_is_a_result_or_an_error() {
    let answer = |rest: &str| {
        let text = format!(r#"{{"type":"respond","call":"{CALL}"{rest}}}"#);
        Command::parse(&text).map(|command| match command.request {
            Request::Respond { answer, .. } => answer,
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(answer("").unwrap(), Ok(Data::null()));
    assert_eq!(answer(r#","result":null"#).unwrap(), Ok(Data::null()));
    assert_eq!(
        answer(r#","result":[ 1]"#).unwrap().unwrap().0.get(),
        "[ 1]"
    );
    let failure = answer(r#","error":{"code":"sold_out","message":"없어요"}"#).unwrap();
    assert_eq!(failure, Err(Failure::parse("sold_out", "없어요").unwrap()));
    assert!(answer(r#","error":{"code":"sold_out"}"#).unwrap().is_err());
    for rest in [
        r#","error":"sold_out""#,
        r#","error":{"message":"a"}"#,
        r#","error":{"code":7,"message":"a"}"#,
        r#","error":{"code":"Sold out","message":"a"}"#,
        r#","result":1,"error":{"code":"a","message":"a"}"#,
    ] {
        let error = answer(rest).unwrap_err().error;
        assert_eq!(
            (error.code, error.field.as_deref()),
            (ErrorCode::BadField, Some("error")),
            "{rest}"
        );
    }
}
