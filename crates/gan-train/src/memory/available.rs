//! How much memory a process can still take.

use crate::Result;
use candle_core::Device;
use gan_kernels::device::free_memory;
use std::path::{Path, PathBuf};

/// Bytes that can still be had on the device: on the CPU the least of what the system has free, what control groups leave and
/// what the limit of the address space leaves. `None` where nothing tells.
///
/// # Errors
/// CUDA's.
pub(super) fn memory(device: &Device) -> Result<Option<u64>> {
    if let Some(free) = free_memory(device)? {
        return Ok(Some(free));
    }
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    Ok([of_system(&read), of_groups(&read), of_address_space(&read)].into_iter().flatten().min())
}

/// The same on the CPU, whatever addresses there are: who runs out of these is told so.
pub(super) fn beside_addresses() -> Option<u64> {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    [of_system(&read), of_groups(&read)].into_iter().flatten().min()
}

type Read<'a> = &'a dyn Fn(&Path) -> Option<String>;

fn of_system(read: Read<'_>) -> Option<u64> {
    kib(&read(Path::new("/proc/meminfo"))?, "MemAvailable:")
}

/// The number of a line `NAME  123 kB`, in bytes.
fn kib(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(rest.trim().trim_end_matches("kB").trim_end().parse::<u64>().ok()?.saturating_mul(1 << 10))
}

/// What the control groups of this process and those above them leave. In a container the path that the process is told may
/// lie outside of what it sees; the root of what it sees is then its own group.
fn of_groups(read: Read<'_>) -> Option<u64> {
    let own = read(Path::new("/proc/self/cgroup"))?;
    let left = own.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (root, names) = match controllers {
            "" => ("/sys/fs/cgroup", ["memory.max", "memory.current", "inactive_file"]),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"])
            }
            _ => return Vec::new(),
        };
        let whole = PathBuf::from(root).join(path.trim_start_matches('/'));
        whole.ancestors().take_while(|dir| dir.starts_with(root)).filter_map(|dir| left_in(read, dir, names)).collect()
    });
    left.min()
}

/// What one group leaves. Cached files count as used and are given up when memory runs short.
fn left_in(read: Read<'_>, dir: &Path, [limit, usage, cache]: [&str; 3]) -> Option<u64> {
    let number = |name: &str| read(&dir.join(name))?.trim().parse::<u64>().ok();
    // Without a limit there is the word `max`, or a number beyond all memory.
    let (limit, used) = (number(limit).filter(|limit| *limit < 1 << 60)?, number(usage)?);
    let stat = read(&dir.join("memory.stat")).unwrap_or_default();
    let cached = stat.lines().find_map(|line| line.strip_prefix(cache)?.trim().parse::<u64>().ok()).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(cached)))
}

fn of_address_space(read: Read<'_>) -> Option<u64> {
    let limits = read(Path::new("/proc/self/limits"))?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let limit = line.split_whitespace().next()?.parse::<u64>().ok()?;
    Some(limit.saturating_sub(kib(&read(Path::new("/proc/self/status"))?, "VmSize:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files<'a>(files: &'a [(&'a str, &'a str)]) -> impl Fn(&Path) -> Option<String> + 'a {
        move |path| files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned())
    }

    #[test]
    fn the_tightest_group_counts() {
        let v2 = [
            ("/proc/self/cgroup", "0::/a/b\n"),
            ("/sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("/sys/fs/cgroup/a/b/memory.current", "5\n"),
            ("/sys/fs/cgroup/a/memory.max", "1000\n"),
            ("/sys/fs/cgroup/a/memory.current", "700\n"),
            ("/sys/fs/cgroup/a/memory.stat", "anon 3\ninactive_file 200\n"),
        ];
        assert_eq!(of_groups(&files(&v2)), Some(500));
        // The path is that outside of the container.
        let v1 = [
            ("/proc/self/cgroup", "5:cpu:/x\n4:memory:/docker/1\n0::/\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "900\n"),
            ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1000\n"),
            ("/sys/fs/cgroup/memory/memory.stat", "total_inactive_file 300\n"),
        ];
        assert_eq!(of_groups(&files(&v1)), Some(200));
        let unlimited = [v1[0], ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"), v1[2]];
        assert_eq!(of_groups(&files(&unlimited)), None);
    }

    #[test]
    fn system_and_address_space() {
        assert_eq!(of_system(&files(&[("/proc/meminfo", "MemFree:  1 kB\nMemAvailable:   24 kB\n")])), Some(24 << 10));
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax address space  4096  unlimited  bytes\n";
        let status = ("/proc/self/status", "VmPeak: 9 kB\nVmSize:\t  1 kB\n");
        assert_eq!(of_address_space(&files(&[("/proc/self/limits", limits), status])), Some(3072));
        let unlimited = limits.replace("4096", "unlimited");
        assert_eq!(of_address_space(&files(&[("/proc/self/limits", &unlimited), status])), None);
        assert!(!cfg!(target_os = "linux") || memory(&Device::Cpu).is_ok_and(|found| found > Some(0)));
    }
}
