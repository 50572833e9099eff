//! The whole of it: trouble, calm, and the comparison.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeSet, HashMap},
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Context;
use client::{Client, Incoming};
use fastrand::Rng;
use serde_json::{Value, json};
use tokio::{
    task::{LocalSet, spawn_local},
    time::{sleep, timeout},
};

use crate::{
    Options,
    books::{Books, Read},
    link::Link,
    person::{Person, Shown, Wanted, users},
    program::Program,
    register,
};

/// How long everyone may take to be back and to have read everything, when all is calm.
const CALM: Duration = Duration::from_secs(60);
/// What is promised of presence after a kill.
const GHOSTS: Duration = Duration::from_secs(10);

/// How often presence is looked at meanwhile.
const LOOKS_EVERY: Duration = Duration::from_millis(100);

/// Someone, as the world sees them.
struct Seen {
    wanted: Rc<Cell<Wanted>>,
    shown: Rc<RefCell<Shown>>,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    LocalSet::new().run_until(all(options)).await
}

async fn all(options: Options) -> anyhow::Result<()> {
    let mut rng = Rng::with_seed(options.seed);
    let mut program = Program::start(&options)?;
    let books = Rc::new(RefCell::new(Books::default()));
    let rooms: Rc<[String]> = (1..=options.rooms)
        .map(|room| format!("마당{room}"))
        .collect();
    let mut people = Vec::new();
    for number in 0..options.people {
        let link = Link::open(program.address, rng.fork(), options.cut_every).await?;
        let seen = Seen {
            wanted: Rc::new(Cell::new(Wanted::Talk)),
            shown: Rc::default(),
        };
        let person = Person::new(
            format!("person{number}"),
            rooms.clone(),
            rng.fork(),
            link,
            books.clone(),
            seen.wanted.clone(),
            seen.shown.clone(),
            options.people as f64 / options.rate as f64,
        );
        spawn_local(person.live());
        people.push(seen);
    }

    let begin = Instant::now();
    let end = Duration::from_secs(options.seconds);
    let mut told = 0;
    while begin.elapsed() < end {
        sleep(Options::around(&mut rng, options.kill_every)).await;
        program.kill(rng.u64(..))?;
        if begin.elapsed().as_secs() / 30 > told {
            told = begin.elapsed().as_secs() / 30;
            let books = books.borrow();
            println!(
                "{:>4} s: {} kills, {} messages stored, {} received, {} faults",
                begin.elapsed().as_secs(),
                program.kills,
                books.stored.len(),
                books.counts.received,
                books.faults.len(),
            );
        }
    }

    check_presence(&mut program, &mut rng, &rooms, &people, &books).await?;
    let truth = check_history(&program, &rooms, &people, &books).await?;
    for person in &people {
        person.wanted.set(Wanted::Leave);
    }
    // A cut that the server has not noticed takes two heartbeats.
    sleep(Duration::from_secs(8)).await;
    let calm = Instant::now();
    while register::are_open(&program)? && calm.elapsed() < CALM {
        sleep(Duration::from_millis(500)).await;
    }
    let reasons = register::check(&program, &mut books.borrow_mut())?;

    let books = books.borrow();
    println!(
        "{} kills{}",
        program.kills,
        if options.power {
            " with power cuts"
        } else {
            ""
        }
    );
    println!("{:?}", books.counts);
    println!(
        "{} messages acknowledged, {truth} in the history",
        books.stored.len()
    );
    println!(
        "{} sessions known to their clients; all rows:",
        books.sessions.len()
    );
    for (reason, count) in reasons {
        println!("{count:>8}  {reason}");
    }
    anyhow::ensure!(
        books.faults.is_empty(),
        "{} faults, the first: {}\n{}",
        books.faults.len(),
        books.faults[0],
        program.log()
    );
    println!("no fault");
    Ok(())
}

/// One more kill, after which a third of the people do not come back.
async fn check_presence(
    program: &mut Program,
    rng: &mut Rng,
    rooms: &[String],
    people: &[Seen],
    books: &Rc<RefCell<Books>>,
) -> anyhow::Result<()> {
    for person in people {
        person.wanted.set(Wanted::Listen);
    }
    let calm = Instant::now();
    while !people.iter().all(|person| person.shown.borrow().is_in) {
        anyhow::ensure!(
            calm.elapsed() < CALM,
            "not everyone comes back:\n{}",
            program.log()
        );
        sleep(Duration::from_millis(50)).await;
    }
    let (gone, here) = people.split_at(people.len() / 3);
    for person in gone {
        person.wanted.set(Wanted::Vanish);
    }
    program.kill(rng.u64(..))?;
    let kill = Instant::now();
    let expected: BTreeSet<String> = here
        .iter()
        .map(|person| person.shown.borrow().user.clone())
        .collect();
    let mut right = None;
    // For as long as this looks late, it does not know when it became right.
    let (mut late, mut looked) = (Duration::ZERO, Instant::now());
    while kill.elapsed() < GHOSTS + late + Duration::from_secs(10) {
        late += looked.elapsed().saturating_sub(LOOKS_EVERY * 3);
        looked = Instant::now();
        let mut is_right = true;
        for room in rooms {
            let who = program.get(&format!("/api/rooms/{}/presence", encode(room)))?;
            is_right &= users(&who["users"]).collect::<BTreeSet<_>>() == expected;
            is_right &= here.iter().all(|person| {
                let shown = person.shown.borrow();
                shown.is_in && shown.present.get(room) == Some(&expected)
            });
        }
        match (is_right, right) {
            (true, None) => right = Some(kill.elapsed()),
            (false, Some(_)) => right = None,
            _ => {}
        }
        if right.is_some() && kill.elapsed() > GHOSTS + late {
            break;
        }
        sleep(LOOKS_EVERY).await;
    }
    match right {
        Some(after) if after <= GHOSTS + late => {
            println!(
                "presence is right {:.1} s after the last kill",
                after.as_secs_f64()
            );
        }
        Some(after) => books
            .borrow_mut()
            .fault(format!("presence was wrong until {after:?} after the kill")),
        None => books
            .borrow_mut()
            .fault("presence is wrong after the kill".to_owned()),
    }
    Ok(())
}

/// Waits until everyone has read everything, and compares. Tells how many messages there are.
async fn check_history(
    program: &Program,
    rooms: &[String],
    people: &[Seen],
    books: &Rc<RefCell<Books>>,
) -> anyhow::Result<usize> {
    let here = &people[people.len() / 3..];
    let calm = Instant::now();
    while !here.iter().all(|person| person.shown.borrow().is_sure) {
        anyhow::ensure!(
            calm.elapsed() < CALM,
            "something is never acknowledged:\n{}",
            program.log()
        );
        sleep(Duration::from_millis(50)).await;
    }
    let mut all = 0;
    for room in rooms {
        let events = history(program, room).await?;
        all += events.len();
        // What the one order looked like to someone who had so much of it.
        let mut digests = vec![Read::default()];
        let mut places = HashMap::new();
        for event in &events {
            let mut read = digests[digests.len() - 1];
            if let Err(fault) = read.take(event) {
                books
                    .borrow_mut()
                    .fault(format!("{room}, the history: {fault}"));
                return Ok(all);
            }
            digests.push(read);
            let text = event["text"].as_str().unwrap_or_default().to_owned();
            if let Some(first) = places.insert(text, read.last) {
                books
                    .borrow_mut()
                    .fault(format!("{room}: {first} is there again: {event}"));
            }
        }
        compare(room, people, &places, &digests, &mut books.borrow_mut())?;
        let behind = |person: &Seen| {
            let shown = person.shown.borrow();
            shown
                .read
                .get(room)
                .is_none_or(|read| read.last != events.len() as u64)
        };
        let calm = Instant::now();
        while here.iter().any(behind) {
            anyhow::ensure!(
                calm.elapsed() < CALM,
                "someone does not get everything of {room}"
            );
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(all)
}

/// What was acknowledged is there, and what people have read is the one order.
fn compare(
    room: &str,
    people: &[Seen],
    places: &HashMap<String, u64>,
    digests: &[Read],
    books: &mut Books,
) -> anyhow::Result<()> {
    let stored: Vec<_> = books
        .stored
        .iter()
        .filter(|(_, (in_room, _))| in_room == room)
        .collect();
    let lost: Vec<String> = stored
        .into_iter()
        .filter(|(text, (_, seq))| places.get(*text) != Some(seq))
        .map(|(text, (_, seq))| format!("{room}: {seq} was acknowledged and is not there: {text}"))
        .collect();
    for lost in lost {
        books.fault(lost);
    }
    for person in people {
        let shown = person.shown.borrow();
        let read = shown.read.get(room).copied().unwrap_or_default();
        let place = usize::try_from(read.last)?;
        if digests.get(place) != Some(&read) {
            books.fault(format!(
                "{room}: {} has read something else up to {place}",
                shown.user
            ));
        }
    }
    Ok(())
}

/// All of a room's history, page by page.
async fn history(program: &Program, room: &str) -> anyhow::Result<Vec<Value>> {
    let url = format!("ws://{}/ws?name=historian", program.address);
    let mut client = Client::connect(&url, client::Options::default()).await?;
    let mut events: Vec<Value> = Vec::new();
    loop {
        let command =
            json!({"type": "history", "id": 1, "room": room, "after": events.len(), "limit": 200});
        client.send_json(&command).await?;
        let page = loop {
            let incoming = timeout(CALM, client.next())
                .await?
                .context("no history")??;
            let Incoming::Text(text) = incoming else {
                continue;
            };
            let message: Value = serde_json::from_str(&text)?;
            if message["id"] == 1 {
                break message;
            }
        };
        let page_events = page["events"]
            .as_array()
            .with_context(|| page.to_string())?;
        events.extend(page_events.iter().cloned());
        if page["more"] != true {
            break;
        }
    }
    let goodbye = client::Close::new(client::CloseCode::NORMAL, "");
    client.close(goodbye).await?;
    Ok(events)
}

/// A room's name in a path.
fn encode(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
