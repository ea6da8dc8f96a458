"""Clang refuses code that touches a guarded member without its lock (common/base/mutex.h)."""
import shutil
import subprocess

import pytest

CLASS = """
#include "common/base/mutex.h"
class Counter {
 public:
  void Add() {
    const elephas::MutexLock lock(mutex_);
    AddOne();
  }
  int Read() {
    %s
    return count_;
  }
  void AddTwice() { %s }
  int AwaitOne() {
    const elephas::MutexLock lock(mutex_);
    while (count_ == 0) changed_.Wait(mutex_);
    return count_;
  }
 private:
  void AddOne() ELEPHAS_REQUIRES(mutex_) {
    ++count_;
    changed_.NotifyAll();
  }
  elephas::Mutex mutex_;
  elephas::CondVar changed_;
  int count_ ELEPHAS_GUARDED_BY(mutex_) = 0;
};
"""
LOCK = "const elephas::MutexLock lock(mutex_);"


@pytest.fixture(scope="module")
def errors_of(source_dir):
    """A function that compiles a text and answers with what Clang says, "" for good code."""
    compiler = shutil.which("clang++-19") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("there is no clang++; scripts/setup.sh --tools installs it")

    def compile_it(text):
        done = subprocess.run(
            [compiler, "-std=c++20", "-fsyntax-only", "-Wthread-safety", "-Werror", f"-I{source_dir}", "-xc++", "-"],
            input=text, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode == 0) == (done.stderr == "")
        return done.stderr
    return compile_it


def test_code_that_keeps_its_promises_is_good(errors_of):
    assert errors_of(CLASS % (LOCK, "Add(); Add();")) == ""


def test_a_guarded_member_that_is_read_without_the_lock_is_an_error(errors_of):
    assert "reading variable 'count_' requires holding mutex 'mutex_'" in errors_of(CLASS % ("", "Add();"))


def test_a_helper_that_is_called_without_the_lock_is_an_error(errors_of):
    assert "calling function 'AddOne' requires holding mutex 'mutex_'" in errors_of(CLASS % (LOCK, "AddOne();"))


def test_a_lock_that_is_taken_twice_is_an_error(errors_of):
    assert "acquiring mutex 'mutex_' that is already held" in errors_of(CLASS % (LOCK + LOCK.replace("lock(", "two("), ""))
