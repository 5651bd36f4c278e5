"""End with the parent: a killed bakeoff leaves no training behind.

The parent keeps the other end of our standard input open for as long as it lives; the system
closes it even when the parent is killed. Standard input that is no pipe (a person at a terminal)
is not watched.
"""

import os
import signal
import stat
import sys
import threading
import time

_POLL_SECONDS = 0.5
_EXIT_CODE = 130


def end_with_parent(*, with_group: bool = False) -> None:
    """Watch standard input from a daemon thread, if it is a pipe.

    ``with_group``: end what this process started as well, which does not watch.
    """
    if sys.stdin is not None and stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        threading.Thread(
            target=_exit_with_parent, args=(with_group,), name="parent-watch", daemon=True
        ).start()


def _exit_with_parent(with_group: bool) -> None:  # noqa: FBT001 - of the thread
    _wait_for_end_of_input()
    if with_group and sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(_EXIT_CODE)


if sys.platform == "win32":

    def _wait_for_end_of_input() -> None:
        # A pending read would block every GetFileType on that handle, as the start-up code of
        # each library loaded later calls it; peeking does not.
        import ctypes
        import msvcrt

        handle = msvcrt.get_osfhandle(0)
        while ctypes.windll.kernel32.PeekNamedPipe(handle, None, 0, None, None, None):
            time.sleep(_POLL_SECONDS)

else:

    def _wait_for_end_of_input() -> None:
        # Not through sys.stdin, whose lock a blocked thread would hold when the interpreter ends.
        while os.read(0, 4096):
            pass
