//! Device memory and pinned memory. Device addresses lie in a part of the address space that cannot be
//! touched; their bytes are elsewhere. Pinned pages are mapped twice: the program's view is locked while
//! operations are under way, the driver's own never is.

use crate::schedule::Past;
use std::collections::BTreeMap;
use std::ptr::null_mut;

pub(crate) const PAGE: u64 = 4096;
/// Device addresses, as `cuMemAlloc` promises.
const ALIGNMENT: u64 = 256;
/// Address space for each kind. Addresses are never used again, so that a stale one is always found out.
const RESERVED: u64 = 1 << 38;
/// What fresh memory holds: NaN in every float type.
const POISON: u8 = 0xff;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Device(usize),
    Pinned { write_combined: bool },
}

/// What one allocation gave. It stays on the list after it was freed.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) base: u64,
    pub(crate) bytes: u64,
    pub(crate) place: Place,
    /// The device whose context it belongs to.
    pub(crate) device: usize,
    pub(crate) freed: bool,
    pub(crate) what: String,
    /// Accesses that the host does not know to be over.
    pub(crate) past: Vec<Past>,
    /// Ranges that somebody has written, by start.
    written: BTreeMap<u64, u64>,
    view: *mut u8,
}

impl Block {
    pub(crate) fn end(&self) -> u64 {
        self.base + self.bytes
    }

    pub(crate) fn holds(&self, from: u64, to: u64) -> bool {
        self.base <= from && to <= self.end()
    }

    /// The driver's view of `[from, to)`, which must lie in the block.
    pub(crate) fn view(&self, from: u64, to: u64) -> *mut u8 {
        assert!(!self.freed && self.holds(from, to), "{}: {from:#x} to {to:#x}", self.what);
        // SAFETY: the mapping has `bytes` bytes from `view` on until the block is freed.
        unsafe { self.view.add((from - self.base) as usize) }
    }

    pub(crate) fn note_written(&mut self, mut from: u64, mut to: u64) {
        while let Some((&start, &end)) =
            self.written.range(..=to).next_back().filter(|(_, end)| **end >= from)
        {
            self.written.remove(&start);
            (from, to) = (from.min(start), to.max(end));
        }
        self.written.insert(from, to);
    }

    pub(crate) fn is_written(&self, from: u64, to: u64) -> bool {
        self.written.range(..=from).next_back().is_some_and(|(_, end)| *end >= to)
    }

    /// Ranges that somebody has written, ascending.
    pub(crate) fn written(&self) -> impl Iterator<Item = (u64, u64)> {
        self.written.iter().map(|(from, to)| (*from, *to))
    }

    /// Lets the program touch its pages as far as operations under way allow: not at all what one of them
    /// writes, only for reading what one of them reads.
    pub(crate) fn protect(&self) {
        if self.freed || !matches!(self.place, Place::Pinned { .. }) {
            return;
        }
        protect(self.base, self.base + self.bytes.next_multiple_of(PAGE), libc::PROT_READ | libc::PROT_WRITE);
        for (writes, protection) in [(false, libc::PROT_READ), (true, libc::PROT_NONE)] {
            for past in self.past.iter().filter(|past| past.access.write == writes) {
                let from = past.access.from / PAGE * PAGE;
                protect(from, past.access.to.next_multiple_of(PAGE), protection);
            }
        }
    }
}

/// Changes the protection of whole pages of the reserved address space.
pub(crate) fn protect(from: u64, to: u64, protection: i32) {
    // SAFETY: the pages are the driver's own mapping; who touches them meanwhile is what is being found out.
    let failed = unsafe { libc::mprotect(from as *mut _, (to - from) as usize, protection) } != 0;
    assert!(!failed, "mprotect: {}", std::io::Error::last_os_error());
}

/// The two address ranges and every block ever handed out.
#[derive(Debug)]
pub(crate) struct Memory {
    device_from: u64,
    pinned_from: u64,
    device_next: u64,
    pinned_next: u64,
    pinned_file: i32,
    blocks: BTreeMap<u64, Block>,
    pub(crate) pinned_used: u64,
    made: u64,
}

// SAFETY: the views are owned by the blocks and touched under the driver's lock only.
unsafe impl Send for Memory {}

fn map(bytes: u64, protection: i32, flags: i32, file: i32, offset: u64) -> Option<*mut u8> {
    // SAFETY: a new mapping at an address of the system's choice touches nothing that exists.
    let mapped =
        unsafe { libc::mmap(null_mut(), bytes as usize, protection, flags, file, offset as libc::off_t) };
    (mapped != libc::MAP_FAILED).then_some(mapped.cast())
}

impl Memory {
    /// Reserves the address space; `None` if the system refuses.
    pub(crate) fn reserve() -> Option<Self> {
        // SAFETY: a constant name, checked flags.
        let file = unsafe { libc::memfd_create(c"software-cuda".as_ptr(), libc::MFD_CLOEXEC) };
        // SAFETY: `file` is the descriptor just made.
        if file < 0 || unsafe { libc::ftruncate(file, RESERVED as libc::off_t) } != 0 {
            return None;
        }
        let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let device = map(RESERVED, libc::PROT_NONE, private, -1, 0)? as u64;
        let shared = libc::MAP_SHARED | libc::MAP_NORESERVE;
        let pinned = map(RESERVED, libc::PROT_NONE, shared, file, 0)? as u64;
        Some(Self {
            device_from: device,
            pinned_from: pinned,
            device_next: device + PAGE,
            pinned_next: pinned + PAGE,
            pinned_file: file,
            blocks: BTreeMap::new(),
            pinned_used: 0,
            made: 0,
        })
    }

    pub(crate) fn is_device(&self, address: u64) -> bool {
        (self.device_from..self.device_from + RESERVED).contains(&address)
    }

    pub(crate) fn is_pinned(&self, address: u64) -> bool {
        (self.pinned_from..self.pinned_from + RESERVED).contains(&address)
    }

    /// A new block, or `None` if there is no address space or memory left.
    pub(crate) fn allocate(&mut self, place: Place, device: usize, bytes: u64) -> Option<u64> {
        let pages = bytes.next_multiple_of(PAGE);
        let (base, view, kind) = match place {
            Place::Device(_) => {
                let base = self.device_next;
                let next = (base + bytes + PAGE).next_multiple_of(ALIGNMENT);
                if next > self.device_from + RESERVED {
                    return None;
                }
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                let view = map(pages, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)?;
                self.device_next = next;
                (base, view, "device memory")
            }
            Place::Pinned { .. } => {
                let base = self.pinned_next;
                if base + pages + PAGE > self.pinned_from + RESERVED {
                    return None;
                }
                let offset = base - self.pinned_from;
                let protection = libc::PROT_READ | libc::PROT_WRITE;
                let view = map(pages, protection, libc::MAP_SHARED, self.pinned_file, offset)?;
                self.pinned_next = base + pages + PAGE;
                self.pinned_used += bytes;
                (base, view, "pinned memory")
            }
        };
        // SAFETY: `pages` bytes were just mapped for writing.
        unsafe { view.write_bytes(POISON, pages as usize) };
        self.made += 1;
        let what = format!("{kind} #{} ({bytes} bytes)", self.made);
        let block = Block {
            base,
            bytes,
            place,
            device,
            freed: false,
            what,
            past: Vec::new(),
            written: BTreeMap::new(),
            view,
        };
        block.protect();
        self.blocks.insert(base, block);
        Some(base)
    }

    /// The block whose bytes, or the gap after it, hold the address.
    pub(crate) fn nearest(&self, address: u64) -> Option<&Block> {
        let (_, block) = self.blocks.range(..=address).next_back()?;
        (self.is_device(block.base) == self.is_device(address)).then_some(block)
    }

    pub(crate) fn block(&self, base: u64) -> Option<&Block> {
        self.blocks.get(&base)
    }

    pub(crate) fn block_mut(&mut self, base: u64) -> Option<&mut Block> {
        self.blocks.get_mut(&base)
    }

    pub(crate) fn blocks_mut(&mut self) -> impl Iterator<Item = &mut Block> {
        self.blocks.values_mut().filter(|block| !block.freed)
    }

    /// Takes the bytes away; the addresses stay known.
    pub(crate) fn free(&mut self, base: u64) {
        let Some(block) = self.blocks.get_mut(&base).filter(|block| !block.freed) else { return };
        block.freed = true;
        block.past.clear();
        let pages = block.bytes.next_multiple_of(PAGE);
        if matches!(block.place, Place::Pinned { .. }) {
            self.pinned_used -= block.bytes;
            protect(base, base + pages, libc::PROT_NONE);
            let hole = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
            let offset = (base - self.pinned_from) as libc::off_t;
            // SAFETY: the file is the driver's; nobody may use these pages any more. Failing costs memory only.
            unsafe { libc::fallocate(self.pinned_file, hole, offset, pages as libc::off_t) };
        }
        // SAFETY: the mapping was made with this length in `allocate`; `freed` keeps `view` from being used.
        unsafe { libc::munmap(block.view.cast(), pages as usize) };
    }
}
