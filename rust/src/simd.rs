//! The instruction sets that a processor may have, and the choice between them.

use std::sync::OnceLock;

/// The instructions that code symbols and multiply matrices. All backends make the same bytes.
///
/// [`Backend::default`] is the fastest one, or the one that the environment variable `LIC_SIMD` names: `avx512`, `avx2`,
/// `neon` or `scalar`. If this processor does not have the named one, it is `scalar`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backend(Isa);

/// An instruction set. Only [`Backend::all`] makes a [`Backend`] of one, and only if this processor has it: the `SAFETY`
/// comments of the vector code rest on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isa {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Default for Backend {
    fn default() -> Self {
        static BACKEND: OnceLock<Backend> = OnceLock::new();
        *BACKEND.get_or_init(|| match std::env::var("LIC_SIMD") {
            Ok(name) => Self::named(&name).unwrap_or(Self::SCALAR),
            Err(_) => Self::all()[0],
        })
    }
}

impl Backend {
    /// The scalar code, which defines the results of all others.
    pub const SCALAR: Self = Self(Isa::Scalar);

    /// Returns every backend that this processor has, fastest first.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vbmi2")
                && is_x86_feature_detected!("avx512vnni")
                && is_x86_feature_detected!("popcnt")
            {
                all.push(Self(Isa::Avx512));
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
                all.push(Self(Isa::Avx2));
            }
        }
        // NEON code takes rows, buckets and words apart as little-endian memory holds them.
        #[cfg(target_arch = "aarch64")]
        if cfg!(target_endian = "little") && std::arch::is_aarch64_feature_detected!("neon") {
            all.push(Self(Isa::Neon));
        }
        all.push(Self::SCALAR);
        all
    }

    /// Returns the backend of this name, if this processor has it.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|backend| backend.name() == name)
    }

    /// Returns `avx512`, `avx2`, `neon` or `scalar`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Isa::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => "neon",
        }
    }

    /// Returns the instruction set, which this processor has.
    #[inline]
    pub(crate) fn isa(self) -> Isa {
        self.0
    }
}
