"""A program of its own: becomes another program, which the kernel kills as soon as whoever started it is gone.

`process` starts llama-server through it. It imports nothing of ours, for it is run as a file, without `site`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """`leash.py PARENT PROGRAM ARGUMENT...`: the process id of the parent, and what to become."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("error: whoever started this is gone")
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python, and by whatever it becomes
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execv(command[0], command)  # noqa: S606 - the operator's own binary
    except OSError as error:
        sys.exit(f"error: {command[0]} cannot be executed: {error.strerror}")


if __name__ == "__main__":
    main()
