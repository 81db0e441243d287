//! Values that do not stand in the configuration: `env:NAME`, `file:PATH`, or a word before them, as in
//! `Bearer env:TOKEN`. They are looked up for every fetch, and in no message.

use std::path::Path;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

/// Longest value.
const LONGEST: u64 = 16 << 10;

/// Whether a text says where a value is, instead of being it.
pub(super) fn is_elsewhere(text: &str) -> bool {
    let last = parts(text).1;
    last.starts_with("env:") || last.starts_with("file:")
}

/// The value that a text stands for.
///
/// # Errors
/// What is missing, without what is there.
pub(super) fn reveal(text: &str) -> Result<String, String> {
    if !is_elsewhere(text) {
        return Ok(text.to_owned());
    }
    let (before, value) = (parts(text).0, hidden(text)?);
    Ok(if before.is_empty() { value } else { format!("{before} {value}") })
}

fn parts(text: &str) -> (&str, &str) {
    text.rsplit_once(' ').unwrap_or(("", text))
}

/// The part of it that nobody is to see.
pub(super) fn hidden(text: &str) -> Result<String, String> {
    let last = parts(text).1;
    let value = match last.strip_prefix("env:") {
        Some(name) => {
            std::env::var(name).map_err(|_| format!("the environment has no variable {name}"))?
        }
        None => of_file(Path::new(last.strip_prefix("file:").unwrap_or(last)))?,
    };
    let value = value.trim_end();
    if value.is_empty() || value.contains(|c: char| c.is_control()) {
        return Err(format!("{last} is empty, or more than a line"));
    }
    Ok(value.to_owned())
}

fn of_file(path: &Path) -> Result<String, String> {
    let told = |why: String| format!("{}: {why}", path.display());
    let length = std::fs::metadata(path).map_err(|error| told(error.to_string()))?.len();
    if length > LONGEST {
        return Err(told(format!("a secret has at most {LONGEST} bytes")));
    }
    std::fs::read_to_string(path).map_err(|error| told(error.to_string()))
}

/// Certificates of a PEM file.
///
/// # Errors
/// Where there are none.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let told = |why: String| format!("ca_file: {}: {why}", path.display());
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|error| told(error.to_string()))?;
    if read.is_empty() { Err(told("it has no certificate".to_owned())) } else { Ok(read) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_the_environment_in_a_file_or_the_text_itself() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "s3cret\n").expect("a secret");
        let path = file.path().display();
        assert_eq!(reveal(&format!("file:{path}")).as_deref(), Ok("s3cret"));
        assert_eq!(reveal(&format!("Bearer file:{path}")).as_deref(), Ok("Bearer s3cret"));
        assert_eq!(reveal("env:CARGO_PKG_NAME").as_deref(), Ok("isopleth-api"));
        assert_eq!(reveal("text/csv").as_deref(), Ok("text/csv"));
        std::fs::write(file.path(), "one\ntwo\n").expect("no secret");
        for wrong in ["env:NO_SUCH_NAME", "file:/no/such/file", &format!("file:{path}")] {
            let told = reveal(wrong).expect_err(wrong);
            assert!(!told.contains("one"), "{told}");
        }
    }
}
