use super::*;

fn response(status: u16, body: &str) -> Response<Option<Bytes>> {
    let body = Some(Bytes::copy_from_slice(body.as_bytes()));
    Response::builder().status(status).body(body).unwrap()
}

/// What the caller is told, with whether it is the service's own word.
fn told(status: u16, body: &str) -> (bool, Result<String, String>) {
    let of = |answer: Answer| match answer {
        Ok(data) => Ok(data.0.get().to_owned()),
        Err(failure) => Err(failure.code),
    };
    match read(response(status, body)) {
        Ok(answer) => (true, of(answer)),
        Err(trouble) => {
            assert!(trouble.asked);
            (false, of(Err(trouble.failure)))
        }
    }
}

fn code(code: &str) -> Result<String, String> {
    Err(code.to_owned())
}

#[test]
fn a_response_says_what_came_of_a_call() {
    let sold_out = r#"{"code":"sold_out","message":"없어요","more":1}"#;
    let ours = r#"{"type":"error","code":"busy","message":"Later."}"#;
    for (status, body, expected) in [
        (200, r#"{"a": 1}"#, (true, Ok(r#"{"a": 1}"#.to_owned()))),
        (201, "1\n", (true, Ok("1".to_owned()))),
        (204, "", (true, Ok("null".to_owned()))),
        (200, "<html>", (true, code("internal"))),
        (302, "", (true, code("internal"))),
        (304, "{}", (true, code("internal"))),
        (422, sold_out, (true, code("sold_out"))),
        (404, sold_out, (true, code("sold_out"))),
        (
            400,
            r#"{"code":"Sold Out","message":"없어요"}"#,
            (true, code("bad_request")),
        ),
        (404, "<html>", (true, code("bad_request"))),
        (422, r#"{"code":7}"#, (true, code("bad_request"))),
        (500, "<html>", (false, code("unavailable"))),
        (500, sold_out, (false, code("sold_out"))),
        (503, ours, (false, code("busy"))),
        (429, "", (false, code("unavailable"))),
        (408, "", (false, code("unavailable"))),
    ] {
        assert_eq!(told(status, body), expected, "{status} {body}");
    }
    let refused = read(response(400, r#"{"message":"커피만 있어요"}"#));
    assert_eq!(refused.ok().unwrap().unwrap_err().message, "커피만 있어요");
    let too_long = Response::new(None);
    assert_eq!(read(too_long).ok().unwrap().unwrap_err().code, "internal");
}

#[test]
fn a_pause_may_be_asked_for_in_seconds_or_until_a_date() {
    let after = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, value.parse().unwrap());
        retry_after(&headers)
    };
    assert_eq!(after("7"), Duration::from_secs(7));
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
    assert!((50..=60).contains(&after(&date).as_secs()));
    for nothing in ["Thu, 01 Jan 1970 00:00:00 GMT", "soon", "-1"] {
        assert_eq!(after(nothing), Duration::ZERO);
    }
    assert_eq!(retry_after(&HeaderMap::new()), Duration::ZERO);
}

#[test]
fn an_address_is_one_of_http() {
    let uri = |url: &str| {
        let service = HttpService {
            url: url.to_owned(),
            ..HttpService::default()
        };
        service.uri()
    };
    for url in [
        "http://127.0.0.1:3000/cafe",
        "https://example.com",
        "http://[::1]/a?b=c",
    ] {
        assert!(uri(url).is_ok(), "{url}");
    }
    for url in [
        "",
        "/cafe",
        "cafe",
        "ftp://a/b",
        "http://",
        "http://me:pw@host/",
        "http://a b/",
    ] {
        assert!(uri(url).is_err(), "{url}");
    }
}
