//! Files that libjpeg wrote, called by Pillow or, for arithmetic coding, by jpegtran.

use super::{LIMITS, read_exactly};
use crate::jpeg::{layout, read, reconstruction, write};
use crate::{Error, Limits};

pub(super) const BASELINE: &[u8] = include_bytes!("data/baseline.jpg");
pub(super) const RESTART: &[u8] = include_bytes!("data/restart.jpg");
pub(super) const PROGRESSIVE: &[u8] = include_bytes!("data/progressive.jpg");
pub(super) const PROGRESSIVE_RESTART: &[u8] = include_bytes!("data/progressive_restart.jpg");
pub(super) const ARITHMETIC: &[u8] = include_bytes!("data/arithmetic.jpg");
pub(super) const ARITHMETIC_PROGRESSIVE: &[u8] = include_bytes!("data/arithmetic_progressive.jpg");
pub(super) const CMYK: &[u8] = include_bytes!("data/cmyk.jpg");
pub(super) const GRAY: &[u8] = include_bytes!("data/gray.jpg");
pub(super) const ALL: [&[u8]; 8] =
    [BASELINE, RESTART, PROGRESSIVE, PROGRESSIVE_RESTART, ARITHMETIC, ARITHMETIC_PROGRESSIVE, CMYK, GRAY];

/// The pixels of `GRAY` as libjpeg decodes it.
const GRAY_PIXELS: &[u8; 256] = include_bytes!("data/gray.raw");

const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

#[test]
fn libjpeg_files_need_no_notes() {
    for file in ALL {
        let jpeg = read_exactly(file).unwrap();
        assert_eq!(jpeg.reconstruction[0], 0);
        assert_eq!(
            reconstruction::split(&jpeg.reconstruction, &Limits::default()).unwrap().markers.len(),
            jpeg.reconstruction.len()
        );
        assert_eq!(layout(&jpeg.reconstruction, &LIMITS), Ok(jpeg.frame));
    }
}

#[test]
fn frame_is_laid_out_in_whole_mcus() {
    let frame = read_exactly(BASELINE).unwrap().frame;
    assert_eq!((frame.width, frame.height, frame.progressive), (41, 27, false));
    let sizes: Vec<_> = frame.components.iter().map(|c| (c.id, c.h, c.v, c.blocks_w, c.blocks_h)).collect();
    assert_eq!(sizes, [(1, 2, 2, 6, 4), (2, 1, 1, 3, 2), (3, 1, 1, 3, 2)]);
    assert_eq!(frame.blocks(), 36);
    assert_eq!(frame.components[0].quant[..4], [6, 4, 5, 6]);
    assert_eq!(frame.components[1].quant, frame.components[2].quant);
}

#[test]
fn all_processes_give_the_same_coefficients() {
    let planes = read_exactly(BASELINE).unwrap().planes;
    assert!(read_exactly(ARITHMETIC).unwrap().planes == planes);
    for file in [RESTART, PROGRESSIVE, PROGRESSIVE_RESTART, ARITHMETIC_PROGRESSIVE] {
        let jpeg = read_exactly(file).unwrap();
        // In the padding, progressive scans have DC only.
        let unpadded = |plane: &[i16]| plane[..64 * 5].to_vec();
        assert_eq!(jpeg.planes[0].len(), planes[0].len());
        assert_eq!(unpadded(&jpeg.planes[0]), unpadded(&planes[0]));
        assert_eq!(jpeg.planes[1][..128], planes[1][..128]);
    }
}

#[test]
fn coefficients_give_the_pixels_of_libjpeg() {
    let jpeg = read_exactly(GRAY).unwrap();
    for (block, coefficients) in jpeg.planes[0].chunks_exact(64).enumerate() {
        let pixels = inverse_dct(coefficients, &jpeg.frame.components[0].quant);
        for (i, pixel) in pixels.into_iter().enumerate() {
            let (x, y) = (block % 2 * 8 + i % 8, block / 2 * 8 + i / 8);
            let expected = f64::from(GRAY_PIXELS[y * 16 + x]);
            assert!((pixel.clamp(0.0, 255.0) - expected).abs() < 1.6, "pixel {x}, {y}: {pixel} {expected}");
        }
    }
}

/// Returns the inverse DCT by its definition, in floating point.
fn inverse_dct(coefficients: &[i16], quant: &[u16; 64]) -> [f64; 64] {
    let basis = |x: usize, u: usize| {
        let scale = if u == 0 { 0.125f64.sqrt() } else { 0.5 };
        scale * ((2 * x + 1) as f64 * u as f64 * std::f64::consts::PI / 16.0).cos()
    };
    std::array::from_fn(|i| {
        let term = |k: usize| {
            let value = f64::from(coefficients[k]) * f64::from(quant[k]);
            value * basis(i % 8, ZIGZAG[k] % 8) * basis(i / 8, ZIGZAG[k] / 8)
        };
        128.0 + (0..64).map(term).sum::<f64>()
    })
}

#[test]
fn limits_are_kept() {
    let blocks = Limits { max_blocks: 35, ..LIMITS };
    let too_many = Error::LimitExceeded { what: "number of JPEG blocks", value: 36, limit: 35 };
    assert_eq!(read(BASELINE, &blocks), Err(too_many.clone()));
    let jpeg = read(BASELINE, &Limits { max_blocks: 36, ..LIMITS }).unwrap();
    assert_eq!(layout(&jpeg.reconstruction, &blocks), Err(too_many.clone()));
    assert_eq!(write(&jpeg.reconstruction, &jpeg.planes, &blocks), Err(too_many));
    let output = |max_output_bytes| Limits { max_output_bytes, ..LIMITS };
    let exact = BASELINE.len() as u64;
    assert!(write(&jpeg.reconstruction, &jpeg.planes, &output(exact)).is_ok());
    for max_output_bytes in [exact - 1, 0] {
        let result = write(&jpeg.reconstruction, &jpeg.planes, &output(max_output_bytes));
        assert!(matches!(result, Err(Error::LimitExceeded { limit, .. }) if limit == max_output_bytes));
    }
}

#[test]
fn wrong_planes_are_refused() {
    let jpeg = read(BASELINE, &LIMITS).unwrap();
    let refused = |planes: &[Vec<i16>]| {
        matches!(write(&jpeg.reconstruction, planes, &LIMITS), Err(Error::InvalidArgument(_)))
    };
    assert!(refused(&[]));
    assert!(refused(&jpeg.planes[..2]));
    let mut planes = jpeg.planes.clone();
    planes[1].pop();
    assert!(refused(&planes));
    let mut planes = jpeg.planes.clone();
    planes[0][5] = i16::MIN;
    assert!(matches!(write(&jpeg.reconstruction, &planes, &LIMITS), Err(Error::Corrupt { .. })));
}

#[test]
fn unsupported_processes_are_named() {
    let refused = |marker: u8| {
        let mut file = BASELINE.to_vec();
        let sof = file.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
        file[sof + 1] = marker;
        read(&file, &LIMITS).unwrap_err().to_string()
    };
    assert_eq!(refused(0xC3), "lossless JPEG (marker FFC3)");
    assert_eq!(refused(0xCD), "arithmetic-coded JPEG (marker FFCD)");
    assert_eq!(refused(0xC5), "hierarchical JPEG (marker FFC5)");
}

#[test]
fn standard_tables_stand_in_for_missing_ones() {
    let mut file = BASELINE.to_vec();
    while let Some(dht) = file.windows(2).position(|w| w == [0xFF, 0xC4]) {
        let len = usize::from(u16::from_be_bytes([file[dht + 2], file[dht + 3]]));
        file.drain(dht..dht + 2 + len);
    }
    let jpeg = read_exactly(&file).unwrap();
    assert_eq!(jpeg.planes, read(BASELINE, &LIMITS).unwrap().planes);
    assert_eq!(jpeg.reconstruction[0], 0);
}

#[test]
fn twelve_bits_per_sample() {
    let mut file = BASELINE.to_vec();
    let sof = file.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    file[sof + 1] = 0xC1;
    file[sof + 4] = 12;
    let jpeg = read_exactly(&file).unwrap();
    assert_eq!(jpeg.frame.precision, 12);
    assert_eq!(jpeg.planes, read(BASELINE, &LIMITS).unwrap().planes);
}
