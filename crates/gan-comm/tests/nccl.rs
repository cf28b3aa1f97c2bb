//! NCCL between the GPUs of this machine, a thread each; where there is one, it speaks to itself. Needs `GAN_TEST_DEVICE=cuda`.
#![allow(clippy::unwrap_used, unsafe_code)]

use candle_core::{Device, Tensor};
use gan_comm::nccl::{Meeting, Nccl};
use gan_comm::rendezvous::Rendezvous;
use gan_comm::{Communicator, Error, OrderedSum};
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// The GPUs, at most four; none where tests are to leave them alone.
fn devices() -> Vec<Device> {
    if !std::env::var("GAN_TEST_DEVICE").is_ok_and(|name| name.starts_with("cuda")) {
        return Vec::new();
    }
    let open = |number| {
        let device = Device::new_cuda_with_stream(number).ok()?;
        // SAFETY: what a device holds is used on its one stream, and by others where they wait for it.
        unsafe { device.as_cuda_device().ok()?.disable_event_tracking() };
        Some(device)
    };
    let devices: Vec<Device> = (0..4).map_while(open).collect();
    assert!(!devices.is_empty(), "GAN_TEST_DEVICE asks for a GPU, and there is none");
    devices
}

fn meetings(ranks: usize) -> Vec<Meeting> {
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let place = || Rendezvous { host: "127.0.0.1".into(), port, run: 0, timeout: Duration::from_secs(60) };
    let meeting = || if ranks == 1 { Meeting::Alone } else { Meeting::Place(place()) };
    (0..ranks).map(|_| meeting()).collect()
}

/// What each rank returns; one has a GPU.
fn each<T: Send>(devices: &[Device], run: impl Fn(Nccl, &Device) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let run = &run;
        let ranks = devices.iter().zip(meetings(devices.len())).enumerate().map(|(rank, (device, meeting))| {
            scope.spawn(move || run(Nccl::start(rank, devices.len(), device, meeting).unwrap(), device))
        });
        ranks.collect::<Vec<_>>().into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

/// Numbers whose sum depends on the order.
fn addend(i: usize, len: usize, device: &Device) -> Tensor {
    let values: Vec<f32> = (0..len).map(|at| ((at * 7 + i * 13) as f32).sin() * 10f32.powi(i as i32 % 5)).collect();
    Tensor::new(values, device).unwrap()
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

#[test]
fn sums_have_the_bits_of_one_device() {
    let devices = devices();
    for used in 1..=devices.len() {
        for (addends, len) in [(1, 5), (5, 1000), (7, 7), (8, 100_000)] {
            let mut whole = addend(0, len, &devices[0]);
            for i in 1..addends {
                whole = (whole + addend(i, len, &devices[0])).unwrap();
            }
            let whole = bits(&(whole * (1.0 / 3.0)).unwrap());
            let sums = each(&devices[..used], |ranks, device| {
                let mut sum = OrderedSum::default();
                for first in (0..addends).step_by(used) {
                    let count = used.min(addends - first);
                    sum.add(&ranks, &addend(first + ranks.rank(), len, device), count).unwrap();
                }
                let sum = bits(&sum.take(&ranks, 1.0 / 3.0).unwrap());
                ranks.finalize();
                assert!(ranks.barrier().is_err(), "it has ended");
                sum
            });
            for sum in sums {
                assert!(sum == whole, "{addends} addends of {len} on {used} GPUs");
            }
        }
    }
}

#[test]
fn messages_of_every_length_arrive() {
    let devices = devices();
    for used in 1..=devices.len() {
        each(&devices[..used], |ranks, _| {
            let message = |from: usize, to: usize, len: usize| -> Vec<u8> {
                (0..len + from).map(|at| (at * 31 + from * 7 + to) as u8).collect()
            };
            let own = ranks.rank();
            for len in [0, 1, 1014, 1016, 1020, 100_000] {
                let came = ranks.all_to_all((0..used).map(|to| message(own, to, len)).collect()).unwrap();
                assert!(came.iter().enumerate().all(|(from, came)| *came == message(from, own, len)), "{len}");
            }
            // One is long for one rank alone.
            let came = ranks.all_to_all((0..used).map(|to| message(own, to, if to == 0 { 5000 } else { 0 })).collect());
            assert_eq!(came.unwrap()[0].len(), if own == 0 { 5000 } else { 0 });
            assert_eq!(ranks.broadcast(used - 1, vec![own as u8; 3]).unwrap(), [used as u8 - 1; 3]);
            ranks.barrier().unwrap();
            ranks.finalize();
        });
    }
}

/// Nobody waits for ever for a rank that is not there any more.
#[test]
fn a_rank_that_has_ended_is_noticed() {
    let devices = devices();
    if devices.len() < 2 {
        return;
    }
    let ended = each(&devices, |ranks, device| {
        ranks.barrier().unwrap();
        if ranks.rank() == 1 {
            return Ok(());
        }
        let since = Instant::now();
        let mut sum = OrderedSum::default();
        let result = sum.add(&ranks, &addend(ranks.rank(), 1000, device), devices.len());
        let result = result.and_then(|()| sum.take(&ranks, 1.0).map(drop));
        assert!(since.elapsed() < Duration::from_secs(60));
        assert!(matches!(ranks.barrier(), Err(Error::Nccl { .. })), "it is given up");
        result
    });
    for (rank, result) in ended.into_iter().enumerate() {
        assert_eq!(result.is_ok(), rank == 1, "rank {rank}: {result:?}");
    }
}
