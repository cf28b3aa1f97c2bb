//! Memory that the machine, or the container that the program runs in, has to spare.

use std::fs;
use std::path::Path;

/// Bytes that can be used without taking memory from others, if the system tells.
pub(crate) fn available() -> Option<u64> {
    below(Path::new("/"))
}

/// The same, of a system whose files are below `root`.
fn below(root: &Path) -> Option<u64> {
    let machine =
        number_behind(&fs::read_to_string(root.join("proc/meminfo")).ok()?, "MemAvailable:").map(|kib| kib << 10);
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    // `0::PATH` is a group of version 2; version 1 lists controllers.
    let limits = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
        match controllers {
            "" => least(&root.join("sys/fs/cgroup"), path, &["memory.max", "memory.current", "inactive_file"]),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                let files = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"];
                least(&root.join("sys/fs/cgroup/memory"), path, &files)
            }
            _ => None,
        }
    });
    machine.into_iter().chain(limits).min()
}

/// What a group and those that it belongs to leave: the least of their limits, less what they use beside files that need not stay in memory. A
/// container sees its own group at the top.
fn least(top: &Path, path: &str, [limit, usage, cached]: &[&str; 3]) -> Option<u64> {
    let number = |file: &Path| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    let left = |group: &Path| {
        let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
        let cached = number_behind(&stat, &format!("{cached} ")).unwrap_or(0);
        let used = number(&group.join(usage))?.saturating_sub(cached);
        Some(number(&group.join(limit))?.saturating_sub(used))
    };
    let group = top.join(path);
    group.ancestors().take_while(|group| group.starts_with(top)).filter_map(left).min()
}

/// The number behind a word at the start of a line.
fn number_behind(text: &str, word: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(word))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A system of these files.
    fn system(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        below(root.path())
    }

    #[test]
    fn the_least_counts() {
        let machine = ("proc/meminfo", "MemTotal:  4000 kB\nMemAvailable:    3000 kB\n");
        assert_eq!(system(&[]), None);
        assert_eq!(system(&[machine]), Some(3000 << 10));
        // Version 2: a group without a limit in one with a limit.
        let groups = ("proc/self/cgroup", "0::/slice/unit\n");
        let inner =
            [("sys/fs/cgroup/slice/unit/memory.max", "max\n"), ("sys/fs/cgroup/slice/unit/memory.current", "7\n")];
        let outer = [
            ("sys/fs/cgroup/slice/memory.max", "1000000\n"),
            ("sys/fs/cgroup/slice/memory.current", "300000\n"),
            ("sys/fs/cgroup/slice/memory.stat", "anon 5\ninactive_file 100000\n"),
        ];
        assert_eq!(system(&[&[machine, groups], &inner[..], &outer[..]].concat()), Some(800_000));
        // Version 1, in a container.
        let groups = ("proc/self/cgroup", "4:cpu:/\n3:memory:/docker/1\n");
        let own = [
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2000000"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "500000"),
        ];
        assert_eq!(system(&[&[machine, groups], &own[..]].concat()), Some(1_500_000));
        // Without a limit, version 1 says a large number.
        let endless = [own[1], ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712")];
        assert_eq!(system(&[&[machine, groups], &endless[..]].concat()), Some(3000 << 10));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_has_some() {
        assert!(available().unwrap() > 1 << 20);
    }
}
