//! Small kernels, written by hand as nvcc would.

use crate::{
    decode::{Op, decode},
    driver::Loaded,
    exec::{Launch, launch},
    memory,
};

/// Device memory with these values.
fn upload(values: &[f32]) -> u64 {
    let at = memory::allocate(values.len() * 4, false).expect("memory");
    // SAFETY: allocated with this size just now.
    unsafe { (at as *mut f32).copy_from_nonoverlapping(values.as_ptr(), values.len()) };
    at
}

fn download(at: u64, count: usize) -> Vec<f32> {
    memory::check(at, count * 4).expect("in bounds");
    // SAFETY: checked just now.
    unsafe { std::slice::from_raw_parts(at as *const f32, count) }.to_vec()
}

fn run(text: &str, name: &str, blocks: u32, threads: u32, params: &[u64]) -> Result<(), String> {
    let loaded = Loaded::new(text)?;
    let code = decode(&loaded, name)?;
    let params = params.iter().flat_map(|p| p.to_le_bytes()).collect();
    launch(&code, &Launch { grid: [blocks, 1, 1], block: [threads, 1, 1], shared: 0, params })
}

const HEADER: &str = ".version 9.0\n.target sm_90\n.address_size 64\n";

/// `out[i] = a[i] + b[i]` for i < n.
fn add() -> String {
    format!(
        "{HEADER}
        .visible .entry add(.param .u64 a, .param .u64 b, .param .u64 out, .param .u64 n)
        {{
            .reg .pred %p<2>; .reg .f32 %f<4>; .reg .b32 %r<5>; .reg .b64 %rd<12>;
            ld.param.u64 %rd1, [a]; ld.param.u64 %rd2, [b]; ld.param.u64 %rd3, [out]; ld.param.u64 %rd4, [n];
            mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x;
            mad.lo.s32 %r4, %r1, %r2, %r3; // the thread's element
            cvt.u64.u32 %rd5, %r4;
            setp.ge.u64 %p1, %rd5, %rd4;
            @%p1 bra $L_end;
            shl.b64 %rd6, %rd5, 2;
            add.s64 %rd7, %rd1, %rd6; add.s64 %rd8, %rd2, %rd6; add.s64 %rd9, %rd3, %rd6;
            ld.global.f32 %f1, [%rd7]; ld.global.nc.f32 %f2, [%rd8];
            add.f32 %f3, %f1, %f2;
            st.global.f32 [%rd9], %f3;
        $L_end:
            ret;
        }}"
    )
}

#[test]
fn adds() {
    let n = 1000;
    let a: Vec<f32> = (0..n).map(|i| i as f32).collect();
    let out = upload(&vec![0.0; n]);
    run(&add(), "add", 4, 256, &[upload(&a), upload(&a), out, n as u64]).expect("runs");
    assert!(download(out, n).iter().zip(&a).all(|(sum, a)| *sum == 2.0 * a));
}

#[test]
fn an_access_outside_of_memory_is_reported() {
    let (a, out) = (upload(&[1.0; 100]), upload(&[0.0; 99]));
    let message = run(&add(), "add", 1, 128, &[a, a, out, 100]).expect_err("thread 99 writes behind the end");
    assert!(message.contains("thread 99") && message.contains("kernel add"), "{message}");
    memory::free(a);
    let message = run(&add(), "add", 1, 128, &[a, a, out, 9]).expect_err("freed");
    assert!(message.contains("thread 0"), "{message}");
}

/// The sum of a block's threads, by shuffles in a warp and shared memory between warps.
fn sum() -> String {
    format!(
        "{HEADER}
        .visible .entry sum(.param .u64 a, .param .u64 out)
        {{
            .reg .pred %p<5>; .reg .f32 %f<20>; .reg .b32 %r<20>; .reg .b64 %rd<12>;
            .shared .align 4 .b8 part[128];
            ld.param.u64 %rd1, [a]; ld.param.u64 %rd2, [out];
            mov.u32 %r1, %tid.x;
            mul.wide.u32 %rd3, %r1, 4;
            add.s64 %rd4, %rd1, %rd3;
            ld.global.f32 %f1, [%rd4];
            mov.u32 %r2, 16;
        $L_step:
            mov.b32 %r3, %f1;
            shfl.sync.bfly.b32 %r4|%p1, %r3, %r2, 31, -1;
            mov.b32 %f2, %r4;
            add.f32 %f1, %f1, %f2;
            shr.u32 %r2, %r2, 1;
            setp.ne.s32 %p2, %r2, 0;
            @%p2 bra $L_step;
            and.b32 %r5, %r1, 31;
            setp.ne.s32 %p3, %r5, 0;
            shr.u32 %r6, %r1, 5;
            shl.b32 %r7, %r6, 2;
            mov.u32 %r8, part;
            add.s32 %r9, %r8, %r7;
            @%p3 bra $L_wait;
            st.shared.f32 [%r9], %f1;
        $L_wait:
            bar.sync 0;
            setp.ne.s32 %p4, %r1, 0;
            @%p4 bra $L_end;
            mov.f32 %f3, 0f00000000;
            mov.u32 %r10, 0; mov.u32 %r11, %nwarpid;
        $L_more:
            ld.shared.f32 %f4, [%r8];
            add.f32 %f3, %f3, %f4;
            add.s32 %r8, %r8, 4; add.s32 %r10, %r10, 1;
            setp.lt.u32 %p2, %r10, %r11;
            @%p2 bra $L_more;
            st.global.f32 [%rd2], %f3;
        $L_end:
            ret;
        }}"
    )
}

#[test]
fn shuffles_and_barriers_sum_a_block() {
    let a: Vec<f32> = (0..256).map(|i| i as f32).collect();
    let out = upload(&[0.0]);
    run(&sum(), "sum", 1, 256, &[upload(&a), out]).expect("runs");
    assert_eq!(download(out, 1), [255.0 * 128.0]);
}

#[test]
fn a_shuffle_that_waits_for_ever_is_reported() {
    let text = sum().replace("$L_step:", "setp.gt.u32 %p3, %r1, 7; @%p3 bra $L_wait;\n$L_step:");
    let a = upload(&[1.0; 32]);
    let message = run(&text, "sum", 1, 32, &[a, a]).expect_err("lanes 8 to 31 wait at the barrier");
    assert!(message.contains("never come"), "{message}");
}

#[test]
fn a_missing_barrier_is_reported() {
    let text = sum().replace("bar.sync 0;", "");
    let a = upload(&[1.0; 64]);
    let message = run(&text, "sum", 1, 64, &[a, a]).expect_err("thread 0 reads what warp 1 writes");
    assert!(message.contains("conflict"), "{message}");
}

/// Calls a function with parameters in memory, and uses a table of branches.
#[test]
fn calls_and_tables_of_branches() {
    let text = format!(
        "{HEADER}
        .func (.param .b32 back) scale(.param .b32 x, .param .align 4 .b8 by[8])
        {{
            .reg .f32 %f<4>;
            ld.param.f32 %f1, [x]; ld.param.f32 %f2, [by+4];
            mul.f32 %f3, %f1, %f2;
            st.param.f32 [back+0], %f3;
            ret;
        }}
        .visible .entry call(.param .u64 out)
        {{
            .reg .pred %p<2>; .reg .f32 %f<5>; .reg .b32 %r<5>; .reg .b64 %rd<6>;
            ld.param.u64 %rd1, [out];
            mov.u32 %r1, %tid.x;
            mul.wide.u32 %rd2, %r1, 4;
            add.s64 %rd3, %rd1, %rd2;
            and.b32 %r2, %r1, 1;
            $L_table: .branchtargets $L_even, $L_odd;
            brx.idx %r2, $L_table;
        $L_even:
            mov.f32 %f1, 0f3F800000;
            bra.uni $L_join;
        $L_odd:
            mov.f32 %f1, 0f40000000;
        $L_join:
            {{ // a call
            .param .b32 param0;
            st.param.f32 [param0+0], %f1;
            .param .align 4 .b8 param1[8];
            st.param.f32 [param1+4], 0f40400000;
            .param .b32 retval0;
            call.uni (retval0), scale, (param0, param1);
            ld.param.f32 %f2, [retval0+0];
            }}
            st.global.f32 [%rd3], %f2;
            ret;
        }}"
    );
    let out = upload(&[0.0; 4]);
    run(&text, "call", 1, 4, &[out]).expect("runs");
    assert_eq!(download(out, 4), [3.0, 6.0, 3.0, 6.0]);
}

#[test]
fn an_unknown_instruction_fails_when_it_is_reached() {
    let text =
        format!("{HEADER}.visible .entry odd(.param .u64 x) {{ .reg .b32 %r<3>; frobnicate.b32 %r1, %r2; ret; }}");
    let message = run(&text, "odd", 1, 1, &[0]).expect_err("unknown");
    assert!(message.contains("frobnicate"), "{message}");
}

/// Which instructions of given PTX files are unknown: `EMULATOR_PTX="a.ptx b.ptx" cargo test … -- --ignored`.
#[test]
#[ignore = "looks at the files that EMULATOR_PTX names"]
fn knows_the_instructions_of_files() {
    let mut unknown = std::collections::BTreeMap::new();
    for file in std::env::var("EMULATOR_PTX").expect("EMULATOR_PTX").split_whitespace() {
        let text = std::fs::read_to_string(file).expect("a file");
        let loaded = Loaded::new(&text).expect("a module");
        for name in loaded.kernels() {
            let code = decode(&loaded, &name).unwrap_or_else(|message| panic!("{name}: {message}"));
            for instruction in code.instructions.iter().filter(|i| matches!(i.op, Op::Unknown)) {
                *unknown.entry(instruction.text.split(' ').next().unwrap_or("").to_owned()).or_insert(0) += 1;
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}
