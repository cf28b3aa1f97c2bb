//! Modules and their kernels.

use std::{
    collections::HashMap,
    ffi::{CStr, c_char},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{Error, Status, failed, open, put, status, stream};
use crate::{
    decode::{Code, Symbols, decode},
    memory,
    ptx::Module,
    trace::trace,
};

/// A module whose variables are in memory.
#[derive(Debug)]
pub struct Loaded {
    module: Module,
    globals: HashMap<String, (u64, usize)>,
    kernels: Mutex<HashMap<String, &'static Kernel>>,
}

impl Loaded {
    /// Loads a PTX text.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn new(text: &str) -> Result<Self, String> {
        let module = Module::parse(text)?;
        let mut globals = HashMap::new();
        for variable in &module.globals {
            let at = memory::allocate(variable.size, false).ok_or("no memory")?;
            // SAFETY: allocated with this size just now; initial bytes are not more. Variables without are zero.
            unsafe {
                (at as *mut u8).write_bytes(0, variable.size);
                let initial = variable.init.len().min(variable.size);
                (at as *mut u8).copy_from_nonoverlapping(variable.init.as_ptr(), initial);
            }
            globals.insert(variable.name.clone(), (at, variable.size));
        }
        Ok(Self { module, globals, kernels: Mutex::default() })
    }

    /// Names of all kernels.
    #[cfg(test)]
    pub fn kernels(&self) -> Vec<String> {
        self.module.functions.values().filter(|function| function.entry).map(|function| function.name.clone()).collect()
    }

    /// The kernel of a name, the same each time.
    pub fn kernel(&'static self, name: &str) -> Option<&'static Kernel> {
        self.module.functions.get(name).filter(|function| function.entry)?;
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        Some(kernels.entry(name.to_owned()).or_insert_with(|| {
            let name = name.to_owned();
            Box::leak(Box::new(Kernel {
                module: self,
                name,
                code: OnceLock::new(),
                dynamic: AtomicUsize::new(48 << 10),
            }))
        }))
    }
}

impl Symbols for Loaded {
    fn module(&self) -> &Module {
        &self.module
    }

    fn address(&self, name: &str) -> Option<u64> {
        self.globals.get(name).map(|(at, _)| *at)
    }
}

/// A kernel, decoded when it is first needed.
#[derive(Debug)]
pub struct Kernel {
    module: &'static Loaded,
    /// Its name.
    pub name: String,
    code: OnceLock<Result<Code, String>>,
    /// The most dynamic shared memory that it may ask for.
    pub dynamic: AtomicUsize,
}

impl Kernel {
    /// Its instructions.
    ///
    /// # Errors
    /// What could not be decoded.
    pub fn code(&self) -> Result<&Code, Error> {
        let code = self.code.get_or_init(|| decode(self.module, &self.name));
        code.as_ref().map_err(|message| failed(Error::InvalidPtx, &format!("kernel {}: {message}", self.name)))
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleLoadData(out: *mut *mut Loaded, image: *const c_char) -> Status {
    status(stream::forbid_unsafe("cuModuleLoadData").and_then(|()| {
        // SAFETY: the caller passes PTX as text that ends with a zero.
        let text = unsafe { CStr::from_ptr(image) }.to_str().unwrap_or("");
        trace(|| format!("load a module of {} bytes", text.len()));
        if !text.contains(".version") {
            return Err(failed(Error::InvalidPtx, "only PTX text can be loaded"));
        }
        let loaded = Loaded::new(text).map_err(|message| failed(Error::InvalidPtx, &message))?;
        put(out, Box::into_raw(Box::new(loaded)))
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleLoadDataEx(out: *mut *mut Loaded, image: *const c_char, _: u32, _: usize, _: usize) -> Status {
    cuModuleLoadData(out, image)
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleUnload(_module: *mut Loaded) -> Status {
    // Kept: kernels refer to it.
    0
}

/// A C string.
///
/// # Safety
/// It ends with a zero.
unsafe fn text<'a>(from: *const c_char) -> &'a str {
    // SAFETY: as above.
    unsafe { CStr::from_ptr(from) }.to_str().unwrap_or("")
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleGetFunction(out: *mut *const Kernel, module: *mut Loaded, name: *const c_char) -> Status {
    // SAFETY: a handle from `cuModuleLoadData`, and a C string.
    status(unsafe { open(module) }.and_then(|module| {
        // SAFETY: as above.
        let name = unsafe { text(name) };
        put(out, std::ptr::from_ref(module.kernel(name).ok_or(Error::NotFound)?))
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleGetGlobal_v2(
    out: *mut u64,
    bytes: *mut usize,
    module: *mut Loaded,
    name: *const c_char,
) -> Status {
    // SAFETY: a handle from `cuModuleLoadData`, and a C string.
    status(unsafe { open(module) }.and_then(|module| {
        // SAFETY: as above.
        let name = unsafe { text(name) };
        let (at, size) = *module.globals.get(name).ok_or(Error::NotFound)?;
        if !bytes.is_null() {
            put(bytes, size)?;
        }
        if out.is_null() { Ok(()) } else { put(out, at) }
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cuFuncGetAttribute(value: *mut i32, attribute: i32, kernel: *mut Kernel) -> Status {
    // SAFETY: a handle from `cuModuleGetFunction`.
    status(unsafe { open(kernel) }.and_then(|kernel| {
        let code = kernel.code()?;
        let found = match attribute {
            0 => code.max_threads.unwrap_or(1024) as usize,
            1 => code.shared,
            3 => code.local,
            4 => 32,
            5 | 6 => 90,
            8 => kernel.dynamic.load(Ordering::Relaxed),
            _ => 0,
        };
        put(value, found as i32)
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cuFuncSetAttribute(kernel: *mut Kernel, attribute: i32, value: i32) -> Status {
    const DYNAMIC: i32 = 8;
    // SAFETY: a handle from `cuModuleGetFunction`.
    status(unsafe { open(kernel) }.and_then(|kernel| {
        if attribute == DYNAMIC {
            if value as usize + kernel.code()?.shared > 227 << 10 {
                return Err(failed(
                    Error::InvalidValue,
                    &format!("{}: more than 227 KiB of shared memory", kernel.name),
                ));
            }
            kernel.dynamic.store(value as usize, Ordering::Relaxed);
        }
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cuFuncSetCacheConfig(_kernel: *mut Kernel, _config: i32) -> Status {
    0
}
