/* fcntl and ioctl: every command an eventfd can meet gets the kernel's answer. */
#define _GNU_SOURCE
#include "askboth.h"
#include "testkit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

TestSuite(odd_fcntl, .init = tk_setup, .fini = tk_teardown, .timeout = 20);
TestSuite(odd_ioctl, .init = tk_setup, .fini = tk_teardown, .timeout = 20);

#define SAME_FCNTL(b, cmd, arg) SAME(b, fcntl(fd, cmd, arg), SYS_fcntl, fd, cmd, (long)(arg))
#define SAME_IOCTL(b, cmd, arg)                                                                    \
	SAME(b, ioctl(fd, cmd, arg), SYS_ioctl, fd, (long)(cmd), (long)(arg))

static void same_setfl(struct both b, int flags)
{
	SAME_FCNTL(b, F_SETFL, flags);
	SAME_FCNTL(b, F_GETFL, 0);
}

Test(odd_fcntl, F_SETFL_with_each_flag)
{
	struct both b = both_open(5, 0);
	same_setfl(b, O_APPEND);
	same_setfl(b, O_NOATIME);
	same_setfl(b, O_APPEND | O_NONBLOCK);
	same_setfl(b, O_ASYNC);
	same_setfl(b, O_NONBLOCK);
	same_setfl(b, 0);
	both_close(b);
}

Test(odd_fcntl, F_SETFL_with_O_DIRECT)
{
	struct both b = both_open(5, 0);
	same_setfl(b, O_DIRECT);
	same_setfl(b, O_DIRECT | O_NONBLOCK);
	both_close(b);
}

Test(odd_fcntl, F_SETFL_ignores_what_cannot_be_set)
{
	struct both b = both_open(5, 0);
	same_setfl(b, O_WRONLY);
	same_setfl(b, O_RDONLY | O_CREAT | O_TRUNC);
	same_setfl(b, O_CLOEXEC);
	same_setfl(b, O_SYNC);
	same_setfl(b, O_DIRECTORY | O_PATH);
	same_setfl(b, -1 & ~O_DIRECT);
	both_close(b);
}

Test(odd_fcntl, F_SETFL_with_each_bit)
{
	struct both b = both_open(5, 0);
	for (int bit = 0; bit < 31; bit++)
		same_setfl(b, 1 << bit);
	both_close(b);
}

Test(odd_fcntl, flags_set_later_leave_the_count_alone)
{
	struct both b = both_open(5, EFD_SEMAPHORE);
	same_setfl(b, O_APPEND | O_NOATIME | O_NONBLOCK);
	both_write(b, 3);
	both_close(b);
}

Test(odd_fcntl, F_SETFD)
{
	struct both b = both_open(5, 0);
	const int args[] = {FD_CLOEXEC, 0, -1, 2, 3, O_CLOEXEC};
	for (unsigned int i = 0; i < sizeof(args) / sizeof(*args); i++) {
		SAME_FCNTL(b, F_SETFD, args[i]);
		SAME_FCNTL(b, F_GETFD, 0);
	}
	both_close(b);
}

Test(odd_fcntl, pipe_size)
{
	struct both b = both_open(5, 0);
	SAME_FCNTL(b, F_GETPIPE_SZ, 0);
	SAME_FCNTL(b, F_SETPIPE_SZ, 4096);
	SAME_FCNTL(b, F_SETPIPE_SZ, 1 << 20);
	SAME_FCNTL(b, F_SETPIPE_SZ, -1);
	both_close(b);
}

Test(odd_fcntl, owner)
{
	struct both b = both_open(5, 0);
	SAME_FCNTL(b, F_GETOWN, 0);
	SAME_FCNTL(b, F_SETOWN, getpid());
	SAME_FCNTL(b, F_GETOWN, 0);
	SAME_FCNTL(b, F_SETOWN, 0);
	SAME_FCNTL(b, F_SETOWN, 1 << 30);
	SAME_FCNTL(b, F_GETSIG, 0);
	SAME_FCNTL(b, F_SETSIG, SIGUSR1);
	SAME_FCNTL(b, F_GETSIG, 0);
	SAME_FCNTL(b, F_SETSIG, 1000);
	both_close(b);
}

Test(odd_fcntl, owner_by_structure)
{
	struct both b = both_open(5, 0);
	struct f_owner_ex own = {F_OWNER_PID, getpid()};
	SAME_FCNTL(b, F_SETOWN_EX, addr(&own));
	SAME_FCNTL(b, F_GETOWN_EX, addr(&own));
	own.type = 9;
	SAME_FCNTL(b, F_SETOWN_EX, addr(&own));
	SAME_FCNTL(b, F_GETOWN_EX, 8);
	both_close(b);
}

static void same_lock(struct both b, int cmd, short type)
{
	struct flock ours = {.l_type = type, .l_whence = SEEK_SET}, kernel = ours;
	SAME(b, fcntl(fd, cmd, &ours), SYS_fcntl, fd, cmd, addr(&kernel));
	if (!tk_refuses((long[7]){SYS_fcntl, b.ours, cmd}))
		cr_assert_eq(ours.l_type, kernel.l_type);
}

Test(odd_fcntl, record_locks)
{
	struct both b = both_open(5, 0);
	same_lock(b, F_GETLK, F_WRLCK);
	same_lock(b, F_SETLK, F_RDLCK);
	same_lock(b, F_SETLK, F_WRLCK);
	same_lock(b, F_SETLK, F_UNLCK);
	same_lock(b, F_SETLKW, F_WRLCK);
	same_lock(b, F_SETLK, 77);
	both_close(b);
}

Test(odd_fcntl, open_file_description_locks)
{
	struct both b = both_open(5, 0);
	same_lock(b, F_OFD_GETLK, F_WRLCK);
	same_lock(b, F_OFD_SETLK, F_RDLCK);
	same_lock(b, F_OFD_SETLK, F_UNLCK);
	both_close(b);
}

Test(odd_fcntl, locks_with_bad_memory)
{
	struct both b = both_open(5, 0);
	SAME_FCNTL(b, F_GETLK, 8);
	SAME_FCNTL(b, F_SETLK, 8);
	both_close(b);
}

Test(odd_fcntl, leases_seals_and_notices)
{
	struct both b = both_open(5, 0);
	SAME_FCNTL(b, F_GETLEASE, 0);
	SAME_FCNTL(b, F_SETLEASE, F_RDLCK);
	SAME_FCNTL(b, F_SETLEASE, F_UNLCK);
	SAME_FCNTL(b, F_GET_SEALS, 0);
	SAME_FCNTL(b, F_ADD_SEALS, F_SEAL_WRITE);
	SAME_FCNTL(b, F_NOTIFY, DN_MODIFY);
	SAME_FCNTL(b, F_NOTIFY, 0);
	both_close(b);
}

Test(odd_fcntl, write_hints)
{
	struct both b = both_open(5, 0);
	uint64_t hint = 0;
	SAME_FCNTL(b, F_GET_RW_HINT, addr(&hint));
	hint = 2;
	SAME_FCNTL(b, F_SET_RW_HINT, addr(&hint));
	SAME_FCNTL(b, F_GET_RW_HINT, 8);
	both_close(b);
}

Test(odd_fcntl, unknown_commands)
{
	struct both b = both_open(5, 0);
	const int unknown[] = {-1, 17, 999, 1023, 1200, 1 << 30};
	for (unsigned int i = 0; i < sizeof(unknown) / sizeof(*unknown); i++)
		SAME_FCNTL(b, unknown[i], 0);
	both_close(b);
}

Test(odd_fcntl, flock_and_lockf)
{
	struct both b = both_open(5, 0);
	SAME(b, flock(fd, LOCK_SH | LOCK_NB), SYS_flock, fd, LOCK_SH | LOCK_NB);
	SAME(b, flock(fd, LOCK_UN), SYS_flock, fd, LOCK_UN);
	SAME(b, flock(fd, 99), SYS_flock, fd, 99);
	both_close(b);
}

Test(odd_ioctl, FIONREAD)
{
	struct both b = both_open(5, 0);
	int n = -5;
	SAME_IOCTL(b, FIONREAD, addr(&n));
	cr_assert_eq(n, -5);
	SAME_IOCTL(b, FIONREAD, 8);
	SAME_IOCTL(b, TIOCOUTQ, addr(&n));
	both_close(b);
}

Test(odd_ioctl, FIOCLEX_and_FIONCLEX)
{
	struct both b = both_open(5, 0);
	SAME_IOCTL(b, FIOCLEX, 0);
	SAME_FCNTL(b, F_GETFD, 0);
	SAME_IOCTL(b, FIONCLEX, 0);
	SAME_FCNTL(b, F_GETFD, 0);
	both_close(b);
}

Test(odd_ioctl, FIONBIO)
{
	struct both b = both_open(5, 0);
	const int values[] = {1, 0, 77, -1, 0};
	for (unsigned int i = 0; i < sizeof(values) / sizeof(*values); i++) {
		SAME_IOCTL(b, FIONBIO, addr(&values[i]));
		SAME_FCNTL(b, F_GETFL, 0);
	}
	both_close(b);
}

Test(odd_ioctl, FIONBIO_leaves_the_other_flags)
{
	struct both b = both_open(5, 0);
	int on = 1, off = 0;
	same_setfl(b, O_APPEND);
	SAME_IOCTL(b, FIONBIO, addr(&on));
	SAME_FCNTL(b, F_GETFL, 0);
	SAME_IOCTL(b, FIONBIO, addr(&off));
	SAME_FCNTL(b, F_GETFL, 0);
	both_close(b);
}

Test(odd_ioctl, FIONBIO_and_FIOASYNC_with_bad_memory)
{
	struct both b = both_open(5, 0);
	SAME_IOCTL(b, FIONBIO, 0);
	SAME_IOCTL(b, FIONBIO, 8);
	SAME_IOCTL(b, FIOASYNC, 0);
	SAME_FCNTL(b, F_GETFL, 0);
	both_close(b);
}

Test(odd_ioctl, FIOASYNC)
{
	struct both b = both_open(5, 0);
	int on = 1, off = 0;
	SAME_IOCTL(b, FIOASYNC, addr(&off));
	SAME_IOCTL(b, FIOASYNC, addr(&on));
	SAME_FCNTL(b, F_GETFL, 0);
	SAME_IOCTL(b, FIOASYNC, addr(&off));
	both_close(b);
}

Test(odd_ioctl, of_terminals)
{
	struct both b = both_open(5, 0);
	struct termios t;
	struct winsize w;
	pid_t group;
	SAME_IOCTL(b, TCGETS, addr(&t));
	SAME_IOCTL(b, TIOCGWINSZ, addr(&w));
	SAME_IOCTL(b, TIOCGPGRP, addr(&group));
	both_close(b);
}

Test(odd_ioctl, of_files)
{
	struct both b = both_open(5, 0);
	long out[8];
	SAME_IOCTL(b, FIOQSIZE, addr(out));
	SAME_IOCTL(b, FIBMAP, addr(out));
	SAME_IOCTL(b, FIGETBSZ, addr(out));
	SAME_IOCTL(b, FS_IOC_GETFLAGS, addr(out));
	SAME_IOCTL(b, FICLONE, 0);
	both_close(b);
}

Test(odd_ioctl, unknown)
{
	struct both b = both_open(5, 0);
	const unsigned long unknown[] = {0, 1, 0x1234, 0xfffffffe, 0x8008beef};
	for (unsigned int i = 0; i < sizeof(unknown) / sizeof(*unknown); i++)
		SAME_IOCTL(b, unknown[i], 0);
	both_close(b);
}
