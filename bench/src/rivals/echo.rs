//! Connections that send, wait for the reply, and send again.

use std::time::{Duration, Instant};

use anyhow::Context;
use load::process::Usage;

use super::{
    frames::{Stamp, Template},
    links::Links,
    program::Program,
    protocol::{Place, Protocol},
    table::Run,
};

const CONNECTIONS: usize = 100;
const WARM_UP: Duration = Duration::from_millis(300);
/// How long no reply may come.
const REPLY: Duration = Duration::from_secs(20);
const NAP: Duration = Duration::from_millis(20);

/// What a connection has said last.
struct Said {
    template: Template,
    number: u32,
    heard: bool,
}

pub(super) fn measure(
    mut links: Links<'_>,
    protocol: &dyn Protocol,
    program: &Program,
    time: Duration,
) -> anyhow::Result<Run> {
    links.open(CONNECTIONS, Place::Echo)?;
    let said = |connection| {
        let stamp = Stamp {
            speaker: connection,
            number: 0,
        };
        let message = protocol.say(Place::Echo(connection), stamp);
        anyhow::Ok(Said {
            template: Template::new(&message, protocol.behind())?,
            number: 0,
            heard: true,
        })
    };
    let mut all: Vec<Said> = (0..CONNECTIONS).map(said).collect::<Result<_, _>>()?;
    let mut answered: Vec<usize> = (0..CONNECTIONS).collect();
    let (mut count, mut last) = (0_u64, Instant::now());
    let began = Instant::now();
    let mut first: Option<(Instant, Usage, u64)> = None;
    loop {
        for connection in answered.drain(..) {
            let said = &mut all[connection];
            (said.number, said.heard) = (said.number + 1, false);
            links.send(connection, said.template.numbered(said.number))?;
        }
        links.poll(NAP, &mut |connection, text| {
            let said = &mut all[connection];
            let expected = Stamp {
                speaker: connection,
                number: said.number,
            };
            let heard = Stamp::read(text, protocol.behind());
            anyhow::ensure!(
                heard == Some(expected) && !said.heard,
                "connection {connection} heard {heard:?} in place of {expected:?}"
            );
            said.heard = true;
            answered.push(connection);
            Ok(())
        })?;
        let now = Instant::now();
        if !answered.is_empty() {
            (count, last) = (count + answered.len() as u64, now);
        }
        anyhow::ensure!(now - last < REPLY, "replies are lost");
        match first {
            None if began.elapsed() >= WARM_UP => {
                first = Some((now, Usage::now(program.id())?, count))
            }
            Some((then, ..)) if now - then >= time => break,
            _ => {}
        }
    }
    let (then, usage, before) = first.context("nothing was measured")?;
    let (took, usage) = (then.elapsed(), Usage::now(program.id())?.since(usage));
    let count = (count - before) as f64;
    Ok(Run::default()
        .compared("CPU µs per echo", usage.server.as_secs_f64() * 1e6 / count)
        .spread("echoes a second", count / took.as_secs_f64())
        .usage(usage, took))
}
