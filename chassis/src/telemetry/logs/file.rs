//! `log.file`: appended to, and renamed at the first line of a new day (UTC) to carry the date of
//! the day that it is of. What others do to it meanwhile is noticed within a second: a file that was
//! moved, replaced or removed is opened anew.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate, Utc};

/// How often the path is held against the file: a system call each time.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Files of one day, where something else has taken their names; the rest stays in one file.
const DATED_MAX: u32 = 100;

#[derive(Debug)]
pub(super) struct DailyFile {
    path: PathBuf,
    open: Open,
    looked_at: Instant,
    today: fn() -> NaiveDate,
    /// The line that is being written began in another file: what is left of it is no line.
    skips: bool,
}

/// A file, and what is known of it.
#[derive(Debug)]
struct Open {
    file: File,
    /// Device and inode.
    identity: (u64, u64),
    /// A device or a pipe has no days.
    is_regular: bool,
    day: NaiveDate,
    is_at_line_start: bool,
}

impl DailyFile {
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        Self::open_on(path, || Utc::now().date_naive())
    }

    fn open_on(path: PathBuf, today: fn() -> NaiveDate) -> io::Result<Self> {
        let open = Open::append(&path, today())?;
        Ok(Self { path, open, looked_at: Instant::now(), today, skips: false })
    }

    /// Fails where there is no file any more and none can be made.
    fn look(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if now.duration_since(self.looked_at) < LOOK_EVERY {
            return Ok(());
        }
        let is_ours = fs::metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.open.identity);
        if !is_ours {
            // While this fails it is tried with each write: no line may go where nobody finds it.
            let open = Open::append(&self.path, (self.today)())?;
            self.skips = !self.open.is_at_line_start;
            self.open = open;
        }
        self.looked_at = now;
        Ok(())
    }

    fn turn_the_day(&mut self) {
        let today = (self.today)();
        if today == self.open.day || !self.open.is_at_line_start || !self.open.is_regular {
            return;
        }
        // Where renaming fails, the lines are better in the file of the day before than nowhere.
        let renamed = self.dated().is_some_and(|dated| fs::rename(&self.path, dated).is_ok());
        match Open::append(&self.path, today) {
            Ok(open) if renamed => self.open = open,
            _ => self.open.day = today,
        }
    }

    /// A name with the date that nothing has yet.
    fn dated(&self) -> Option<PathBuf> {
        let named = |suffix: String| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{}{suffix}", self.open.day));
            PathBuf::from(name)
        };
        let more = (1..DATED_MAX).map(|number| named(format!(".{number}")));
        std::iter::once(named(String::new())).chain(more).find(|path| !path.exists())
    }
}

impl Open {
    fn append(path: &Path, today: NaiveDate) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let metadata = file.metadata()?;
        // A file that an earlier run left belongs to the day of its last line.
        let day = match metadata.modified() {
            Ok(modified) if metadata.len() > 0 => DateTime::<Utc>::from(modified).date_naive(),
            _ => today,
        };
        let identity = (metadata.dev(), metadata.ino());
        Ok(Self { file, identity, is_regular: metadata.is_file(), day, is_at_line_start: true })
    }
}

impl Write for DailyFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.look()?;
        self.turn_the_day();
        if self.skips && !lines.is_empty() {
            self.skips = false;
            let end = lines.iter().position(|byte| *byte == b'\n');
            return Ok(end.map_or(lines.len(), |end| end + 1));
        }
        let written = self.open.file.write(lines)?;
        if let Some(last) = lines[..written].last() {
            self.open.is_at_line_start = *last == b'\n';
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open.file.flush()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

    use tempfile::TempDir;

    use super::*;

    fn opened() -> (TempDir, PathBuf, DailyFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        fs::write(&path, "before\n").unwrap();
        let file = DailyFile::open(path.clone()).unwrap();
        (folder, path, file)
    }

    /// As if the last look had been some time ago.
    fn write_later(file: &mut DailyFile, line: &str) -> io::Result<()> {
        file.looked_at = Instant::now().checked_sub(LOOK_EVERY).unwrap();
        file.write_all(line.as_bytes())
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn each_day_has_its_file() {
        let (_folder, path, mut file) = opened();
        file.write_all(b"today\n").unwrap();
        assert_eq!(text(&path), "before\ntoday\n");
        let yesterday = file.open.day;
        file.today = || NaiveDate::MAX;
        file.write_all(b"tomorrow\n").unwrap();
        file.write_all(b"and on\n").unwrap();
        assert_eq!(text(&path), "tomorrow\nand on\n");
        let dated = path.with_file_name(format!("a.log.{yesterday}"));
        assert_eq!(text(&dated), "before\ntoday\n");
    }

    #[test]
    fn a_line_stays_in_one_file_and_no_file_replaces_another() {
        let (_folder, path, mut file) = opened();
        let yesterday = file.open.day;
        let dated = |suffix: &str| path.with_file_name(format!("a.log.{yesterday}{suffix}"));
        fs::write(dated(""), "taken\n").unwrap();
        file.write_all(b"half").unwrap();
        file.today = || NaiveDate::MAX;
        file.write_all(b" a line\n").unwrap();
        file.write_all(b"next\n").unwrap();
        assert_eq!(text(&path), "next\n");
        assert_eq!(text(&dated("")), "taken\n");
        assert_eq!(text(&dated(".1")), "before\nhalf a line\n");
    }

    #[test]
    fn a_file_that_cannot_be_renamed_is_kept() {
        let (_folder, path, mut file) = opened();
        let yesterday = file.open.day;
        fs::create_dir(path.with_file_name("b")).unwrap();
        // Nothing can be renamed to something in a directory that does not exist.
        file.path = path.with_file_name("b").join("../a.log");
        file.write_all(b"today\n").unwrap();
        fs::remove_dir(path.with_file_name("b")).unwrap();
        file.today = || NaiveDate::MAX;
        file.write_all(b"tomorrow\n").unwrap();
        assert_eq!(text(&path), "before\ntoday\ntomorrow\n");
        assert!(!path.with_file_name(format!("a.log.{yesterday}")).exists());
    }

    #[test]
    fn a_file_that_was_moved_or_removed_is_opened_anew() {
        let (_folder, path, mut file) = opened();
        let moved = path.with_file_name("moved.log");
        fs::rename(&path, &moved).unwrap();
        file.write_all(b"soon after\n").unwrap();
        assert_eq!(text(&moved), "before\nsoon after\n");
        write_later(&mut file, "later\n").unwrap();
        assert_eq!(text(&path), "later\n");
        fs::remove_file(&path).unwrap();
        write_later(&mut file, "again\n").unwrap();
        assert_eq!(text(&path), "again\n");
    }

    #[test]
    fn the_rest_of_a_line_is_not_written_into_another_file() {
        let (_folder, path, mut file) = opened();
        file.write_all(b"half").unwrap();
        fs::rename(&path, path.with_file_name("moved.log")).unwrap();
        write_later(&mut file, " a line\nnext\n").unwrap();
        assert_eq!(text(&path), "next\n");
    }

    #[test]
    fn lines_are_lost_while_the_directory_is_gone_and_come_back_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs");
        fs::create_dir(&logs).unwrap();
        let path = logs.join("a.log");
        let mut file = DailyFile::open(path.clone()).unwrap();
        fs::remove_dir_all(&logs).unwrap();
        assert!(write_later(&mut file, "lost\n").is_err());
        assert!(file.write_all(b"lost too\n").is_err());
        fs::create_dir(&logs).unwrap();
        file.write_all(b"kept\n").unwrap();
        assert_eq!(text(&path), "kept\n");
    }

    #[test]
    fn a_device_has_no_days() {
        let mut file = DailyFile::open(PathBuf::from("/dev/full")).unwrap();
        assert_eq!(file.write(b"line\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(!file.open.is_regular);
    }
}
