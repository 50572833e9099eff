//! `madang bench`: each scenario, small, with this very program as the server. What is asserted is that all
//! was counted, and nothing lost; how fast it was is another matter.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test cannot go on without"
)]

mod common;

use common::madang;
use serde_json::Value;

/// The one report of a scenario that ends well.
fn bench(arguments: &str) -> Value {
    let data = tempfile::tempdir().unwrap();
    let output = madang(&[
        "bench",
        "--json",
        "--data-in",
        data.path().to_str().unwrap(),
    ])
    .args(arguments.split(' '))
    .output()
    .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {said}");
    let reports: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let [report] = &*reports else {
        panic!("{arguments}: {} reports", reports.len());
    };
    let scenario = arguments.split(' ').next().unwrap();
    let title = report["scenario"].as_str().unwrap();
    assert!(title.starts_with(&format!("{scenario}: ")), "{title}");
    for figure in report["figures"].as_array().unwrap() {
        assert!(figure["name"].is_string() && figure["unit"].is_string());
        assert!(figure["value"].is_number(), "{figure}");
    }
    report.clone()
}

fn figure(report: &Value, name: &str) -> f64 {
    let figures = report["figures"].as_array().unwrap();
    let found = figures.iter().find(|figure| figure["name"] == name);
    found.unwrap()["value"].as_f64().unwrap()
}

#[test]
fn fan_out_counts_messages_and_signals() {
    let small = "fan-out --rooms 2 --members 10 --deliveries 400 --seconds 1 --warm-up-seconds 1";
    let report = bench(small);
    assert!(figure(&report, "deliveries") > 0.0);
    assert!(figure(&report, "send to ok, p99") > 0.0);
    assert!(figure(&report, "event") > 64.0);
    // Whoever signals does not hear it.
    let report = bench(&format!("{small} --signal"));
    assert!(figure(&report, "deliveries") > 0.0);
}

#[test]
fn a_room_and_an_echo_are_counted() {
    let report = bench("room --members 20 --deliveries 400 --seconds 1 --warm-up-seconds 0");
    assert!(figure(&report, "deliveries") > 0.0);
    let report = bench("echo --connections 4 --seconds 1");
    assert!(figure(&report, "round trips") > 0.0);
}

#[test]
fn all_of_a_storm_come_in_and_idle_sessions_stay() {
    let report = bench("storm --sessions 40 --at-once 20");
    assert!(figure(&report, "opened") > 0.0);
    assert_eq!(figure(&report, "connects that failed"), 0.0);
    assert!(report["notes"][0].as_str().unwrap().contains("SYN"));
    let report = bench("idle --sessions 20 --rooms 2");
    assert!(figure(&report, "opened") > 0.0);
}

#[test]
fn writers_and_slow_readers_are_counted() {
    let report = bench("writers --writers 4 --seconds 1");
    assert!(figure(&report, "ok") > 0.0);
    let report = bench("slow --sessions 4 --messages 40");
    assert!(figure(&report, "deliveries") > 0.0);
}

#[test]
fn all_return_after_a_kill_and_a_crowd_knows_its_number() {
    let report = bench("return --sessions 20 --rooms 2 --messages 2");
    assert!(figure(&report, "caught up, all") > 0.0);
    let report = bench("crowd --members 20 --changes 10 --seconds 1");
    assert!(figure(&report, "told to each member") > 0.0);
}

#[test]
fn a_search_tells_what_it_tried() {
    // Nothing can be as slow as that, and nothing is looked for beyond the first rate that fails.
    let search = "--search --p99-ms 10000 --step-seconds 1";
    let report = bench(&format!("writers --writers 1 {search} --most 1000"));
    assert!(figure(&report, "highest rate kept up") > 0.0);
    let step = &report["steps"][0];
    assert!(step["rate"].is_number() && step["p99_ms"].is_number());
    assert!(step["kept_up"].is_boolean() && step["outcome"].is_string());
}

#[test]
fn what_cannot_be_is_told_with_what_to_do() {
    for (arguments, told) in [
        ("fan-out --sessions 5", "unexpected argument"),
        ("fan-out --p99-ms 5", "--search"),
        ("fan-out --rooms 0", "set --rooms"),
        ("room --members 1 --signal", "set --members to 2"),
        ("room --text-bytes 8", "set --text-bytes"),
        ("echo --url wss://example.com", "no TLS"),
        ("return --url ws://127.0.0.1:9", "leave out --url"),
        ("idle --url ws://127.0.0.1:9", "--pid"),
        ("storm --sessions 900000000", "ulimit -Hn"),
    ] {
        let output = madang(&["bench"])
            .args(arguments.split(' '))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments}");
        assert!(said.contains(told), "{arguments}: {said}");
    }
}
