//! What processes have used, from Linux's `/proc`.

use std::{fs, ops::AddAssign, time::Duration};

use anyhow::Context;

/// `/proc/PID/stat` counts processor time in hundredths of a second on every machine (the
/// kernel's `USER_HZ`, proc_pid_stat(5)).
const TICK: Duration = Duration::from_millis(10);

/// Processor time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Of the server that is measured; nothing where its process is not known.
    pub server: Duration,
    /// Of this process.
    pub generator: Duration,
    /// Of everything else on the machine, and what a hypervisor took: with much of it, a run tells
    /// little.
    pub others: Duration,
    server_known: bool,
}

impl Usage {
    /// Since the machine's start.
    pub fn now(server: impl Into<Option<u32>>) -> anyhow::Result<Self> {
        let process = server.into();
        let server = match process {
            Some(server) => cpu(&server.to_string())?,
            None => Duration::ZERO,
        };
        let generator = cpu("self")?;
        let all = machine_time(&read("stat")?).context("/proc/stat is not as expected")?;
        let others = all.saturating_sub(server + generator);
        Ok(Self {
            server,
            generator,
            others,
            server_known: process.is_some(),
        })
    }

    /// Microseconds of the server for each of `count`, where its process is known.
    pub fn server_micros_per(self, count: f64) -> Option<f64> {
        self.server_known
            .then(|| self.server.as_secs_f64() * 1e6 / count)
    }

    /// What the server used, where its process is known.
    pub fn of_server(self) -> Option<Duration> {
        self.server_known.then_some(self.server)
    }

    /// Since then.
    pub fn since(self, then: Self) -> Self {
        Self {
            server: self.server.saturating_sub(then.server),
            generator: self.generator.saturating_sub(then.generator),
            others: self.others.saturating_sub(then.others),
            server_known: self.server_known && then.server_known,
        }
    }
}

/// Of several times.
impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.server += other.server;
        self.generator += other.generator;
        self.others += other.others;
        self.server_known |= other.server_known;
    }
}

/// Bytes of a process that are in memory.
pub fn resident(process: u32) -> anyhow::Result<u64> {
    let status = read(&format!("{process}/status"))?;
    status_bytes(&status, "VmRSS:").context("/proc/PID/status is not as expected")
}

/// The most bytes of a process that were in memory at a time.
pub fn peak(process: u32) -> anyhow::Result<u64> {
    let status = read(&format!("{process}/status"))?;
    status_bytes(&status, "VmHWM:").context("/proc/PID/status is not as expected")
}

/// Processor time of this process.
pub fn own_cpu() -> anyhow::Result<Duration> {
    cpu("self")
}

/// Processor time of the threads that a process has, to the nanosecond once they sleep.
///
/// For what is too short for the hundredths of a second of [`Usage`]. A thread that has ended takes its time with it.
pub fn cpu_of_threads(process: u32) -> anyhow::Result<Duration> {
    let threads = format!("/proc/{process}/task");
    let threads = fs::read_dir(&threads).with_context(|| format!("cannot read {threads}"))?;
    let mut sum = Duration::ZERO;
    for thread in threads {
        let thread = thread?.path();
        let path = thread.join("schedstat");
        match fs::read_to_string(&path) {
            Ok(times) => {
                sum += thread_time(&times).context("a thread's schedstat is not as expected")?
            }
            // It ended meanwhile.
            Err(_) if !thread.exists() => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        }
    }
    Ok(sum)
}

/// Processor time of all threads of a process, in user and kernel mode.
fn cpu(process: &str) -> anyhow::Result<Duration> {
    let stat = read(&format!("{process}/stat"))?;
    process_time(&stat).context("/proc/PID/stat is not as expected")
}

fn read(file: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{file}");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

fn process_time(stat: &str) -> Option<Duration> {
    // The program's name, the second field, may hold blanks and parentheses itself.
    let (_, fields) = stat.rsplit_once(") ")?;
    // The state is field 3; utime and stime are 14 and 15.
    let mut fields = fields.split(' ').skip(14 - 3);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some(TICK * (ticks()? + ticks()?))
}

fn thread_time(schedstat: &str) -> Option<Duration> {
    let nanos = schedstat.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

fn machine_time(stat: &str) -> Option<Duration> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks = line.split_whitespace().map(str::parse);
    let ticks: Vec<u32> = ticks.collect::<Result<_, _>>().ok()?;
    // After user, nice, system, idle, iowait, irq, softirq and steal come guests, counted in user.
    let [user, nice, system, _, _, irq, softirq, steal, ..] = *ticks else {
        return None;
    };
    Some(TICK * (user + nice + system + irq + softirq + steal))
}

fn status_bytes(status: &str, label: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(label))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_used_its_time_in_user_and_in_kernel_mode() {
        let stat = "7 (a ) (b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 9 9 20 0 4 0 1 2 3\n";
        assert_eq!(process_time(stat), Some(Duration::from_secs(3)));
        assert_eq!(process_time("7 (a) S 1"), None);
    }

    #[test]
    fn a_thread_used_its_time_on_a_processor() {
        let time = thread_time("1500000000 77 9\n");
        assert_eq!(time, Some(Duration::from_millis(1500)));
        assert_eq!(thread_time("\n"), None);
        let own = std::process::id();
        let before = cpu_of_threads(own).unwrap();
        while cpu_of_threads(own).unwrap() == before {}
    }

    #[test]
    fn the_machine_used_what_it_was_not_idle() {
        let stat = "cpu  100 10 50 9999 9999 10 20 10 7 7\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(machine_time(stat), Some(Duration::from_secs(2)));
        assert_eq!(machine_time("cpu0 1 1 1 1 1 1 1 1\n"), None);
    }

    #[test]
    fn resident_memory_is_in_bytes() {
        let status = "Name:\tmadang\nVmHWM:\t  9999 kB\nVmRSS:\t    12 kB\n";
        assert_eq!(status_bytes(status, "VmRSS:"), Some(12 * 1024));
        assert_eq!(status_bytes(status, "VmHWM:"), Some(9999 * 1024));
        assert_eq!(status_bytes("Name:\tmadang\n", "VmRSS:"), None);
    }

    #[test]
    fn this_machine_can_be_looked_at() {
        let own = std::process::id();
        assert!(resident(own).unwrap() > 0);
        let usage = Usage::now(own).unwrap();
        assert!(usage.since(usage).others.is_zero());
    }
}
