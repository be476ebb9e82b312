"""asyncio: loops that wait on eventfds, a thread pool that writes to them."""

import asyncio
import os
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor

ROUNDS = 5000


class Doorbell:
    """An eventfd that a loop awaits and any thread rings."""

    def __init__(self, loop):
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.total = 0
        self.rung = asyncio.Event()
        self.loop = loop
        loop.add_reader(self.fd, self.answer)

    def answer(self):
        self.total += os.eventfd_read(self.fd)
        self.rung.set()

    def ring(self, value=1):
        os.eventfd_write(self.fd, value)

    async def wait(self):
        await asyncio.wait_for(self.rung.wait(), 60)
        self.rung.clear()

    def close(self):
        self.loop.remove_reader(self.fd)
        os.close(self.fd)


class Loops(unittest.TestCase):
    def test_a_thread_pool_rings_a_loop(self):
        async def main():
            loop = asyncio.get_running_loop()
            bell = Doorbell(loop)
            with ThreadPoolExecutor(4) as pool:
                work = [loop.run_in_executor(pool, self.ring_often, bell) for _ in range(4)]
                while bell.total < 4 * ROUNDS:
                    await bell.wait()
                await asyncio.gather(*work)
            bell.close()
            return bell.total

        self.assertEqual(asyncio.run(main()), 4 * ROUNDS)

    @staticmethod
    def ring_often(bell):
        for _ in range(ROUNDS):
            bell.ring()

    def test_two_loops_in_two_threads_play_ping_pong(self):
        bells = {}
        ready = threading.Barrier(2, timeout=60)
        totals = {}

        async def play(me, other, starts):
            bell = bells[me] = Doorbell(asyncio.get_running_loop())
            ready.wait()
            if starts:
                bells[other].ring()
            for _ in range(ROUNDS):
                await bell.wait()
                bells[other].ring()
            totals[me] = bell.total
            ready.wait()
            bell.close()

        thread = threading.Thread(target=lambda: asyncio.run(play("b", "a", False)))
        thread.start()
        asyncio.run(play("a", "b", True))
        thread.join()
        self.assertEqual((totals["a"], totals["b"]), (ROUNDS, ROUNDS))

    def test_many_eventfds_in_one_loop(self):
        async def main():
            loop = asyncio.get_running_loop()
            bells = [Doorbell(loop) for _ in range(50)]
            for i, bell in enumerate(bells):
                loop.run_in_executor(None, bell.ring, i + 1)
            await asyncio.gather(*(bell.wait() for bell in bells))
            totals = [bell.total for bell in bells]
            for bell in bells:
                bell.close()
            return totals

        self.assertEqual(asyncio.run(main()), list(range(1, 51)))

    def test_a_child_process_beside_eventfds(self):
        async def main():
            bell = Doorbell(asyncio.get_running_loop())
            bell.ring(3)
            child = await asyncio.create_subprocess_exec(
                "echo", "hello", stdout=asyncio.subprocess.PIPE)
            out, _ = await child.communicate()
            await bell.wait()
            bell.close()
            return out, bell.total

        self.assertEqual(asyncio.run(main()), (b"hello\n", 3))


if __name__ == "__main__":
    unittest.main(verbosity=1)
