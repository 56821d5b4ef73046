//! Launches into the compiled library.

use crate::compile::{self, Change};
use crate::memory::Memory;
use anyhow::{Context, bail};
use libloading::Library;
use libvision_kernels::cuda::launch::Launch;
use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::OnceLock;

/// What a kernel may do with a buffer.
#[derive(Debug)]
pub enum Access<'a> {
    /// Read it.
    Read(&'a Memory),
    /// Write each byte at most once, and read none.
    Write(&'a mut Memory),
    /// Read bytes that the kernel knows by another address than the host.
    ReadAt {
        /// The kernel's address of the first byte.
        address: u64,
        /// Where they are.
        bytes: &'a [u8],
    },
    /// Write such bytes.
    WriteAt {
        /// The kernel's address of the first byte.
        address: u64,
        /// Where they are.
        bytes: &'a mut [u8],
    },
}

impl Access<'_> {
    /// The kernel's address of the first byte, and how many there are.
    pub fn place(&self) -> (u64, usize) {
        match self {
            Self::Read(memory) => (memory.address(), memory.len()),
            Self::Write(memory) => (memory.address(), memory.len()),
            Self::ReadAt { address, bytes } => (*address, bytes.len()),
            Self::WriteAt { address, bytes } => (*address, bytes.len()),
        }
    }

    /// A copy of what is there.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Read(memory) => memory.to_bytes(),
            Self::Write(memory) => memory.to_bytes(),
            Self::ReadAt { bytes, .. } => bytes.to_vec(),
            Self::WriteAt { bytes, .. } => bytes.to_vec(),
        }
    }
}

/// What kernels can be launched on: this emulator, or a device of the same kind as a test wants it.
pub trait Device: Sync {
    /// Runs a launch to its end. The kernel may use `buffers` and nothing else; the error says what went wrong.
    /// `seed` decides what is not determined, such as the order of blocks, where that can be decided.
    fn launch(&self, launch: &Launch, buffers: &mut [Access<'_>], seed: u64) -> anyhow::Result<Counts>;
}

impl Device for Emulator {
    fn launch(&self, launch: &Launch, buffers: &mut [Access<'_>], seed: u64) -> anyhow::Result<Counts> {
        Emulator::launch(self, launch, buffers, seed)
    }
}

/// What a launch did.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Matrix instructions of 16 x 8 x 16.
    pub matrix_products: u64,
    /// Copies by cp.async.
    pub asynchronous_copies: u64,
    /// Barriers that all threads of a block reached.
    pub barriers: u64,
    /// Passes that ldmatrix needed beyond one per matrix, because rows shared a bank.
    pub bank_conflicts: u64,
}

#[repr(C)]
struct RawBuffer {
    address: u64,
    data: *const c_void,
    bytes: u64,
    writable: u32,
    unused: u32,
}

#[repr(C)]
struct RawLaunch {
    entry_point: *const c_char,
    arguments: *const c_void,
    argument_bytes: u64,
    blocks: u32,
    threads: u32,
    shared_bytes: u32,
    buffer_count: u32,
    buffers: *const RawBuffer,
    seed: u64,
}

type Emulate = unsafe extern "C" fn(*const RawLaunch, *mut Counts, *mut c_char, usize) -> bool;
type Visit = unsafe extern "C" fn(*mut c_void, *const c_char, u32, usize);
type EntryPoints = unsafe extern "C" fn(Visit, *mut c_void);

/// The kernels, compiled for this machine. Any number of threads may launch at once.
pub struct Emulator {
    emulate: Emulate,
    entry_points: EntryPoints,
    _library: Library,
}

impl Emulator {
    /// The kernels as they are; compiled by whoever asks first.
    pub fn shared() -> &'static Emulator {
        static SHARED: OnceLock<Emulator> = OnceLock::new();
        SHARED.get_or_init(|| {
            Self::load(None).unwrap_or_else(|error| panic!("the kernels do not compile: {error:#}"))
        })
    }

    /// The kernels with a change.
    pub fn changed(change: &Change) -> anyhow::Result<Emulator> {
        Self::load(Some(change))
    }

    fn load(change: Option<&Change>) -> anyhow::Result<Self> {
        let path = compile::library(change)?;
        // SAFETY: the library was compiled from this crate's sources; its initialisers only fill a list.
        let library = unsafe { Library::new(&path) }.with_context(|| path.display().to_string())?;
        // SAFETY: `launch.cpp` defines both symbols with these types.
        let (emulate, entry_points) = unsafe {
            (
                *library.get::<Emulate>(b"libvision_emulate")?,
                *library.get::<EntryPoints>(b"libvision_entry_points")?,
            )
        };
        Ok(Self { emulate, entry_points, _library: library })
    }

    /// Name, threads and size of the argument block of everything that can be launched.
    pub fn entry_points(&self) -> Vec<(String, u32, usize)> {
        unsafe extern "C" fn visit(list: *mut c_void, name: *const c_char, threads: u32, bytes: usize) {
            // SAFETY: `list` is the vector below, `name` a string constant of the library.
            let (list, name) =
                unsafe { (&mut *list.cast::<Vec<(String, u32, usize)>>(), CStr::from_ptr(name)) };
            list.push((name.to_string_lossy().into_owned(), threads, bytes));
        }
        let mut list: Vec<(String, u32, usize)> = Vec::new();
        // SAFETY: the library calls `visit` with the pointer to `list` before it returns, and keeps nothing.
        unsafe { (self.entry_points)(visit, (&raw mut list).cast()) };
        list
    }

    /// Runs a launch to its end, blocks in an order that `seed` gives. The kernel may use `buffers` and
    /// nothing else; the error says what it did wrong.
    pub fn launch(&self, launch: &Launch, buffers: &mut [Access<'_>], seed: u64) -> anyhow::Result<Counts> {
        let entry_point = CString::new(launch.entry_point)?;
        let raw: Vec<RawBuffer> = buffers
            .iter_mut()
            .map(|buffer| {
                let (address, bytes) = buffer.place();
                let (data, writable): (*const c_void, u32) = match buffer {
                    Access::Read(memory) => (memory.address() as *const _, 0),
                    Access::Write(memory) => (memory.address() as *const _, 1),
                    Access::ReadAt { bytes, .. } => (bytes.as_ptr().cast(), 0),
                    Access::WriteAt { bytes, .. } => (bytes.as_mut_ptr().cast_const().cast(), 1),
                };
                RawBuffer { address, data, bytes: bytes as u64, writable, unused: 0 }
            })
            .collect();
        let launch = RawLaunch {
            entry_point: entry_point.as_ptr(),
            arguments: launch.arguments.as_ptr().cast(),
            argument_bytes: launch.arguments.len() as u64,
            blocks: launch.blocks,
            threads: launch.threads,
            shared_bytes: launch.shared_bytes,
            buffer_count: raw.len() as u32,
            buffers: raw.as_ptr(),
            seed,
        };
        let mut counts = Counts::default();
        let mut message = [0_u8; 1024];
        // SAFETY: all pointers are to live values with the layouts of `launch.cpp`. The library reads and
        // writes only inside `buffers`, which are borrowed for the call, the writable ones exclusively.
        let done =
            unsafe { (self.emulate)(&launch, &mut counts, message.as_mut_ptr().cast(), message.len()) };
        if !done {
            let text = CStr::from_bytes_until_nul(&message).map(CStr::to_string_lossy).unwrap_or_default();
            bail!("{text}");
        }
        Ok(counts)
    }
}
