"""Shell scripts that run with inherited eventfds: pipelines, background jobs, subshells, redirections, traps.
Each runs in every shell that is installed; what it prints and what it leaves in the counters must be right."""

import os
import select
import shutil
import subprocess
import sys
import unittest

SECONDS = 60
SHELLS = [shell for shell in ("dash", "bash", "busybox", "ksh", "zsh") if shutil.which(shell)]

# 'efd add FD COUNT', 'efd take FD', 'efd wait FD' (until it is readable), 'efd closed FD': what a script has for tools.
TOOL = """
import os, select, sys
verb, fd = sys.argv[1], int(sys.argv[2])
if verb == "add":
    os.eventfd_write(fd, int(sys.argv[3]))
elif verb == "take":
    print(os.eventfd_read(fd))
elif verb == "wait":
    assert select.select([fd], [], [], 20)[0] == [fd]
elif verb == "closed":
    try:
        os.fstat(fd)
    except OSError:
        sys.exit(0)
    sys.exit(1)
"""
PROLOGUE = f"efd() {{ {sys.executable} -S -E -c \"$TOOL\" \"$@\"; }}; set -e; "


class Shell(unittest.TestCase):
    def setUp(self):
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.assertRaises(OSError, os.fstat, 7)
        os.dup2(self.fd, 7)
        self.poll = select.epoll()
        self.poll.register(self.fd, select.EPOLLIN | select.EPOLLET)

    def tearDown(self):
        self.assertRaises(BlockingIOError, os.eventfd_read, self.fd)
        self.poll.poll(0)
        os.eventfd_write(self.fd, 1)
        self.assertEqual(self.poll.poll(20), [(self.fd, select.EPOLLIN)])
        self.poll.close()
        os.close(7)
        os.close(self.fd)

    def each(self, script, output, count):
        """The script has the eventfd as fd 7."""
        for shell in SHELLS:
            with self.subTest(shell=shell):
                command = [shell, "sh"] if shell == "busybox" else [shell]
                done = subprocess.run(
                    command + ["-c", PROLOGUE + script],
                    env={**os.environ, "TOOL": TOOL},
                    close_fds=False,
                    stdout=subprocess.PIPE,
                    timeout=SECONDS,
                    check=True,
                )
                self.assertEqual(done.stdout.decode().split(), output.split())
                if count:
                    self.assertEqual(self.poll.poll(20), [(self.fd, select.EPOLLIN)])
                    self.assertEqual(os.eventfd_read(self.fd), count)

    def test_one_program_after_the_other(self):
        self.each("efd add 7 3; efd add 7 4; efd take 7; efd add 7 5", "7", 5)

    def test_pipeline(self):
        self.each("(echo 1; efd add 7 2) | (cat; efd add 7 3) | (cat; efd add 7 4)", "1", 9)

    def test_background_jobs(self):
        script = "for i in 1 2 3 4; do efd add 7 $i & done; wait; efd take 7; efd add 7 1"
        self.each(script, "10", 1)

    def test_a_job_that_waits_for_the_next_program(self):
        self.each("efd wait 7 & efd add 7 6; wait $!; efd take 7; echo woken", "6 woken", 0)

    def test_subshells(self):
        script = "(efd add 7 1; (exec 7>&-; efd closed 7); efd add 7 1); efd add 7 1"
        self.each(script, "", 3)

    def test_command_substitution(self):
        self.each("efd add 7 8; x=$(efd take 7); echo got $x; efd add 7 $((x + 1))", "got 8", 9)

    def test_copied_and_closed(self):
        script = "exec 5>&7 7>&-; efd closed 7; efd add 5 2; exec 7<&5; efd add 7 3; efd take 5"
        self.each(script, "5", 0)

    def test_covered_and_uncovered(self):
        script = "exec 5>&7 7>/dev/null; echo text >&7; exec 7>&5 5>&-; efd closed 5; efd add 7 4"
        self.each(script, "", 4)

    def test_redirected_for_one_program(self):
        self.each("efd add 0 2 <&7; efd add 5 3 5>&7 7>&-; efd closed 7 7>&-; efd add 7 1", "", 6)

    def test_exec_at_the_end(self):
        script = f'efd add 7 1; exec {sys.executable} -S -E -c "$TOOL" add 7 2'
        self.each(script, "", 3)

    def test_a_shell_in_a_shell(self):
        inner = f'{sys.executable} -S -E -c \\"\\$TOOL\\" add 7 2'
        self.each(f'sh -c "{inner}; {inner}"; efd add 7 1', "", 5)

    def test_here_documents_and_reads(self):
        self.each("while read x; do efd add 7 $x; done <<E\n4\n5\nE\nefd take 7", "9", 0)

    def test_text_written_to_it_is_refused(self):
        self.each("(printf abc | cat >&7) 2>/dev/null || echo refused; efd add 7 1", "refused", 1)


if __name__ == "__main__":
    unittest.main(verbosity=1)
