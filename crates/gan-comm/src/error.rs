//! What can go wrong between ranks.

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why ranks do not understand one another.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another rank has ended.
    #[error("rank {rank} has ended; the reason is in its own message")]
    Gone {
        /// The rank.
        rank: usize,
    },
    /// A rank sent what the others do not expect: they are not at the same place of the program.
    #[error("rank {rank} sent {what}; start all ranks with the same program, command line and data")]
    Unexpected {
        /// The rank.
        rank: usize,
        /// What it sent.
        what: String,
    },
    /// MPI cannot be used.
    #[error("MPI: {reason}")]
    Mpi {
        /// Why not, and what helps.
        reason: String,
    },
    /// Ranks that no MPI connects do not find one another.
    #[error("the ranks do not find one another: {reason}")]
    Rendezvous {
        /// The place, what was met there, and what helps.
        reason: String,
    },
    /// NCCL cannot be used, or has failed.
    #[error("NCCL: {reason}")]
    Nccl {
        /// What it says, and what helps.
        reason: String,
    },
    /// A tensor cannot be read or made.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}
