#!/usr/bin/env python3
"""Takes the picture of the parameter server's page in the README: examples/digits, in the middle of training.

usage: record_page.py BIN_DIR OUT.png [OUT_DARK.png]

By the Python that scripts/setup.sh made; needs Chromium and chromedriver.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(SOURCE / "tests"), str(SOURCE / "tests" / "monitoring")]

import requests
from webdriver import Browser

EPOCHS, TAKEN_AT = 30, 21


def start_job(bin_dir, folder):
    """A copy of the example, slowed down by small batches; (process, address of the page with its token)."""
    for name in ("job.yaml", "model.json", "digits.csv"):
        shutil.copy(SOURCE / "examples" / "digits" / name, folder)
    command = [bin_dir / "elephas", "run", folder / "job.yaml", "--json"]
    for field in (f"fit.epochs={EPOCHS}", "fit.batchSize=2", "frequency=batch", "checkpoint.uri=ckpt",
                  "compile.optimizer.config.learning_rate=0.0004"):
        command += ["--set", "spec." + field]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "serving":
            token = pathlib.Path(event["tokenFile"]).read_text().strip()
            return process, f"{event['page']}#token={token}"
    sys.exit("the run ended before it began")


def wait_for_epoch(page):
    address, token = page.split("/#token=")
    while True:
        reply = requests.get(address + "/v1/status", headers={"Authorization": f"Bearer {token}"}, timeout=10)
        if reply.json()["epoch"] >= TAKEN_AT:
            return
        time.sleep(0.2)


def main():
    bin_dir, pictures = pathlib.Path(sys.argv[1]).resolve(), [pathlib.Path(name) for name in sys.argv[2:]]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        process, page = start_job(bin_dir, folder)
        driver = subprocess.Popen(
            [shutil.which("chromedriver"), "--port=0"], stdout=subprocess.PIPE, text=True, env={"HOME": name, "PATH": "/usr/bin:/bin"}
        )
        try:
            port = next(line.split()[-1].rstrip(".") for line in driver.stdout if "started successfully" in line)
            browser = Browser(f"http://127.0.0.1:{port}", shutil.which("chromium"), folder)
            browser.size(1180, 880, scale=1.5)
            browser.colours("light")
            browser.open(page)
            wait_for_epoch(page)
            for scheme, picture in zip(("light", "dark"), pictures):
                browser.colours(scheme)
                time.sleep(1.5)  # for the page's next look
                browser.screenshot(picture)
            browser.close()
        finally:
            driver.terminate()
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
