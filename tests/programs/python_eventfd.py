"""os.eventfd as a Python programmer meets it: counters, selectors, threads, processes."""

import errno
import os
import select
import selectors
import socket
import subprocess
import sys
import threading
import unittest

ROUNDS = 2000
LIMIT = 2**64 - 2


class Counter(unittest.TestCase):
    def make(self, value=0, flags=os.EFD_CLOEXEC | os.EFD_NONBLOCK):
        fd = os.eventfd(value, flags)
        self.addCleanup(os.close, fd)
        return fd

    def test_read_takes_the_sum(self):
        fd = self.make(5)
        os.eventfd_write(fd, 7)
        self.assertEqual(os.eventfd_read(fd), 12)
        with self.assertRaises(BlockingIOError):
            os.eventfd_read(fd)

    def test_semaphore_takes_one(self):
        fd = self.make(2, os.EFD_SEMAPHORE | os.EFD_NONBLOCK)
        self.assertEqual([os.eventfd_read(fd), os.eventfd_read(fd)], [1, 1])
        with self.assertRaises(BlockingIOError):
            os.eventfd_read(fd)

    def test_a_full_counter_refuses(self):
        fd = self.make()
        os.eventfd_write(fd, LIMIT)
        with self.assertRaises(BlockingIOError):
            os.eventfd_write(fd, 1)
        self.assertEqual(os.eventfd_read(fd), LIMIT)

    def test_bad_flags_are_refused(self):
        with self.assertRaises(OSError) as caught:
            os.eventfd(0, 1 << 20)
        self.assertEqual(caught.exception.errno, errno.EINVAL)

    def test_plain_read_and_write(self):
        fd = self.make()
        self.assertEqual(os.write(fd, (3).to_bytes(8, sys.byteorder)), 8)
        self.assertEqual(os.read(fd, 1024), (3).to_bytes(8, sys.byteorder))
        with self.assertRaises(OSError) as caught:
            os.write(fd, b"short")
        self.assertEqual(caught.exception.errno, errno.EINVAL)

    def test_flags_are_seen_through_a_dup(self):
        fd = self.make()
        other = os.dup(fd)
        self.addCleanup(os.close, other)
        os.set_blocking(other, True)
        self.assertTrue(os.get_blocking(fd))
        os.set_blocking(fd, False)
        self.assertFalse(os.get_blocking(other))
        self.assertFalse(os.get_inheritable(fd))

    def test_proc_shows_the_count(self):
        fd = self.make(0x2A)
        with open(f"/proc/self/fdinfo/{fd}") as info:
            lines = dict(line.split(":", 1) for line in info if ":" in line)
        self.assertEqual(int(lines["eventfd-count"], 16), 0x2A)
        self.assertEqual(os.readlink(f"/proc/self/fd/{fd}"), "anon_inode:[eventfd]")

    def test_a_number_used_again_is_a_file(self):
        fd = os.eventfd(1, os.EFD_NONBLOCK)
        os.close(fd)
        again = os.open("/dev/null", os.O_RDWR)
        self.addCleanup(os.close, again)
        self.assertEqual(again, fd)
        self.assertEqual(os.read(again, 8), b"")


class Waiting(unittest.TestCase):
    def drive(self, kind):
        """Four threads write, one selector reads: the sums agree for every fd."""
        fds = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(4)]
        sums = dict.fromkeys(fds, 0)
        threads = [threading.Thread(target=self.feed, args=(fd,)) for fd in fds]
        with kind() as selector:
            for fd in fds:
                selector.register(fd, selectors.EVENT_READ)
            for thread in threads:
                thread.start()
            while any(total < ROUNDS for total in sums.values()):
                for key, _ in selector.select(20) or self.fail("nothing became ready"):
                    sums[key.fd] += os.eventfd_read(key.fd)
            self.assertEqual(selector.select(0), [])
        for thread in threads:
            thread.join()
        for fd in fds:
            os.close(fd)
        self.assertEqual(set(sums.values()), {ROUNDS})

    @staticmethod
    def feed(fd):
        for _ in range(ROUNDS):
            os.eventfd_write(fd, 1)

    def test_epoll_selector(self):
        self.drive(selectors.EpollSelector)

    def test_poll_selector(self):
        self.drive(selectors.PollSelector)

    def test_select_selector(self):
        self.drive(selectors.SelectSelector)

    def test_edge_triggered_epoll_without_a_read(self):
        fd = os.eventfd(0, os.EFD_NONBLOCK)
        with select.epoll() as poll:
            poll.register(fd, select.EPOLLIN | select.EPOLLET)
            for _ in range(100):
                os.eventfd_write(fd, 1)
                self.assertEqual(poll.poll(20), [(fd, select.EPOLLIN)])
                self.assertEqual(poll.poll(0), [])
        self.assertEqual(os.eventfd_read(fd), 100)
        os.close(fd)

    def test_blocking_readers_and_writers(self):
        fd = os.eventfd(0, os.EFD_SEMAPHORE)
        taken = []

        def take():
            taken.append(sum(os.eventfd_read(fd) for _ in range(ROUNDS)))

        threads = [threading.Thread(target=take) for _ in range(2)]
        threads += [threading.Thread(target=self.feed, args=(fd,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os.close(fd)
        self.assertEqual(taken, [ROUNDS, ROUNDS])


class Processes(unittest.TestCase):
    def test_a_forked_child_wakes_its_parent(self):
        there, back = os.eventfd(0), os.eventfd(0)
        child = os.fork()
        if child == 0:
            for _ in range(ROUNDS):
                os.eventfd_write(back, os.eventfd_read(there) + 1)
            os._exit(0)
        for i in range(1, ROUNDS + 1):
            os.eventfd_write(there, i)
            self.assertEqual(os.eventfd_read(back), i + 1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        os.close(there)
        os.close(back)


if __name__ == "__main__":
    unittest.main(verbosity=1)
