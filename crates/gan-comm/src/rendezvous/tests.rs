//! Ranks meet on the loopback interface: late ones, strangers, wrong words, and nobody.
#![allow(clippy::unwrap_used)]
use super::*;
use std::thread;

const ID: Id = [7; 128];

/// A place on this machine that nobody is at.
fn place(seconds: u64) -> Rendezvous {
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    Rendezvous { host: "127.0.0.1".into(), port, run: 5, timeout: Duration::from_secs(seconds) }
}

fn meet(at: &Rendezvous, rank: usize, size: usize) -> Result<(Id, Peers)> {
    at.meet(rank, size, || {
        assert_eq!(rank, 0, "only rank 0 makes the identifier");
        Ok(ID)
    })
}

/// All ranks meet; each is begun by `begin`.
fn all_meet(at: &Rendezvous, size: usize, begin: impl Fn(usize) + Sync) -> Vec<(Id, Peers)> {
    thread::scope(|scope| {
        let begin = &begin;
        let one = |rank| {
            scope.spawn(move || {
                begin(rank);
                meet(at, rank, size).unwrap()
            })
        };
        let ranks: Vec<_> = (0..size).map(one).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

/// A connection to rank 0, as soon as it listens.
fn connect(at: &Rendezvous) -> TcpStream {
    let since = Instant::now();
    loop {
        match TcpStream::connect(("127.0.0.1", at.port)) {
            Ok(stream) if stream.local_addr().unwrap() != stream.peer_addr().unwrap() => return stream,
            _ => thread::sleep(Duration::from_millis(1)),
        }
        assert!(since.elapsed() < Duration::from_secs(30), "nobody listens");
    }
}

/// What comes until the other end closes.
fn heard(mut stream: TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    // A connection that is reset ends as well.
    let _ = stream.read_to_end(&mut heard);
    heard
}

#[test]
fn all_ranks_get_what_rank_0_made() {
    for size in [2, 5] {
        // Rank 0 comes first, then last.
        for first in [true, false] {
            let late = |rank| {
                if (rank == 0) != first {
                    thread::sleep(Duration::from_millis(150));
                }
            };
            let met = all_meet(&place(60), size, late);
            assert_eq!(met.len(), size);
            for (id, peers) in &met {
                assert_eq!(*id, ID);
                peers.check().unwrap();
            }
        }
    }
}

#[test]
fn strangers_are_not_listened_to() {
    let at = place(60);
    // One says nothing, one says something else, one says too little, one is a rank of another run, one is a rank that has come.
    let hello = |rank, size, run| Hello { rank, size, run }.bytes();
    thread::scope(|scope| {
        let first = scope.spawn(|| meet(&at, 0, 3).unwrap());
        let silent = connect(&at);
        let mut short = connect(&at);
        short.write_all(&hello(1, 3, 5)[..9]).unwrap();
        let mut other = connect(&at);
        other.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(heard(other), b"");
        for (rank, size, run) in [(1, 4, 5), (1, 3, 6)] {
            let mut stream = connect(&at);
            stream.write_all(&hello(rank, size, run)).unwrap();
            assert_eq!(heard(stream), reply(Reply::Other, &[0; 128]));
        }
        for rank in [0, 3, u32::MAX] {
            let mut stream = connect(&at);
            stream.write_all(&hello(rank, 3, 5)).unwrap();
            assert_eq!(heard(stream), reply(Reply::Taken, &[0; 128]), "rank {rank}");
        }
        let mut second = connect(&at);
        second.write_all(&hello(1, 3, 5)).unwrap();
        let error = meet(&at, 1, 3).unwrap_err().to_string();
        assert!(error.contains("there is a rank 1 already") && error.contains("MASTER_PORT"), "{error}");
        let error = meet(&at, 2, 4).unwrap_err().to_string();
        assert!(error.contains("another number of processes than 4"), "{error}");
        let third = meet(&at, 2, 3).unwrap();
        assert_eq!([first.join().unwrap().0, third.0], [ID; 2]);
        let mut welcome = [0; REPLY];
        second.read_exact(&mut welcome).unwrap();
        assert_eq!(welcome[..], reply(Reply::Welcome, &ID));
        drop((silent, short));
    });
}

/// Rank 0 does not wait for whom it took, and who has left.
#[test]
fn a_rank_may_come_again() {
    let at = place(60);
    thread::scope(|scope| {
        let first = scope.spawn(|| meet(&at, 0, 3).unwrap());
        let mut gone = connect(&at);
        gone.write_all(&Hello { rank: 1, size: 3, run: 5 }.bytes()).unwrap();
        thread::sleep(Duration::from_millis(50));
        drop(gone);
        let at = &at;
        let met: Vec<_> = [1, 2].into_iter().map(|rank| scope.spawn(move || meet(at, rank, 3).unwrap().0)).collect();
        assert!(met.into_iter().all(|id| id.join().unwrap() == ID));
        assert_eq!(first.join().unwrap().0, ID);
    });
}

#[test]
fn who_does_not_come_is_named() {
    let at = place(3);
    thread::scope(|scope| {
        let first = scope.spawn(|| meet(&at, 0, 5));
        // One of them leaves, the other one is still there when rank 0 gives up.
        let mut gone = connect(&at);
        gone.write_all(&Hello { rank: 1, size: 5, run: 5 }.bytes()).unwrap();
        let mut stays = connect(&at);
        stays.write_all(&Hello { rank: 2, size: 5, run: 5 }.bytes()).unwrap();
        thread::sleep(Duration::from_millis(500));
        drop(gone);
        let error = first.join().unwrap().unwrap_err().to_string();
        assert!(error.contains("127.0.0.1") && error.contains(&at.port.to_string()), "{error}");
        assert!(error.contains("of 5 ranks, [1] came and left, [3, 4] did not come within 3 seconds"), "{error}");
    });
    let at = place(1);
    let error = meet(&at, 1, 4).unwrap_err().to_string();
    assert!(error.contains("rank 0 did not answer within 1 seconds"), "{error}");
    assert!(error.contains(&at.port.to_string()) && error.contains("GAN_COMM_TIMEOUT"), "{error}");
}

#[test]
fn a_place_that_is_taken_is_named() {
    let at = place(1);
    // What listens there speaks first, as mail and remote shells do; or never.
    for says in [&b"SSH-2.0-x\r\n"[..], b""] {
        let taken = TcpListener::bind(("127.0.0.1", at.port)).unwrap();
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                let (mut stream, _) = taken.accept().unwrap();
                stream.write_all(says).unwrap();
                heard(stream)
            });
            let error = meet(&at, 0, 2).unwrap_err().to_string();
            assert!(error.contains("rank 0 cannot listen there") && error.contains("another MASTER_PORT"), "{error}");
            let error = meet(&at, 1, 2).unwrap_err().to_string();
            let want = if says.is_empty() { "did not answer within" } else { "is no rank 0 of this program" };
            assert!(error.contains(want), "{error}");
            assert_eq!(other.join().unwrap(), Hello { rank: 1, size: 2, run: 5 }.bytes());
        });
    }
}

/// Waits until a rank knows that one has ended, and says which.
fn ended(peers: &Peers) -> usize {
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(30) {
        match peers.check() {
            Err(Error::Gone { rank }) => return rank,
            other => other.unwrap(),
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("nobody noticed");
}

#[test]
fn all_ranks_learn_which_one_has_ended() {
    for say in [true, false] {
        let mut met = all_meet(&place(60), 3, |_| ());
        let (_, second) = met.remove(1);
        if say {
            second.failed();
        }
        drop(second);
        assert_eq!(ended(&met[0].1), 1);
        assert_eq!(ended(&met[1].1), 1, "rank 0 tells rank 2");
    }
    let mut met = all_meet(&place(60), 3, |_| ());
    drop(met.remove(0));
    assert_eq!([ended(&met[0].1), ended(&met[1].1)], [0, 0]);
}

/// A rank that has come to its end with the others is not missed.
#[test]
fn a_rank_that_is_done_has_not_failed() {
    let met = all_meet(&place(60), 3, |_| ());
    let mut met = met.into_iter().map(|(_, peers)| peers);
    let (first, second, third) = (met.next().unwrap(), met.next().unwrap(), met.next().unwrap());
    first.done();
    drop(first);
    second.done();
    drop(second);
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(100) {
        third.check().unwrap();
    }
}

#[test]
fn launchers_name_the_place() {
    let launch = |launcher| Launch { rank: 1, size: 4, local_rank: 1, launcher };
    let of = |launcher, variables: &[(&str, &str)]| {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
        Rendezvous::of(&launch(launcher), find)
    };
    let own = [("MASTER_ADDR", "node1"), ("MASTER_PORT", "29500"), ("SLURM_JOB_ID", "17")];
    let at = of(Launcher::Slurm, &own).unwrap();
    assert_eq!((at.host.as_str(), at.port, at.timeout.as_secs()), ("node1", 29500, 300));
    let store = [&own[..], &[("TORCHELASTIC_USE_AGENT_STORE", "True"), ("GAN_COMM_TIMEOUT", "20")]].concat();
    let at_next = of(Launcher::Torchrun, &store).unwrap();
    assert_eq!((at_next.port, at_next.timeout.as_secs(), at_next.run), (29501, 20, at.run));
    assert_eq!(of(Launcher::Slurm, &store).unwrap().port, 29500);
    assert!(of(Launcher::Slurm, &[&own[..2], &[("SLURM_JOB_ID", "18")]].concat()).unwrap().run != at.run);
    for (variables, what) in [
        (&[("MASTER_PORT", "29500")][..], "srun started 4 processes; set MASTER_ADDR"),
        (&[("MASTER_ADDR", "node1"), ("MASTER_PORT", " ")], "MASTER_PORT"),
        (&[("MASTER_ADDR", "node1"), ("MASTER_PORT", "0")], "MASTER_PORT=0"),
        (&[("MASTER_ADDR", "node1"), ("MASTER_PORT", "70000")], "MASTER_PORT=70000"),
        (&[("MASTER_ADDR", "a"), ("MASTER_PORT", "1"), ("GAN_COMM_TIMEOUT", "soon")], "GAN_COMM_TIMEOUT=soon"),
    ] {
        let error = of(Launcher::Slurm, variables).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}
