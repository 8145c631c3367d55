mod layers;
#[cfg(feature = "formats")]
mod walks;
