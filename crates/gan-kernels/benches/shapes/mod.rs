//! The shapes that are timed.
use gan_kernels::conv::PadMode;

/// name, channels in, channels out, input side, kernel, stride, padding, mode, transposed
pub(crate) type Shape = (&'static str, usize, usize, usize, usize, usize, usize, PadMode, bool);

/// Convolutions of the networks.
pub(crate) const SHAPES: &[Shape] = &[
    ("3x3 256-256@64 reflect", 256, 256, 64, 3, 1, 1, PadMode::Reflect, false),
    ("7x7 3-64@256 reflect", 3, 64, 256, 7, 1, 3, PadMode::Reflect, false),
    ("7x7 64-3@256 reflect", 64, 3, 256, 7, 1, 3, PadMode::Reflect, false),
    ("3x3 s2 64-128@256", 64, 128, 256, 3, 2, 1, PadMode::Zero, false),
    ("3x3 s2 128-256@128", 128, 256, 128, 3, 2, 1, PadMode::Zero, false),
    ("T 3x3 s2 256-128@64", 256, 128, 64, 3, 2, 1, PadMode::Zero, true),
    ("T 3x3 s2 128-64@128", 128, 64, 128, 3, 2, 1, PadMode::Zero, true),
    ("4x4 s2 3-64@256", 3, 64, 256, 4, 2, 1, PadMode::Zero, false),
    ("4x4 s2 64-128@128", 64, 128, 128, 4, 2, 1, PadMode::Zero, false),
    ("4x4 s2 128-256@64", 128, 256, 64, 4, 2, 1, PadMode::Zero, false),
    ("4x4 s2 256-512@32", 256, 512, 32, 4, 2, 1, PadMode::Zero, false),
    ("4x4 s2 512-512@16", 512, 512, 16, 4, 2, 1, PadMode::Zero, false),
    ("4x4 s2 512-512@8", 512, 512, 8, 4, 2, 1, PadMode::Zero, false),
    ("4x4 s2 512-512@4", 512, 512, 4, 4, 2, 1, PadMode::Zero, false),
    ("4x4 s2 512-512@2", 512, 512, 2, 4, 2, 1, PadMode::Zero, false),
    ("T 4x4 s2 512-512@1", 512, 512, 1, 4, 2, 1, PadMode::Zero, true),
    ("T 4x4 s2 1024-512@2", 1024, 512, 2, 4, 2, 1, PadMode::Zero, true),
    ("T 4x4 s2 1024-512@4", 1024, 512, 4, 4, 2, 1, PadMode::Zero, true),
    ("T 4x4 s2 1024-512@8", 1024, 512, 8, 4, 2, 1, PadMode::Zero, true),
    ("T 4x4 s2 1024-256@16", 1024, 256, 16, 4, 2, 1, PadMode::Zero, true),
    ("T 4x4 s2 512-128@32", 512, 128, 32, 4, 2, 1, PadMode::Zero, true),
    ("T 4x4 s2 256-64@64", 256, 64, 64, 4, 2, 1, PadMode::Zero, true),
    ("T 4x4 s2 128-3@128", 128, 3, 128, 4, 2, 1, PadMode::Zero, true),
    ("4x4 s1 256-512@32", 256, 512, 32, 4, 1, 1, PadMode::Zero, false),
    ("4x4 s1 512-1@31", 512, 1, 31, 4, 1, 1, PadMode::Zero, false),
    ("3x3 1024-1024@16 reflect", 1024, 1024, 16, 3, 1, 1, PadMode::Reflect, false),
    ("3x3 1024-1024@32 reflect", 1024, 1024, 32, 3, 1, 1, PadMode::Reflect, false),
    ("3x3 64-64@128 zero", 64, 64, 128, 3, 1, 1, PadMode::Zero, false),
    ("3x3 512-512@16 zero", 512, 512, 16, 3, 1, 1, PadMode::Zero, false),
];
