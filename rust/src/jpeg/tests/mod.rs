//! Files of all kinds, intact and damaged, are read and written again exactly.

mod corpus;
mod damage;
mod files;
mod process;
mod synthetic;

use super::{Jpeg, layout, read, write};
use crate::{Limits, Result};

const LIMITS: Limits = Limits { max_blocks: 1 << 16, max_output_bytes: 1 << 24 };

/// Reads a file, and checks that writing restores it, that the layout is right and that the steps are.
#[track_caller]
fn read_exactly(file: &[u8]) -> Result<Jpeg> {
    let jpeg = read(file, &LIMITS)?;
    let written =
        write(&jpeg.reconstruction, &jpeg.planes, &LIMITS).expect("a file that has been read can be written");
    assert!(written == file, "restored another file");
    assert_eq!(layout(&jpeg.reconstruction, &LIMITS).as_ref(), Ok(&jpeg.frame));
    check_steps(&jpeg);
    Ok(jpeg)
}

/// Checks that coefficients are multiples of their steps.
#[track_caller]
fn check_steps(jpeg: &Jpeg) {
    for (component, plane) in jpeg.frame.components.iter().zip(&jpeg.planes) {
        let Some(first) = component.steps.first() else { continue };
        assert_eq!(first.row, 0);
        assert!(component.steps.is_sorted_by(|above, below| above.row < below.row));
        for (block, coefficients) in plane.chunks_exact(64).enumerate() {
            let row = block / component.blocks_w / usize::from(component.v);
            let steps = component.steps.iter().rfind(|steps| steps.row <= row).unwrap();
            let is_multiple = |(value, shift): (&i16, &u8)| value >> shift << shift == *value;
            assert!(coefficients.iter().zip(&steps.shifts).all(is_multiple), "block {block}");
        }
    }
}

/// Lets a file that ends with EOI earn more blocks: adds a scan of `bytes` bytes, whose header cannot be parsed.
fn earn(file: &mut Vec<u8>, bytes: usize) {
    file.truncate(file.len() - 2);
    file.extend([0xFF, 0xDA, 0, 2]);
    file.resize(file.len() + bytes, 0);
    file.extend([0xFF, 0xD9]);
}
