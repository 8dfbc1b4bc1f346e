//! What the operating system says about the process, read when somebody scrapes. Names are those that
//! Prometheus' client libraries share.

use std::sync::{Mutex, PoisonError};

use procfs::process::{LimitValue, Process, Stat};
use procfs::{CurrentSI, KernelStats, ProcResult};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, IntGauge};

use super::catalogue::{MetricRow, metrics as rows};

/// Families over the process that runs this. Yields nothing where `/proc` cannot be read.
pub(super) struct ProcessCollector {
    // Two scrapes at once must not both bring a counter up to date.
    families: Mutex<Families>,
    descriptions: Vec<Desc>,
}

struct Families {
    cpu: Counter,
    open_fds: IntGauge,
    max_fds: IntGauge,
    virtual_memory: IntGauge,
    resident_memory: IntGauge,
    start_time: Gauge,
    threads: IntGauge,
}

impl ProcessCollector {
    pub(super) fn new() -> prometheus::Result<Self> {
        let gauge = |row: &MetricRow| IntGauge::new(row.name, row.help);
        let families = Families {
            cpu: Counter::new(rows::PROCESS_CPU.name, rows::PROCESS_CPU.help)?,
            open_fds: gauge(&rows::PROCESS_OPEN_FDS)?,
            max_fds: gauge(&rows::PROCESS_MAX_FDS)?,
            virtual_memory: gauge(&rows::PROCESS_VIRTUAL_MEMORY)?,
            resident_memory: gauge(&rows::PROCESS_RESIDENT_MEMORY)?,
            start_time: Gauge::new(rows::PROCESS_START_TIME.name, rows::PROCESS_START_TIME.help)?,
            threads: gauge(&rows::PROCESS_THREADS)?,
        };
        let descriptions = families.collectors().iter().flat_map(|c| c.desc()).cloned().collect();
        Ok(Self { families: Mutex::new(families), descriptions })
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        if families.update().is_err() {
            return Vec::new();
        }
        families.collectors().iter().flat_map(|c| c.collect()).collect()
    }
}

impl Families {
    fn collectors(&self) -> [&dyn Collector; 7] {
        [
            &self.cpu,
            &self.open_fds,
            &self.max_fds,
            &self.virtual_memory,
            &self.resident_memory,
            &self.start_time,
            &self.threads,
        ]
    }

    fn update(&self) -> ProcResult<()> {
        let process = Process::myself()?;
        let stat = process.stat()?;
        self.cpu.inc_by((cpu_seconds(&stat) - self.cpu.get()).max(0.0));
        self.open_fds.set(gauge(process.fd_count()?));
        self.max_fds.set(match process.limits()?.max_open_files.soft_limit {
            LimitValue::Value(limit) => gauge(limit),
            LimitValue::Unlimited => i64::MAX,
        });
        self.virtual_memory.set(gauge(stat.vsize));
        self.resident_memory.set(gauge(stat.rss.saturating_mul(procfs::page_size())));
        self.start_time.set(started_at(&stat)?);
        self.threads.set(stat.num_threads);
        Ok(())
    }
}

/// In hundredths of a second, which is how the kernel counts.
fn cpu_seconds(stat: &Stat) -> f64 {
    seconds(stat.utime + stat.stime)
}

fn started_at(stat: &Stat) -> ProcResult<f64> {
    let boot = KernelStats::current()?.btime;
    Ok(f64::from(u32::try_from(boot).unwrap_or(u32::MAX)) + seconds(stat.starttime))
}

#[expect(clippy::cast_precision_loss, reason = "ticks are far below 2^52")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / procfs::ticks_per_second() as f64
}

fn gauge(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

    use std::hint::black_box;

    use super::*;

    #[test]
    fn every_described_family_is_there_and_means_something() {
        let collector = ProcessCollector::new().unwrap();
        let families = collector.collect();
        assert_eq!(families.len(), collector.desc().len());
        for family in &families[1..] {
            let value = family.get_metric()[0].get_gauge().get_value();
            assert!(value > 0.0, "{} {value}", family.name());
        }
        let start = families[5].get_metric()[0].get_gauge().get_value();
        let now = chrono::Utc::now().timestamp();
        // A test process is no older than a day, and boot times are in whole seconds.
        assert!((start - f64::from(u32::try_from(now).unwrap())).abs() < 86_400.0, "{start}");
    }

    #[test]
    fn cpu_time_has_decimals() {
        let collector = ProcessCollector::new().unwrap();
        let cpu = || collector.collect()[0].get_metric()[0].get_counter().get_value();
        let before = cpu();
        // Works until the clock has moved: by a hundredth of a second, not by a whole one.
        let mut number = 1_u64;
        while cpu() <= before {
            for _ in 0..100_000 {
                number = black_box(number.wrapping_mul(3));
            }
        }
        assert!(cpu() - before < 0.9);
    }
}
