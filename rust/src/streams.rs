//! Several streams as one section: the lengths of all but the last, 32 bits each, then the streams.

use crate::{Error, Result};

/// Returns one section of all streams.
///
/// # Errors
/// [`Error::InvalidArgument`] if there is no stream, or one has 4 GiB or more.
pub fn join<S: AsRef<[u8]>>(streams: &[S]) -> Result<Vec<u8>> {
    let Some((_, all_but_last)) = streams.split_last() else {
        return Err(Error::InvalidArgument("no streams to join".into()));
    };
    let mut section = Vec::new();
    for stream in all_but_last {
        let length = u32::try_from(stream.as_ref().len())
            .map_err(|_| Error::InvalidArgument("a stream of 4 GiB or more".into()))?;
        section.extend_from_slice(&length.to_le_bytes());
    }
    streams.iter().for_each(|stream| section.extend_from_slice(stream.as_ref()));
    Ok(section)
}

/// Returns the `count` streams that [`join`] received.
///
/// # Errors
/// [`Error::Truncated`] if the section is too short, [`Error::InvalidArgument`] if `count` is 0.
pub fn split(section: &[u8], count: usize) -> Result<Vec<&[u8]>> {
    let Some(lengths) = count.checked_sub(1) else {
        return Err(Error::InvalidArgument("no streams to split".into()));
    };
    let truncated = |what| Error::Truncated { what, offset: section.len() };
    let (lengths, mut rest) =
        section.split_at_checked(lengths.saturating_mul(4)).ok_or(truncated("lengths of streams"))?;
    let mut streams = Vec::with_capacity(count);
    for &length in lengths.as_chunks().0 {
        let stream;
        (stream, rest) =
            rest.split_at_checked(u32::from_le_bytes(length) as usize).ok_or(truncated("streams"))?;
        streams.push(stream);
    }
    streams.push(rest);
    Ok(streams)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_round_trip() {
        for streams in [vec![&b"abc"[..]], vec![b""], vec![b"a", b"", b"bcd"], vec![b"", b""]] {
            let section = join(&streams).unwrap();
            assert_eq!(section.len(), 4 * (streams.len() - 1) + streams.concat().len());
            assert_eq!(split(&section, streams.len()), Ok(streams));
        }
    }

    #[test]
    fn wrong_sections_are_refused() {
        assert!(matches!(join::<&[u8]>(&[]), Err(Error::InvalidArgument(_))));
        assert!(matches!(split(b"abc", 0), Err(Error::InvalidArgument(_))));
        for (section, count) in [(&b"\x01\0\0"[..], 2), (b"\x02\0\0\0a", 2), (b"", usize::MAX)] {
            assert!(matches!(split(section, count), Err(Error::Truncated { .. })), "{section:?}");
        }
    }
}
