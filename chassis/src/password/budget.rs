//! The memory that hashing may take at once, against what the control group of the process allows: beyond
//! that the kernel ends the process, in the middle of a storm of logins.

use std::fs;
use std::path::{Path, PathBuf};

use super::PasswordSettings;
use crate::settings::{Environment, Report};

/// The other half is for everything else: connections, bodies, the pages of the binary.
const SHARE: u64 = 2;
/// cgroup v1 says so, or a little less, where there is no limit.
const UNLIMITED: u64 = 1 << 60;

impl PasswordSettings {
    /// What all hashes that may run at once take, in bytes. A stored hash from an import may take more.
    pub fn memory(&self) -> u64 {
        let turns = u64::try_from(self.turns()).unwrap_or(u64::MAX);
        (u64::from(self.memory_kib) * 1024).saturating_mul(turns)
    }

    /// Rejects in production what takes more than half of the memory that the process may have; `root` is
    /// where the file system begins.
    pub fn check_memory(&self, environment: Environment, root: &Path, report: &mut Report) {
        if environment != Environment::Production {
            return;
        }
        if let Some(limit) = self.exceeded_limit(root) {
            let allowed = format!(
                "at most {} KiB in all for password.max_concurrent = {} at once: half of the memory limit of the cgroup, {} KiB",
                limit / SHARE / 1024,
                self.turns(),
                limit / 1024
            );
            report.reject("password.memory_kib", allowed);
        }
    }

    /// The limit of the process's memory, where hashing may take more than half of it.
    pub fn exceeded_limit(&self, root: &Path) -> Option<u64> {
        memory_limit(root).filter(|limit| self.memory() > limit / SHARE)
    }
}

/// The lowest limit of the groups that the process is in; none where nothing limits it, or nobody says so.
fn memory_limit(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    groups.lines().filter_map(|line| limit_of(root, line)).min()
}

/// A line is `0::/path` in cgroup v2 and `4:memory:/path` in v1. In a container the path may be that of the
/// host, and then there is no such directory: the groups above it are looked at all the same.
fn limit_of(root: &Path, line: &str) -> Option<u64> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    let (mount, file) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max"),
        v1 if v1.split(',').any(|name| name == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return None,
    };
    let mount = root.join(mount);
    let group: PathBuf = Path::new(path).components().skip(1).collect();
    let groups = group.ancestors().map(|group| mount.join(group).join(file));
    let limits = groups.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    limits.filter(|limit| *limit < UNLIMITED).min()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use tempfile::TempDir;

    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// A machine whose process is in these groups, with these files.
    fn machine(groups: &str, files: &[(&str, &str)]) -> TempDir {
        let root = TempDir::new().unwrap();
        for (path, text) in [&[("proc/self/cgroup", groups)], files].concat() {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn limit(groups: &str, files: &[(&str, &str)]) -> Option<u64> {
        memory_limit(machine(groups, files).path())
    }

    #[test]
    fn the_lowest_limit_on_the_way_up_counts() {
        let files = [
            ("sys/fs/cgroup/a/memory.max", "200000\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/b/c/memory.max", "300000\n"),
        ];
        assert_eq!(limit("0::/a/b/c\n", &files), Some(200_000));
        assert_eq!(limit("0::/a/b/c\n", &files[1..]), Some(300_000));
        assert_eq!(limit("0::/a/b/c\n", &files[1..2]), None);
        // In a container with a namespace of its own, and in one without.
        let own = [("sys/fs/cgroup/memory.max", "100000")];
        assert_eq!(limit("0::/\n", &own), Some(100_000));
        assert_eq!(limit("0::/kubepods/pod1/x\n", &own), Some(100_000));
    }

    #[test]
    fn version_one_is_understood_too() {
        let groups = "11:cpu,cpuacct:/a\n4:memory:/a\n1:name=systemd:/a\n0::/a\n";
        let limited = [("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "100000\n")];
        assert_eq!(limit(groups, &limited), Some(100_000));
        let unlimited = [("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n")];
        assert_eq!(limit(groups, &unlimited), None);
    }

    #[test]
    fn nothing_is_known_where_nothing_is_said() {
        assert_eq!(memory_limit(TempDir::new().unwrap().path()), None);
        for groups in ["", "nonsense", "0::", "4:memory"] {
            assert_eq!(limit(groups, &[]), None, "{groups}");
        }
        assert_eq!(limit("0::/\n", &[("sys/fs/cgroup/memory.max", "much")]), None);
    }

    #[test]
    fn hashing_may_take_half_of_the_memory_in_production() {
        let settings = PasswordSettings {
            memory_kib: 19 * 1024,
            max_concurrent: Some(4),
            ..PasswordSettings::default()
        };
        assert_eq!(settings.memory(), 76 * MIB);
        for (limit, fits) in [(152 * MIB, true), (152 * MIB - 1, false)] {
            let text = limit.to_string();
            let root = machine("0::/\n", &[("sys/fs/cgroup/memory.max", &text)]);
            for environment in [Environment::Production, Environment::Development] {
                let mut report = Report::default();
                settings.check_memory(environment, root.path(), &mut report);
                let told = format!("{report:?}");
                let refused = told.contains("password.memory_kib")
                    && told.contains("password.max_concurrent = 4")
                    && told.contains("cgroup");
                assert_eq!(refused, !fits && environment == Environment::Production, "{told}");
            }
            assert_eq!(settings.exceeded_limit(root.path()).is_none(), fits);
        }
    }
}
