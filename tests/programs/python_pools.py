"""Process pools and children of Python with eventfds around: subprocess, multiprocessing, posix_spawn."""

import concurrent.futures
import errno
import multiprocessing
import multiprocessing.connection
import multiprocessing.reduction
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import unittest

SECONDS = 60
METHODS = ("fork", "spawn", "forkserver")
ADD = "import os, sys; os.eventfd_write(int(sys.argv[1]), int(sys.argv[2]))"
TAKE = "import os, sys; print(os.eventfd_read(int(sys.argv[1])))"
GONE = """
import errno, os, sys
for fd in map(int, sys.argv[1:]):
    try:
        os.fstat(fd)
    except OSError as error:
        assert error.errno == errno.EBADF
    else:
        sys.exit(f"{fd} is open")
own = os.eventfd(7, os.EFD_NONBLOCK)
assert os.eventfd_read(own) == 7
"""


def too_late(_signal, _frame):
    raise TimeoutError("a test took too long")


def python(script, *words, **options):
    """Runs a script in another Python; its standard output. Fails the test where it fails."""
    words = [sys.executable, "-c", script, *map(str, words)]
    done = subprocess.run(words, stdout=subprocess.PIPE, timeout=SECONDS, check=True, **options)
    return done.stdout.decode().strip()


class Watched(unittest.TestCase):
    """Eventfds in use while children come and go; each test ends with all of them in order."""

    def setUp(self):
        signal.signal(signal.SIGALRM, too_late)
        signal.setitimer(signal.ITIMER_REAL, SECONDS, 5)  # again where the cleaning up hangs, too
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.loud = os.eventfd(5, os.EFD_NONBLOCK)
        self.poll = select.epoll()
        self.poll.register(self.fd, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        self.assertEqual(self.poll.poll(0), [(self.fd, select.EPOLLOUT)])

        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)

    def tearDown(self):
        self.assertEqual(self.poll.poll(0), [])
        os.eventfd_write(self.fd, 1)
        self.assertEqual(self.poll.poll(20), [(self.fd, select.EPOLLIN | select.EPOLLOUT)])
        self.assertEqual(os.eventfd_read(self.fd), 1)
        self.assertEqual(os.eventfd_read(self.loud), 5)
        self.assertFalse(os.get_inheritable(self.fd))
        self.poll.close()
        os.close(self.fd)
        os.close(self.loud)

    def heard(self, count):
        """The child's writes were an edge, and this is their sum."""
        self.assertEqual(self.poll.poll(20), [(self.fd, select.EPOLLIN | select.EPOLLOUT)])
        self.assertEqual(os.eventfd_read(self.fd), count)
        self.poll.poll(0)


class Subprocess(Watched):
    def test_close_fds_closes_them(self):
        self.assertTrue(os.get_inheritable(self.loud))
        self.assertEqual(python(GONE, self.fd, self.loud, close_fds=True), "")
        self.assertTrue(os.get_inheritable(self.loud))

    def test_without_close_fds_the_inheritable_goes_over(self):
        os.set_inheritable(self.fd, True)
        python(ADD, self.fd, 9, close_fds=False)
        self.heard(9)
        os.set_inheritable(self.fd, False)
        python(GONE, self.fd, close_fds=False)

    def test_pass_fds(self):
        python(ADD, self.fd, 11, pass_fds=[self.fd])
        self.heard(11)
        os.eventfd_write(self.fd, 12)
        self.assertEqual(python(TAKE, self.fd, pass_fds=[self.fd]), "12")
        self.poll.poll(0)

    def test_many_children_write_at_once(self):
        words = [sys.executable, "-S", "-c", ADD, str(self.fd)]
        children = [subprocess.Popen(words + [str(i)], pass_fds=[self.fd]) for i in range(1, 9)]
        self.assertEqual([child.wait(SECONDS) for child in children], [0] * 8)
        self.heard(36)

    def test_as_standard_input_and_output(self):
        os.eventfd_write(self.fd, 13)
        self.assertEqual(python(TAKE, 0, stdin=self.fd), "13")
        words = [sys.executable, "-c", ADD, "1", "14"]
        subprocess.run(words, stdout=self.fd, timeout=SECONDS, check=True)
        self.heard(14)

    def test_a_child_blocked_in_read_is_woken(self):
        fd = os.eventfd(0, 0)
        say = "print('here', flush=True)\n" + TAKE
        words = [sys.executable, "-c", say, str(fd)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, pass_fds=[fd]) as child:
            self.assertEqual(child.stdout.readline(), b"here\n")
            os.eventfd_write(fd, 15)
            self.assertEqual(child.stdout.read(), b"15\n")
        self.assertEqual(child.returncode, 0)
        os.close(fd)

    def test_a_preexec_function_and_a_session(self):
        def add():
            os.eventfd_write(self.fd, 16)

        python(GONE, self.fd, preexec_fn=add, start_new_session=True)
        self.heard(16)

    def test_what_does_not_start_changes_nothing(self):
        for close_fds in (True, False):
            with self.assertRaises(FileNotFoundError):
                subprocess.run(["/nonexistent/program"], close_fds=close_fds, check=False)

    def test_shells(self):
        script = f'{sys.executable} -S -c "{ADD}" {self.fd} 1'
        for form in ("{0}; {0}", "{0} & {0} & wait", "({0}) && ({0})", "{0} | {0}"):
            subprocess.run(
                form.format(script), shell=True, pass_fds=[self.fd], timeout=SECONDS, check=True
            )
            self.heard(2)

    def test_while_threads_use_them(self):
        stop, sums = threading.Event(), []

        def use():
            fd, rounds = os.eventfd(0, os.EFD_NONBLOCK), 0
            while not stop.is_set():
                os.eventfd_write(fd, 3)
                assert os.eventfd_read(fd) == 3
                rounds += 1
            os.close(fd)
            sums.append(rounds)

        threads = [threading.Thread(target=use) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            subprocess.run(["true"], timeout=SECONDS, check=True)
            subprocess.run(["true"], close_fds=False, timeout=SECONDS, check=True)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(len(sums), 2)
        self.assertGreater(min(sums), 0)


class Spawn(Watched):
    def spawn(self, script, *words, **options):
        argv = [sys.executable, "-c", script, *map(str, words)]
        child = os.posix_spawn(sys.executable, argv, os.environ, **options)
        self.assertEqual(os.waitpid(child, 0)[1], 0)

    def test_close_on_exec(self):
        self.spawn(GONE, self.fd)

    def test_dup2_to_a_number(self):
        actions = [(os.POSIX_SPAWN_DUP2, self.fd, 99)]
        self.spawn(ADD, 99, 21, file_actions=actions)
        self.heard(21)

    def test_dup2_onto_the_other_and_close(self):
        actions = [(os.POSIX_SPAWN_DUP2, self.fd, self.loud), (os.POSIX_SPAWN_CLOSE, self.fd)]
        self.spawn(ADD, self.loud, 22, file_actions=actions)
        self.heard(22)

    def test_open_onto_one(self):
        actions = [(os.POSIX_SPAWN_OPEN, self.fd, "/dev/null", os.O_RDWR, 0)]
        script = "import os, sys; assert os.read(int(sys.argv[1]), 8) == b''"
        self.spawn(script, self.fd, file_actions=actions, setsigmask=[signal.SIGUSR1])

    def test_dup2_to_itself_hands_it_over(self):
        actions = [(os.POSIX_SPAWN_DUP2, self.fd, self.fd)]
        self.spawn(ADD, self.fd, 23, file_actions=actions)
        self.heard(23)


def square(number):
    """Work for a pool: each worker makes eventfds of its own, under the same numbers."""
    fd = os.eventfd(number + 1, os.EFD_NONBLOCK)
    with select.epoll() as poll:
        poll.register(fd, select.EPOLLIN | select.EPOLLET)
        os.eventfd_write(fd, number * number)
        assert poll.poll(20) == [(fd, select.EPOLLIN)]
    taken = os.eventfd_read(fd)
    os.close(fd)
    return taken - number - 1


def add_by_handle(handle, count):
    fd = handle.detach()
    os.eventfd_write(fd, count)
    os.close(fd)


def answer_by_handle(there, back):
    there, back = there.detach(), back.detach()
    for _ in range(100):
        os.eventfd_write(back, os.eventfd_read(there) + 1)


def add_from_socket(connection):
    fd = multiprocessing.reduction.recv_handle(connection)
    os.eventfd_write(fd, 31)
    connection.send(os.readlink(f"/proc/self/fd/{fd}"))
    os.close(fd)


class Pools(Watched):
    def each(self, check):
        for method in METHODS:
            with self.subTest(method=method):
                check(multiprocessing.get_context(method))

    def run_process(self, context, target, *args):
        process = context.Process(target=target, args=args)
        process.start()
        return process

    def end(self, process):
        process.join(SECONDS)
        self.assertEqual(process.exitcode, 0)

    def test_map(self):
        def check(context):
            with context.Pool(3) as pool:
                self.assertEqual(pool.map(square, range(60)), [n * n for n in range(60)])
                results = [pool.apply_async(square, (n,)) for n in range(10)]
                self.assertEqual([r.get(SECONDS) for r in results], [n * n for n in range(10)])

        self.each(check)

    def test_workers_that_are_replaced(self):
        def check(context):
            with context.Pool(2, maxtasksperchild=3) as pool:
                squares = pool.imap_unordered(square, range(18))
                self.assertEqual(sorted(squares), [n * n for n in range(18)])

        self.each(check)

    def test_executor(self):
        def check(context):
            executor = concurrent.futures.ProcessPoolExecutor
            with executor(2, mp_context=context) as pool:
                self.assertEqual(list(pool.map(square, range(20))), [n * n for n in range(20)])

        self.each(check)

    def test_killed_workers(self):
        def check(context):
            with context.Pool(2) as pool:
                pool.map(square, range(4))
                pool.terminate()
                pool.join()

        self.each(check)

    def test_handed_over_as_a_handle(self):
        def check(context):
            process = self.run_process(context, add_by_handle, Handle(self.fd), 30)
            self.end(process)
            self.heard(30)

        self.each(check)

    def test_handles_of_two_that_wake_each_other(self):
        def check(context):
            there, back = os.eventfd(0), os.eventfd(0)
            process = self.run_process(context, answer_by_handle, Handle(there), Handle(back))
            for i in range(1, 101):
                os.eventfd_write(there, i)
                self.assertEqual(os.eventfd_read(back), i + 1)
            self.end(process)
            os.close(there)
            os.close(back)

        self.each(check)

    def test_sent_over_a_connection(self):
        def check(context):
            ours, theirs = context.Pipe()
            process = self.run_process(context, add_from_socket, theirs)
            multiprocessing.reduction.send_handle(ours, self.fd, process.pid)
            self.assertEqual(ours.recv(), "anon_inode:[eventfd]")
            self.end(process)
            self.heard(31)
            ours.close()
            theirs.close()

        self.each(check)


class Handle:
    """An fd for the process that is being started: it is pickled as a DupFd, or inherited by fork."""

    def __init__(self, fd):
        self.fd = fd

    def detach(self):
        return os.dup(self.fd)

    def __reduce__(self):
        return pickled_handle, (multiprocessing.reduction.DupFd(self.fd),)


def pickled_handle(handle):
    return Handle(handle.detach())


class Forks(Watched):
    def test_send_fds_to_a_forked_child(self):
        ours, theirs = socket.socketpair()
        child = os.fork()
        if child == 0:
            os.close(self.fd)
            _, fds, _, _ = socket.recv_fds(theirs, 16, 4)
            os.eventfd_write(fds[0], 41)
            os._exit(0)
        socket.send_fds(ours, [b"x"], [self.fd])
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.heard(41)
        ours.close()
        theirs.close()

    def test_a_child_that_closes_everything(self):
        child = os.fork()
        if child == 0:
            os.eventfd_write(self.fd, 42)
            os.closerange(3, 4096)
            try:
                os.eventfd_write(self.fd, 1)
            except OSError as error:
                own = os.eventfd(7)
                os._exit(0 if error.errno == errno.EBADF and os.eventfd_read(own) == 7 else 2)
            os._exit(1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.heard(42)


if __name__ == "__main__":
    unittest.main(verbosity=1)
