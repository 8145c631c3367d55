//! Exif 2.32: the usual directories, and the names of cameras and programs.

/// The order of the bytes of a number.
#[derive(Clone, Copy)]
pub(super) enum ByteOrder {
    Big,
    Little,
}

const ASCII: u16 = 2;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const RATIONAL: u16 = 5;
const UNDEFINED: u16 = 7;
const SIGNED_RATIONAL: u16 = 10;

/// An entry of a directory: tag, type, count, and value (or a likely offset if the value is longer than four bytes).
type Entry = (u16, u16, u32, u32);

/// The directory of GPS information.
const GPS: &[Entry] = &[
    (0, 1, 4, 0x0202_0000),
    (1, ASCII, 2, 0x4E00_0000),
    (2, RATIONAL, 3, 0),
    (3, ASCII, 2, 0x4500_0000),
    (4, RATIONAL, 3, 0),
    (5, 1, 1, 0),
    (6, RATIONAL, 1, 0),
    (7, RATIONAL, 3, 0),
    (0x0C, ASCII, 2, 0x4B00_0000),
    (0x0D, RATIONAL, 1, 0),
    (0x10, ASCII, 2, 0x5400_0000),
    (0x11, RATIONAL, 1, 0),
    (0x12, ASCII, 7, 0),
    (0x17, ASCII, 2, 0x5400_0000),
    (0x18, RATIONAL, 1, 0),
    (0x1B, UNDEFINED, 15, 0),
    (0x1D, ASCII, 11, 0),
    (0x1F, RATIONAL, 1, 0),
];

/// The thumbnail's directory.
const IFD1: &[Entry] = &[
    (0x0103, SHORT, 1, 6),
    (0x0112, SHORT, 1, 1),
    (0x011A, RATIONAL, 1, 0),
    (0x011B, RATIONAL, 1, 0),
    (0x0128, SHORT, 1, 2),
    (0x0201, LONG, 1, 0),
    (0x0202, LONG, 1, 0),
    (0x0213, SHORT, 1, 2),
];

/// The interoperability directory.
const INTEROPERABILITY: &[Entry] = &[
    (0x0001, ASCII, 4, 0x5239_3800),
    (0x0002, UNDEFINED, 4, 0x3031_3030),
    (0x1001, SHORT, 1, 0),
    (0x1002, SHORT, 1, 0),
];

/// The directory of exposure and camera settings.
const EXIF: &[Entry] = &[
    (0x829A, RATIONAL, 1, 0),
    (0x829D, RATIONAL, 1, 0),
    (0x8822, SHORT, 1, 2),
    (0x8827, SHORT, 1, 100),
    (0x8830, SHORT, 1, 2),
    (0x8832, LONG, 1, 100),
    (0x9000, UNDEFINED, 4, 0x3032_3231),
    (0x9003, ASCII, 20, 0),
    (0x9004, ASCII, 20, 0),
    (0x9010, ASCII, 7, 0),
    (0x9011, ASCII, 7, 0),
    (0x9012, ASCII, 7, 0),
    (0x9101, UNDEFINED, 4, 0x0102_0300),
    (0x9102, RATIONAL, 1, 0),
    (0x9201, SIGNED_RATIONAL, 1, 0),
    (0x9202, RATIONAL, 1, 0),
    (0x9203, SIGNED_RATIONAL, 1, 0),
    (0x9204, SIGNED_RATIONAL, 1, 0),
    (0x9205, RATIONAL, 1, 0),
    (0x9206, RATIONAL, 1, 0),
    (0x9207, SHORT, 1, 5),
    (0x9208, SHORT, 1, 0),
    (0x9209, SHORT, 1, 16),
    (0x920A, RATIONAL, 1, 0),
    (0x9214, SHORT, 4, 0),
    (0x927C, UNDEFINED, 0x0400, 0),
    (0x9286, UNDEFINED, 0x0108, 0),
    (0x9290, ASCII, 3, 0x3030_0000),
    (0x9291, ASCII, 3, 0x3030_0000),
    (0x9292, ASCII, 3, 0x3030_0000),
    (0xA000, UNDEFINED, 4, 0x3031_3030),
    (0xA001, SHORT, 1, 1),
    (0xA002, LONG, 1, 0),
    (0xA003, LONG, 1, 0),
    (0xA005, LONG, 1, 0),
    (0xA20E, RATIONAL, 1, 0),
    (0xA20F, RATIONAL, 1, 0),
    (0xA210, SHORT, 1, 2),
    (0xA217, SHORT, 1, 2),
    (0xA300, UNDEFINED, 1, 0x0300_0000),
    (0xA301, UNDEFINED, 1, 0x0100_0000),
    (0xA302, UNDEFINED, 8, 0),
    (0xA401, SHORT, 1, 0),
    (0xA402, SHORT, 1, 0),
    (0xA403, SHORT, 1, 0),
    (0xA404, RATIONAL, 1, 0),
    (0xA405, SHORT, 1, 0),
    (0xA406, SHORT, 1, 0),
    (0xA407, SHORT, 1, 0),
    (0xA408, SHORT, 1, 0),
    (0xA409, SHORT, 1, 0),
    (0xA40A, SHORT, 1, 0),
    (0xA40C, SHORT, 1, 0),
    (0xA420, ASCII, 33, 0),
    (0xA432, RATIONAL, 4, 0),
    (0xA433, ASCII, 6, 0),
    (0xA434, ASCII, 0, 0),
];

/// The main picture's directory.
const IFD0: &[Entry] = &[
    (0x0100, SHORT, 1, 0),
    (0x0101, SHORT, 1, 0),
    (0x0102, SHORT, 3, 0),
    (0x0106, SHORT, 1, 2),
    (0x010E, ASCII, 32, 0),
    (0x010F, ASCII, 6, 0),
    (0x0110, ASCII, 14, 0),
    (0x0112, SHORT, 1, 1),
    (0x0115, SHORT, 1, 3),
    (0x011A, RATIONAL, 1, 0),
    (0x011B, RATIONAL, 1, 0),
    (0x0128, SHORT, 1, 2),
    (0x0131, ASCII, 20, 0),
    (0x0132, ASCII, 20, 0),
    (0x013B, ASCII, 0, 0),
    (0x0213, SHORT, 1, 2),
    (0x8298, ASCII, 0, 0),
    (0x8769, LONG, 1, 0),
    (0x8825, LONG, 1, 0),
    (0xC4A5, UNDEFINED, 0, 0),
];

/// Returns an Exif segment with all directories. Texts and bytes have the same order in both.
pub(super) fn segment(order: ByteOrder) -> Vec<u8> {
    let short = |value: u16| match order {
        ByteOrder::Big => value.to_be_bytes(),
        ByteOrder::Little => value.to_le_bytes(),
    };
    let long = |value: u32| match order {
        ByteOrder::Big => value.to_be_bytes(),
        ByteOrder::Little => value.to_le_bytes(),
    };
    let mut out = Vec::new();
    for directory in [GPS, INTEROPERABILITY, EXIF, IFD1, IFD0] {
        if std::ptr::eq(directory, IFD0) {
            out.extend(b"\x01\0\0\0\0\xff\xd8\xff\xe1\0\0Exif\0\0");
            out.extend(if matches!(order, ByteOrder::Big) { b"MM\0*" } else { b"II*\0" });
            out.extend(long(8));
        }
        out.extend(short(directory.len() as u16));
        for &(tag, kind, count, value) in directory {
            out.extend(short(tag));
            out.extend(short(kind));
            out.extend(long(count));
            match kind {
                SHORT => out.extend([short(value as u16), [0; 2]].concat()),
                LONG | RATIONAL | SIGNED_RATIONAL => out.extend(long(value)),
                _ => out.extend(value.to_be_bytes()),
            }
        }
        out.extend([0; 4]);
    }
    // Times, apertures, and resolutions of 350, 240, 180, 300 and 72.
    let rationals = [(1, 100), (1, 60), (28, 10), (4, 1), (350, 1), (240, 1), (180, 1), (300, 1), (72, 1)];
    for (numerator, denominator) in rationals {
        out.extend(long(numerator));
        out.extend(long(denominator));
    }
    out.extend(b"2005:01:01 12:00:00\x002010:10:20 10:30:15\0");
    out
}

/// Names of makers, cameras and programs, and the beginnings of their notes and of MPF directories.
pub(super) const MAKERS: &[u8] = b"\
    PENTAX Corporation \0CASIO COMPUTER CO.,LTD.\0LEICA CAMERA AG\0Panasonic\0\0\0FUJIFILM\x0c\0\0\0OLYMPUS \
    IMAGING CORP.  \0OLYMPUS OPTICAL CO.,LTD\0OLYMP\0\x01\0KODAK\0EASTMAN KODAK COMPANY\0DIGITAL CAMERA\0Goo\
    gle\0Pixel \0HUAWEI\0Xiaomi\0samsung\0SAMSUNG\0SONY\0SONY DSC \0DSC-\0ILCE-\0NIKON CORPORATION\0NIKON D\
    \0Nikon\0\x02\x10\0\0MM\0*\0\0\0\x08NIKON\0COOLPIX \0Canon\0Canon EOS \0Canon DIGITAL IXUS\0Canon PowerS\
    hot \0IMG:PowerShot  JPEG\0Firmware Version 1.00\0Apple\0iPhone \0Apple iOS\0\0\x01MM\0PrintIM\x000300\0\
    \0Adobe Photoshop CS6 (Windows)\0Adobe Photoshop CC 2015 (Macintosh)\0Adobe Photoshop Lightroom 6.0 (Win\
    dows)\0Adobe Photoshop 7.0\0Adobe Photoshop CS2 Windows\0Adobe Photoshop CS3 Windows\0GIMP 2.8\0Picasa\0\
    MPF\0II*\0\x08\0\0\0\x03\0\0\xb0\x07\0\x04\0\0\x000100\x01\xb0\x04\0\x01\0\0\0\x02\0\0\0\x02\xb0\x07\0\
    \x20\0\0\0\x32\0\0\0MPF\0MM\0*\0\0\0\x08\0\x03\xb0\0\0\x07\0\0\0\x040100\xb0\x01\0\x04\0\0\0\x01\0\0\0\
    \x02\xb0\x02\0\x07\0\0\0\x20\0\0\0\x32FPXR\0\0\x01\0\0\x02ASCII\0\0\0UNICODE\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0                        ";
