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
