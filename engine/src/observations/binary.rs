//! Files of readings that are no text: how they are known, and how a library that reads them is kept in check.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use super::collect::Collector;
use super::error::ReadError;

/// Whether reading may go on.
pub(super) fn go_on(collector: &Collector<'_>) -> Result<(), ReadError> {
    if collector.options.cancel.is_cancelled() { Err(ReadError::Interrupted) } else { Ok(()) }
}

/// What a file is by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Parquet,
    NetCdf,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::Parquet => "Parquet",
            Self::NetCdf => "NetCDF",
        }
    }
}

/// None: a text.
pub(super) fn form_of(start: &[u8]) -> Option<Form> {
    let netcdf = [&b"\x89HDF\r\n\x1a\n"[..], b"CDF\x01", b"CDF\x02", b"CDF\x05"];
    if start.starts_with(b"PAR1") {
        Some(Form::Parquet)
    } else if netcdf.iter().any(|magic| start.starts_with(magic)) {
        Some(Form::NetCdf)
    } else {
        None
    }
}

thread_local! {
    /// Whether this thread is in a call whose panic is told as an error.
    static WITHIN: Cell<bool> = const { Cell::new(false) };
}

/// Panics that are told as errors are not told as panics, too.
fn keep_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !WITHIN.get() {
                before(panic);
            }
        }));
    });
}

/// Calls a library with what somebody sent. What it cannot read, and what it did not foresee, is a damaged file.
pub(super) fn reading<T, E: std::fmt::Display>(
    name: &str,
    form: Form,
    call: impl FnOnce() -> Result<T, E>,
) -> Result<T, ReadError> {
    keep_quiet();
    let damaged =
        |message| ReadError::Damaged { name: name.to_owned(), form: form.name(), message };
    let before = WITHIN.replace(true);
    let called = catch_unwind(AssertUnwindSafe(call));
    WITHIN.set(before);
    match called {
        Ok(result) => result.map_err(|error| damaged(error.to_string())),
        Err(_) => Err(damaged("its parts contradict each other".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_first_bytes() {
        assert_eq!(form_of(b"PAR1\x15\x04"), Some(Form::Parquet));
        assert_eq!(form_of(b"\x89HDF\r\n\x1a\n"), Some(Form::NetCdf));
        assert_eq!(form_of(b"CDF\x02\0\0\0\0"), Some(Form::NetCdf));
        for text in [&b""[..], b"PAR", b"CDF,lon,lat", b"station,", b"{}", b"\x89PNG\r\n"] {
            assert_eq!(form_of(text), None);
        }
    }

    #[test]
    fn what_a_library_did_not_foresee_is_told_like_what_it_did() {
        let error = reading("f", Form::Parquet, || Err::<(), _>("no footer")).expect_err("damaged");
        assert!(error.to_string().contains("f: the Parquet file is damaged"), "{error}");
        let error = reading("f", Form::NetCdf, || -> Result<(), String> { panic!("a bug") });
        assert!(matches!(error, Err(ReadError::Damaged { form: "NetCDF", .. })));
    }
}
