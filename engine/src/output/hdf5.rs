//! Calls into libhdf5 that `netcdf` has no name for. The only unsafe code of the program.
//!
//! The library knows one thread only. `netcdf` guards each of its calls by the process-wide
//! [`hdf5_sys::LOCK`]; so does every call here, and the two crates may work side by side on
//! different files. It is held for the copy of ready-made bytes, never while compressing.
#![expect(unsafe_code, reason = "C functions: H5Dwrite_chunk has no safe wrapper")]

use std::ffi::{CStr, CString, c_uint, c_void};
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use hdf5_sys::h5::herr_t;
use hdf5_sys::h5a::{H5Aclose, H5Acreate2, H5Adelete, H5Aopen, H5Awrite};
use hdf5_sys::h5d::{H5Dclose, H5Dopen2, H5Dwrite, H5Dwrite_chunk};
use hdf5_sys::h5e::{
    H5E_DEFAULT, H5E_direction_t, H5E_error2_t, H5Eclear2, H5Eset_auto2, H5Ewalk2,
};
use hdf5_sys::h5f::{H5F_ACC_RDWR, H5F_scope_t, H5Fclose, H5Fflush, H5Fget_file_image, H5Fopen};
use hdf5_sys::h5i::hid_t;
use hdf5_sys::h5p::{
    H5P_CLS_DATASET_ACCESS, H5P_CLS_FILE_ACCESS, H5P_DEFAULT, H5Pclose, H5Pcreate,
    H5Pset_chunk_cache, H5Pset_fapl_core, H5Pset_file_image, H5Pset_file_locking,
};
use hdf5_sys::h5s::{H5S_ALL, H5S_class_t, H5Sclose, H5Screate, H5Screate_simple};
use hdf5_sys::h5t::{H5T_C_S1, H5T_NATIVE_DOUBLE, H5T_NATIVE_INT, H5Tclose, H5Tcopy, H5Tset_size};
use netcdf::types::{NcTypeDescriptor, NcVariableType};

use super::attributes::Value;

/// One byte of text in a NetCDF variable.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NcChar(pub(super) u8);

// SAFETY: a `char` of NetCDF is one byte without padding, niche or destructor, as is `u8`.
unsafe impl NcTypeDescriptor for NcChar {
    fn type_descriptor() -> NcVariableType {
        NcVariableType::Char
    }
}

/// Bytes by which a file in memory grows at least.
const GROWTH: usize = 128 << 10;

/// A file that NetCDF has defined and closed, open for ready-made chunks.
#[derive(Debug)]
pub(super) struct ChunkFile {
    file: hid_t,
    datasets: Vec<hid_t>,
}

impl ChunkFile {
    /// Opens the file and the variables of these names, in this order.
    ///
    /// # Errors
    /// With the library's reason.
    pub(super) fn open(path: &Path, variables: &[&str]) -> Result<Self, String> {
        let path = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|e| e.to_string())?;
        let _lock = hdf5_sys::LOCK.lock();
        silence();
        // HDF5 locks files, and a child process forked meanwhile would keep the lock that NetCDF
        // took when it began this one. Nobody else knows the hidden file's name: do without.
        // SAFETY: the class exists once the library is open, which taking its id does; `path` ends
        // with NUL and lives through the call; the list is closed once; the lock is held.
        let file = unsafe {
            let access = checked_id(H5Pcreate(*H5P_CLS_FILE_ACCESS))?;
            let unlocked = checked(H5Pset_file_locking(access, 0, 1));
            let file =
                unlocked.and_then(|()| checked_id(H5Fopen(path.as_ptr(), H5F_ACC_RDWR, access)));
            H5Pclose(access);
            file?
        };
        Self::with_datasets(file, variables)
    }

    /// Opens a copy of a whole file's bytes in memory, and its variables likewise. It never meets a disk.
    ///
    /// # Errors
    /// With the library's reason.
    pub(super) fn open_image(image: &[u8], variables: &[&str]) -> Result<Self, String> {
        // To the library two files of one name are one file.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("in memory {}", COUNT.fetch_add(1, Ordering::Relaxed));
        let name = CString::new(name).map_err(|e| e.to_string())?;
        let _lock = hdf5_sys::LOCK.lock();
        silence();
        // SAFETY: the library copies the bytes, which it only reads although it takes a mutable pointer, before
        // the call returns; the list is closed once; the name is never used for a file; the lock is held.
        let file = unsafe {
            let access = checked_id(H5Pcreate(*H5P_CLS_FILE_ACCESS))?;
            let bytes = image.as_ptr().cast_mut().cast();
            let ready = checked(H5Pset_fapl_core(access, GROWTH, 0))
                .and_then(|()| checked(H5Pset_file_image(access, bytes, image.len())));
            let file =
                ready.and_then(|()| checked_id(H5Fopen(name.as_ptr(), H5F_ACC_RDWR, access)));
            H5Pclose(access);
            file?
        };
        Self::with_datasets(file, variables)
    }

    /// The lock is held by the caller; the file is closed whatever happens.
    fn with_datasets(file: hid_t, variables: &[&str]) -> Result<Self, String> {
        let mut opened = Self { file, datasets: Vec::with_capacity(variables.len()) };
        let access = dataset_access()?;
        for &name in variables {
            let name = CString::new(name).map_err(|e| e.to_string())?;
            // SAFETY: `file` is open, `name` ends with NUL, `access` is open; the lock is held.
            let dataset = unsafe { H5Dopen2(opened.file, name.as_ptr(), access) };
            opened.datasets.push(checked_id(dataset)?);
        }
        Ok(opened)
    }

    /// Writes all of a variable that is not in chunks.
    ///
    /// # Errors
    /// With the library's reason.
    pub(super) fn write_numbers(&self, name: &str, numbers: &[f64]) -> Result<(), String> {
        let name = CString::new(name).map_err(|e| e.to_string())?;
        let _lock = hdf5_sys::LOCK.lock();
        // SAFETY: the file is open; the caller knows that the variable has so many numbers, since the same
        // layout defined it; the dataset is closed once; the lock is held.
        unsafe {
            let dataset = checked_id(H5Dopen2(self.file, name.as_ptr(), H5P_DEFAULT))?;
            let (all, numbers) = (H5S_ALL, numbers.as_ptr().cast());
            let written =
                checked(H5Dwrite(dataset, *H5T_NATIVE_DOUBLE, all, all, H5P_DEFAULT, numbers));
            H5Dclose(dataset);
            written
        }
    }

    /// The whole file, if it is in memory.
    ///
    /// # Errors
    /// With the library's reason.
    pub(super) fn image(&self) -> Result<Vec<u8>, String> {
        let _lock = hdf5_sys::LOCK.lock();
        // SAFETY: the file is open; without a buffer the call says how long one must be, and the second has one of
        // that length, which it fills; the lock is held between.
        unsafe {
            let length = H5Fget_file_image(self.file, ptr::null_mut(), 0);
            let mut image = vec![0; usize::try_from(length).map_err(|_| reason())?];
            let written = H5Fget_file_image(self.file, image.as_mut_ptr().cast(), image.len());
            if written == length { Ok(image) } else { Err(reason()) }
        }
    }

    /// Writes the filtered bytes of the chunk that begins at `offset` (in elements). They must be
    /// what the variable's filters would have made of a whole chunk: HDF5 does not check.
    ///
    /// # Errors
    /// With the library's reason.
    pub(super) fn write(
        &self,
        variable: usize,
        offset: &[u64],
        bytes: &[u8],
    ) -> Result<(), String> {
        const ALL_FILTERS_APPLIED: u32 = 0;
        let dataset = self.datasets[variable];
        let _lock = hdf5_sys::LOCK.lock();
        // SAFETY: the dataset is open; `offset` has an entry for each of its dimensions (chosen
        // by the same code that defined it) and `bytes` lives through the call; the lock is held.
        checked(unsafe {
            H5Dwrite_chunk(
                dataset,
                H5P_DEFAULT,
                ALL_FILTERS_APPLIED,
                offset.as_ptr(),
                bytes.len(),
                bytes.as_ptr().cast(),
            )
        })
    }

    fn owner(&self, variable: Option<usize>) -> hid_t {
        variable.map_or(self.file, |variable| self.datasets[variable])
    }

    /// Gives an attribute of a variable, or of the file, another value.
    ///
    /// # Errors
    /// With the library's reason.
    pub(super) fn change_attribute(
        &self,
        variable: Option<usize>,
        name: &str,
        from: &Value,
        to: &Value,
    ) -> Result<(), String> {
        let fits = match (from, to) {
            (Value::Text(before), Value::Text(text)) => {
                before.len() == text.len() && !text.is_empty()
            }
            (Value::Numbers(before), Value::Numbers(numbers)) => before.len() == numbers.len(),
            (Value::Integer(_), Value::Integer(_)) => true,
            _ => false,
        };
        if !fits {
            self.remove_attribute(variable, name)?;
            return self.put_attribute(variable, name, to);
        }
        let name = CString::new(name).map_err(|e| e.to_string())?;
        let _lock = hdf5_sys::LOCK.lock();
        // SAFETY: the owner is open and the name ends with NUL; what is opened is closed once; the value is of the
        // type and length of the one that the attribute was made with; the lock is held.
        unsafe {
            let opened = checked_id(H5Aopen(self.owner(variable), name.as_ptr(), H5P_DEFAULT))?;
            let written = with_kind(to, |kind, data| checked(H5Awrite(opened, kind, data)));
            H5Aclose(opened);
            written
        }
    }

    /// Takes an attribute off a variable, or off the file.
    ///
    /// # Errors
    /// With the library's reason.
    pub(super) fn remove_attribute(
        &self,
        variable: Option<usize>,
        name: &str,
    ) -> Result<(), String> {
        let name = CString::new(name).map_err(|e| e.to_string())?;
        let _lock = hdf5_sys::LOCK.lock();
        // SAFETY: the owner is open, the name ends with NUL; the lock is held.
        checked(unsafe { H5Adelete(self.owner(variable), name.as_ptr()) })
    }

    /// Adds an attribute to a variable, or to the file.
    ///
    /// # Errors
    /// With the library's reason.
    pub(super) fn put_attribute(
        &self,
        variable: Option<usize>,
        name: &str,
        value: &Value,
    ) -> Result<(), String> {
        let name = CString::new(name).map_err(|e| e.to_string())?;
        let _lock = hdf5_sys::LOCK.lock();
        // SAFETY: the owner is open and the name ends with NUL; the space has as many elements as the value; what
        // is made is closed once; the lock is held.
        unsafe {
            let space = match value {
                Value::Text(_) => H5Screate(H5S_class_t::H5S_SCALAR),
                Value::Numbers(numbers) => {
                    H5Screate_simple(1, &(numbers.len() as u64), ptr::null())
                }
                Value::Integer(_) => H5Screate_simple(1, &1, ptr::null()),
            };
            let written = with_kind(value, |kind, data| {
                let (owner, name) = (self.owner(variable), name.as_ptr());
                let made = H5Acreate2(owner, name, kind, space, H5P_DEFAULT, H5P_DEFAULT);
                checked_id(made).and_then(|made| {
                    let written = checked(H5Awrite(made, kind, data));
                    H5Aclose(made);
                    written
                })
            });
            H5Sclose(space);
            written
        }
    }

    /// Writes what the library still holds.
    ///
    /// # Errors
    /// With the library's reason.
    pub(super) fn flush(&self) -> Result<(), String> {
        let _lock = hdf5_sys::LOCK.lock();
        // SAFETY: the file is open; the lock is held.
        checked(unsafe { H5Fflush(self.file, H5F_scope_t::H5F_SCOPE_GLOBAL) })
    }

    /// Closes the file, which writes what the library still holds.
    ///
    /// # Errors
    /// With the library's reason.
    pub(super) fn close(mut self) -> Result<(), String> {
        self.close_all()
    }

    fn close_all(&mut self) -> Result<(), String> {
        let _lock = hdf5_sys::LOCK.lock();
        let mut result = Ok(());
        for dataset in self.datasets.drain(..) {
            // SAFETY: it was opened here and is closed once (drained); the lock is held.
            result = result.and(checked(unsafe { H5Dclose(dataset) }));
        }
        if self.file > 0 {
            // SAFETY: as above; zeroed below so that dropping does not close it again.
            result = result.and(checked(unsafe { H5Fclose(self.file) }));
            self.file = 0;
        }
        result
    }
}

impl Drop for ChunkFile {
    fn drop(&mut self) {
        // Whoever needs to know calls `close`.
        let _ = self.close_all();
    }
}

/// How variables in chunks are opened; made once and never closed. The lock is held by the caller.
fn dataset_access() -> Result<hid_t, String> {
    static MADE: OnceLock<hid_t> = OnceLock::new();
    if let Some(made) = MADE.get() {
        return Ok(*made);
    }
    // SAFETY: the class exists once the library is open, which taking its id does; the list is of the class that
    // has this setting; the lock is held.
    let made = unsafe {
        let made = checked_id(H5Pcreate(*H5P_CLS_DATASET_ACCESS))?;
        // Ready-made chunks go past the library's cache of chunks, which takes 100 kB a variable.
        checked(H5Pset_chunk_cache(made, 1, 0, 1.0))?;
        made
    };
    Ok(*MADE.get_or_init(|| made))
}

/// Calls with the type that a value has in a file, and its elements in memory, which are of that type.
///
/// # Safety
/// The lock is held.
unsafe fn with_kind(
    value: &Value,
    call: impl FnOnce(hid_t, *const c_void) -> Result<(), String>,
) -> Result<(), String> {
    match value {
        Value::Text(text) => {
            // SAFETY: the type is a copy of the library's own and is closed once; the lock is held.
            unsafe {
                let kind = checked_id(H5Tcopy(*H5T_C_S1))?;
                let padded = if text.is_empty() { "\0" } else { text.as_str() };
                let called = checked(H5Tset_size(kind, padded.len()))
                    .and_then(|()| call(kind, padded.as_ptr().cast()));
                H5Tclose(kind);
                called
            }
        }
        Value::Numbers(numbers) => call(*H5T_NATIVE_DOUBLE, numbers.as_ptr().cast()),
        Value::Integer(number) => call(*H5T_NATIVE_INT, ptr::from_ref(number).cast()),
    }
}

/// What the last call that failed said, if the library still knows.
pub(super) fn last_error() -> Option<String> {
    let _lock = hdf5_sys::LOCK.lock();
    let mut reason = Reason::default();
    // SAFETY: `note` has the signature asked for and casts the pointer back to the `Reason` that
    // outlives the walk; the lock is held.
    unsafe {
        H5Ewalk2(
            H5E_DEFAULT,
            H5E_direction_t::H5E_WALK_DOWNWARD,
            Some(note),
            ptr::from_mut(&mut reason).cast(),
        );
        H5Eclear2(H5E_DEFAULT);
    }
    let Reason { outermost, innermost } = reason;
    match innermost {
        Some(inner) if Some(&inner) != outermost.as_ref() => {
            Some(format!("{}: {}", outermost.unwrap_or_default(), readable(&inner)))
        }
        _ => outermost,
    }
}

/// The library prints each error with its call stack to standard error, unless told not to.
pub(crate) fn silence() {
    let _lock = hdf5_sys::LOCK.lock();
    // SAFETY: no callback and no data is what switches it off; the lock is held.
    unsafe {
        H5Eset_auto2(H5E_DEFAULT, None, ptr::null_mut());
    }
}

#[derive(Default)]
struct Reason {
    outermost: Option<String>,
    innermost: Option<String>,
}

/// Keeps the first and the last entry of the error stack.
unsafe extern "C" fn note(_: c_uint, entry: *const H5E_error2_t, data: *mut c_void) -> herr_t {
    // SAFETY: HDF5 passes a valid entry, whose text ends with NUL, and the pointer given to
    // `H5Ewalk2`, which is a `Reason` that nobody else uses meanwhile.
    let (reason, text) = unsafe {
        let text = (*entry).desc;
        if text.is_null() {
            return 0;
        }
        (&mut *data.cast::<Reason>(), CStr::from_ptr(text))
    };
    let text = text.to_string_lossy().into_owned();
    if reason.outermost.is_none() {
        reason.outermost = Some(text.clone());
    }
    reason.innermost = Some(text);
    0
}

/// "file write failed: time = …, filename = '…', error message = 'No space left on device', …"
/// says one thing that the user can use.
fn readable(text: &str) -> &str {
    let quoted = text.split_once("error message = '").and_then(|(_, rest)| rest.split_once('\''));
    quoted.map_or(text, |(message, _)| message)
}

fn checked(status: herr_t) -> Result<(), String> {
    if status < 0 { Err(reason()) } else { Ok(()) }
}

fn checked_id(id: hid_t) -> Result<hid_t, String> {
    if id < 0 { Err(reason()) } else { Ok(id) }
}

fn reason() -> String {
    last_error().unwrap_or_else(|| "the HDF5 library gives no reason".to_owned())
}
