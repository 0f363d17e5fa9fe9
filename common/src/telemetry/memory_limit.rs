//! How much memory the process may use before the system ends it, as its control group says. Only version 2 of
//! control groups is read, which every system of the last years has; elsewhere there is no limit to tell.

use std::path::Path;

/// The limit now, in bytes; none where there is none.
pub(super) fn now() -> Option<u64> {
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    least(Path::new("/sys/fs/cgroup"), own.lines().find_map(|line| line.strip_prefix("0::"))?)
}

/// The least limit from the group `own` up to the root: a limit binds all that is below it.
fn least(root: &Path, own: &str) -> Option<u64> {
    let group = root.join(own.trim_start_matches('/'));
    let groups = group.ancestors().take_while(|group| group.starts_with(root));
    let limit = |group: &Path| std::fs::read_to_string(group.join("memory.max")).ok()?.trim().parse().ok();
    groups.filter_map(limit).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_from_the_process_up_to_the_root_is_the_one_that_binds() {
        let root = tempfile::tempdir().unwrap();
        let group = root.path().join("system.slice/carom.service");
        std::fs::create_dir_all(&group).unwrap();
        assert_eq!(least(root.path(), "/system.slice/carom.service"), None);
        std::fs::write(group.join("memory.max"), "max\n").unwrap();
        std::fs::write(root.path().join("system.slice/memory.max"), "1048576\n").unwrap();
        assert_eq!(least(root.path(), "/system.slice/carom.service"), Some(1_048_576));
        std::fs::write(group.join("memory.max"), "4096\n").unwrap();
        assert_eq!(least(root.path(), "/system.slice/carom.service"), Some(4_096));
    }
}
