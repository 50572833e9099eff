//! What is told is what went over the wire, and the documented figures are those measured.
use std::collections::BTreeMap;

use websocket::{Decoder, Event, Limits, Opcode, Role, encode_masked};

use super::{
    lane::{Direction, Totals, Way},
    plan::{Connection, Task},
    wire::{Field, Meaning, Part},
    *,
};

const FIGURES: [&str; 2] = [
    include_str!("../../../../docs/side-by-side.md"),
    include_str!("../../../../docs/side-by-side.ko.md"),
];

/// All that is told of a demonstration, and its data folder.
async fn demonstration(task: Task, connection: Connection) -> (Vec<Told>, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    let config = Config {
        data: data.path().to_owned(),
        ..Config::default()
    };
    let (_running, ending) = watch::channel(false);
    let lab = Lab::open(&config, ending);
    let plan = Plan {
        task,
        poll_ms: 500,
        connection,
    };
    let place = lab.places.clone().try_acquire_owned().unwrap();
    let (page, mut told) = mpsc::channel(MOST_TOLD);
    tokio::spawn(demonstrate(lab.clone(), place, plan, page));
    let mut all = Vec::new();
    while let Some(one) = told.recv().await {
        all.push(one);
    }
    assert_eq!(all.last(), Some(&Told::End));
    lab.end().await;
    (all, data)
}

/// One thing that went over the wire.
struct Sent<'t> {
    way: Way,
    connection: u64,
    direction: Direction,
    what: &'static str,
    part: &'t Part,
    totals: Totals,
    bytes: &'t [u8],
}

fn sent(told: &[Told]) -> Vec<Sent<'_>> {
    let exchanges = told.iter().filter_map(|told| match told {
        Told::Exchange {
            way,
            connection,
            direction,
            what,
            part,
            totals,
            bytes,
            ..
        } => Some(Sent {
            way: *way,
            connection: *connection,
            direction: *direction,
            what,
            part,
            totals: *totals,
            bytes,
        }),
        _ => None,
    });
    exchanges.collect()
}

fn totals(told: &[Told], wanted: Way) -> Totals {
    let totals = told.iter().find_map(|told| match told {
        Told::Done { way, totals, .. } if *way == wanted => Some(*totals),
        _ => None,
    });
    totals.unwrap()
}

fn known(told: &[Told], wanted: Way) -> Vec<usize> {
    let lines = told.iter().filter_map(|told| match told {
        Told::Known { way, line, .. } if *way == wanted => Some(*line),
        _ => None,
    });
    let mut lines: Vec<_> = lines.collect();
    lines.sort_unstable();
    lines
}

/// What was sent one way and in one direction, put together.
fn stream(sent: &[Sent<'_>], way: Way, direction: Direction) -> Vec<u8> {
    let parts = sent
        .iter()
        .filter(|sent| sent.way == way && sent.direction == direction);
    parts.flat_map(|sent| sent.bytes).copied().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ways_tell_every_message_and_count_every_byte() {
    let (told, data) = demonstration(Task::Talk, Connection::Kept).await;
    let sent = sent(&told);
    for way in [Way::Http, Way::Websocket] {
        assert_eq!(known(&told, way), [0, 1, 2, 3, 4, 5]);
        let totals = totals(&told, way);
        let counted = [totals.up, totals.down];
        let shown = [Direction::Up, Direction::Down]
            .map(|direction| stream(&sent, way, direction).len() as u64);
        assert_eq!(counted, shown);
        assert_eq!(totals.connections, 1);
        // What is told on the way only grows.
        let on_the_way = sent.iter().filter(|sent| sent.way == way);
        assert!(on_the_way.map(|sent| sent.totals.up).is_sorted());
    }
    let websocket = totals(&told, Way::Websocket);
    // The connection, the handshake, and an `ok` for each of three messages.
    assert_eq!(websocket.round_trips, 5);
    let polls = sent.iter().filter(|sent| sent.what == "poll").count() as u64;
    assert!(polls >= 3);
    assert_eq!(totals(&told, Way::Http).round_trips, 1 + 3 + polls);
    let left = std::fs::read_dir(data.path().join(FOLDER)).unwrap();
    assert_eq!(left.count(), 0, "what was stored is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_of_a_websocket_is_what_rfc_6455_says() {
    let (told, _) = demonstration(Task::Talk, Connection::Kept).await;
    let sent = sent(&told);
    for (direction, role) in [
        (Direction::Up, Role::Server),
        (Direction::Down, Role::Client),
    ] {
        let bytes = stream(&sent, Way::Websocket, direction);
        let head = bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        let mut frames = bytes[head..].to_vec();
        let mut input = frames.as_mut_slice();
        let mut decoder = Decoder::new(role, Limits::default());
        let mut texts = Vec::new();
        let mut closed = false;
        while let Some(event) = decoder.receive(&mut input).unwrap() {
            match event {
                Event::Text(text) => texts.push(text.to_string()),
                Event::Close(close) => closed = close.is_some(),
                other => panic!("{other:?}"),
            }
        }
        assert!(closed);
        let shown = sent.iter().filter_map(|sent| match sent.part {
            Part::Frame {
                header, payload, ..
            } if sent.direction == direction && is_text(header) => Some(payload.clone()),
            _ => None,
        });
        assert_eq!(texts, shown.collect::<Vec<_>>());
    }
    let key = header(&sent, "handshake", "sec-websocket-key");
    let accept = header(&sent, "switching", "sec-websocket-accept");
    assert_eq!(accept, accept_of(&key));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_of_http_is_a_request_and_an_answer_each_on_its_connection() {
    let (told, _) = demonstration(Task::Talk, Connection::New).await;
    let sent = sent(&told);
    let http = sent.iter().filter(|sent| sent.way == Way::Http);
    let mut by_connection: BTreeMap<u64, Vec<&Sent<'_>>> = BTreeMap::new();
    for one in http {
        by_connection.entry(one.connection).or_default().push(one);
    }
    for parts in by_connection.values() {
        let [opened, request, answer, closed] = parts[..] else {
            panic!("{}", parts.len())
        };
        assert_eq!(
            (opened.part, closed.part),
            (&Part::Connected, &Part::Closed)
        );
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut parsed = httparse::Request::new(&mut headers);
        let head = parsed.parse(request.bytes).unwrap().unwrap();
        let Part::Http { head_bytes, .. } = request.part else {
            panic!("{:?}", request.part)
        };
        assert_eq!(*head_bytes, head);
        let Part::Http { head, body, .. } = answer.part else {
            panic!("{:?}", answer.part)
        };
        assert_eq!(format!("{head}{body}").as_bytes(), answer.bytes);
        serde_json::from_str::<serde_json::Value>(body).unwrap();
    }
    let totals = totals(&told, Way::Http);
    assert_eq!(totals.connections, by_connection.len() as u64);
    // Each costs its own round trip, and one for the question.
    assert_eq!(totals.round_trips, 2 * totals.connections);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_figures_are_those_measured() {
    let (waited, _) = demonstration(Task::Wait, Connection::Kept).await;
    let (talked, _) = demonstration(Task::Talk, Connection::Kept).await;
    let mut bytes: BTreeMap<&str, usize> = BTreeMap::new();
    for sent in [sent(&waited), sent(&talked)].into_iter().flatten() {
        // A page with several messages, and a greeting to someone known, are longer.
        let length = bytes.entry(sent.what).or_insert(sent.bytes.len());
        *length = (*length).min(sent.bytes.len());
    }
    let of = |what: &str| bytes[what];
    // Each way: opening, saying a message, and a message of someone else.
    let post = of("post") + of("stored");
    let open = of("handshake") + of("switching") + of("hello") + of("subscribed");
    let send = of("send") + of("event") + of("ok");
    let once = [post, open + send];
    let hundred = [100 * post, open + 100 * send];
    let minute = [
        50 * (of("poll") + of("nothing")) + 10 * (of("poll") + of("news")),
        open + 10 * of("event"),
    ];
    let figures = [
        vec![of("post"), of("stored")],
        vec![of("poll"), of("nothing")],
        vec![of("poll"), of("news")],
        vec![of("handshake"), of("switching")],
        vec![0, of("hello") + of("subscribed")],
        vec![of("send"), of("event") + of("ok")],
        vec![0, of("event")],
        once.to_vec(),
        hundred.to_vec(),
        minute.to_vec(),
    ];
    for page in FIGURES {
        let documented = figures_in(page);
        assert_eq!(documented, figures, "the tables of docs/side-by-side*.md");
    }
}

/// The numbers in the last two columns of the page's tables.
fn figures_in(page: &str) -> Vec<Vec<usize>> {
    let rows = page.lines().filter(|line| line.starts_with('|'));
    let numbers = rows.filter_map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').collect();
        let numbers = cells[cells.len() - 2..]
            .iter()
            .map(|cell| cell.trim().replace(',', "").parse().ok());
        numbers.collect::<Option<Vec<usize>>>()
    });
    numbers.collect()
}

#[test]
fn a_frame_is_taken_apart_at_every_length_of_its_length() {
    for length in [0, 1, 125, 126, 65_535, 65_536] {
        let payload = vec![b'a'; length];
        let mut bytes = Vec::new();
        encode_masked(Opcode::Text, &payload, [1, 2, 3, 4], &mut bytes);
        assert_eq!(wire::frame(&bytes[..bytes.len() - 1]), None, "not whole");
        let masked = wire::frame(&bytes).unwrap();
        let extended = [0, 2, 8][usize::from(length > 125) + usize::from(length > 65_535)];
        assert_eq!((masked.header, masked.payload), (6 + extended, length));
        let Part::Frame {
            header,
            payload: shown,
            ..
        } = Part::frame(&bytes, &masked)
        else {
            panic!("no frame")
        };
        assert_eq!(shown.as_bytes(), payload);
        let Field { hex, means } = &header[2];
        assert_eq!((hex.as_str(), means), ("01 02 03 04", &Meaning::Mask));

        let bytes = websocket::Frame::text(String::from_utf8(payload).unwrap()).to_bytes();
        let plain = wire::frame(&bytes).unwrap();
        assert_eq!((plain.header, plain.payload), (2 + extended, length));
        let means = Meaning::Length {
            bytes: length,
            masked: false,
        };
        let Part::Frame { header, .. } = Part::frame(&bytes, &plain) else {
            panic!("no frame")
        };
        assert_eq!((header.len(), header[1].means), (2, means));
    }
    assert_eq!(wire::frame(&[]), None);
    assert_eq!(
        wire::frame(&[0x81, 0xff, 255, 255, 255, 255, 255, 255, 255, 255]),
        None
    );
}

#[test]
fn an_answer_ends_where_its_length_says() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1";
    assert_eq!(wire::answer(answer).unwrap(), Some((38, 2)));
    assert_eq!(wire::answer(&answer[..39]).unwrap(), None);
    assert_eq!(wire::answer(&answer[..20]).unwrap(), None);
    assert_eq!(wire::status(answer), 200);
    assert!(wire::answer(b"no answer at all\r\n\r\n").is_err());
}

fn is_text(header: &[Field]) -> bool {
    let text = Meaning::Kind {
        opcode: 1,
        last: true,
    };
    header[0].means == text
}

fn header(sent: &[Sent<'_>], what: &str, name: &str) -> String {
    let sent = sent.iter().find(|sent| sent.what == what).unwrap();
    let head = String::from_utf8(sent.bytes.to_vec()).unwrap();
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let line = lines.find(|(line, _)| line.eq_ignore_ascii_case(name));
    line.unwrap().1.to_owned()
}

/// RFC 6455 §4.2.2, as the codec computes it for a request.
fn accept_of(key: &str) -> String {
    let request = axum::http::Request::builder()
        .uri("/ws")
        .header("host", "madang.example")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", key)
        .body(())
        .unwrap();
    let (parts, ()) = request.into_parts();
    let upgrade = websocket::handshake::server::check(&parts.method, parts.version, &parts.headers);
    let response = upgrade.unwrap().response(None, None);
    response.headers()["sec-websocket-accept"]
        .to_str()
        .unwrap()
        .to_owned()
}
