//! What the process's control group allows it: containers have less memory than their machine.

use std::fs;
use std::path::{Path, PathBuf};

/// The memory that the process's control groups allow, in bytes; `None` if they set no limit. A group's limit holds for
/// those below it, so the least counts.
pub(crate) fn memory_bytes_max() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    memory_bytes_max_in(&groups, Path::new("/sys/fs/cgroup"))
}

fn memory_bytes_max_in(groups: &str, root: &Path) -> Option<u64> {
    let limits = groups.lines().flat_map(|line| {
        // hierarchy number, controllers, path: of version 2 the number is 0 and the controllers are empty.
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next(), fields.next().unwrap_or(""), fields.next().unwrap_or("/"));
        match number {
            Some("0") => limits_up(root, path, "memory.max"),
            _ if controllers.split(',').any(|one| one == "memory") => {
                limits_up(&root.join("memory"), path, "memory.limit_in_bytes")
            }
            _ => Vec::new(),
        }
    });
    limits.min()
}

/// What the files of this name say in the group's folder and in all above it. Within a container the path may be that on the
/// host, which is not there: then the root is the container's group.
fn limits_up(root: &Path, path: &str, name: &str) -> Vec<u64> {
    let mut folder: PathBuf = root.join(path.trim_start_matches('/'));
    let mut limits = Vec::new();
    loop {
        let limit = fs::read_to_string(folder.join(name)).ok();
        // `max` is no number and no limit; version 1 says a number close to 2^63 instead.
        limits.extend(
            limit
                .and_then(|text| text.trim().parse::<u64>().ok())
                .filter(|limit| *limit < 1 << 62),
        );
        if folder == root || !folder.pop() {
            return limits;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_of_all_groups_above_counts_in_both_versions() {
        let root = std::env::temp_dir().join(format!("kora-control-group-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("memory.max", "max\n");
        write("a/memory.max", "1073741824\n");
        write("a/b/memory.max", "2147483648\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory/docker/x/memory.limit_in_bytes", "536870912\n");
        let cases = [
            ("0::/a/b\n", Some(1 << 30)),
            ("0::/not/there\n", None),
            ("0::/\n", None),
            ("12:cpu,memory:/docker/x\n0::/\n", Some(512 << 20)),
            ("12:memory:/not/there\n", None),
            ("", None),
        ];
        for (groups, limit) in cases {
            assert_eq!(memory_bytes_max_in(groups, &root), limit, "{groups}");
        }
        fs::remove_dir_all(&root).unwrap();
    }
}
