use crate::jpeg::arithmetic::{BinaryCoder, Context, Decoder, Encoder};

/// The test sequence of T.81, K.4.1: decisions, bit by bit, all in one context.
const DECISIONS: [u32; 8] =
    [0x0002_0051, 0x0000_00C0, 0x0352_872A, 0xAAAA_AAAA, 0x82C0_2000, 0xFCD7_9EF6, 0x74EA_ABF7, 0x697E_E74C];
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
