"""How a worker comes by a job's function: by import where it can be imported, else by value from its parent."""

from __future__ import annotations

import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

from ...callables import is_local, module_of
from ...errors import PayloadError
from ...model.results import Kind
from .frames import Pickled, Reference

if TYPE_CHECKING:
    from .setups import Setups


class Functions:
    """The functions of an engine's jobs, each under a number that stands for it in every worker.

    A function that is sent by value is pickled anew for every call from outside any execution (``refresh``), since the cells of a
    notebook change what it refers to. While managers run, it stays as it is.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[int, tuple[int, ref[Any]]] = {}  # by a job's identity, until the job is freed
        self._by_value: dict[int, Pickled] = {}
        self._not_importable: dict[int, str] = {}
        self._last_key = 0
        self._pickling = threading.Lock()
        self._setups: Setups | None = None

    def key(self, job: Any) -> int:
        """The number of a job's function."""
        known = self._keys.get(id(job))
        if known is not None:
            return known[0]
        with self._lock:
            self._last_key += 1
            self._keys[id(job)] = (self._last_key, ref(job, partial(self._forget, id(job))))
            return self._last_key

    def _forget(self, identity: int, _: Any) -> None:
        for known in (self._keys, self._by_value, self._not_importable):
            known.pop(identity, None)

    def refresh(self, job: Any) -> None:
        """A call comes from outside any execution: compare a function sent by value with what it is now, and send it again if it
        differs.

        For a manager, do so with the functions of all jobs that it may call. Raises ``PayloadError`` if the job's own function can
        no longer be pickled.
        """
        if job.kind is Kind.TASK:
            self._refresh(job)
            return
        for known in [found() for _, found in tuple(self._keys.values())]:
            if known is None:
                continue  # freed just now
            try:
                self._refresh(known)
            except PayloadError:
                with self._lock:
                    del self._by_value[id(known)]  # whoever calls it is told why

    def _refresh(self, job: Any) -> None:
        pickled = self._by_value.get(id(job))
        if pickled is None:
            return
        fresh = self._pickle(job, self._not_importable.get(id(job), ""))
        if fresh != pickled:
            with self._lock:
                self._by_value[id(job)] = fresh
                self._last_key += 1
                self._keys[id(job)] = (self._last_key, self._keys[id(job)][1])

    def source(self, job: Any) -> Reference | Pickled:
        """How a worker finds the function."""
        return self.reference(job) or self.pickled(job)

    def reference(self, job: Any) -> Reference | None:
        """Where a worker can import the function from; None where it comes by value."""
        return None if id(job) in self._not_importable else _reference(job)

    def pickled(self, job: Any, why: str = "") -> Pickled:
        """The function by value; ``why`` says what went wrong when it was imported.

        Raises ``PayloadError`` if it can't be pickled.
        """
        with self._lock:
            known = self._by_value.get(id(job))
        if known is None:
            known = self._pickle(job, why)
            with self._lock:
                self._by_value[id(job)] = known
                if why:
                    self._not_importable[id(job)] = why
        return known

    def _pickle(self, job: Any, why: str) -> Pickled:
        import cloudpickle

        from .by_value import dumps

        name = module_of(job.fn)
        module = sys.modules.get(name or "")
        # what can't be imported there must not be looked for there: neither the function nor what it calls in its own module
        by_value = why and module is not None and name != "__main__" and name not in sys.stdlib_module_names
        try:
            if not by_value:
                return self._with_setup(job, dumps(job.fn), why)
            with self._pickling:  # the register is the process's
                cloudpickle.register_pickle_by_value(module)
                try:
                    return self._with_setup(job, dumps(job.fn), why)
                finally:
                    cloudpickle.unregister_pickle_by_value(module)
        except Exception as error:  # pickling runs the code of whatever the function refers to
            hint = f" It can't be imported in a worker either: {why}." if why else ""
            raise PayloadError(
                f"Task {job.name!r} can't be sent to a worker process: {type(error).__name__}: {error}.{hint} Define it at the top "
                "level of a module that can be imported, open what it needs (files, locks, connections) inside it, or use "
                'runner="thread".'
            ) from error

    def _with_setup(self, job: Any, data: bytes, why: str) -> Pickled:
        """A function with what sets up its surroundings: its flow's module, or what this process has set up by now."""
        flow_module, _, _ = job.flow.reference()
        if flow_module is not None and not why:
            return Pickled(data, flow_module)
        if self._setups is None:
            from .setups import Setups

            self._setups = Setups()
        return Pickled(data, setup=self._setups.described())


def _reference(job: Any) -> Reference | None:
    """Where a worker can import the function from; None where it can't: ``__main__``, a notebook's cell, a closure."""
    module, attribute, _ = job.flow.reference()
    fn_module = module_of(job.fn)
    if module is None or attribute is None or fn_module is None or "__main__" in (fn_module, job.made_in):
        return None
    if is_local(job.fn):
        return None
    if job.flow.jobs.get(job.name) is not job:
        return None
    return Reference(fn_module, module, attribute, job.name, job.made_in or "")
