//! What a CPU computes with.

/// Name of the instruction set that this process computes with, for example `x86_64+avx2+fma`.
pub fn instruction_set() -> String {
    let arch = std::env::consts::ARCH;
    #[cfg(target_arch = "x86_64")]
    {
        let present = [
            ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
            ("avx2", std::arch::is_x86_feature_detected!("avx2")),
            ("fma", std::arch::is_x86_feature_detected!("fma")),
        ];
        let names = present.iter().filter(|(_, here)| *here).map(|(name, _)| format!("+{name}"));
        std::iter::once(arch.to_owned()).chain(names).collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    arch.to_owned()
}
