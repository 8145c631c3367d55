//! Huffman-coded scans, sequential and progressive (T.81, annexes F and G).

mod bits;
mod block_coder;
mod codes;
mod decode;
mod encode;
mod progressive_decode;
mod progressive_encode;
mod sequential;

pub(super) use decode::decode;
pub(super) use encode::encode;
