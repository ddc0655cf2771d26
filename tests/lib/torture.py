"""Checks that meet a fault: a system call that fails, too little memory, too few descriptors, a stream that is blocked.

campaign = Campaign(scene)
broken = {fault: campaign.broken_by(fault) for fault in campaign.faults(whole=False)}
"""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from daemons import executable
from processes import MARK, started_with
from running import UNKNOWN, encoded

# What every check is given, and how much later it must have ended.
TIMEOUT = 10
LATE = 2.0
# The line below a verdict that stands although a watch did not end.
NOT_JUDGED = "\nNot judged by --stall-limit, because "

# Imports what the check needs, lets anybody trace it, and stops: what it does from here on is its own.
LAUNCH = """
import ctypes, os, signal, sys
from importlib import import_module
for module in sys.argv.pop(1).split():
    import_module(module)
from check_celery_workers.__main__ import run
ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1))
os.kill(os.getpid(), signal.SIGSTOP)
run()
"""

# What a check imports, and what it lets Python and kombu import late.
PLAIN = "check_celery_workers.cli check_celery_workers.check check_celery_workers.settings.settings heapq traceback"
BASELINE = f"{PLAIN} check_celery_workers.expected.baseline pathlib"
COMMAND = f"{PLAIN} check_celery_workers.sources.command"
LATER = "kombu.transport.redis encodings.idna hmac secrets unicodedata"
BROKER = f"{PLAIN} check_celery_workers.sources.broker.asking check_celery_workers.sources.release {LATER}"

# The errors of each call that its manual page lists and that happen. None says of the world what is not so, such as
# that a process is not there: nobody can know better.
ERRORS = {
    "accept4": "EMFILE ECONNABORTED",
    # What it returns then is where the memory ends still.
    "brk": "0",
    "clock_nanosleep": "EINTR",
    "clone": "EAGAIN ENOMEM",
    "clone3": "EAGAIN ENOMEM",
    "close_range": "EMFILE ENOMEM",
    "connect": "ECONNREFUSED ETIMEDOUT ENETUNREACH EINTR",
    "dup": "EMFILE",
    "dup2": "EMFILE EBUSY",
    "epoll_create1": "EMFILE ENOMEM",
    "epoll_ctl": "ENOMEM ENOSPC",
    "epoll_wait": "EINTR",
    "execve": "ENOMEM EACCES ENOENT E2BIG",
    "fchmod": "EPERM EIO EROFS",
    "fchown": "EPERM EIO EROFS",
    "fcntl": "EAGAIN EACCES",
    "fork": "EAGAIN ENOMEM",
    "fstat": "ENOMEM EACCES",
    "fsync": "EIO ENOSPC EDQUOT",
    "getcwd": "ENOENT EACCES",
    "getdents64": "EIO ENOENT",
    "getrandom": "EINTR EAGAIN ENOSYS",
    "getsockname": "ENOBUFS",
    "getsockopt": "ENOPROTOOPT",
    "ioctl": "EIO ENOTTY",
    "kill": "EPERM",
    "lseek": "ESPIPE EOVERFLOW",
    "lstat": "ENOENT EACCES EIO",
    "madvise": "ENOMEM EAGAIN",
    "mmap": "ENOMEM EAGAIN",
    "mprotect": "ENOMEM",
    "mremap": "ENOMEM",
    "munmap": "ENOMEM",
    "newfstatat": "ENOENT EACCES EIO ENOMEM",
    "openat": "EACCES EMFILE ENFILE EIO ENOENT EINTR",
    "pipe2": "EMFILE ENFILE",
    "poll": "ENOMEM EINTR",
    "ppoll": "ENOMEM EINTR",
    "pread64": "EIO EINTR",
    "prlimit64": "EPERM",
    "read": "EIO EAGAIN EINTR",
    "readlink": "EIO EACCES ENOENT",
    "recvfrom": "ECONNRESET ETIMEDOUT EAGAIN EINTR",
    "rename": "EACCES ENOSPC EIO EXDEV",
    "rt_sigaction": "EINVAL",
    "rt_sigprocmask": "EINVAL",
    "sendto": "EPIPE ECONNRESET EAGAIN ENOBUFS",
    "setitimer": "EINVAL",
    "setsid": "EPERM",
    "setsockopt": "ENOPROTOOPT",
    "shutdown": "ENOTCONN",
    "socket": "EMFILE EACCES EAFNOSUPPORT",
    "stat": "ENOENT EACCES EIO",
    "statx": "ENOENT EACCES EIO",
    "uname": "EFAULT",
    "unlink": "EACCES EIO",
    "vfork": "EAGAIN ENOMEM",
    "wait4": "EINTR",
    "write": "EIO ENOSPC EPIPE EAGAIN EINTR",
}
# What never fails; a futex, where the C library gives up; and close, which sets the descriptor free whatever it
# returns, while strace lets it do nothing.
SURE = {
    *("exit", "exit_group", "getpid", "getppid", "gettid", "restart_syscall", "rseq", "rt_sigreturn"),
    *("set_robust_list", "futex", "close"),
}


class Scene(NamedTuple):
    """A check: its arguments, what is on its standard input, and the modules that it imports."""

    arguments: Sequence[str]
    text: str = ""
    imports: str = PLAIN


class Call(NamedTuple):
    """A system call of a check: its name, the how-manieth of that name in its thread, and what it looks like."""

    name: str
    number: int
    shape: str

    @property
    def errors(self) -> list[str]:
        """The errors that it may have: a file on a disk makes nobody wait."""
        return [error for error in ERRORS[self.name].split() if error != "EAGAIN" or "</" not in self.shape]


class Fault(NamedTuple):
    """A call that fails with an error."""

    call: Call
    error: str

    def __str__(self) -> str:
        return f"{self.call.name} no. {self.call.number} fails with {self.error}: {self.call.shape}"


class Run(NamedTuple):
    """What a check left: its output, what it wrote to standard error, its exit code, how long it took, who runs on."""

    output: str
    error: str
    code: int
    seconds: float
    left: Sequence[str]
    trace: str = ""

    @property
    def verdict(self) -> tuple[str, int]:
        """The first line up to the perfdata, or all of it where there is none, and the exit code."""
        return self.output.split(" | ")[0], self.code

    def broken(self, right: tuple[str, int]) -> str:
        """Return which promise is broken where this is the right verdict, "" if none is."""
        line, newline, _ = self.output.partition("\n")
        has_reason = newline and re.fullmatch(r"CELERY WORKERS UNKNOWN - [^|]+( \| .*)?", line)
        if self.seconds > TIMEOUT + LATE:
            return f"it ended after {self.seconds:.1f} s"
        if self.left:
            return f"it left running: {', '.join(self.left)}"
        if self.error:
            return f"on standard error: {self.error}"
        if self.verdict == right or NOT_JUDGED in self.output:
            return ""
        if self.code != UNKNOWN:
            return f"wrong, exit {self.code}: {self.output}"
        is_clean = has_reason and "a bug, please report it" not in line and "Traceback" not in self.output
        return "" if is_clean else f"no clean UNKNOWN: {self.output!r}"


def run(
    scene: Scene,
    *,
    inject: str = "",
    limit: Callable[[int], None] | None = None,
    streams: Mapping[str, int] | None = None,
) -> Run:
    """Run a check to its end.

    inject: what strace shall trace and inject, from when the imports are done
    limit: gets its process ID at that moment
    streams: others than usual, by their names as Popen has them
    """
    mark = f"{uuid.uuid4().hex}."
    command = [sys.executable, "-I", "-c", LAUNCH, scene.imports, "--timeout", str(TIMEOUT), *scene.arguments]
    with ExitStack() as cleanup, ExitStack() as tracer:
        text = cleanup.enter_context(tempfile.TemporaryFile())
        text.write(encoded(scene.text))
        text.seek(0)
        given = {"stdin": text.fileno(), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **(streams or {})}
        plugin: subprocess.Popen[bytes] = subprocess.Popen(
            command,
            stdin=given["stdin"],
            stdout=given["stdout"],
            stderr=given["stderr"],
            env={**os.environ, MARK: f"{os.environ.get(MARK, '')}{mark}"},
        )
        cleanup.enter_context(plugin)
        cleanup.callback(plugin.kill)
        begun = os.waitid(os.P_PID, plugin.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert begun
        assert begun.si_code == os.CLD_STOPPED, "it ended in its imports"
        trace = Path(cleanup.enter_context(tempfile.TemporaryDirectory()), "trace")
        if inject:
            tracer.enter_context(_traced(plugin.pid, inject, trace))
        if limit:
            limit(plugin.pid)
        began = time.monotonic()
        plugin.send_signal(signal.SIGCONT)
        try:
            output, error = plugin.communicate(timeout=TIMEOUT + LATE)
        except subprocess.TimeoutExpired:
            plugin.kill()
            output, error = plugin.communicate()
        seconds = time.monotonic() - began
        left = started_with(mark)
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        tracer.close()
        seen = trace.read_text(encoding="utf-8", errors="replace") if inject else ""
        said = [(stream or b"").decode("utf-8", "backslashreplace") for stream in (output, error)]
        return Run(said[0], said[1], plugin.returncode, seconds, list(left.values()), seen)


@contextmanager
def _traced(process: int, inject: str, trace: Path) -> Iterator[None]:
    """Trace a process that is stopped, with its threads, and with its children until these become another program."""
    strace = executable("strace", package="strace")
    options = ["-f", "-b", "execve", "-y", "-e", "signal=none", *inject.split()]
    command = [strace, *options, "-o", str(trace), "-p", str(process)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr
        said = tracer.stderr.readline()
        if "Operation not permitted" in said:
            pytest.skip(f"needs the right to trace: {said}")
        assert "attached" in said
        yield
        tracer.communicate()


# So many calls of one name fail, where not all do.
_FEW = 3


class Campaign:
    """A scene, its right verdict, and the system calls that it makes after its imports."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.right = run(scene).verdict
        traced = run(scene, inject="-e trace=all")
        assert traced.broken(self.right) == ""
        self.calls = list(_calls(traced.trace))

    def faults(self, whole: bool) -> Iterator[Fault]:
        """Yield each call with each of its errors; or a few of a name that look different, with one of them in turn."""
        seen: Counter[str] = Counter()
        shapes = set()
        for call in self.calls:
            assert call.name in ERRORS or call.name in SURE, f"with which errors may {call.name} fail?"
            if call.name in SURE:
                continue
            if whole:
                yield from (Fault(call, error) for error in call.errors)
            elif call.shape not in shapes and seen[call.name] < _FEW:
                shapes.add(call.shape)
                yield Fault(call, call.errors[seen[call.name] % len(call.errors)])
                seen[call.name] += 1

    def broken_by(self, fault: Fault) -> str | None:
        """Return which promise is broken where a call fails, "" if none is; None if the call did not come this time."""
        name, number, _ = fault.call
        what = "retval" if fault.error.isdigit() else "error"
        done = run(self.scene, inject=f"-e trace={name} -e inject={name}:{what}={fault.error}:when={number}")
        return done.broken(self.right) if "(INJECTED)" in done.trace else None


def little_memory(size: int) -> Callable[[int], None]:
    """Let a process have so many bytes more."""

    def limit(process: int) -> None:
        pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[0])
        most = pages * resource.getpagesize() + size
        resource.prlimit(process, resource.RLIMIT_AS, (most, most))

    return limit


def few_descriptors(number: int) -> Callable[[int], None]:
    """Let a process have so many descriptors."""

    def limit(process: int) -> None:
        resource.prlimit(process, resource.RLIMIT_NOFILE, (number, number))

    return limit


def _calls(trace: str) -> Iterator[Call]:
    """Yield the calls of a trace; of those with the same number in several threads the first."""
    numbers: Counter[tuple[str, str]] = Counter()
    known = set()
    for line in trace.splitlines():
        found = re.match(r"(\d+) +(\w+)\((.*)", line)
        if found:
            thread, name, rest = found.groups()
            numbers[thread, name] += 1
            number = numbers[thread, name]
            if (name, number) not in known:
                known.add((name, number))
                yield Call(name, number, _shape(f"{name}({rest}"))


def _shape(line: str) -> str:
    """Return what a call looks like, whatever numbers, signals, random bytes and text of files are in it."""
    line = re.sub(r'(</[^>]*>, |getrandom\()".*', r"\1...", line)
    return re.sub(r"0x[0-9a-f]+|[0-9a-f]{8}-[-0-9a-f]+|\d+|\bSIG\w+", "N", line)[:100]
