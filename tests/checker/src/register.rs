//! Whether the register of sessions tells the truth.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    books::{Books, End},
    program::Program,
};

/// Reads all rows of the register, latest first.
fn rows(program: &Program) -> anyhow::Result<Vec<Value>> {
    let mut rows: Vec<Value> = Vec::new();
    loop {
        let before = rows.last().and_then(|row| row["session"].as_str());
        let before = before.map_or_else(String::new, |id| format!("&before={id}"));
        let page = program.get(&format!("/api/sessions?limit=200{before}"))?;
        match page["sessions"].as_array() {
            Some(page) if !page.is_empty() => rows.extend(page.iter().cloned()),
            _ => return Ok(rows),
        }
    }
}

/// Whether there are sessions that are not closed.
pub(crate) fn are_open(program: &Program) -> anyhow::Result<bool> {
    let open = program.get("/api/sessions?state=open&limit=1")?;
    Ok(open["sessions"] != Value::Array(Vec::new()))
}

/// Compares the rows with what clients know, and tells how many there are of each reason.
pub(crate) fn check(
    program: &Program,
    books: &mut Books,
) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut reasons = BTreeMap::<String, usize>::new();
    let rows = rows(program)?;
    let mut known = 0;
    for row in &rows {
        let code = row["close_code"].as_u64();
        let reason = row["close_reason"].as_str().unwrap_or_default();
        *reasons
            .entry(format!("{} {reason}", row["close_code"]))
            .or_default() += 1;
        if row["state"] != "closed" || code.is_none() || row["closed_at"].is_null() {
            books.fault(format!("a session is not closed: {row}"));
            continue;
        }
        let id = row["session"].as_str().unwrap_or_default();
        let Some(end) = books.sessions.get(id).copied() else {
            // Its `hello` was lost on the way.
            continue;
        };
        known += 1;
        let code = code.unwrap_or(0);
        let was_killed = code == 1006 && reason.contains("server stopped");
        let is_true = match end {
            None => false,
            // Killed before it had written it down, perhaps.
            Some(End::Left | End::Leaving) => code == 1000 || was_killed,
            Some(End::Closed(told)) => code == u64::from(told) || was_killed,
            // Cut, silent for too long, or killed before the server had noticed.
            Some(End::Cut) => matches!(code, 1000 | 1006 | 4008 | 1013),
            Some(End::Broken) => was_killed,
        };
        if !is_true {
            books.fault(format!("{end:?} is told as: {row}"));
        }
    }
    if known != books.sessions.len() {
        let lost = books.sessions.len() - known;
        books.fault(format!("{lost} sessions are not in the register"));
    }
    Ok(reasons)
}
