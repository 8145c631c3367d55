//! The adaptive binary arithmetic coder (T.81, annex D).

/// Codes binary decisions, each with the probability that its context has learnt.
pub(super) trait BinaryCoder {
    /// Encodes `bit` and returns it, or ignores `bit` and returns a decoded one.
    fn code(&mut self, context: &mut Context, bit: bool) -> bool;
}

/// The estimate for a decision: an index into [`STATES`], and the more probable of the two values.
#[derive(Clone, Copy, Default)]
pub(super) struct Context {
    state: u8,
    likely: bool,
}

impl Context {
    /// The estimate for a decision whose values are equally probable and stay so.
    pub const FIXED: Self = Self { state: 113, likely: false };

    /// Returns the width of the less probable value's part of the interval, which is 0x8000 to 0x10000 wide.
    #[inline(always)]
    fn share(self) -> u32 {
        STATES[usize::from(self.state)].0.into()
    }

    #[inline(always)]
    fn learn(&mut self, bit: bool) {
        let (_, after_unlikely, after_likely) = STATES[usize::from(self.state)];
        let unlikely = bit != self.likely;
        self.likely ^= unlikely && matches!(self.state, 0 | 14 | 36 | 64 | 80 | 88 | 95 | 105 | 110 | 112);
        self.state = if unlikely { after_unlikely } else { after_likely };
    }
}

/// The share of the less probable value, and the next states after that value and after the other (table D.3).
/// The last entry belongs to [`Context::FIXED`].
#[rustfmt::skip]
const STATES: [(u16, u8, u8); 114] = [
    (0x5A1D,   1,   1), (0x2586,  14,   2), (0x1114,  16,   3), (0x080B,  18,   4), (0x03D8,  20,   5),
    (0x01DA,  23,   6), (0x00E5,  25,   7), (0x006F,  28,   8), (0x0036,  30,   9), (0x001A,  33,  10),
    (0x000D,  35,  11), (0x0006,   9,  12), (0x0003,  10,  13), (0x0001,  12,  13), (0x5A7F,  15,  15),
    (0x3F25,  36,  16), (0x2CF2,  38,  17), (0x207C,  39,  18), (0x17B9,  40,  19), (0x1182,  42,  20),
    (0x0CEF,  43,  21), (0x09A1,  45,  22), (0x072F,  46,  23), (0x055C,  48,  24), (0x0406,  49,  25),
    (0x0303,  51,  26), (0x0240,  52,  27), (0x01B1,  54,  28), (0x0144,  56,  29), (0x00F5,  57,  30),
    (0x00B7,  59,  31), (0x008A,  60,  32), (0x0068,  62,  33), (0x004E,  63,  34), (0x003B,  32,  35),
    (0x002C,  33,   9), (0x5AE1,  37,  37), (0x484C,  64,  38), (0x3A0D,  65,  39), (0x2EF1,  67,  40),
    (0x261F,  68,  41), (0x1F33,  69,  42), (0x19A8,  70,  43), (0x1518,  72,  44), (0x1177,  73,  45),
    (0x0E74,  74,  46), (0x0BFB,  75,  47), (0x09F8,  77,  48), (0x0861,  78,  49), (0x0706,  79,  50),
    (0x05CD,  48,  51), (0x04DE,  50,  52), (0x040F,  50,  53), (0x0363,  51,  54), (0x02D4,  52,  55),
    (0x025C,  53,  56), (0x01F8,  54,  57), (0x01A4,  55,  58), (0x0160,  56,  59), (0x0125,  57,  60),
    (0x00F6,  58,  61), (0x00CB,  59,  62), (0x00AB,  61,  63), (0x008F,  61,  32), (0x5B12,  65,  65),
    (0x4D04,  80,  66), (0x412C,  81,  67), (0x37D8,  82,  68), (0x2FE8,  83,  69), (0x293C,  84,  70),
    (0x2379,  86,  71), (0x1EDF,  87,  72), (0x1AA9,  87,  73), (0x174E,  72,  74), (0x1424,  72,  75),
    (0x119C,  74,  76), (0x0F6B,  74,  77), (0x0D51,  75,  78), (0x0BB6,  77,  79), (0x0A40,  77,  48),
    (0x5832,  80,  81), (0x4D1C,  88,  82), (0x438E,  89,  83), (0x3BDD,  90,  84), (0x34EE,  91,  85),
    (0x2EAE,  92,  86), (0x299A,  93,  87), (0x2516,  86,  71), (0x5570,  88,  89), (0x4CA9,  95,  90),
    (0x44D9,  96,  91), (0x3E22,  97,  92), (0x3824,  99,  93), (0x32B4,  99,  94), (0x2E17,  93,  86),
    (0x56A8,  95,  96), (0x4F46, 101,  97), (0x47E5, 102,  98), (0x41CF, 103,  99), (0x3C3D, 104, 100),
    (0x375E,  99,  93), (0x5231, 105, 102), (0x4C0F, 106, 103), (0x4639, 107, 104), (0x415E, 103,  99),
    (0x5627, 105, 106), (0x50E7, 108, 107), (0x4B85, 109, 103), (0x5597, 110, 109), (0x504F, 111, 107),
    (0x5A10, 110, 111), (0x5522, 112, 109), (0x59EB, 112, 111), (0x5A1D, 113, 113),
];

/// Decodes the output of [`Encoder`]. After the end of the data it reads zeros.
pub(super) struct Decoder<'a> {
    data: &'a [u8],
    position: usize,
    /// Position of the code in the interval: 16 bits, then the bits that follow.
    code: u32,
    width: u32,
    /// Number of bits left before another byte is due.
    bits: u32,
}

impl<'a> Decoder<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        let mut decoder = Self { data, position: 0, code: 0, width: 0x10000, bits: 0 };
        decoder.code = decoder.byte() << 24;
        decoder.code |= decoder.byte() << 16;
        decoder
    }

    fn byte(&mut self) -> u32 {
        let (byte, step) = match self.data.get(self.position..).unwrap_or_default() {
            [0xFF, 0x00, ..] => (0xFF, 2),
            [0xFF] | [] => (0, 0),
            [byte, ..] => (*byte, 1),
        };
        self.position += step;
        byte.into()
    }

    #[inline(always)]
    fn widen(&mut self) {
        let mut doublings = self.width.leading_zeros() - 16;
        self.width <<= doublings;
        while doublings > 0 {
            if self.bits == 0 {
                self.code |= self.byte() << 8;
                self.bits = 8;
            }
            let count = doublings.min(self.bits);
            self.code <<= count;
            self.bits -= count;
            doublings -= count;
        }
    }
}

impl BinaryCoder for Decoder<'_> {
    #[inline(always)]
    fn code(&mut self, context: &mut Context, _: bool) -> bool {
        let share = context.share();
        self.width -= share;
        // The upper part of the interval has the width `share`. The likely value has the wider part.
        let lower = self.code >> 16 < self.width;
        if lower && self.width >= 0x8000 {
            return context.likely;
        }
        let bit = context.likely ^ (lower == (self.width < share));
        if !lower {
            self.code -= self.width << 16;
            self.width = share;
        }
        context.learn(bit);
        self.widen();
        bit
    }
}

/// Encodes decisions.
pub(super) struct Encoder {
    /// Bytes that no carry can change, up to the last that is not zero.
    out: Vec<u8>,
    /// Number of zeros after them.
    zeros: usize,
    /// The byte after the zeros, once there is one.
    last: Option<u8>,
    /// Number of bytes 0xFF after it.
    stacked: usize,
    /// Lower end of the interval: a carry bit, 8 bits of the next byte, then the rest.
    base: u32,
    width: u32,
    /// Number of bits left before the next byte is complete.
    bits: u32,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { out: Vec::new(), zeros: 0, last: None, stacked: 0, base: 0, width: 0x10000, bits: 11 }
    }
}

impl Encoder {
    /// Returns the bytes that later decisions cannot change, up to the last that is not zero.
    pub fn certain(&self) -> &[u8] {
        &self.out
    }

    /// Returns the number of zeros that follow the certain bytes if any other byte does.
    pub fn zeros(&self) -> usize {
        self.zeros
    }

    /// Returns all bytes: as few as determine the decisions.
    pub fn finish(mut self) -> Vec<u8> {
        // The code in the interval with the most zeros at its end.
        let top = (self.base + self.width - 1) & !0xFFFF;
        self.base = if top < self.base { top + 0x8000 } else { top };
        self.base <<= self.bits;
        self.put_byte();
        self.base <<= 8;
        self.put_byte();
        self.put_waiting(0);
        self.out
    }

    #[inline(always)]
    fn widen(&mut self) {
        let mut doublings = self.width.leading_zeros() - 16;
        self.width <<= doublings;
        while doublings > 0 {
            let count = doublings.min(self.bits);
            self.base <<= count;
            self.bits -= count;
            doublings -= count;
            if self.bits == 0 {
                self.put_byte();
                self.bits = 8;
            }
        }
    }

    fn put_byte(&mut self) {
        let byte = self.base >> 19;
        self.base &= 0x7FFFF;
        if byte == 0xFF {
            self.stacked += 1;
        } else {
            self.put_waiting((byte >> 8) as u8);
            self.last = Some(byte as u8);
        }
    }

    /// Writes the bytes that have waited for a carry.
    fn put_waiting(&mut self, carry: u8) {
        let last = self.last.take().map(|byte| byte + carry);
        let stacked = std::iter::repeat_n(0xFF_u8.wrapping_add(carry), std::mem::take(&mut self.stacked));
        for byte in last.into_iter().chain(stacked) {
            if byte == 0 {
                self.zeros += 1;
                continue;
            }
            self.out.resize(self.out.len() + std::mem::take(&mut self.zeros), 0);
            self.out.push(byte);
            if byte == 0xFF {
                self.out.push(0);
            }
        }
    }
}

impl BinaryCoder for Encoder {
    #[inline(always)]
    fn code(&mut self, context: &mut Context, bit: bool) -> bool {
        let share = context.share();
        self.width -= share;
        let likely = bit == context.likely;
        if likely && self.width >= 0x8000 {
            return bit;
        }
        // The likely value has the wider part of the interval.
        if likely == (self.width < share) {
            self.base += self.width;
            self.width = share;
        }
        context.learn(bit);
        self.widen();
        bit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test sequence of T.81, K.4.1: decisions, bit by bit, all in one context.
    const DECISIONS: [u32; 8] = [
        0x0002_0051,
        0x0000_00C0,
        0x0352_872A,
        0xAAAA_AAAA,
        0x82C0_2000,
        0xFCD7_9EF6,
        0x74EA_ABF7,
        0x697E_E74C,
    ];
    const CODE: [u8; 29] = [
        0x65, 0x5B, 0x51, 0x44, 0xF7, 0x96, 0x9D, 0x51, 0x78, 0x55, 0xBF, 0xFF, 0x00, 0xFC, 0x51, 0x84, 0xC7,
        0xCE, 0xF9, 0x39, 0x00, 0x28, 0x7D, 0x46, 0x70, 0x8E, 0xCB, 0xC0, 0xF6,
    ];

    fn decisions() -> impl Iterator<Item = bool> {
        DECISIONS.into_iter().flat_map(|word| (0..32).rev().map(move |bit| word >> bit & 1 == 1))
    }

    #[test]
    fn sequence_of_the_standard() {
        let mut encoder = Encoder::default();
        let mut context = Context::default();
        decisions().for_each(|bit| assert_eq!(encoder.code(&mut context, bit), bit));
        assert_eq!(encoder.finish(), CODE);
        let mut decoder = Decoder::new(&CODE);
        let mut context = Context::default();
        assert!(decisions().all(|bit| decoder.code(&mut context, !bit) == bit));
    }

    #[test]
    fn zeros_at_the_end_are_left_out() {
        let mut encoder = Encoder::default();
        let mut context = Context::default();
        for _ in 0..1_000_000 {
            encoder.code(&mut context, false);
        }
        // The first decision of all divides the interval so that its lower end rises.
        let (certain, zeros) = (encoder.certain().to_vec(), encoder.zeros());
        assert!((1..4).contains(&certain.len()) && zeros > 0);
        let code = encoder.finish();
        assert_eq!(code, certain);
        let mut decoder = Decoder::new(&code);
        let mut context = Context::default();
        assert!((0..1_000_000).all(|_| !decoder.code(&mut context, true)));
    }
}
