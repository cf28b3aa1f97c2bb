//! NCCL between processes or threads of one machine, as far as gan-comm calls it: groups of sends and receives, over sockets in a
//! folder. As with the library's communicators that do not block, what takes time goes on in threads. A rank that is gone is an
//! error; with `EMULATOR_NCCL_SILENT=1` it is waited for until the communicator is aborted, as NVIDIA's may do on one machine.

use std::{
    cell::RefCell,
    ffi::{CStr, c_char},
    io::{self, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{
    driver::{open, put},
    memory,
    trace::{report, trace},
};

const SUCCESS: i32 = 0;
const INVALID_ARGUMENT: i32 = 4;
const INVALID_USAGE: i32 = 5;
const REMOTE_ERROR: i32 = 6;
const IN_PROGRESS: i32 = 7;

/// The name of a folder.
#[repr(C)]
struct Id([u8; 128]);

struct Comm(Arc<Shared>);

struct Shared {
    rank: usize,
    folder: PathBuf,
    /// To each other rank.
    peers: Mutex<Vec<Option<UnixStream>>>,
    state: AtomicI32,
    aborted: AtomicBool,
}

/// One of a group.
#[derive(Clone, Copy)]
struct Op {
    sends: bool,
    at: u64,
    bytes: usize,
    peer: usize,
}

thread_local! {
    static GROUP: RefCell<Vec<(*mut Comm, Op)>> = const { RefCell::new(Vec::new()) };
}

#[unsafe(no_mangle)]
extern "C" fn ncclGetUniqueId(id: *mut Id) -> i32 {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("cuda-emulator-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(name);
    let bytes = folder.as_os_str().as_encoded_bytes();
    let mut named = [0; 128];
    if bytes.len() > 100 || std::fs::create_dir_all(&folder).is_err() {
        return INVALID_USAGE;
    }
    named[..bytes.len()].copy_from_slice(bytes);
    if put(id, Id(named)).is_ok() { SUCCESS } else { INVALID_ARGUMENT }
}

/// The beginning of a configuration.
#[repr(C)]
struct Config {
    size: usize,
    magic: u32,
    version: u32,
    blocking: i32,
}

#[unsafe(no_mangle)]
extern "C" fn ncclCommInitRankConfig(out: *mut *mut Comm, size: i32, id: Id, rank: i32, config: *mut Config) -> i32 {
    // SAFETY: the caller passes a configuration.
    let config = unsafe { open(config) };
    if !config.is_ok_and(|config| config.magic == 0xcafe_beef && config.blocking == 0 && config.version >= 21400) {
        report("ncclCommInitRankConfig: only communicators that do not block are there");
        return INVALID_USAGE;
    }
    let name = id.0.split(|byte| *byte == 0).next().and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default();
    let shared = Arc::new(Shared {
        rank: rank as usize,
        folder: PathBuf::from(name),
        peers: Mutex::default(),
        state: AtomicI32::new(IN_PROGRESS),
        aborted: AtomicBool::new(false),
    });
    let begun = Arc::clone(&shared);
    thread::spawn(move || {
        let connected = connect(&begun, size as usize);
        let state = if connected.is_ok() { SUCCESS } else { REMOTE_ERROR };
        *begun.peers.lock().unwrap_or_else(PoisonError::into_inner) = connected.unwrap_or_default();
        begun.state.store(state, Ordering::Release);
    });
    if put(out, Box::into_raw(Box::new(Comm(shared)))).is_ok() { IN_PROGRESS } else { INVALID_ARGUMENT }
}

/// Every rank connects to those before it.
fn connect(of: &Shared, size: usize) -> io::Result<Vec<Option<UnixStream>>> {
    let place = |rank: usize| of.folder.join(rank.to_string());
    let listener = UnixListener::bind(place(of.rank))?;
    listener.set_nonblocking(true)?;
    let again = |attempt: &dyn Fn() -> io::Result<UnixStream>| {
        loop {
            match attempt() {
                Ok(stream) => return Ok(stream),
                Err(error) if of.aborted.load(Ordering::Acquire) => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
    };
    let mut peers: Vec<Option<UnixStream>> = (0..size).map(|_| None).collect();
    for (rank, peer) in peers.iter_mut().enumerate().take(of.rank) {
        let mut stream = again(&|| UnixStream::connect(place(rank)))?;
        stream.write_all(&of.rank.to_le_bytes())?;
        *peer = Some(stream);
    }
    for _ in of.rank + 1..size {
        let mut stream = again(&|| listener.accept().map(|(stream, _)| stream))?;
        stream.set_nonblocking(false)?;
        let mut rank = [0; size_of::<usize>()];
        stream.read_exact(&mut rank)?;
        *peers.get_mut(usize::from_le_bytes(rank)).ok_or(io::ErrorKind::InvalidData)? = Some(stream);
    }
    Ok(peers)
}

#[unsafe(no_mangle)]
extern "C" fn ncclCommGetAsyncError(comm: *mut Comm, state: *mut i32) -> i32 {
    // SAFETY: a handle from above.
    let found = unsafe { open(comm) }.map(|comm| comm.0.state.load(Ordering::Acquire));
    if found.and_then(|found| put(state, found)).is_ok() { SUCCESS } else { INVALID_ARGUMENT }
}

#[unsafe(no_mangle)]
extern "C" fn ncclGroupStart() -> i32 {
    GROUP.with_borrow_mut(Vec::clear);
    SUCCESS
}

fn ask(comm: *mut Comm, op: Op) -> i32 {
    if let Err(message) = memory::check(op.at, op.bytes) {
        report(&format!("{}: {message}", if op.sends { "ncclSend" } else { "ncclRecv" }));
        return INVALID_ARGUMENT;
    }
    GROUP.with_borrow_mut(|group| group.push((comm, op)));
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn ncclSend(at: u64, bytes: usize, _: i32, peer: i32, comm: *mut Comm, _stream: usize) -> i32 {
    ask(comm, Op { sends: true, at, bytes, peer: peer as usize })
}

#[unsafe(no_mangle)]
extern "C" fn ncclRecv(at: u64, bytes: usize, _: i32, peer: i32, comm: *mut Comm, _stream: usize) -> i32 {
    ask(comm, Op { sends: false, at, bytes, peer: peer as usize })
}

#[unsafe(no_mangle)]
extern "C" fn ncclGroupEnd() -> i32 {
    let group = GROUP.take();
    // SAFETY: a handle from above.
    let Some(Ok(comm)) = group.first().map(|(comm, _)| unsafe { open(*comm) }) else { return SUCCESS };
    let ops: Vec<Op> = group.iter().map(|(_, op)| *op).collect();
    trace(|| format!("NCCL: {} sends and receives of rank {}", ops.len(), comm.0.rank));
    let shared = Arc::clone(&comm.0);
    if shared.state.compare_exchange(SUCCESS, IN_PROGRESS, Ordering::AcqRel, Ordering::Acquire).is_err() {
        return INVALID_USAGE;
    }
    thread::spawn(move || {
        let done = run(&shared, &ops);
        if let Err(error) = &done {
            trace(|| format!("NCCL: rank {}: {error}", shared.rank));
            let silent = std::env::var_os("EMULATOR_NCCL_SILENT").is_some_and(|value| !value.is_empty());
            while silent && !shared.aborted.load(Ordering::Acquire) {
                thread::sleep(Duration::from_millis(1));
            }
        }
        shared.state.store(if done.is_ok() { SUCCESS } else { REMOTE_ERROR }, Ordering::Release);
    });
    IN_PROGRESS
}

/// Sends from threads, one for each rank, and receives meanwhile. A length goes before the bytes.
fn run(of: &Shared, ops: &[Op]) -> io::Result<()> {
    let streams = {
        let peers = of.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.iter().map(|peer| peer.as_ref().map(UnixStream::try_clone).transpose()).collect::<io::Result<Vec<_>>>()?
    };
    let with = |peer: usize, sends: bool| ops.iter().filter(move |op| op.peer == peer && op.sends == sends);
    for (to, from) in with(of.rank, false).zip(with(of.rank, true)) {
        if to.bytes != from.bytes {
            return Err(io::Error::other("a rank sends itself another number of bytes than it receives"));
        }
        // SAFETY: checked when they were asked for.
        unsafe { std::ptr::copy(from.at as *const u8, to.at as *mut u8, to.bytes) };
    }
    thread::scope(|scope| {
        let mut senders = Vec::new();
        for (peer, stream) in streams.iter().enumerate() {
            let Some(mut stream) = stream.as_ref() else { continue };
            let ops: Vec<Op> = with(peer, true).copied().collect();
            senders.push(scope.spawn(move || {
                for op in ops {
                    // SAFETY: checked when it was asked for.
                    let bytes = unsafe { std::slice::from_raw_parts(op.at as *const u8, op.bytes) };
                    stream.write_all(&op.bytes.to_le_bytes()).and_then(|()| stream.write_all(bytes))?;
                }
                Ok::<_, io::Error>(())
            }));
        }
        let receive = |op: &Op| {
            let mut stream = streams.get(op.peer).and_then(Option::as_ref).ok_or(io::ErrorKind::NotConnected)?;
            let mut length = [0; size_of::<usize>()];
            stream.read_exact(&mut length)?;
            if usize::from_le_bytes(length) != op.bytes {
                report(&format!("NCCL: {} bytes come, {} are expected", usize::from_le_bytes(length), op.bytes));
                return Err(io::ErrorKind::InvalidData.into());
            }
            // SAFETY: checked when it was asked for; nobody else reads or writes it.
            stream.read_exact(unsafe { std::slice::from_raw_parts_mut(op.at as *mut u8, op.bytes) })
        };
        let received = ops.iter().filter(|op| !op.sends && op.peer != of.rank).try_for_each(receive);
        let sent = |sender: thread::ScopedJoinHandle<'_, io::Result<()>>| {
            sender.join().unwrap_or(Err(io::ErrorKind::Other.into()))
        };
        received.and(senders.into_iter().try_for_each(sent))
    })
}

#[unsafe(no_mangle)]
extern "C" fn ncclCommFinalize(_comm: *mut Comm) -> i32 {
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn ncclCommDestroy(comm: *mut Comm) -> i32 {
    ncclCommAbort(comm)
}

#[unsafe(no_mangle)]
extern "C" fn ncclCommAbort(comm: *mut Comm) -> i32 {
    if comm.is_null() {
        return INVALID_ARGUMENT;
    }
    // SAFETY: made above, and freed once.
    let Comm(shared) = *unsafe { Box::from_raw(comm) };
    shared.aborted.store(true, Ordering::Release);
    let peers = shared.peers.lock().unwrap_or_else(PoisonError::into_inner);
    for peer in peers.iter().flatten() {
        let _ = peer.shutdown(std::net::Shutdown::Both);
    }
    remove(&shared.folder, shared.rank);
    SUCCESS
}

/// The last rank takes the folder along.
fn remove(folder: &Path, rank: usize) {
    let _ = std::fs::remove_file(folder.join(rank.to_string()));
    let _ = std::fs::remove_dir(folder);
}

#[unsafe(no_mangle)]
extern "C" fn ncclGetErrorString(code: i32) -> *const c_char {
    let text: &CStr = match code {
        SUCCESS => c"no error",
        REMOTE_ERROR => c"remote process exited or there was a network error",
        INVALID_USAGE => c"invalid usage",
        _ => c"invalid argument",
    };
    text.as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn ncclGetLastError(_comm: *mut Comm) -> *const c_char {
    c"".as_ptr()
}
