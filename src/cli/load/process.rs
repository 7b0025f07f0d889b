//! What a process has used of the processors, from `/proc`.

use std::time::Duration;

use anyhow::Context as _;

/// User and system time that the process and its threads have used since it began.
pub(super) fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let ticks = ticks(&text).with_context(|| format!("{path} does not read as proc_pid_stat(5) says"))?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Ok(Duration::from_secs(ticks) / u32::try_from(per_second)?)
}

/// `utime` and `stime`, the 14th and 15th field, in clock ticks. The 2nd is the command's name in brackets, which may
/// hold blanks and brackets, so that counting begins after the last bracket.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11);
    let mut next = || times.next()?.parse::<u64>().ok();
    next()?.checked_add(next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_command_cannot_mislead() {
        let stat = "17 (a) b (c) R 1 2 3 4 5 6 7 8 9 10 120 34 0 0 20";
        assert_eq!(ticks(stat), Some(154));
        assert_eq!(ticks("17 (a) R 1"), None);
    }

    #[test]
    fn this_process_has_a_time_that_never_falls() {
        let before = cpu_time(std::process::id()).unwrap();
        assert!(cpu_time(std::process::id()).unwrap() >= before);
        assert!(cpu_time(u32::MAX).is_err());
    }
}
