"""The supervisor of several workers: uvicorn's, made to wait for no worker and to give up at the first start only.

uvicorn's own stops them all when one that replaces another cannot start, and is deaf to signals while it waits for one
that hangs. Here whatever takes its time is looked at again half a second later.
"""

from socket import socket
from time import monotonic, sleep

from loguru import logger
from uvicorn import Config
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from extensions.server import CLOSING_SECONDS

STARTING_SECONDS = 60  # until a worker serves; a busy machine may need many to read the code
FIRST_PAUSE_SECONDS = 1
LONGEST_PAUSE_SECONDS = 15
LOOK_SECONDS = 0.1  # between two looks at workers that are to end
NEVER = float("inf")


def pause_seconds(failures: int) -> int:
    """How long to wait after so many starts that failed one after the other."""
    return min(FIRST_PAUSE_SECONDS << min(failures - 1, LONGEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)


class Worker(Process):
    """One worker process, and what it last said of itself."""

    def __init__(self, config: Config, sockets: list[socket]) -> None:
        super().__init__(config, sockets)
        self.answers = False
        self.serves = False
        self.is_outdated = False
        self.ends_by = NEVER
        self._started_at = monotonic()
        self._asked_at = NEVER

    def look(self) -> None:
        """Read its answer, if it has come, and ask again whether it serves."""
        try:
            if self.parent_conn.poll():
                self.serves = self.parent_conn.recv()
                self._asked_at = NEVER
                self.answers = True
            if self._asked_at == NEVER:
                self.parent_conn.send(b"ping")
                self._asked_at = monotonic()
        except (OSError, EOFError):  # it is dying
            pass

    def lives(self) -> bool:
        """Whether the process is there."""
        return self.process.is_alive()

    def hangs(self, seconds: float) -> bool:
        """Whether it has not answered for so long; longer if it never did."""
        return monotonic() - self._asked_at > (seconds if self.answers else STARTING_SECONDS)

    def is_late(self) -> bool:
        """Whether it should serve by now."""
        return not self.serves and monotonic() - self._started_at > STARTING_SECONDS


class Supervisor(Multiprocess):
    """Keeps as many workers as there should be; SIGHUP replaces them one after the other."""

    processes: list[Worker]  # type: ignore[assignment]

    def __init__(self, config: Config, sockets: list[socket]) -> None:
        super().__init__(config, sockets)
        self.has_failed = False
        self._has_served = False
        self._failures = 0  # starts without success, one after the other
        self._next_start = 0.0
        self._ending: list[Worker] = []

    def init_processes(self) -> None:
        """Start as many as are missing."""
        while len(self.processes) < self._wanted():
            worker = Worker(self.config, self.sockets)
            worker.start()
            self.processes.append(worker)

    def keep_subprocess_alive(self) -> None:
        """Do what there is to do now; called twice a second."""
        if self.should_exit.is_set():
            return
        for worker in self.processes:
            worker.look()
        self._note_success()
        self._part_from_ending()
        self._part_from_dead()
        self._replace_outdated()
        if monotonic() >= self._next_start and not self.should_exit.is_set():
            self.init_processes()

    def restart_all(self) -> None:
        """Begin to replace all that there are."""
        for worker in self.processes:
            worker.is_outdated = True

    def terminate_all(self) -> None:
        """Tell all to end."""
        for worker in list(self.processes):
            self._retire(worker)

    def join_all(self) -> None:
        """Wait for those that were told to end, but not for ever."""
        while self._ending:
            sleep(LOOK_SECONDS)
            self._part_from_ending()

    def handle_ttin(self) -> None:
        """One worker more."""
        self.processes_num += 1

    def handle_ttou(self) -> None:
        """One worker less."""
        self.processes_num = max(1, self.processes_num - 1)

    def _wanted(self) -> int:
        """One more while some are replaced: the next one serves before the last one is told to end."""
        return self.processes_num + any(worker.is_outdated for worker in self.processes)

    def _note_success(self) -> None:
        self._has_served |= any(worker.serves for worker in self.processes)
        if len(self.processes) >= self.processes_num and all(worker.serves for worker in self.processes):
            self._failures = 0

    def _part_from_ending(self) -> None:
        for worker in list(self._ending):
            if not worker.lives():
                self._ending.remove(worker)
            elif monotonic() > worker.ends_by:
                logger.error("Worker {} does not end and is killed.", worker.pid)
                self._ending.remove(worker)
                self._kill(worker)

    def _part_from_dead(self) -> None:
        for worker in list(self.processes):
            if not worker.lives():
                logger.warning("Worker {} has died ({}).", worker.pid, worker.exitcode)
                self.processes.remove(worker)
            elif worker.hangs(self.config.timeout_worker_healthcheck):
                logger.error("Worker {} hangs and is killed.", worker.pid)
                self.processes.remove(worker)
                self._kill(worker)
            else:
                continue
            if not worker.serves:
                self._note_failure(worker)

    def _note_failure(self, worker: Worker) -> None:
        if not self._has_served and (worker.exitcode or 0) > 0:  # it ended by itself, and so would the next one
            logger.error("Worker {} could not start; stopping.", worker.pid)
            self.has_failed = True
            self.should_exit.set()
            return
        self._failures += 1
        pause = pause_seconds(self._failures)
        self._next_start = monotonic() + pause
        if (worker.exitcode or 0) >= 0:  # or somebody killed it, perhaps as soon as it served
            logger.error("Worker {} could not start; the next attempt is in {} s.", worker.pid, pause)
        if not worker.is_outdated:
            self._keep_outdated()

    def _replace_outdated(self) -> None:
        """One at a time, so that there is never more than one too many."""
        if any(worker.is_late() for worker in self.processes if not worker.is_outdated):
            self._keep_outdated()
        if len(self.processes) <= self.processes_num:
            return
        outdated = [worker for worker in self.processes if worker.is_outdated]
        if not outdated:
            self._retire(min(reversed(self.processes), key=lambda worker: worker.serves))  # the newest useless one
        elif not self._ending and all(worker.serves for worker in self.processes if not worker.is_outdated):
            self._retire(outdated[0])

    def _keep_outdated(self) -> None:
        """Replace no more: what serves goes on."""
        outdated = [worker for worker in self.processes if worker.is_outdated]
        if outdated:
            logger.error("The next worker does not serve: the restart ends, and those of before go on.")
        for worker in outdated:
            worker.is_outdated = False

    def _retire(self, worker: Worker) -> None:
        self.processes.remove(worker)
        worker.terminate()
        worker.ends_by = monotonic() + (self.config.timeout_graceful_shutdown or 0) + CLOSING_SECONDS
        self._ending.append(worker)

    def _kill(self, worker: Worker) -> None:
        worker.kill()
        worker.ends_by = NEVER
        self._ending.append(worker)
