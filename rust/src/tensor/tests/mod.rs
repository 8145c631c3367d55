#[cfg(feature = "formats")]
mod fitted;
mod modelled;
