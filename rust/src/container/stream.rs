//! Stored files that pass from a reader to a writer in pieces, so that neither they nor what they restore is in memory.

use std::io::{self, BufReader, Read, Write};

use super::Identity;
use super::dictionary::LARGE_LEVEL;
use super::header::{CRC_BYTES, KIND_STORED, Kind, header_of, kind};
use super::identity::{self, Hasher, MAX_BYTES};
use super::stored::{VERBATIM, ZSTD, unpacking};
use crate::{Error, Limits, Result, interrupt};

/// Bytes that are read at a time.
const PIECE: usize = 1 << 18;

/// An error of [`store_stream`] or [`restore_stream`].
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The reader or the writer failed.
    #[error(transparent)]
    Io(io::Error),
    /// The data are wrong.
    #[error(transparent)]
    Data(#[from] Error),
}

/// `Result` with [`StreamError`].
type Streamed<T> = std::result::Result<T, StreamError>;

/// Writes a file that stores the file of this identity, as one zstd frame or verbatim, and returns its length.
///
/// # Errors
/// Those of the reader and the writer, [`Error::InvalidArgument`] if the reader has another number of bytes,
/// [`Error::Interrupted`].
pub fn store_stream(
    mut source: impl Read,
    identity: &Identity,
    compressed: bool,
    target: impl Write,
) -> Streamed<u64> {
    let io = StreamError::Io;
    let mut target = Sealing { target, hash: crc32fast::Hasher::new(), length: 0 };
    target.write_all(&header_of(KIND_STORED, identity)).map_err(io)?;
    target.write_all(&[if compressed { ZSTD } else { VERBATIM }]).map_err(io)?;
    let mut exactly = source.by_ref().take(identity.size);
    let mut count = if compressed {
        let mut encoder = zstd::stream::write::Encoder::new(&mut target, LARGE_LEVEL).map_err(io)?;
        let count = copy(&mut exactly, |piece| encoder.write_all(piece).map_err(io))?;
        // zstd would take another number for a failure of its own.
        if count == identity.size {
            encoder.finish().map_err(io)?;
        }
        count
    } else {
        copy(&mut exactly, |piece| target.write_all(piece).map_err(io))?
    };
    count += copy(source.take(1), |_| Ok(()))?;
    if count != identity.size {
        let what = format!("other bytes than the {} of the identity", identity.size);
        return Err(Error::InvalidArgument(what).into());
    }
    let crc = target.hash.clone().finalize();
    target.write_all(&crc.to_le_bytes()).map_err(io)?;
    target.flush().map_err(io)?;
    Ok(target.length)
}

/// Restores a file that is stored, and returns its identity. The target gets bytes before they are verified: after an error
/// they are worthless.
///
/// # Errors
/// Those of the reader and the writer, and of [`unpack`](super::unpack) and [`Identity::verify`];
/// [`Error::InvalidArgument`] if the file is of another kind.
pub fn restore_stream(source: impl Read, limits: &Limits, target: impl Write) -> Streamed<Identity> {
    let mut source = Opening::new(source);
    let restored = restore(&mut source, limits, target);
    // A failure of the reader is the cause of all that follow from it.
    let rest = io::copy(&mut source, &mut io::sink());
    if let Some(failure) = source.failure.take() {
        return Err(StreamError::Io(failure));
    }
    rest.map_err(StreamError::Io)?;
    match (source.check(), restored) {
        (_, Err(error @ StreamError::Io(_))) => Err(error),
        (
            _,
            Err(
                error @ StreamError::Data(
                    Error::Unsupported(_) | Error::LimitExceeded { .. } | Error::Interrupted,
                ),
            ),
        ) => Err(error),
        (Err(error), _) => Err(error.into()),
        (Ok(()), restored) => restored,
    }
}

fn restore(source: &mut Opening<impl Read>, limits: &Limits, mut target: impl Write) -> Streamed<Identity> {
    let mut head = Vec::new();
    source.by_ref().take(MAX_BYTES as u64 + 1).read_to_end(&mut head).map_err(StreamError::Io)?;
    let (mut cursor, identity) = identity::open(&head)?;
    if kind(&head)? != Kind::Stored {
        return Err(Error::InvalidArgument("the file is not stored".into()).into());
    }
    limits.check_output("a restored file's length", identity.size)?;
    let method = cursor.byte("storage method")?;
    let offset = cursor.position();
    let corrupt = |error: io::Error| Error::Corrupt { what: format!("zstd: {error}"), offset };
    let packed = cursor.rest().chain(BufReader::with_capacity(PIECE, source));
    let unpacked = unpacking(method, packed)?.map_err(corrupt)?;
    let mut hasher = Hasher::new(identity.hashes());
    // What a writer refuses must not be taken for damage of the file.
    let mut refused = None;
    let copied = copy(unpacked.take(identity.size.saturating_add(1)), |piece| {
        hasher.update(piece)?;
        target.write_all(piece).map_err(|error| {
            refused = Some(error);
            StreamError::Io(io::ErrorKind::Other.into())
        })
    });
    if let Some(error) = refused {
        return Err(StreamError::Io(error));
    }
    match copied {
        Err(StreamError::Io(error)) => return Err(corrupt(error).into()),
        copied => copied?,
    };
    target.flush().map_err(StreamError::Io)?;
    identity.compare(&hasher.finish())?;
    Ok(identity)
}

/// Calls a function on all pieces of a reader, and returns the number of bytes.
fn copy(mut source: impl Read, mut put: impl FnMut(&[u8]) -> Streamed<()>) -> Streamed<u64> {
    let mut piece = vec![0; PIECE];
    let mut count = 0;
    loop {
        interrupt::check()?;
        match source.read(&mut piece) {
            Ok(0) => return Ok(count),
            Ok(length) => {
                put(&piece[..length])?;
                count += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(StreamError::Io(error)),
        }
    }
}

/// A writer that computes the checksum of a file.
struct Sealing<W> {
    target: W,
    hash: crc32fast::Hasher,
    length: u64,
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let length = self.target.write(data)?;
        self.hash.update(&data[..length]);
        self.length += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush()
    }
}

/// A reader of a file without its checksum, which it computes.
struct Opening<R> {
    source: R,
    hash: crc32fast::Hasher,
    /// Bytes from the source, of which those before the position have been read.
    buffer: Vec<u8>,
    position: usize,
    ended: bool,
    /// The error of the source.
    failure: Option<io::Error>,
}

impl<R: Read> Opening<R> {
    fn new(source: R) -> Self {
        let (buffer, hash) = (Vec::new(), crc32fast::Hasher::new());
        Self { source, hash, buffer, position: 0, ended: false, failure: None }
    }

    /// Checks the checksum, once all has been read.
    fn check(&self) -> Result<()> {
        let stored = &self.buffer[self.position..];
        let offset = self.position;
        if stored.len() < CRC_BYTES {
            return Err(Error::Truncated { what: "header", offset });
        }
        match self.hash.clone().finalize().to_le_bytes() == stored {
            true => Ok(()),
            false => Err(Error::Corrupt {
                what: "the file's checksum does not match: it is truncated or altered".into(),
                offset,
            }),
        }
    }
}

impl<R: Read> Read for Opening<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !self.ended && self.buffer.len() - self.position <= CRC_BYTES {
            self.buffer.drain(..self.position);
            self.position = 0;
            let held = self.buffer.len();
            self.buffer.resize(held + PIECE, 0);
            let length = loop {
                match self.source.read(&mut self.buffer[held..]) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => break result,
                }
            };
            let length = length.unwrap_or_else(|error| {
                self.failure = Some(error);
                0
            });
            self.buffer.truncate(held + length);
            self.ended = length == 0;
        }
        let available = (self.buffer.len() - self.position).saturating_sub(CRC_BYTES);
        let length = available.min(out.len());
        out[..length].copy_from_slice(&self.buffer[self.position..][..length]);
        self.hash.update(&out[..length]);
        self.position += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Hashes, store, unpack};
    use super::*;
    use crate::limits::up_to;

    const ALL: Hashes = Hashes { sha256: true, sha1: true };

    /// A reader that gives a few bytes at a time, then an error if it is to.
    struct Dribble<'a>(&'a [u8], bool);

    impl Read for Dribble<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let length = self.0.len().min(out.len()).min(7);
            if length == 0 && self.1 {
                return Err(io::Error::other("the cable is gone"));
            }
            out[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    fn restored(data: &[u8]) -> Streamed<Vec<u8>> {
        let mut out = Vec::new();
        restore_stream(Dribble(data, false), &up_to(1 << 22), &mut out).map(|_| out)
    }

    #[test]
    fn streams_are_files_and_files_are_streams() {
        let large: Vec<u8> = (0..3 * PIECE as u64).map(|i| ((i * i) >> 9) as u8).collect();
        for original in [&b""[..], b"abc", &large] {
            let identity = Identity::of(original, ALL).unwrap();
            for compressed in [false, true] {
                let mut packed = Vec::new();
                let length =
                    store_stream(Dribble(original, false), &identity, compressed, &mut packed).unwrap();
                assert_eq!(length, packed.len() as u64);
                let container = unpack(&packed, &up_to(1 << 22)).unwrap();
                assert_eq!(container.body, super::super::Body::Stored(original.to_vec()));
                container.identity.verify(original).unwrap();
                assert!(restored(&packed).unwrap() == original);
            }
            assert!(restored(&store(original, Hashes::default()).unwrap()).unwrap() == original);
            let wrong = Identity { size: identity.size + 1, ..identity };
            let error = store_stream(original, &wrong, true, io::sink()).unwrap_err();
            assert!(matches!(error, StreamError::Data(Error::InvalidArgument(_))), "{error}");
        }
    }

    #[test]
    fn every_damage_is_an_error() {
        let original = b"what is stored ".repeat(20);
        for packed in [store(&original, ALL).unwrap(), store(b"verbatim", ALL).unwrap()] {
            let variants =
                (0..packed.len()).map(|end| packed[..end].to_vec()).chain((0..packed.len()).map(|at| {
                    let mut altered = packed.clone();
                    altered[at] ^= 0x10;
                    altered
                }));
            for altered in variants {
                assert!(unpack(&altered, &up_to(1 << 20)).is_err());
                match restored(&altered).unwrap_err() {
                    StreamError::Data(error) => assert!(
                        matches!(
                            error,
                            Error::Corrupt { .. }
                                | Error::Truncated { .. }
                                | Error::Unsupported(_)
                                | Error::LimitExceeded { .. }
                        ),
                        "{error}"
                    ),
                    StreamError::Io(error) => panic!("{error}"),
                }
            }
        }
    }

    #[test]
    fn limits_and_failures_keep_their_names() {
        let packed = store(&[7; 5000], ALL).unwrap();
        let error = restore_stream(&packed[..], &up_to(4999), io::sink()).unwrap_err();
        assert!(matches!(error, StreamError::Data(Error::LimitExceeded { value: 5000, .. })), "{error}");
        let error = restore_stream(Dribble(&packed[..60], true), &up_to(5000), io::sink()).unwrap_err();
        assert_eq!(error.to_string(), "the cable is gone");
        let error = restore_stream(&packed[..], &up_to(5000), &mut [0; 100][..]).unwrap_err();
        assert!(matches!(error, StreamError::Io(_)), "{error}");
        let identity = Identity::of(&packed, ALL).unwrap();
        let error = store_stream(&packed[..], &identity, true, &mut [0; 20][..]).unwrap_err();
        assert!(matches!(error, StreamError::Io(_)), "{error}");
        let image = b"\x89LIC\x01\x02 and more than that";
        assert!(matches!(restored(image), Err(StreamError::Data(Error::Unsupported(_)))));
    }
}
