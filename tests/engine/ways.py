"""Every way to have work done in another thread and to wait for it."""

from __future__ import annotations

import _thread
import asyncio
import contextvars
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from typing import Any

from microflow.engine.engine import Engine

Work = Callable[[], Any]

PATIENCE = 60.0


def by_thread(work: Work) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def by_subclass(work: Work) -> None:
    class Worker(threading.Thread):
        def run(self) -> None:
            work()

    thread = Worker(daemon=True)
    thread.start()
    thread.join()


def by_timer(work: Work) -> None:
    timer = threading.Timer(0, work)
    timer.start()
    timer.join()


def by_raw_thread(work: Work) -> None:
    done = _thread.allocate_lock()
    done.acquire()

    def run(work: Work, *, release: Callable[[], None]) -> None:
        work()
        release()

    _thread.start_new_thread(run, (work,), {"release": done.release})
    done.acquire()


def by_thread_of_a_thread(work: Work) -> None:
    by_thread(lambda: by_thread(work))


def by_executor(work: Work) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


def by_executor_map(work: Work) -> None:
    with ThreadPoolExecutor(1) as pool:
        list(pool.map(lambda _: work(), [1]))


def by_initializer(work: Work) -> None:
    with ThreadPoolExecutor(1, initializer=work) as pool:
        pool.submit(int).result()


def by_callback(work: Work) -> None:
    called = threading.Event()
    go_on = threading.Event()

    def callback(_: Future[Any]) -> None:
        work()
        called.set()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(go_on.wait, PATIENCE).add_done_callback(callback)
        go_on.set()
        assert called.wait(PATIENCE)


def by_thread_pool(work: Work) -> None:
    with ThreadPool(1) as pool:
        pool.apply(work)


def by_to_thread(work: Work) -> None:
    asyncio.run(asyncio.to_thread(work))


def by_run_in_executor(work: Work) -> None:
    async def main() -> None:
        await asyncio.get_running_loop().run_in_executor(None, work)

    asyncio.run(main())


def by_asyncio_task(work: Work) -> None:
    async def step() -> None:
        await asyncio.sleep(0)
        work()

    async def main() -> None:
        await asyncio.gather(asyncio.create_task(step()))

    asyncio.run(main())


def by_loop_in_a_thread(work: Work) -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def step() -> None:
        work()

    asyncio.run_coroutine_threadsafe(step(), loop).result(PATIENCE)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


WAYS = [
    by_thread,
    by_subclass,
    by_timer,
    by_raw_thread,
    by_thread_of_a_thread,
    by_executor,
    by_executor_map,
    by_initializer,
    by_callback,
    by_thread_pool,
    by_to_thread,
    by_run_in_executor,
    by_asyncio_task,
    by_loop_in_a_thread,
]
if sys.version_info >= (3, 14):

    def by_thread_with_a_context(work: Work) -> None:
        thread = threading.Thread(target=work, context=contextvars.Context())
        thread.start()
        thread.join()

    WAYS.append(by_thread_with_a_context)


def text_of(engine: Engine, execution_id: int) -> str:
    """All that is in an execution's log."""
    return engine.store.logs.read(execution_id).text
