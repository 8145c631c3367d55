#[cfg(feature = "formats")]
mod fitted;
mod modelled;
#[cfg(feature = "formats")]
mod weights;
