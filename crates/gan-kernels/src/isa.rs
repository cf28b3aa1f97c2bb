//! Instruction sets, found at run time.
use std::sync::OnceLock;

/// The vector instructions that a kernel may use. Every kernel is written once over slices or over a small vector
/// trait and compiled for each of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Isa {
    /// What the compilation target guarantees.
    Portable,
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// 512-bit vectors with fused multiply-add.
    Avx512,
}

impl Isa {
    /// F32 elements of a register.
    pub(crate) fn lanes(self) -> usize {
        match self {
            Isa::Portable => 4,
            Isa::Avx2 => 8,
            Isa::Avx512 => 16,
        }
    }

    /// The best set that this processor has.
    pub(crate) fn detected() -> Isa {
        static DETECTED: OnceLock<Isa> = OnceLock::new();
        *DETECTED.get_or_init(|| {
            #[cfg(target_arch = "x86_64")]
            {
                let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
                let avx512 = is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw");
                if avx2 && avx512 {
                    return Isa::Avx512;
                }
                if avx2 {
                    return Isa::Avx2;
                }
            }
            Isa::Portable
        })
    }
}

/// Defines a function over slices and compiles its body once for each instruction set; the first argument of the
/// defined function chooses. The compiler vectorises the loops of the body.
macro_rules! vectorised {
    ($(#[$meta:meta])* $vis:vis fn $name:ident$(<$t:ident: $bound:path>)?($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, unsafe_code)]
        $vis fn $name$(<$t: $bound>)?(isa: $crate::isa::Isa, $($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn portable$(<$t: $bound>)?($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn avx2$(<$t: $bound>)?($($arg: $ty),*) $(-> $ret)? { portable$(::<$t>)?($($arg),*) }
                #[target_feature(enable = "avx2,fma,avx512f,avx512vl,avx512dq,avx512bw")]
                fn avx512$(<$t: $bound>)?($($arg: $ty),*) $(-> $ret)? { portable$(::<$t>)?($($arg),*) }
                match isa {
                    // SAFETY: `Isa` values above `Portable` are only made after the features were detected.
                    $crate::isa::Isa::Avx512 => return unsafe { avx512$(::<$t>)?($($arg),*) },
                    // SAFETY: as above.
                    $crate::isa::Isa::Avx2 => return unsafe { avx2$(::<$t>)?($($arg),*) },
                    $crate::isa::Isa::Portable => {}
                }
            }
            let _ = isa;
            portable$(::<$t>)?($($arg),*)
        }
    };
}
pub(crate) use vectorised;
