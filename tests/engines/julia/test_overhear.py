"""Standard error of children: shown, kept, and a terminal to them where it is one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = """
import subprocess, sys
from pyinvnets.engines.julia.overhear import overheard
with overheard() as said:
    subprocess.run([sys.executable, "-c", "import os; os.write(2, b'terminal %d' % os.isatty(2))"], check=True)
print(said(), file=sys.stderr)
print(repr(said()))
"""


def test_through_a_pipe():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stderr == "terminal 0terminal 0\n" and done.stdout == "'terminal 0'\n"


@pytest.mark.skipif(os.name != "posix", reason="no terminals of one's own here")
def test_on_a_terminal():
    reading, writing = os.openpty()
    done = subprocess.run([sys.executable, "-c", CODE], stdout=subprocess.PIPE, stderr=writing, text=True, check=True)
    os.close(writing)
    assert done.stdout == "'terminal 1'\n" and os.read(reading, 100) == b"terminal 1terminal 1\r\n"
    os.close(reading)


def test_only_the_end_is_kept():
    code = """
import os
from pyinvnets.engines.julia.overhear import KEPT, overheard
with overheard() as said:
    os.write(2, b"a" * KEPT + b"z")
print(len(said()) == KEPT, said()[-2:])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True az\n" and len(done.stderr) == (1 << 16) + 1
