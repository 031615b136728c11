//! The maps of the kernel's unwinder. Arrays are written through memory that both sides share: a
//! table of a million rows is copied and not told row by row.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use aya::maps::{Array, HashMap, Map, MapData};
use flame_common::limits::{CHUNK_ROWS, MAPPINGS};
use flame_common::mapping::{MappedRange, ProcessRun, TextPage};
use flame_common::unwind::{DICTIONARY, Row, Rule};

use crate::unwind::KernelTables;

/// How much the kernel's tables may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TableRoom {
    /// Values of the `ROWS` map, of [`CHUNK_ROWS`] each.
    pub(super) chunks: u32,
    /// Text pages.
    pub(super) pages: u32,
}

impl TableRoom {
    /// For a few processes: 8 MiB of rows, of 1 GiB of text. Rows are made of what stacks go
    /// through, and 8 MiB are those of some 100 MiB of text.
    pub(crate) const CHOSEN: Self = Self { chunks: 512, pages: 1 << 18 };
    /// For all of a machine's: 12 MiB of rows, of 3 GiB of text.
    pub(crate) const ALL: Self = Self { chunks: 768, pages: 3 << 18 };
}

/// The maps, open.
pub(crate) struct UnwindMaps {
    room: TableRoom,
    rows: SharedArray<Row>,
    pages: SharedArray<TextPage>,
    rules: SharedArray<Rule>,
    ranges: SharedArray<MappedRange>,
    processes: HashMap<MapData, u32, ProcessRun>,
    changes: Changes,
}

/// How often entries of the maps of processes and targets became others or went, by user space.
#[derive(Clone)]
pub(super) struct Changes(Arc<Mutex<(Array<MapData, u32>, u32)>>);

impl Changes {
    /// The place of user space's number.
    const OWN: u32 = 1;

    pub(super) fn open(map: Map) -> Result<Self> {
        Ok(Self(Arc::new(Mutex::new((Array::try_from(map)?, 0)))))
    }

    /// Counts one, behind all that was written before.
    pub(super) fn count(&self) {
        let mut changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (map, number) = &mut *changes;
        *number = number.wrapping_add(1);
        if let Err(error) = map.set(Self::OWN, *number, 0) {
            log::warn!("tell the kernel programs of a change: {error}");
        }
    }
}

impl UnwindMaps {
    /// Opens them; `take` takes one out of the object by name.
    pub(super) fn open(
        room: TableRoom,
        changes: Changes,
        mut take: impl FnMut(&str) -> Result<Map>,
    ) -> Result<Self> {
        let rows = room.chunks as usize * CHUNK_ROWS;
        Ok(Self {
            room,
            rows: SharedArray::open(take("ROWS")?, rows)?,
            pages: SharedArray::open(take("PAGES")?, room.pages as usize)?,
            rules: SharedArray::open(take("RULES")?, DICTIONARY)?,
            ranges: SharedArray::open(take("RANGES")?, MAPPINGS)?,
            processes: HashMap::try_from(take("PROCESSES")?)?,
            changes,
        })
    }
}

impl KernelTables for UnwindMaps {
    fn room(&self) -> (u32, u32) {
        (self.room.chunks * CHUNK_ROWS as u32, self.room.pages)
    }

    fn write_rows(&mut self, first: u32, rows: &[Row]) {
        self.rows.write(first, rows);
    }

    fn write_pages(&mut self, first: u32, pages: &[TextPage]) {
        self.pages.write(first, pages);
    }

    fn write_rule(&mut self, number: u16, rule: Rule) {
        self.rules.write(number.into(), &[rule]);
    }

    fn write_ranges(&mut self, first: u32, ranges: &[MappedRange]) {
        self.ranges.write(first, ranges);
    }

    fn set_process(&mut self, pid: u32, run: ProcessRun, as_of_ns: u64) -> Result<bool> {
        let exec_ns = self.processes.get(&pid, 0).map_or(0, |known| known.exec_ns);
        if exec_ns > as_of_ns {
            return Ok(false);
        }
        let inserted = self.processes.insert(pid, ProcessRun { exec_ns, ..run }, 0);
        self.changes.count();
        inserted.context("write the process's entry").map(|()| true)
    }

    fn remove_process(&mut self, pid: u32) {
        // Gone already: the kernel programs take out the dead too.
        _ = self.processes.remove(&pid);
        self.changes.count();
    }
}

/// An array map whose memory is shared with the kernel, or a part of one.
pub(super) struct SharedArray<T> {
    // Programs that are loaded later know it by its descriptor.
    _map: Arc<Map>,
    memory: NonNull<u8>,
    length: usize,
    _of: PhantomData<T>,
}

// SAFETY: the memory belongs to this value alone and does not depend on the thread.
unsafe impl<T: Send> Send for SharedArray<T> {}

// SAFETY: what takes a shared reference changes elements by atomic instructions alone.
unsafe impl Sync for SharedArray<u32> {}

// SAFETY: likewise.
unsafe impl Sync for SharedArray<u64> {}

impl<T: Copy> SharedArray<T> {
    /// Maps an array of `length` elements of `T`, whatever the map's own values are.
    pub(super) fn open(map: Map, length: usize) -> Result<Self> {
        Self::part(&Arc::new(map), 0, length)
    }

    /// Maps `length` elements from a byte of the array on, which begins a page.
    pub(super) fn part(map: &Arc<Map>, first_byte: usize, length: usize) -> Result<Self> {
        let Map::Array(data) = &**map else {
            anyhow::bail!("a table of the kernel programs is no array");
        };
        let fd = data.fd().as_fd().as_raw_fd();
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let (bytes, offset) = (length * size_of::<T>(), first_byte as libc::off_t);
        // SAFETY: a fresh mapping of a descriptor that is open; nothing else is touched.
        let memory = unsafe {
            libc::mmap(std::ptr::null_mut(), bytes, protection, libc::MAP_SHARED, fd, offset)
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error()).context("share a table with the kernel");
        }
        let memory = NonNull::new(memory.cast()).context("share a table with the kernel")?;
        Ok(Self { _map: Arc::clone(map), memory, length, _of: PhantomData })
    }

    /// Writes elements from an index on; those that lie outside are left out.
    fn write(&mut self, first: u32, elements: &[T]) {
        for (element, at) in elements.iter().zip(first as usize..self.length) {
            // SAFETY: the index is less than the array's length, and the mapping is as long. The
            // kernel may read meanwhile: what it reads is checked there, any bits are valid.
            unsafe { self.memory.cast::<T>().add(at).write_volatile(*element) };
        }
    }
}

impl SharedArray<u64> {
    /// An element, before all that was written after it; 0 outside.
    pub(super) fn load(&self, index: usize) -> u64 {
        self.element(index).map_or(0, |element| element.load(Ordering::Acquire))
    }

    /// Writes an element behind all that was read and written before.
    pub(super) fn store(&self, index: usize, number: u64) {
        if let Some(element) = self.element(index) {
            element.store(number, Ordering::Release);
        }
    }

    fn element(&self, index: usize) -> Option<&AtomicU64> {
        // SAFETY: the index is less than the array's length, and the mapping is as long; all change
        // the element by whole words.
        (index < self.length)
            .then(|| unsafe { AtomicU64::from_ptr(self.memory.cast().add(index).as_ptr()) })
    }
}

impl SharedArray<u32> {
    /// Takes one off an element, which the kernel changes meanwhile.
    pub(super) fn take_one(&self, index: u32) {
        if let Some(element) = self.element(index) {
            element.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn element(&self, index: u32) -> Option<&AtomicU32> {
        let index = index as usize;
        // SAFETY: the index is less than the array's length, and the mapping is as long; all change
        // the element by atomic instructions.
        (index < self.length)
            .then(|| unsafe { AtomicU32::from_ptr(self.memory.cast().add(index).as_ptr()) })
    }
}

impl<T> Drop for SharedArray<T> {
    fn drop(&mut self) {
        // SAFETY: this mapping was made by `open`, and nobody keeps a reference into it.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.length * size_of::<T>()) };
    }
}
