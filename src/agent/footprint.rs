//! What the agent itself takes: resident memory and processor time, from the kernel.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::{SysconfVar, sysconf};

/// Resident memory and processor time of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Resident memory (`/proc/self/statm`); 0 where the kernel does not tell.
    pub memory_bytes: u64,
    /// Processor time used since start, user and system.
    pub cpu: Duration,
}

impl Footprint {
    /// Reads it now.
    #[must_use]
    pub fn read() -> Self {
        let page_bytes = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096);
        let pages = fs::read_to_string("/proc/self/statm").ok().and_then(|text| resident_pages(&text));
        let cpu = getrusage(UsageWho::RUSAGE_SELF).map_or(Duration::ZERO, |usage| {
            [usage.user_time(), usage.system_time()]
                .iter()
                .map(|time| {
                    Duration::from_secs(time.tv_sec().try_into().unwrap_or(0))
                        + Duration::from_micros(time.tv_usec().try_into().unwrap_or(0))
                })
                .sum()
        });
        Self { memory_bytes: pages.unwrap_or(0) * u64::try_from(page_bytes).unwrap_or(4096), cpu }
    }
}

fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_field_of_statm_is_resident() {
        assert_eq!(resident_pages("1000 250 100 1 0 90 0"), Some(250));
        assert_eq!(resident_pages("1000"), None);
        assert_eq!(resident_pages("a b"), None);
    }

    #[test]
    fn this_process_takes_some_memory() {
        assert!(Footprint::read().memory_bytes > 100_000);
    }
}
