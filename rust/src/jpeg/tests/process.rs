//! Marker segments of files of all processes and scan scripts.

use crate::jpeg::frame::Frame;

/// A scan: components, spectral selection, successive approximation.
#[derive(Debug, Clone)]
pub(super) struct ScanHeader {
    pub components: Vec<usize>,
    pub ss: u8,
    pub se: u8,
    pub ah: u8,
    pub al: u8,
}

impl ScanHeader {
    pub fn sequential(components: &[usize]) -> Self {
        Self { components: components.to_vec(), ss: 0, se: 63, ah: 0, al: 0 }
    }

    pub fn progressive(components: &[usize], ss: u8, se: u8, ah: u8, al: u8) -> Self {
        Self { components: components.to_vec(), ss, se, ah, al }
    }
}

/// Returns the marker segments of a file with the given scans.
pub(super) fn markers(
    frame: &Frame,
    sampling: &[(u8, u8)],
    restart_interval: u16,
    tables: Tables,
    scans: &[ScanHeader],
) -> Vec<u8> {
    let mut out = vec![0xFF, 0xD8];
    let dqt: Vec<u8> = (0..=64).collect();
    put_segment(&mut out, 0xDB, &dqt);
    let mut sof = vec![frame.precision];
    sof.extend(frame.height.to_be_bytes());
    sof.extend(frame.width.to_be_bytes());
    sof.push(sampling.len() as u8);
    for (id, (h, v)) in (1..).zip(sampling) {
        sof.extend([id, h << 4 | v, 0]);
    }
    put_segment(&mut out, if frame.progressive { 0xC2 } else { 0xC1 } + tables.sof(), &sof);
    tables.put(&mut out);
    put_segment(&mut out, 0xDD, &restart_interval.to_be_bytes());
    for scan in scans {
        let mut sos = vec![scan.components.len() as u8];
        scan.components
            .iter()
            .for_each(|&component| sos.extend([component as u8 + 1, tables.selectors(component)]));
        sos.extend([scan.ss, scan.se, scan.ah << 4 | scan.al]);
        put_segment(&mut out, 0xDA, &sos);
    }
    out.extend([0xFF, 0xD9]);
    out
}

fn put_segment(out: &mut Vec<u8>, marker: u8, contents: &[u8]) {
    out.extend([0xFF, marker]);
    out.extend((contents.len() as u16 + 2).to_be_bytes());
    out.extend(contents);
}

/// Huffman tables with codes for all 256 symbols, or conditioning of arithmetic coding.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tables {
    /// Codes of 8 and 9 bits.
    Flat,
    /// Few short codes, many of 16 bits.
    Skewed {
        /// The symbol that gets the shortest code.
        first: u8,
    },
    Arithmetic {
        /// Both limits of small differences.
        dc: u8,
        /// The last of the low frequencies.
        ac: u8,
    },
}

impl Tables {
    fn put(self, out: &mut Vec<u8>) {
        let (counts, first) = match self {
            Self::Flat => ([0, 0, 0, 0, 0, 0, 0, 254, 2, 0, 0, 0, 0, 0, 0, 0], 0),
            Self::Skewed { first } => ([0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 249], first),
            // For all components except the last, whose tables stay undefined.
            Self::Arithmetic { dc, ac } => {
                return put_segment(out, 0xCC, &[0x00, dc, 0x01, dc, 0x02, dc, 0x1F, ac, 0x1E, ac, 0x1D, ac]);
            }
        };
        let symbols = (0..=255u8).map(|symbol| symbol.wrapping_add(first));
        let table: Vec<u8> = counts.into_iter().chain(symbols).collect();
        put_segment(out, 0xC4, &[&[0x00][..], &table].concat());
        put_segment(out, 0xC4, &[&[0x10][..], &table].concat());
    }

    /// Returns the number to add to the marker of the frame.
    fn sof(self) -> u8 {
        if matches!(self, Self::Arithmetic { .. }) { 8 } else { 0 }
    }

    fn selectors(self, component: usize) -> u8 {
        match self {
            Self::Arithmetic { .. } => (component as u8) << 4 | (15 - component as u8),
            _ => 0,
        }
    }
}
