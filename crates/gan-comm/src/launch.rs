//! Which rank a process is, from what its launcher put into the environment.

use std::fmt;

/// What started a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launcher {
    /// A shell: there is one process.
    None,
    /// `mpirun` of Open MPI.
    OpenMpi,
    /// `mpiexec` of MPICH or Intel MPI, or `srun --mpi=pmi2`.
    Pmi,
    /// `srun`.
    Slurm,
    /// `torchrun`.
    Torchrun,
}

impl fmt::Display for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Launcher::None => "a shell",
            Launcher::OpenMpi => "mpirun",
            Launcher::Pmi => "mpiexec or srun",
            Launcher::Slurm => "srun",
            Launcher::Torchrun => "torchrun",
        })
    }
}

/// The place of a process among those that were started together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// Which one it is, from 0.
    pub rank: usize,
    /// How many there are.
    pub size: usize,
    /// Which one it is on its machine, from 0.
    pub local_rank: usize,
    /// What started it.
    pub launcher: Launcher,
}

/// The variables of a launcher: rank, size and rank on the machine.
///
/// `torchrun` comes first, for `srun` may have started it; Slurm comes last, for `mpirun` runs within its allocations. `SLURM_NTASKS` is not
/// asked: it is that of the allocation, also in its shell and in a batch script, where there is one process. Only the tasks of a step have
/// `SLURM_STEP_NUM_TASKS`.
const VARIABLES: [(Launcher, [&str; 3]); 4] = [
    (Launcher::Torchrun, ["RANK", "WORLD_SIZE", "LOCAL_RANK"]),
    (Launcher::OpenMpi, ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"]),
    (Launcher::Pmi, ["PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"]),
    (Launcher::Slurm, ["SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"]),
];

impl Launch {
    /// The place of this process.
    pub fn of_environment() -> Self {
        Self::of(|name| std::env::var(name).ok())
    }

    /// The place that these variables tell. The first launcher that started several processes counts; without one, there is one process.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name: &str| variable(name)?.trim().parse::<usize>().ok();
        let found = VARIABLES.iter().find_map(|&(launcher, [rank, size, local])| {
            let (rank, size) = (number(rank)?, number(size)?);
            let local_rank = match launcher {
                // Others use the names RANK and WORLD_SIZE as well.
                Launcher::Torchrun => number(local)?,
                _ => number(local).unwrap_or(0),
            };
            (size > 1 && rank < size).then_some(Launch { rank, size, local_rank, launcher })
        });
        found.unwrap_or(Launch { rank: 0, size: 1, local_rank: 0, launcher: Launcher::None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Launch {
        Launch::of(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string()))
    }

    #[test]
    fn each_launcher_is_known() {
        let ompi = [("OMPI_COMM_WORLD_RANK", "2"), ("OMPI_COMM_WORLD_SIZE", "8"), ("OMPI_COMM_WORLD_LOCAL_RANK", "1")];
        let launch = Launch { rank: 2, size: 8, local_rank: 1, launcher: Launcher::OpenMpi };
        assert_eq!(of(&ompi), launch);
        let pmi = [("PMI_RANK", "2"), ("PMI_SIZE", "8"), ("MPI_LOCALRANKID", "1")];
        assert_eq!(of(&pmi), Launch { launcher: Launcher::Pmi, ..launch });
        let slurm =
            [("SLURM_PROCID", "2"), ("SLURM_STEP_NUM_TASKS", "8"), ("SLURM_LOCALID", "1"), ("SLURM_NTASKS", "9")];
        assert_eq!(of(&slurm), Launch { launcher: Launcher::Slurm, ..launch });
        let torchrun = [("RANK", "2"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "1")];
        assert_eq!(of(&torchrun), Launch { launcher: Launcher::Torchrun, ..launch });
        // One torchrun a node, started by srun; mpirun within an allocation.
        let nodes = [("SLURM_PROCID", "0"), ("SLURM_STEP_NUM_TASKS", "2"), ("SLURM_LOCALID", "0")];
        assert_eq!(of(&[&torchrun[..], &nodes].concat()).launcher, Launcher::Torchrun);
        assert_eq!(of(&[&ompi[..], &nodes].concat()), launch);
    }

    #[test]
    fn one_process_is_no_launch() {
        let alone = Launch { rank: 0, size: 1, local_rank: 0, launcher: Launcher::None };
        for variables in [
            &[][..],
            // The shell of an allocation, interactive or not, and a batch script.
            &[("SLURM_NTASKS", "4"), ("SLURM_JOB_ID", "7")],
            &[("SLURM_NTASKS", "4"), ("SLURM_PROCID", "0"), ("SLURM_LOCALID", "0")],
            &[("SLURM_NTASKS", "4"), ("SLURM_PROCID", "0"), ("SLURM_STEP_NUM_TASKS", "1")],
            &[("OMPI_COMM_WORLD_RANK", "0"), ("OMPI_COMM_WORLD_SIZE", "1")],
            // Names that others use, too.
            &[("RANK", "3"), ("WORLD_SIZE", "8")],
            &[("RANK", "one"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "0")],
            &[("RANK", "8"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "0")],
        ] {
            assert_eq!(of(variables), alone, "{variables:?}");
        }
    }
}
