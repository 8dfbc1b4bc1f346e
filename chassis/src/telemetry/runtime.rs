//! What the Tokio runtime says about itself, read when somebody scrapes.

use std::sync::{Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, IntCounter, IntGauge};
use tokio::runtime::{Handle, RuntimeMetrics};

use super::catalogue::{MetricRow, metrics as rows};

/// Families over the runtime that the collector was made in, or else the one that the scrape runs
/// in. Outside any runtime it yields nothing.
pub(super) struct RuntimeCollector {
    runtime: Option<Handle>,
    // Two scrapes at once must not both bring a counter up to date.
    families: Mutex<Families>,
    descriptions: Vec<Desc>,
}

struct Families {
    workers: IntGauge,
    alive_tasks: IntGauge,
    global_queue_depth: IntGauge,
    busy: Counter,
    parks: IntCounter,
}

impl RuntimeCollector {
    pub(super) fn new() -> prometheus::Result<Self> {
        let gauge = |row: &MetricRow| IntGauge::new(row.name, row.help);
        let families = Families {
            workers: gauge(&rows::TOKIO_WORKERS)?,
            alive_tasks: gauge(&rows::TOKIO_ALIVE_TASKS)?,
            global_queue_depth: gauge(&rows::TOKIO_GLOBAL_QUEUE_DEPTH)?,
            busy: Counter::new(rows::TOKIO_BUSY.name, rows::TOKIO_BUSY.help)?,
            parks: IntCounter::new(rows::TOKIO_PARKS.name, rows::TOKIO_PARKS.help)?,
        };
        Ok(Self {
            runtime: Handle::try_current().ok(),
            descriptions: families
                .collectors()
                .iter()
                .flat_map(|family| family.desc().into_iter().cloned())
                .collect(),
            families: Mutex::new(families),
        })
    }
}

impl Collector for RuntimeCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(runtime) = self.runtime.clone().or_else(|| Handle::try_current().ok()) else {
            return Vec::new();
        };
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        families.update(&runtime.metrics());
        let collectors = families.collectors();
        collectors.iter().flat_map(|c| c.collect()).collect()
    }
}

impl Families {
    fn collectors(&self) -> [&dyn Collector; 5] {
        [&self.workers, &self.alive_tasks, &self.global_queue_depth, &self.busy, &self.parks]
    }

    fn update(&self, runtime: &RuntimeMetrics) {
        self.workers.set(gauge(runtime.num_workers()));
        self.alive_tasks.set(gauge(runtime.num_alive_tasks()));
        self.global_queue_depth.set(gauge(runtime.global_queue_depth()));
        let workers = 0..runtime.num_workers();
        let busy = workers.clone().map(|w| runtime.worker_total_busy_duration(w).as_secs_f64());
        self.busy.inc_by((busy.sum::<f64>() - self.busy.get()).max(0.0));
        let parks = workers.map(|w| runtime.worker_park_count(w)).sum::<u64>();
        self.parks.inc_by(parks.saturating_sub(self.parks.get()));
    }
}

fn gauge(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;

    #[test]
    fn outside_a_runtime_there_is_nothing_to_say() {
        assert!(RuntimeCollector::new().unwrap().collect().is_empty());
    }

    #[tokio::test]
    async fn inside_a_runtime_every_described_family_is_there() {
        let collector = RuntimeCollector::new().unwrap();
        let families = collector.collect();
        assert_eq!(families.len(), collector.desc().len());
        assert_eq!(families[0].name(), "tokio_workers");
        assert!((families[0].get_metric()[0].get_gauge().get_value() - 1.0).abs() < f64::EPSILON);
    }

    #[tokio::test]
    async fn counters_do_not_go_back() {
        let collector = RuntimeCollector::new().unwrap();
        let busy = |c: &RuntimeCollector| c.collect()[3].get_metric()[0].get_counter().get_value();
        let before = busy(&collector);
        tokio::task::yield_now().await;
        assert!(busy(&collector) >= before);
    }
}
