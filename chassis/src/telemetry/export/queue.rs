//! Items of one signal on their way to the exporter: encoded, gathered into batches, bounded in
//! number and in memory. Whoever adds one never waits, and wakes the exporter only for a full batch.
//!
//! Items are kept as the bytes that will be sent. A span that takes 1.5 KiB in many pieces as the
//! SDK keeps it is some 450 bytes here, copied into a buffer that is there already.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::protobuf;
use crate::telemetry::otel_environment;

/// A batch is also full at this size: far below what collectors take (4 MiB over gRPC), and what
/// fails with it is not much.
const BATCH_BYTES: usize = 256 * 1024;
/// A queue of n items holds at most n times as many bytes: 6 MiB of spans and 3 MiB of log records
/// at the default sizes, some 13,000 and 7,500 of ours (456 and 400 bytes on average). That leaves
/// room in the 20 MiB by which the service may grow while a collector is dead.
const ITEM_BYTES: usize = 192;
/// Small queues still take an item with long attributes.
const QUEUE_BYTES_MIN: usize = 1024 * 1024;

/// `ScopeSpans` and `ScopeLogs` have the scope and their items in fields of the same numbers.
const SCOPE: u32 = 1;
/// The field that an item is encoded as.
pub(in crate::telemetry) const ITEM: u32 = 2;

#[derive(Debug)]
pub(in crate::telemetry) struct Queue {
    state: Mutex<State>,
    batch_size: usize,
    items_max: usize,
    bytes_max: usize,
    full: Notify,
}

#[derive(Debug, Default)]
struct State {
    open: Batch,
    full: VecDeque<Batch>,
    scopes: Arc<Vec<Scope>>,
    items: usize,
    bytes: usize,
    is_closed: bool,
}

/// What made an item: an instrumentation scope.
#[derive(Clone, Debug)]
struct Scope {
    name: Box<str>,
    version: Box<str>,
    encoded: Box<[u8]>,
}

/// Items that are sent together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    parts: Vec<Part>,
    scopes: Arc<Vec<Scope>>,
}

/// An item within a batch: how long it is, and the index of its scope.
#[derive(Debug)]
struct Part {
    scope: usize,
    length: usize,
}

impl Queue {
    pub(super) fn new(batch: &otel_environment::Batch) -> Self {
        Self {
            state: Mutex::default(),
            batch_size: batch.size,
            items_max: batch.queue,
            bytes_max: batch.queue.saturating_mul(ITEM_BYTES).max(QUEUE_BYTES_MIN),
            full: Notify::new(),
        }
    }

    /// Adds an item, encoded as the field [`ITEM`]. False where there is no room for it.
    pub(in crate::telemetry) fn push(&self, scope: &str, version: &str, item: &[u8]) -> bool {
        let mut state = self.state();
        let room = state.items < self.items_max && state.bytes + item.len() <= self.bytes_max;
        if state.is_closed || !room {
            return false;
        }
        let is_full = state.add(scope, version, item, self.batch_size);
        drop(state);
        if is_full {
            self.full.notify_one();
        }
        true
    }

    /// Returns once there may be a full batch.
    pub(super) async fn filled(&self) {
        self.full.notified().await;
    }

    /// The next full batch.
    pub(super) fn take_full(&self) -> Option<Batch> {
        self.state().take_full()
    }

    /// Makes a batch of what there is, full or not.
    pub(super) fn close_open(&self) {
        self.state().close_batch();
    }

    /// The next batch, full or not.
    pub(super) fn take(&self) -> Option<Batch> {
        let mut state = self.state();
        state.take_full().or_else(|| {
            state.close_batch();
            state.take_full()
        })
    }

    /// Takes no more. The number of items that were left.
    pub(super) fn close(&self) -> usize {
        let mut state = self.state();
        let left = state.items;
        *state = State { is_closed: true, ..State::default() };
        left
    }

    /// Items that wait.
    pub(super) fn len(&self) -> usize {
        self.state().items
    }

    /// A request with the next batch.
    #[cfg(test)]
    pub(in crate::telemetry) fn request_for_tests(&self, resource: &[u8]) -> Vec<u8> {
        let mut request = Vec::new();
        if let Some(batch) = self.take() {
            batch.request(resource, &mut request);
        }
        request
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// True where a batch became full.
    fn add(&mut self, scope: &str, version: &str, item: &[u8], batch_size: usize) -> bool {
        let fits = self.open.bytes.is_empty() || self.open.bytes.len() + item.len() <= BATCH_BYTES;
        if !fits {
            self.close_batch();
        }
        let scope = self.scope(scope, version);
        if self.open.bytes.is_empty() {
            self.open.bytes.reserve_exact(BATCH_BYTES.max(item.len()));
        }
        self.open.bytes.extend_from_slice(item);
        self.open.parts.push(Part { scope, length: item.len() });
        self.items += 1;
        self.bytes += item.len();
        let complete = self.open.parts.len() >= batch_size;
        if complete {
            self.close_batch();
        }
        complete || !fits
    }

    fn close_batch(&mut self) {
        if !self.open.parts.is_empty() {
            let mut batch = std::mem::take(&mut self.open);
            batch.scopes = Arc::clone(&self.scopes);
            self.full.push_back(batch);
        }
    }

    fn take_full(&mut self) -> Option<Batch> {
        let batch = self.full.pop_front()?;
        self.items -= batch.parts.len();
        self.bytes -= batch.bytes.len();
        Some(batch)
    }

    /// They are named in the source, so there are few.
    fn scope(&mut self, name: &str, version: &str) -> usize {
        let is_this = |scope: &Scope| &*scope.name == name && &*scope.version == version;
        let known = self.scopes.iter().position(is_this);
        known.unwrap_or_else(|| {
            let mut encoded = Vec::new();
            protobuf::nested(&mut encoded, SCOPE, |out| {
                protobuf::bytes(out, 1, name);
                if !version.is_empty() {
                    protobuf::bytes(out, 2, version);
                }
            });
            let scopes = Arc::make_mut(&mut self.scopes);
            let (name, version) = (name.into(), version.into());
            scopes.push(Scope { name, version, encoded: encoded.into() });
            scopes.len() - 1
        })
    }
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    /// The items as they were added.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends an `ExportTraceServiceRequest` or `ExportLogsServiceRequest`, which have the same
    /// numbers for the same things. `resource` is its `Resource`, encoded as field 1.
    pub(super) fn request(&self, resource: &[u8], out: &mut Vec<u8>) {
        out.reserve(self.bytes.len() + resource.len() + 1024);
        protobuf::nested(out, 1, |out| {
            out.extend_from_slice(resource);
            for (index, scope) in self.scopes.iter().enumerate() {
                if self.parts.iter().any(|part| part.scope == index) {
                    protobuf::nested(out, 2, |out| {
                        out.extend_from_slice(&scope.encoded);
                        self.items_of(index).for_each(|item| out.extend_from_slice(item));
                    });
                }
            }
        });
    }

    fn items_of(&self, scope: usize) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        self.parts.iter().filter_map(move |part| {
            let (item, later) = rest.split_at(part.length);
            rest = later;
            (part.scope == scope).then_some(item)
        })
    }
}

#[cfg(test)]
mod tests;
