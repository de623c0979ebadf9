"""Forks Python processes that have torch, whose import takes each new one two seconds.

`Python` in conftest.py runs this file and says what a process is to do. It imports hashkernels for itself and ends as
any process does. What Python settles when it starts, by options, variables and which streams are open, it inherits.
"""

from __future__ import annotations

import gc
import os
import sys
from multiprocessing.connection import Connection
from typing import Any

import torch  # noqa: F401


def serve(connection: Connection) -> tuple[Any, ...] | None:
    """Answer each request with the process id, then with the exit status; in the new process, return the request."""
    gc.freeze()  # objects that a collection does not visit stay shared
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return None
        process = os.fork()
        if process == 0:
            connection.close()
            return tuple(request)
        connection.send(process)
        connection.send(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))


def become(code: str, arguments: list[str], folder: str, environment: dict[str, str], outputs: list[str]) -> None:
    """What ``python -c code *arguments`` does there."""
    for stream, path in enumerate(outputs, start=1):
        file = os.open(path, os.O_WRONLY)
        os.dup2(file, stream)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["-c", *arguments]
    exec(compile(code, "<string>", "exec", dont_inherit=True), {"__name__": "__main__"})


if request := serve(Connection(int(sys.argv[1]))):
    become(*request)
