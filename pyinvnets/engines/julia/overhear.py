"""What other programs say on standard error, shown as it comes and kept, to tell a failure in their words."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator

KEPT = 1 << 16


@contextlib.contextmanager
def overheard() -> Iterator[Callable[[], str]]:
    """Within the block, a function that gives the last of what this process and its children wrote to standard error.

    A terminal stays one to them, so that they draw their progress bars.
    """
    said = bytearray()
    sys.stderr.flush()
    shown = os.dup(2)
    reading, writing = _terminal() if os.isatty(2) and os.name == "posix" else os.pipe()
    os.dup2(writing, 2)
    os.close(writing)
    listener = threading.Thread(target=_listen, args=(reading, shown, said), daemon=True)
    listener.start()
    try:
        yield lambda: said.decode(errors="replace")
    finally:
        sys.stderr.flush()
        os.dup2(shown, 2)
        listener.join(timeout=2)  # a child left behind may hold the other end open


def _listen(reading: int, shown: int, said: bytearray) -> None:
    with contextlib.suppress(OSError):  # how the end of a terminal is told
        while part := os.read(reading, 1 << 12):
            os.write(shown, part)
            said += part
            del said[:-KEPT]
    os.close(reading)
    os.close(shown)


def _terminal() -> tuple[int, int]:
    """A terminal of the size of the real one."""
    import fcntl
    import termios
    import tty

    reading, writing = os.openpty()
    tty.setraw(writing)
    fcntl.ioctl(writing, termios.TIOCSWINSZ, fcntl.ioctl(2, termios.TIOCGWINSZ, bytes(8)))
    return reading, writing
