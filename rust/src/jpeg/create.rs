//! New JPEG files from coefficients.

use super::annex_k::{
    AC_CHROMINANCE_COUNTS, AC_CHROMINANCE_SYMBOLS, AC_LUMINANCE_COUNTS, AC_LUMINANCE_SYMBOLS,
    DC_CHROMINANCE_COUNTS, DC_LUMINANCE_COUNTS,
};
use super::markers::{EOI, SOI};
use super::write;
use crate::{Error, Limits, Result};

/// The largest number of blocks in an MCU of several components (T.81, B.2.3).
const MAX_MCU_BLOCKS: u32 = 10;
/// Numbers of the Huffman tables in DHT: classes DC and AC, for luminance and chrominance.
const TABLES: [(u8, &[u8; 16], &[u8]); 4] = [
    (0x00, &DC_LUMINANCE_COUNTS, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    (0x10, &AC_LUMINANCE_COUNTS, &AC_LUMINANCE_SYMBOLS),
    (0x01, &DC_CHROMINANCE_COUNTS, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    (0x11, &AC_CHROMINANCE_COUNTS, &AC_CHROMINANCE_SYMBOLS),
];

/// A component of a new file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewComponent {
    /// Its identifier.
    pub id: u8,
    /// Horizontal sampling factor, 1 to 4.
    pub h: u8,
    /// Vertical sampling factor, 1 to 4.
    pub v: u8,
    /// Quantisation table in zig-zag order.
    pub quant: [u16; 64],
}

/// Writes a sequential JPEG file of 8 bits a sample, with the Huffman tables of annex K.
///
/// `size` is (width, height). A plane has the blocks of whole MCUs, in raster order. `segments` are whole APP and COM
/// segments, which follow SOI.
///
/// # Errors
/// [`Error::InvalidArgument`] if the size or the sampling is impossible, or the planes do not fit; [`Error::Corrupt`] if the
/// tables have no code for a coefficient.
pub fn create<P: AsRef<[i16]>>(
    size: (u16, u16),
    components: &[NewComponent],
    planes: &[P],
    segments: &[u8],
) -> Result<Vec<u8>> {
    let are_possible = components.iter().all(|c| (1..=4).contains(&c.h) && (1..=4).contains(&c.v));
    if !are_possible || !(1..=4).contains(&components.len()) || size.0 == 0 || size.1 == 0 {
        return Err(Error::InvalidArgument("a frame that no JPEG file can have".into()));
    }
    let mut out = vec![0]; // There are no notes.
    out.extend(SOI);
    out.extend_from_slice(segments);
    let is_wide = components.iter().any(|component| component.quant.iter().any(|&q| q > 255));
    for (index, component) in components.iter().enumerate() {
        let mut table = vec![u8::from(is_wide) << 4 | index as u8];
        // A quantiser of 0 is forbidden but occurs.
        for q in component.quant.map(|q| q.max(1).to_be_bytes()) {
            table.extend_from_slice(&q[usize::from(!is_wide)..]);
        }
        put_segment(&mut out, 0xDB, &table);
    }
    let [width, height] = [size.0, size.1].map(u16::to_be_bytes);
    let mut header = [&[8][..], &height, &width, &[components.len() as u8]].concat();
    for (index, component) in components.iter().enumerate() {
        header.extend([component.id, component.h << 4 | component.v, index as u8]);
    }
    put_segment(&mut out, if is_wide { 0xC1 } else { 0xC0 }, &header);
    for (number, counts, symbols) in TABLES {
        put_segment(&mut out, 0xC4, &[&[number][..], counts, symbols].concat());
    }
    let selectors: Vec<[u8; 2]> = components
        .iter()
        .enumerate()
        .map(|(index, c)| [c.id, if index == 0 { 0x00 } else { 0x11 }])
        .collect();
    let blocks: u32 = components.iter().map(|c| u32::from(c.h) * u32::from(c.v)).sum();
    let scans = if blocks <= MAX_MCU_BLOCKS { selectors.len() } else { 1 };
    for scan in selectors.chunks(scans) {
        put_segment(&mut out, 0xDA, &[&[scan.len() as u8][..], scan.as_flattened(), &[0, 63, 0]].concat());
    }
    out.extend(EOI);
    write(&out, planes, &Limits::default())
}

fn put_segment(out: &mut Vec<u8>, marker: u8, content: &[u8]) {
    out.extend([0xFF, marker]);
    out.extend((content.len() as u16 + 2).to_be_bytes());
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jpeg::{Plane, read_whole};

    #[test]
    fn what_was_read_is_written_anew() {
        let files: [&[u8]; 5] = [
            include_bytes!("tests/data/baseline.jpg"),
            include_bytes!("tests/data/progressive.jpg"),
            include_bytes!("tests/data/gray.jpg"),
            include_bytes!("tests/data/arithmetic.jpg"),
            include_bytes!("tests/data/cmyk.jpg"),
        ];
        for file in files {
            let original = read_whole(file, &Limits::default()).unwrap();
            let segment = b"\xff\xfe\0\x04hi";
            let size = (original.frame.width, original.frame.height);
            let components: Vec<NewComponent> = original.frame.components.iter().map(new).collect();
            let written = create(size, &components, &original.planes, segment).unwrap();
            assert_eq!(written[2..8], *segment);
            let again = read_whole(&written, &Limits::default()).unwrap();
            assert_eq!(again.planes, original.planes);
            assert_eq!(
                (again.frame.width, again.frame.height, again.frame.progressive),
                (size.0, size.1, false)
            );
        }
    }

    #[test]
    fn samplings_and_quantisers_that_need_another_form() {
        let size = (70, 50);
        let sampled = |id, h, v| NewComponent { id, h, v, quant: [300; 64] };
        let mut components = [sampled(1, 4, 2), sampled(2, 2, 2), sampled(3, 1, 1)];
        components[1].quant[3] = 0;
        // MCUs of 32x16 pixels: 3x4 of them.
        let mut planes: Vec<Plane> =
            components.iter().map(|c| vec![0; 64 * 12 * usize::from(c.h * c.v)]).collect();
        planes[0][64 * 3] = 1000;
        let read = read_whole(&create(size, &components, &planes, b"").unwrap(), &Limits::default()).unwrap();
        assert_eq!((read.planes, read.frame.components[1].quant[3]), (planes.clone(), 1));
        planes[0][64] = 5000;
        assert!(matches!(create(size, &components, &planes, b""), Err(Error::Corrupt { .. })));
        let refused = |size, components: &[NewComponent], planes: &[Plane]| {
            assert!(matches!(create(size, components, planes, b""), Err(Error::InvalidArgument(_))));
        };
        refused(size, &components, &planes[..2]);
        refused((0, 50), &components, &planes);
        refused((90, 80), &components, &planes);
        refused(size, &[], &[]);
        components[0].h = 5;
        refused(size, &components, &planes);
    }

    fn new(component: &crate::jpeg::Component) -> NewComponent {
        let crate::jpeg::Component { id, h, v, quant, .. } = *component;
        NewComponent { id, h, v, quant }
    }
}
