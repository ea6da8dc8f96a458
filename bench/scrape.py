"""What being watched costs: training with and without a scraper, on the same machine in turn.

The job of training.py, two workers. While it is watched, the server and each worker are scraped SCRAPES_PER_SECOND
times a second, 75 times as often as the chart's monitors do (every 15 s): the ratio of the two throughputs shows a
cost that is large. A small one drowns in the noise; for it there is the time that one scrape takes while the job
trains, all waits included: that share of the interval is the most that a scrape can take from its process.
usage: scrape.py BIN_DIR [REPEATS]
"""

import http.client
import json
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from training import EPOCHS, ROWS, write_job

SCRAPES_PER_SECOND, USUAL_INTERVAL = 5, 15


def free_ports(count):
    for first in range(22000, 60000, 89):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
    raise SystemExit("no free ports")


class Scraper(threading.Thread):
    """Scrapes one target until it is told to stop; keeps what each scrape took, and the size of the last."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.stop, self.seconds, self.size = address, threading.Event(), [], 0

    def run(self):
        connection = None
        while not self.stop.wait(1 / SCRAPES_PER_SECOND):
            try:
                connection = connection or http.client.HTTPConnection(self.address, timeout=5)
                start = time.perf_counter()
                connection.request("GET", "/metrics")
                self.size = len(connection.getresponse().read())
                self.seconds.append(time.perf_counter() - start)
            except OSError:  # not up yet, or gone already
                connection = None


def train(bin_dir, folder, watched):
    """Examples per second of all but the first epoch, and the scrapers."""
    port = free_ports(3)
    scrapers = [Scraper(f"127.0.0.1:{port + i}") for i in range(3)] if watched else []
    for scraper in scrapers:
        scraper.start()
    command = [bin_dir / "elephas", "run", folder / "job.yaml", "--quiet"]
    if watched:
        command += ["--metrics-port", str(port)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for scraper in scrapers:
        scraper.stop.set()
        scraper.join()
    seconds = json.loads((folder / "out" / "history.json").read_text())["seconds"]
    return ROWS * (EPOCHS - 1) / sum(seconds[1:]), scrapers


def main():
    bin_dir = pathlib.Path(sys.argv[1])
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    alone, watched, scrapes = [], [], {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_job(folder)
        for _ in range(repeats):
            alone.append(train(bin_dir, folder, False)[0])
            rate, scrapers = train(bin_dir, folder, True)
            watched.append(rate)
            for scraper, target in zip(scrapers, ("parameter server", "worker", "worker")):
                scrapes.setdefault(target, []).append((scraper.seconds, scraper.size))
    ratio = statistics.median(b / a for a, b in zip(alone, watched))
    print("training, examples/s              median")
    print(f"not watched                     {statistics.median(alone):8,.0f}")
    print(f"scraped {SCRAPES_PER_SECOND} times a second         {statistics.median(watched):8,.0f}   ratio {ratio:.3f} (median of pairs)")
    for target, measured in scrapes.items():
        seconds = [second for series, _ in measured for second in series]
        if seconds:
            median = statistics.median(seconds)
            print(f"one scrape of a {target}: {median * 1e3:.2f} ms (median of {len(seconds)}), "
                  f"{max(size for _, size in measured):,} bytes; every {USUAL_INTERVAL} s: "
                  f"{median / USUAL_INTERVAL:.4%} of the time")


if __name__ == "__main__":
    main()
