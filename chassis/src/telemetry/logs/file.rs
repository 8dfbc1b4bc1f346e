//! `log.file`: appended to, and renamed at the first line of a new day (UTC) to carry the date of
//! the day that it is of.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, Utc};

#[derive(Debug)]
pub(super) struct DailyFile {
    path: PathBuf,
    file: File,
    day: NaiveDate,
    today: fn() -> NaiveDate,
}

impl DailyFile {
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        Self::open_on(path, || Utc::now().date_naive())
    }

    fn open_on(path: PathBuf, today: fn() -> NaiveDate) -> io::Result<Self> {
        let file = append(&path)?;
        let metadata = file.metadata()?;
        // A file that an earlier run left belongs to the day of its last line.
        let day = match metadata.modified() {
            Ok(modified) if metadata.len() > 0 => DateTime::<Utc>::from(modified).date_naive(),
            _ => today(),
        };
        Ok(Self { path, file, day, today })
    }

    fn rotate(&mut self, today: NaiveDate) -> io::Result<()> {
        let mut dated = self.path.clone().into_os_string();
        dated.push(format!(".{}", self.day));
        fs::rename(&self.path, dated)?;
        self.file = append(&self.path)?;
        self.day = today;
        Ok(())
    }
}

impl Write for DailyFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let today = (self.today)();
        if today != self.day {
            // Where renaming fails, the lines are better in yesterday's file than nowhere.
            let _ = self.rotate(today);
        }
        self.file.write(lines)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;

    #[test]
    fn each_day_has_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        fs::write(&path, "before\n").unwrap();
        let mut file = DailyFile::open(path.clone()).unwrap();
        file.write_all(b"today\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before\ntoday\n");
        let yesterday = file.day;
        file.today = || NaiveDate::MAX;
        file.write_all(b"tomorrow\n").unwrap();
        file.write_all(b"and on\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "tomorrow\nand on\n");
        let dated = folder.path().join(format!("a.log.{yesterday}"));
        assert_eq!(fs::read_to_string(dated).unwrap(), "before\ntoday\n");
    }
}
