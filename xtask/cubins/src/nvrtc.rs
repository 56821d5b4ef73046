//! NVRTC, found in the toolchain's folder and called through its C interface.

use crate::sources::Source;
use crate::targets::{Target, lower_version};
use anyhow::{Context, Result, bail, ensure};
use libloading::Library;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;

/// The release that images are made with: drivers from R525 on load its cubins.
const VERSION: (c_int, c_int) = (12, 9);

type Program = *mut c_void;

/// The compiler.
pub(crate) struct Nvrtc {
    library: Library,
}

/// An image and what the compiler said.
pub(crate) struct Compiled {
    pub(crate) image: Vec<u8>,
    pub(crate) log: String,
}

macro_rules! call {
    ($self:ident.$name:ident($($argument:expr => $type:ty),* $(,)?)) => {{
        type Function = unsafe extern "C" fn($($type),*) -> c_int;
        // SAFETY: nvrtc.h declares this function with these types, and the arguments are live for the call.
        unsafe {
            let function = $self.library.get::<Function>(stringify!($name).as_bytes()).context(stringify!($name))?;
            function($($argument),*)
        }
    }};
}

impl Nvrtc {
    /// Loads the library and refuses another release than the one that the committed images are made with.
    pub(crate) fn load(toolchain: &Path) -> Result<Self> {
        let path = toolchain.join("nvidia/cuda_nvrtc/lib/libnvrtc.so.12");
        // SAFETY: NVRTC's initialisers have no requirements.
        let library =
            unsafe { Library::new(&path) }.with_context(|| format!("cannot load {}", path.display()))?;
        let nvrtc = Self { library };
        let (mut major, mut minor) = (0, 0);
        let status = call!(nvrtc.nvrtcVersion(&mut major => *mut c_int, &mut minor => *mut c_int));
        ensure!(status == 0 && (major, minor) == VERSION, "NVRTC {major}.{minor} found, 12.9 expected");
        Ok(nvrtc)
    }

    /// Compiles `module` among `sources`, of which the others are its headers.
    pub(crate) fn compile(&self, sources: &[Source], module: &str, target: Target) -> Result<Compiled> {
        let file = format!("{module}.cu");
        let unit = sources.iter().find(|source| source.name == file).with_context(|| format!("no {file}"))?;
        let text = CString::new(unit.text.as_str())?;
        let name = CString::new(file.as_str())?;
        let c_strings = |of: fn(&Source) -> &str| -> Result<Vec<CString>> {
            sources.iter().map(|source| Ok(CString::new(of(source))?)).collect()
        };
        let (texts, names) = (c_strings(|source| &source.text)?, c_strings(|source| &source.name)?);
        let pointers = |strings: &[CString]| strings.iter().map(|string| string.as_ptr()).collect::<Vec<_>>();
        let (text_pointers, name_pointers) = (pointers(&texts), pointers(&names));

        let mut program: Program = std::ptr::null_mut();
        let status = call!(self.nvrtcCreateProgram(
            &mut program => *mut Program,
            text.as_ptr() => *const c_char,
            name.as_ptr() => *const c_char,
            sources.len() as c_int => c_int,
            text_pointers.as_ptr() => *const *const c_char,
            name_pointers.as_ptr() => *const *const c_char,
        ));
        self.ensure(status, "create a program")?;
        let compiled = self.compile_program(program, target);
        let status = call!(self.nvrtcDestroyProgram(&mut program => *mut Program));
        self.ensure(status, "destroy a program")?;
        compiled.with_context(|| format!("{file} for {}", target.name()))
    }

    fn compile_program(&self, program: Program, target: Target) -> Result<Compiled> {
        let mut options = vec![format!("--gpu-architecture={}", target.name()), "-std=c++17".to_owned()];
        if !target.ptx {
            options.push("--ptxas-options=-v".to_owned());
        }
        let options: Vec<CString> = options.into_iter().map(CString::new).collect::<Result<_, _>>()?;
        let pointers: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        let status = call!(self.nvrtcCompileProgram(
            program => Program,
            pointers.len() as c_int => c_int,
            pointers.as_ptr() => *const *const c_char,
        ));
        let mut size = 0_usize;
        let sized = call!(self.nvrtcGetProgramLogSize(program => Program, &mut size => *mut usize));
        self.ensure(sized, "get the log's size")?;
        let mut log = vec![0_u8; size];
        let read = call!(self.nvrtcGetProgramLog(program => Program, log.as_mut_ptr().cast() => *mut c_char));
        self.ensure(read, "get the log")?;
        let log = String::from_utf8_lossy(&log).trim_end_matches('\0').to_owned();
        if status != 0 {
            bail!("{}\n{log}", self.text(status)?);
        }
        let image = if target.ptx { lower_version(&self.ptx(program)?)? } else { self.cubin(program)? };
        Ok(Compiled { image, log })
    }

    fn cubin(&self, program: Program) -> Result<Vec<u8>> {
        let mut size = 0_usize;
        let status = call!(self.nvrtcGetCUBINSize(program => Program, &mut size => *mut usize));
        self.ensure(status, "get the cubin's size")?;
        let mut image = vec![0_u8; size];
        let status = call!(self.nvrtcGetCUBIN(program => Program, image.as_mut_ptr().cast() => *mut c_char));
        self.ensure(status, "get the cubin")?;
        Ok(image)
    }

    fn ptx(&self, program: Program) -> Result<Vec<u8>> {
        let mut size = 0_usize;
        let status = call!(self.nvrtcGetPTXSize(program => Program, &mut size => *mut usize));
        self.ensure(status, "get the PTX's size")?;
        let mut text = vec![0_u8; size];
        let status = call!(self.nvrtcGetPTX(program => Program, text.as_mut_ptr().cast() => *mut c_char));
        self.ensure(status, "get the PTX")?;
        Ok(text)
    }

    fn ensure(&self, status: c_int, what: &str) -> Result<()> {
        ensure!(status == 0, "NVRTC cannot {what}: {}", self.text(status)?);
        Ok(())
    }

    fn text(&self, status: c_int) -> Result<String> {
        type Function = unsafe extern "C" fn(c_int) -> *const c_char;
        // SAFETY: nvrtc.h declares this function with this type; it returns a constant.
        let text = unsafe {
            let function =
                self.library.get::<Function>(b"nvrtcGetErrorString").context("nvrtcGetErrorString")?;
            CStr::from_ptr(function(status))
        };
        Ok(text.to_string_lossy().into_owned())
    }
}
