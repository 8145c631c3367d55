//! The Python exceptions, and the one place where [`Error`] becomes one of them.

use pyo3::exceptions::{PyException, PyKeyboardInterrupt, PyMemoryError, PyValueError};
use pyo3::{create_exception, PyErr};

use crate::Error;

create_exception!(
    lic_native,
    LicError,
    PyException,
    "Base of all that lic_native says of data it can't decode."
);
create_exception!(lic_native, TruncatedError, LicError, "The data ends before something that must follow.");
create_exception!(lic_native, CorruptError, LicError, "The data contradicts its format or its own checksum.");
create_exception!(
    lic_native,
    UnsupportedError,
    LicError,
    "The data is of a kind or version not handled here."
);
create_exception!(lic_native, LimitExceededError, LicError, "The data asks for more than the caller allows.");

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Truncated { .. } => TruncatedError::new_err(message),
            Error::Corrupt { .. } => CorruptError::new_err(message),
            Error::Unsupported(_) => UnsupportedError::new_err(message),
            Error::LimitExceeded { .. } => LimitExceededError::new_err(message),
            Error::OutOfMemory { .. } => PyMemoryError::new_err(message),
            Error::InvalidArgument(_) => PyValueError::new_err(message),
            Error::Interrupted => PyKeyboardInterrupt::new_err(()),
        }
    }
}
