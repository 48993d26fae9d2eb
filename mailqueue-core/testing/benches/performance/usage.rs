//! Processor time and memory of processes, from /proc.

use std::fs;

/// Clock ticks a second in /proc/PID/stat: 100 on every Linux (proc(5), USER_HZ).
const TICKS: f64 = 100.0;

/// Seconds of processor time that a process, its children and those of them that ended have used.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let family = children(pid).into_iter().filter_map(|child| Some(own_ticks(&stat(child)?)));
    let process = stat(pid).expect("the process runs");
    let ended: u64 = process[13..15].iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    (own_ticks(&process) + ended + family.sum::<u64>()) as f64 / TICKS
}

/// Resident memory of one process in MiB.
pub(crate) fn resident(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kilobytes.expect("a process has memory") / 1024.0
}

/// User and system time, without that of children.
fn own_ticks(stat: &[String]) -> u64 {
    stat[11..13].iter().filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// The fields from the third on: the second, a name, may contain anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}
