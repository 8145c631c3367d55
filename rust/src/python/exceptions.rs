//! The Python exceptions, and the one place where [`Error`] becomes one of them.

use pyo3::exceptions::{PyException, PyKeyboardInterrupt, PyMemoryError, PyValueError};
use pyo3::{PyErr, create_exception};

use crate::{Error, Unsupported};

macro_rules! exceptions {
    ($($name:ident($base:ty): $doc:literal)*) => {
        $(create_exception!(lic_native, $name, $base, $doc);)*
    };
}
exceptions! {
    LicError(PyException): "Base of all errors about data that lic_native cannot decode."
    TruncatedError(LicError): "The data ends before a part that must follow."
    CorruptError(LicError): "The data contradicts its format or its own checksum."
    UnsupportedError(LicError): "The data may be valid, but this release cannot read it."
    VersionError(UnsupportedError): "The data is of a format version that this release cannot read."
    UnknownModelError(UnsupportedError): "The data needs a model that this release does not have."
    WeightsMismatchError(UnsupportedError): "The data needs other weights of a model than those installed."
    LimitExceededError(LicError): "Decoding the data would exceed the caller's limits."
    InexactDeviceError(LicError): "A device does not compute exactly, so it would decode other data."
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Truncated { .. } => TruncatedError::new_err(message),
            Error::Corrupt { .. } => CorruptError::new_err(message),
            Error::Unsupported(Unsupported::Version { .. }) => VersionError::new_err(message),
            Error::Unsupported(_) => UnsupportedError::new_err(message),
            Error::LimitExceeded { .. } => LimitExceededError::new_err(message),
            Error::OutOfMemory { .. } => PyMemoryError::new_err(message),
            Error::InvalidArgument(_) => PyValueError::new_err(message),
            Error::Interrupted => PyKeyboardInterrupt::new_err(()),
        }
    }
}
