//! What is read is written again, whatever the file.

mod arithmetic;
mod corpus;
mod damage;
mod files;
mod process;
mod synthetic;

use super::{read, write, Jpeg, Limits};
use crate::Result;

const LIMITS: Limits = Limits { max_blocks: 1 << 16, max_output: 1 << 24 };

/// Reads a file and checks that writing restores it.
#[track_caller]
fn read_exactly(file: &[u8]) -> Result<Jpeg> {
    let jpeg = read(file, &LIMITS)?;
    let written = write(&jpeg.skeleton, &jpeg.planes, &LIMITS).expect("what has been read can be written");
    assert!(written == file, "restored another file");
    Ok(jpeg)
}

/// Gives a picture that ends with EOI so many bytes more to earn blocks with: an entropy-coded segment behind a scan
/// header that nobody can parse.
fn earn(picture: &mut Vec<u8>, bytes: usize) {
    picture.truncate(picture.len() - 2);
    picture.extend([0xFF, 0xDA, 0, 2]);
    picture.resize(picture.len() + bytes, 0);
    picture.extend([0xFF, 0xD9]);
}
