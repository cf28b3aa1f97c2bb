//! Which library carries the messages of the ranks, and how it is started.

use super::{Coded, USAGE};
use gan_comm::{Communicator, Launch, Launcher};
use std::sync::Arc;

/// Names a library where one is not to be chosen.
const VARIABLE: &str = "GAN_COMM";

/// A library between processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Library {
    Mpi,
    Nccl,
}

/// What this program was built with.
#[derive(Debug, Clone, Copy)]
struct Built {
    mpi: bool,
    nccl: bool,
}

const BUILT: Built = Built { mpi: cfg!(feature = "mpi"), nccl: cfg!(feature = "nccl") };

/// The library of this process; `None` if it is alone.
///
/// # Errors
/// Says what is missing.
pub(super) fn of_launch(launch: &Launch, device: &str) -> Result<Option<Library>, String> {
    choose(launch, device != "cpu", std::env::var(VARIABLE).ok().as_deref(), BUILT)
}

fn choose(launch: &Launch, on_gpu: bool, named: Option<&str>, built: Built) -> Result<Option<Library>, String> {
    let by = |library, is_built, feature| match is_built {
        true => Ok(Some(library)),
        false => Err(format!(
            "{VARIABLE}={feature}, and this program was built without it: build it with --features {feature}"
        )),
    };
    let many = launch.size > 1;
    match named {
        Some("nccl") if !on_gpu => Err(format!("{VARIABLE}=nccl connects GPUs: add --device cuda")),
        // One process as well: so that one GPU can try it.
        Some("nccl") => by(Library::Nccl, built.nccl, "nccl"),
        Some("mpi") if many => by(Library::Mpi, built.mpi, "mpi"),
        None | Some("" | "mpi") if !many => Ok(None),
        None | Some("") => choose_for_many(launch, on_gpu, built).map(Some),
        Some(other) => Err(format!("{VARIABLE}={other} names no library; the libraries are mpi and nccl")),
    }
}

fn choose_for_many(launch: &Launch, on_gpu: bool, built: Built) -> Result<Library, String> {
    let Launch { launcher, size, .. } = launch;
    let by_mpi = built.mpi && *launcher != Launcher::Torchrun;
    match (on_gpu && built.nccl, by_mpi) {
        (true, _) => Ok(Library::Nccl),
        (false, true) => Ok(Library::Mpi),
        (false, false) if *launcher == Launcher::Torchrun => Err(by_torchrun(*size, on_gpu, built)),
        (false, false) if built.nccl => Err(format!(
            "{launcher} started {size} processes, and this program was built for several on GPUs only: add --device cuda, or build it with --features mpi"
        )),
        (false, false) => Err(format!(
            "{launcher} started {size} processes, and this program was built for one: build it with --features mpi, for GPUs with --features nccl, or start it alone"
        )),
    }
}

/// What to say of processes that `torchrun` started and that cannot find one another.
fn by_torchrun(size: usize, on_gpu: bool, built: Built) -> String {
    let on_gpus = match (built.nccl, on_gpu) {
        (true, _) => "add --device cuda",
        (false, true) => "build this program with --features nccl",
        (false, false) => "build this program with --features nccl and add --device cuda",
    };
    let on_cpus = match built.mpi {
        true => "start it with mpirun or srun",
        false => "build it with --features mpi and start it with mpirun or srun",
    };
    format!(
        "torchrun started {size} processes, and connects them on GPUs only: for GPUs, {on_gpus}; for the CPU, {on_cpus}"
    )
}

impl Library {
    /// Finds the other ranks.
    ///
    /// # Errors
    /// [`Coded`]: they are not found; of the device, if it cannot be opened.
    pub(super) fn connect(self, launch: &Launch, device: &str) -> anyhow::Result<Arc<dyn Communicator>> {
        match self {
            Library::Mpi => mpi(launch),
            Library::Nccl => nccl(launch, device),
        }
    }
}

#[cfg(any(feature = "mpi", feature = "nccl"))]
fn not_found(error: gan_comm::Error) -> anyhow::Error {
    Coded(USAGE, error.to_string()).into()
}

#[cfg(feature = "mpi")]
fn mpi(launch: &Launch) -> anyhow::Result<Arc<dyn Communicator>> {
    Ok(Arc::new(gan_comm::mpi::Mpi::start(launch.size).map_err(not_found)?))
}

#[cfg(feature = "nccl")]
fn nccl(launch: &Launch, device: &str) -> anyhow::Result<Arc<dyn Communicator>> {
    use gan_comm::nccl::{Meeting, Nccl};
    use gan_comm::rendezvous::Rendezvous;
    let device_config = gan_translate::DeviceConfig::open(&super::device(device))?;
    let meeting = match launch.size {
        1 => Meeting::Alone,
        _ if meets_by_mpi(launch, BUILT, std::env::var_os("MASTER_ADDR").is_some()) => Meeting::Ranks(mpi(launch)?),
        _ => Meeting::Place(Rendezvous::of_environment(launch).map_err(not_found)?),
    };
    let ranks = Nccl::start(launch.rank, launch.size, &device_config.device, meeting).map_err(not_found)?;
    Ok(Arc::new(ranks))
}

/// Whether MPI hands NCCL's identifier around. Tasks of `srun` may have no MPI: they go to the place that is named, if one is.
#[cfg_attr(not(any(feature = "nccl", test)), expect(dead_code))]
fn meets_by_mpi(launch: &Launch, built: Built, names_place: bool) -> bool {
    built.mpi
        && match launch.launcher {
            Launcher::OpenMpi | Launcher::Pmi => true,
            Launcher::Slurm => !names_place,
            Launcher::Torchrun | Launcher::None => false,
        }
}

/// Not called: it is not chosen.
#[cfg(not(feature = "mpi"))]
fn mpi(_: &Launch) -> anyhow::Result<Arc<dyn Communicator>> {
    Err(Coded(USAGE, "this program was built without MPI: build it with --features mpi".into()).into())
}

/// Not called: it is not chosen.
#[cfg(not(feature = "nccl"))]
fn nccl(_: &Launch, _: &str) -> anyhow::Result<Arc<dyn Communicator>> {
    Err(Coded(USAGE, "this program was built without NCCL: build it with --features nccl".into()).into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NONE: Built = Built { mpi: false, nccl: false };
    const BOTH: Built = Built { mpi: true, nccl: true };

    fn of(launcher: Launcher) -> Launch {
        Launch { rank: 0, size: if launcher == Launcher::None { 1 } else { 4 }, local_rank: 0, launcher }
    }

    #[test]
    fn gpus_are_connected_by_nccl_and_others_by_mpi() {
        let chosen = |launcher, on_gpu, built| choose(&of(launcher), on_gpu, None, built);
        for launcher in [Launcher::OpenMpi, Launcher::Pmi, Launcher::Slurm] {
            assert_eq!(chosen(launcher, true, BOTH), Ok(Some(Library::Nccl)));
            assert_eq!(chosen(launcher, false, BOTH), Ok(Some(Library::Mpi)));
            assert_eq!(chosen(launcher, true, Built { nccl: false, ..BOTH }), Ok(Some(Library::Mpi)));
            assert!(chosen(launcher, false, Built { mpi: false, ..BOTH }).unwrap_err().contains("--device cuda"));
        }
        assert_eq!(chosen(Launcher::Torchrun, true, BOTH), Ok(Some(Library::Nccl)));
        for (on_gpu, built, remedies) in [
            (false, BOTH, ["for GPUs, add --device cuda", "for the CPU, start it with mpirun or srun"]),
            (
                true,
                Built { nccl: false, ..BOTH },
                ["for GPUs, build this program with --features nccl;", "CPU, start it"],
            ),
            (false, NONE, ["--features nccl and add --device cuda", "--features mpi and start it with mpirun"]),
        ] {
            let error = chosen(Launcher::Torchrun, on_gpu, built).unwrap_err();
            assert!(
                error.contains("torchrun started 4") && remedies.iter().all(|said| error.contains(said)),
                "{error}"
            );
        }
        let error = chosen(Launcher::Slurm, true, NONE).unwrap_err();
        assert!(error.contains("srun started 4 processes") && error.contains("--features nccl"), "{error}");
        assert_eq!(chosen(Launcher::None, true, BOTH), Ok(None));
    }

    #[test]
    fn a_library_can_be_named() {
        let (alone, many) = (of(Launcher::None), of(Launcher::OpenMpi));
        assert_eq!(choose(&many, true, Some("mpi"), BOTH), Ok(Some(Library::Mpi)));
        assert_eq!(choose(&alone, true, Some("nccl"), BOTH), Ok(Some(Library::Nccl)));
        assert_eq!(choose(&alone, true, Some("mpi"), NONE), Ok(None));
        assert!(choose(&alone, false, Some("nccl"), BOTH).unwrap_err().contains("--device cuda"));
        assert!(choose(&alone, true, Some("nccl"), NONE).unwrap_err().contains("--features nccl"));
        for launch in [alone, many] {
            assert!(choose(&launch, true, Some("gloo"), BOTH).unwrap_err().contains("mpi and nccl"));
        }
    }

    #[test]
    fn the_identifier_goes_by_mpi_where_there_is_one() {
        let by_mpi = |launcher, device_config| meets_by_mpi(&of(launcher), BOTH, device_config);
        assert!(by_mpi(Launcher::OpenMpi, true) && by_mpi(Launcher::Pmi, false) && by_mpi(Launcher::Slurm, false));
        assert!(!by_mpi(Launcher::Slurm, true) && !by_mpi(Launcher::Torchrun, true));
        assert!(!meets_by_mpi(&of(Launcher::OpenMpi), NONE, true));
    }
}
