//! ICC.1 profiles of displays: sRGB (IEC 61966-2-1) and Display P3.

/// Tags of a profile with their data. A tag without data shares those of the tag before.
type Tags<'a> = &'a [(&'a [u8; 4], Vec<u8>)];

/// Returns a display's profile in the first of its segments.
///
/// `begin` precedes the signature: the colour management module and the version. `date` has six parts. `platform` has the
/// fields from the platform to the intent, and `creator` follows the illuminant.
fn profile(begin: &[u8; 8], date: [u16; 6], platform: &[u8], creator: &[u8; 4], tags: Tags) -> Vec<u8> {
    let mut table = (tags.len() as u32).to_be_bytes().to_vec();
    let mut data = Vec::new();
    let (mut start, mut len) = (0, 0);
    for (signature, contents) in tags {
        if !contents.is_empty() {
            start = 132 + 12 * tags.len() + data.len();
            len = contents.len();
            data.extend(contents);
            data.resize(data.len().next_multiple_of(4), 0);
        }
        table.extend(*signature);
        table.extend((start as u32).to_be_bytes());
        table.extend((len as u32).to_be_bytes());
    }
    let mut header = (128 + table.len() as u32 + data.len() as u32).to_be_bytes().to_vec();
    header.extend([&begin[..], b"mntrRGB XYZ "].concat());
    header.extend(date.iter().flat_map(|part| part.to_be_bytes()));
    header.extend([b"acsp", platform].concat());
    header.resize(68, 0);
    header.extend([0, 0, 0xF6, 0xD6, 0, 1, 0, 0, 0, 0, 0xD3, 0x2D]);
    header.extend(creator);
    header.resize(128, 0);
    [b"ICC_PROFILE\0\x01\x01", &header[..], &table, &data].concat()
}

/// Returns a tag's data of a type that consists of 32-bit numbers.
fn words(kind: &[u8; 4], words: &[u32]) -> Vec<u8> {
    let words: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    [&kind[..], &[0; 4], &words].concat()
}

fn xyz(x: u32, y: u32, z: u32) -> Vec<u8> {
    words(b"XYZ ", &[x, y, z])
}

fn text(text: &[u8]) -> Vec<u8> {
    [b"text\0\0\0\0", text, b"\0"].concat()
}

/// Returns a description in ASCII, an empty one in Unicode, and that in ASCII again for the Macintosh.
fn description(text: &[u8]) -> Vec<u8> {
    let len = text.len() as u8 + 1;
    let mut out = [b"desc\0\0\0\0\0\0\0", &[len][..], text, &[0; 11], &[len], text].concat();
    out.resize(12 + text.len() + 79, 0);
    out
}

/// Returns the transfer function of IEC 61966-2-1 at 1024 points. All are more than 10^-5 units away from a rounding
/// boundary, so that all machines round them alike.
fn srgb_curve() -> Vec<u8> {
    let mut out = words(b"curv", &[1024]);
    for i in 0..1024 {
        let value = f64::from(i) / 1023.0;
        let linear = if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) };
        out.extend(((65535.0 * linear).round() as u16).to_be_bytes());
    }
    out
}

/// Returns the profile that most files in sRGB carry.
pub(super) fn srgb() -> Vec<u8> {
    let tags: Tags = &[
        (b"cprt", text(b"Copyright (c) 1998 Hewlett-Packard Company")),
        (b"desc", description(b"sRGB IEC61966-2.1")),
        (b"wtpt", xyz(0xF351, 0x1_0000, 0x1_16CC)),
        (b"bkpt", xyz(0, 0, 0)),
        (b"rXYZ", xyz(0x6FA2, 0x38F5, 0x390)),
        (b"gXYZ", xyz(0x6299, 0xB785, 0x18DA)),
        (b"bXYZ", xyz(0x24A0, 0xF84, 0xB6CF)),
        (b"dmnd", description(b"IEC http://www.iec.ch")),
        (b"dmdd", description(b"IEC 61966-2.1 Default RGB colour space - sRGB")),
        (b"vued", description(b"Reference Viewing Condition in IEC61966-2.1")),
        (b"view", words(b"view", &[0x13_A4FE, 0x14_5F2E, 0x10_CF14, 0x3_EDCC, 0x4_130B, 0x3_5C9E, 1])),
        (b"lumi", xyz(0x4C_0956, 0x50_0000, 0x57_1FE7)),
        (b"meas", words(b"meas", &[1, 0, 0, 0, 0, 0x28F, 2])),
        (b"tech", b"sig \0\0\0\0CRT ".to_vec()),
        (b"rTRC", srgb_curve()),
        (b"gTRC", vec![]),
        (b"bTRC", vec![]),
    ];
    profile(b"Lino\x02\x10\0\0", [1998, 2, 9, 6, 49, 0], b"MSFT\0\0\0\0IEC sRGB", b"HP  ", tags)
}

/// Returns Display P3 with a parametric curve, as telephones write it.
pub(super) fn display_p3() -> Vec<u8> {
    let curve = words(b"para", &[0x3_0000, 0x2_6666, 0xF2A7, 0xD59, 0x13D0, 0xA5B]);
    let unicode = |text: &str| {
        let len = (2 * text.len() as u32).to_be_bytes();
        let text: Vec<u8> = text.bytes().flat_map(|c| [0, c]).collect();
        [words(b"mluc", &[1, 12]), b"enUS".to_vec(), len.to_vec(), 28u32.to_be_bytes().to_vec(), text]
            .concat()
    };
    let adaptation = [0x1_0C42, 0x5DE, 0xFFFF_F326, 0x793, 0xFD90, 0xFFFF_FBA2, 0xFFFF_FDA3, 0x3DC, 0xC06E];
    let tags: Tags = &[
        (b"desc", unicode("Display P3")),
        (b"cprt", unicode("Copyright Apple Inc., 2017")),
        (b"wtpt", xyz(0xF6D5, 0x1_0000, 0xD32C)),
        (b"rXYZ", xyz(0x83DF, 0x3DBF, 0xFFFF_FFBB)),
        (b"gXYZ", xyz(0x4ABF, 0xB137, 0xAB9)),
        (b"bXYZ", xyz(0x2838, 0x110B, 0xC8B9)),
        (b"rTRC", curve),
        (b"chad", words(b"sf32", &adaptation)),
        (b"bTRC", vec![]),
        (b"gTRC", vec![]),
    ];
    profile(b"appl\x04\0\0\0", [2017, 7, 7, 13, 22, 32], b"APPL\0\0\0\0APPL", b"appl", tags)
}
