#!/usr/bin/env python3
"""Load of `gan-cli serve`: 150 clients that behave, first alone and then among 50 that do not.

    serve_load.py PROGRAM MODEL [--good 150] [--hostile 50] [--requests 4] [--size 256] [--json]

Each client that behaves sends images until it has its answers; where the queue is full (429) it waits as long as it is told, and tries
again. Times are of a whole request, from opening the connection to the last byte, and of the wait for its turn included (`until done`).
The others do what servers suffer from: headers and bodies that never end, lengths that lie, announced gigapixels, images cut short,
names of other hosts, paths that lead out, connections that are left. Standard library only; Linux for the memory.
"""

import argparse
import json
import multiprocessing
import os
import random
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
import zlib


def png(width, height, rows=None):
    chunk = lambda name, data: struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    raw = rows if rows is not None else b"".join(b"\0" + bytes((x * 7 + y * 3 + c * 40) & 255 for x in range(width) for c in range(3)) for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def exchange(port, data, timeout=120):
    """Status, headers and body of an answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as stream:
        stream.sendall(data)
        answer = b""
        while part := stream.recv(1 << 16):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
    return int(lines[0].split(" ")[1]), headers, body


def request(port, line, body=b"", host=None, more=""):
    host = host or f"127.0.0.1:{port}"
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{line} HTTP/1.1\r\nHost: {host}\r\n{length}{more}Connection: close\r\n\r\n".encode() + body


def good(port, body, count, times, totals, busy, wrong):
    data = request(port, "POST /v1/translate", body)
    for _ in range(count):
        begun = time.perf_counter()
        while True:
            sent = time.perf_counter()
            try:
                status, headers, answer = exchange(port, data)
            except (OSError, IndexError, ValueError) as error:
                wrong.append(f"no answer: {error!r}")
                break
            if status in (429, 503) and "retry-after" in headers:
                busy.append(status)
                time.sleep(float(headers["retry-after"]) * (0.5 + random.random()))
                continue
            if status == 200 and answer.startswith(b"\x89PNG"):
                times.append(time.perf_counter() - sent)
                totals.append(time.perf_counter() - begun)
            else:
                wrong.append(f"{status} {answer[:80]!r}")
            break


def hostile(port, kind, body, going, counts):
    host = f"Host: 127.0.0.1:{port}\r\n"
    while going():
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as stream:
                send = stream.sendall
                if kind == 0:  # headers that never end
                    send(b"GET / HTTP/1.1\r\nX: ")
                    while going():
                        send(b"x")
                        time.sleep(0.5)
                elif kind == 1:  # a body that drips
                    send(f"POST /v1/translate HTTP/1.1\r\n{host}Content-Length: 100000\r\n\r\n".encode())
                    while going():
                        send(b"x")
                        time.sleep(0.5)
                elif kind == 2:  # chunks without end
                    send(f"POST /v1/translate HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n".encode())
                    for _ in range(400):
                        send(b"10000\r\n" + b"\0" * 0x10000 + b"\r\n")
                elif kind == 3:  # an announced gigabyte
                    send(f"POST /v1/translate HTTP/1.1\r\n{host}Content-Length: 1000000000\r\n\r\n".encode())
                    stream.recv(1000)
                elif kind == 4:  # announced gigapixels
                    send(request(port, "POST /v1/translate", png(60000, 60000, b"\0" * 1000)))
                    stream.recv(1000)
                elif kind == 5:  # an image cut short
                    send(request(port, "POST /v1/translate", body[: len(body) * 2 // 3]))
                    stream.recv(1000)
                elif kind == 6:  # a large image of nothing
                    send(request(port, "POST /v1/translate", LARGE))
                    stream.recv(1000)
                elif kind == 7:  # somebody who leaves
                    send(request(port, "POST /v1/translate", body))
                elif kind == 8:  # another host, a way out, no HTTP
                    send(random.choice([
                        request(port, "GET /", host="evil.example"), request(port, "GET /..%2f..%2fetc/passwd"), b"\x16\x03\x01\0\xff" * 9,
                        request(port, "POST /v1/translate", b"<html>", more="Origin: http://evil.example\r\n"),
                    ]))
                    stream.recv(1000)
                else:  # 16 MiB of noise
                    send(request(port, "POST /v1/translate", NOISE))
                    stream.recv(1000)
        except OSError:
            pass
        counts[kind] += 1
        time.sleep(PAUSE)


def all_hostile(port, body, count, ended, counts):
    # They stand for other machines: what they compute themselves should not take processor time from the server.
    os.nice(19)
    going = lambda: not ended.is_set()
    threads = [threading.Thread(target=hostile, args=(port, i % 10, body, going, counts), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=15)


# Each of those that do not behave begins anew after so many seconds.
PAUSE = 0.1
LARGE = png(4000, 4000, bytes(4000 * 12001))
NOISE = b"\xff\xd8\xff" + random.Random(1).randbytes(8 << 20)


def memory(process, name):
    for line in open(f"/proc/{process}/status"):
        if line.startswith(name):
            return int(line.split()[1]) // 1024
    return 0


def summary(times):
    if not times:
        return {"count": 0}
    times = sorted(times)
    at = lambda share: round(1000 * times[min(len(times) - 1, int(share * len(times)))], 1)
    return {"count": len(times), "mean_ms": round(1000 * statistics.mean(times), 1), "p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "max_ms": at(1)}


def phase(args, port, process, with_hostile):
    body = png(args.size, args.size)
    times, totals, busy, wrong, counts = [], [], [], [], []
    # In a process of their own, so that they do not take the time of the others.
    ended, others = multiprocessing.Event(), None
    if with_hostile:
        counts = multiprocessing.Array("q", 10)
        others = multiprocessing.Process(target=all_hostile, args=(port, body, args.hostile, ended, counts), daemon=True)
        others.start()
        time.sleep(2)
    begun = time.time()
    clients = [threading.Thread(target=good, args=(port, body, args.requests, times, totals, busy, wrong)) for _ in range(args.good)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    seconds = time.time() - begun
    ended.set()
    if others:
        others.join(timeout=20)
    return {
        "clients": args.good, "hostile": args.hostile if with_hostile else 0, "seconds": round(seconds, 1), "images_per_s": round(len(times) / seconds, 1),
        "answered": summary(times), "until_done": summary(totals), "told_to_wait": len(busy), "wrong": wrong[:5], "wrong_count": len(wrong),
        "hostile_attempts": list(counts), "resident_mib": memory(process, "VmRSS"), "peak_mib": memory(process, "VmHWM"),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--good", type=int, default=150)
    parser.add_argument("--hostile", type=int, default=50)
    parser.add_argument("--requests", type=int, default=4, help="images that each client wants")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [args.program, "serve", args.model, "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    begun = time.time()
    try:
        while True:
            try:
                exchange(port, request(port, "GET /healthz"))
                break
            except (OSError, IndexError):
                if server.poll() is not None or time.time() - begun > 60:
                    sys.exit(server.stderr.read())
                time.sleep(0.05)
        ready = time.time() - begun
        body = png(args.size, args.size)
        sent = time.perf_counter()
        status, _, _ = exchange(port, request(port, "POST /v1/translate", body))
        first = time.perf_counter() - sent
        alone = []
        for _ in range(10):
            sent = time.perf_counter()
            exchange(port, request(port, "POST /v1/translate", body))
            alone.append(time.perf_counter() - sent)
        report = {
            "ready_s": round(ready, 2), "first_status": status, "first_ms": round(1000 * first, 1), "one_by_one": summary(alone),
            "resident_mib": memory(server.pid, "VmRSS"), "alone": phase(args, port, server.pid, False), "among_hostile": phase(args, port, server.pid, True),
            # What else the machine does shows in the difference to the first.
            "alone_again": phase(args, port, server.pid, False),
        }
    finally:
        server.terminate()
        code = server.wait(timeout=20)
    report["exit_code"] = code
    print(json.dumps(report, indent=None if args.json else 1))


if __name__ == "__main__":
    main()
