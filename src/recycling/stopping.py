"""Ctrl-C, once: what is being done ends where it can be gone on from. Twice: it stops."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import FrameType

GRACE_SECONDS = 3.0
"""How long a second Ctrl-C waits for code that does not look at signals, as a kernel in C."""

_LOOK_SECONDS = 0.2
"""How often a process that leads another one looks whether it is to be told."""

INTERRUPTED = 128 + signal.SIGINT
"""What a shell calls the end of a process that Ctrl-C has ended."""


class Stopped(KeyboardInterrupt):
    """What was being done has stopped, as was asked, and goes on from there the next time."""


class _Presses:
    """How often Ctrl-C was pressed in the `stops_when_asked` that is under way."""

    is_heard = False
    times = 0


_presses = _Presses()


def is_asked_to_stop() -> bool:
    """Whether Ctrl-C was pressed in the `stops_when_asked` that is under way."""
    return _presses.times > 0


def ask_to_stop(is_asked: bool = True) -> None:
    """Stop as after Ctrl-C: of a process that another one leads, where it was pressed.

    Args:
        is_asked: Whether to; if not, what was asked before is forgotten.
    """
    _presses.times = int(is_asked)


def stop_if_asked() -> None:
    """Stop here, where what has been done is kept.

    Raises:
        Stopped: Ctrl-C was pressed. No `except Exception` catches it.
    """
    if is_asked_to_stop():
        raise Stopped


@contextmanager
def leading() -> Iterator[Connection]:
    """Lead a process: it is told when this one is asked to stop, and ends when this block does.

    Yields:
        What the process gives to `follow`; it is to be started within the block.
    """
    reader, writer = Pipe(duplex=False)
    over = threading.Event()

    def tell() -> None:
        while not over.wait(_LOOK_SECONDS):
            if is_asked_to_stop():
                writer.send_bytes(b"stop")
                return

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield reader
    finally:
        over.set()
        teller.join()
        writer.close()
        reader.close()


def follow(leader: Connection) -> None:
    """Stop when the process that leads this one is asked to, and end when it no longer leads.

    For the main thread.

    Args:
        leader: From `leading`, there.
    """

    def listen() -> None:
        with suppress(EOFError):  # the system closes it where that process is killed
            while leader.recv_bytes():
                ask_to_stop()
        os._exit(INTERRUPTED)  # all files are whole, whenever that happens

    # A terminal sends Ctrl-C to all processes in it; what it means is up to the leader.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=listen, daemon=True).start()


def end_with(parent: int) -> None:
    """End this process when the one that has started it has ended.

    For workers that would wait for its next task without end: killed, it tells them nothing.

    Args:
        parent: Its number.
    """

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_SECONDS)
        os._exit(INTERRUPTED)

    threading.Thread(target=look, daemon=True).start()


@contextmanager
def stops_when_asked() -> Iterator[None]:
    """Take a first Ctrl-C as a wish, which `stop_if_asked` grants; a second one as ever.

    Processes that are started within do not see the Ctrl-C of the terminal, which goes to all of
    them: a data loader would end, and what it works for would fail. Elsewhere than in the main
    thread nothing is changed.
    """
    if _presses.is_heard or threading.current_thread() is not threading.main_thread():
        yield
        return
    over = threading.Event()
    before = signal.signal(signal.SIGINT, _press)
    # What is blocked here is blocked in what is forked or started, whichever way.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    listener = threading.Thread(target=_listen, args=(over,), daemon=True)
    listener.start()
    _presses.is_heard = True
    try:
        yield
    finally:
        over.set()
        assert listener.ident is not None
        with suppress(ProcessLookupError):  # it has ended by itself
            signal.pthread_kill(listener.ident, signal.SIGINT)
        listener.join()
        _presses.is_heard, _presses.times = False, 0
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, before)


def _listen(over: threading.Event) -> None:
    """Wait for Ctrl-C, also while the main thread is in C code that runs no handler."""
    while True:
        signal.sigwait({signal.SIGINT})
        if over.is_set():
            return
        _count()
        if _presses.times > 1:
            _thread.interrupt_main()
            if not over.wait(GRACE_SECONDS):
                os._exit(INTERRUPTED)  # all files are whole, whenever that happens
            return


def _press(signum: int, frame: FrameType | None) -> None:
    """The handler: of a second Ctrl-C, and of one that the system gives to another thread.

    Threads that libraries have started before block nothing.
    """
    _count()
    if _presses.times > 1:
        raise KeyboardInterrupt


def _count() -> None:
    _presses.times += 1
    if _presses.times == 1:
        line = "stops when this step, or the epoch of a training, is done and kept"
        print(f"\nCtrl-C: {line}; once more stops at once", file=sys.stderr, flush=True)
