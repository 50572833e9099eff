//! `RESULTS.md`, as a whole.

use std::{
    fmt::Write,
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use super::{Settings, peer::Programs, table::Table};

const HEAD: &str = "\
# Rivals: rooms servers side by side

Written as a whole by `cargo run --release -p madang-bench -- rivals`; what is the same for all and what is each one's own
way is said in [README.md](README.md#rivals). Each cell is the median of the rounds, with the least and the most in
brackets. **÷ bare** is divided by the bare loop's of the same round: a loop of one thread that does nothing but
`read()`, and one `write()` for each delivery.

![CPU microseconds per delivery](results.svg)
";

const NOTES: &str = "\
Messages are JSON of 128 bytes, but for Madang, whose events say more (\"bytes of a message\"). Of the overload: a server that
does not keep up is not waited for; \"left out\" are deliveries that its way of broadcasting leaves out for members that are
behind. \"others, %\" is what else the machine did: with much of it the figures tell little.
";

/// The libraries, as `bench/peers/Cargo.lock` names them.
const CRATES: [&str; 5] = [
    "axum",
    "tokio-tungstenite",
    "tokio-websockets",
    "fastwebsockets",
    "socketioxide",
];

pub(super) fn page(
    programs: &Programs,
    tables: &[Table],
    settings: &Settings,
    took: Duration,
) -> anyhow::Result<String> {
    let mut page = HEAD.to_owned();
    let minutes = took.as_secs().div_ceil(60);
    writeln!(
        page,
        "\nMeasured on {}, {} rounds of {} s, {minutes} minutes in all.\n\n{}\n{NOTES}",
        jiff::Timestamp::now().strftime("%-d %B %Y"),
        settings.rounds,
        settings.seconds,
        machine(),
    )?;
    for table in tables {
        write!(page, "## {}\n\n{table}\n", table.title)?;
    }
    write!(page, "## Versions\n\n{}\n", versions(programs)?)?;
    Ok(page)
}

fn machine() -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = after(&cpus, "model name").unwrap_or("unknown");
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = after(&memory, "MemTotal").unwrap_or("unknown");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "Machine: {cores} cores, {model}; memory {memory}; Linux {}. Loopback; server and generator on the same machine.",
        kernel.trim()
    )
}

/// The value of the first line `label : value`.
fn after<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(label))?;
    Some(line.split_once(':')?.1.trim())
}

fn versions(programs: &Programs) -> anyhow::Result<String> {
    let read = |file: &str| fs::read_to_string(programs.sources.join(file));
    let (lock, node, python) = (
        read("Cargo.lock")?,
        read("node/package.json")?,
        read("python/requirements.txt")?,
    );
    let node: serde_json::Value = serde_json::from_str(&node)?;
    let of_node = |name: &str| {
        node["dependencies"][name]
            .as_str()
            .unwrap_or("?")
            .to_owned()
    };
    let madang = said(&programs.madang, &["--version"]);
    let mut lines = vec![
        match said("git", &["-C", super::BENCH, "rev-parse", "--short", "HEAD"]) {
            commit if commit == "?" => madang,
            commit => format!("{madang}, commit {commit}"),
        },
    ];
    for name in CRATES {
        lines.push(format!("{name} {}", locked(&lock, name).unwrap_or("?")));
    }
    let runtime = said("node", &["--version"]);
    lines.push(format!(
        "Node.js {runtime}: ws {}, Socket.IO {}",
        of_node("ws"),
        of_node("socket.io")
    ));
    let tomcat = ["-W", "-f", "${Version}", "libtomcat10-embed-java"];
    let java = said("java", &["--version"]);
    lines.push(format!("Tomcat {}, {java}", said("dpkg-query", &tomcat)));
    lines.push(format!(
        "{}: {}",
        said("python3", &["--version"]),
        python.trim().replace("==", " ")
    ));
    lines.push(said("rustc", &["--version"]));
    Ok(lines
        .iter()
        .fold(String::new(), |text, line| text + "- " + line + "\n"))
}

/// The newest version of a package in a `Cargo.lock`, which sorts them.
fn locked<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let name = format!("name = \"{name}\"");
    let mut lines = lock.lines();
    let mut found = None;
    while lines.by_ref().any(|line| line == name) {
        found = lines.next();
    }
    found?.strip_prefix("version = \"")?.strip_suffix('"')
}

/// The first line that a program says.
fn said(program: impl AsRef<Path>, arguments: &[&str]) -> String {
    let output = Command::new(program.as_ref())
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let text = output.map_or(String::new(), |output| {
        String::from_utf8_lossy(&output.stdout).into_owned()
    });
    text.lines().next().unwrap_or("?").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_the_newest_in_the_lock() {
        let lock = "name = \"axum\"\nversion = \"0.8.9\"\n\nname = \"axum-core\"\nversion = \"0.5.6\"\n\nname = \"axum\"\nversion = \"0.9.0\"\n";
        assert_eq!(locked(lock, "axum"), Some("0.9.0"));
        assert_eq!(locked(lock, "tokio"), None);
    }

    #[test]
    fn the_machine_is_described() {
        assert!(machine().contains("Linux "));
        assert_eq!(
            after("a : 1\nmodel name\t: EPYC: 2\n", "model name"),
            Some("EPYC: 2")
        );
    }
}
