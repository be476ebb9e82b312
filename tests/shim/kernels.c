/* What of the system calls and flags since 2.6.18 the kernel, or a filter, lets through. As
 * `kernels` it prints its answers; as `kernels VERSION`, with these answers of the unfiltered
 * kernel on stdin, it compares. The versions are from the kernel's history by number, not from the
 * launcher's table. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define MB (1 << 20)

struct range {
	const char *since;
	int first, last;
};

#if defined(__x86_64__)
static const struct range calls[] = {
	{"2.6.22", 280, 282},
	{"2.6.25", 283, 283},
	{"2.6.22", 284, 284},
	{"2.6.23", 285, 285},
	{"2.6.25", 286, 287},
	{"2.6.28", 288, 288},
	{"2.6.27", 289, 294},
	{"2.6.30", 295, 296},
	{"2.6.31", 297, 298},
	{"2.6.33", 299, 299},
	{"2.6.37", 300, 301},
	{"2.6.36", 302, 302},
	{"2.6.39", 303, 306},
	{"3.0", 307, 308},
	{"3.1", 309, 309},
	{"3.2", 310, 311},
	{"3.5", 312, 312},
	{"3.8", 313, 313},
	{"3.14", 314, 315},
	{"3.15", 316, 316},
	{"3.17", 317, 320},
	{"3.18", 321, 321},
	{"3.19", 322, 322},
	{"4.3", 323, 324},
	{"4.4", 325, 325},
	{"4.5", 326, 326},
	{"4.6", 327, 328},
	{"4.9", 329, 331},
	{"4.11", 332, 332},
	{"4.18", 333, 334},
	{"5.1", 424, 427},
	{"5.2", 428, 433},
	{"5.3", 434, 435},
	{"5.9", 436, 436},
	{"5.6", 437, 438},
	{"5.8", 439, 439},
	{"5.10", 440, 440},
	{"5.11", 441, 441},
	{"5.12", 442, 442},
	{"5.14", 443, 443},
	{"5.13", 444, 446},
	{"5.14", 447, 447},
	{"5.15", 448, 448},
	{"5.16", 449, 449},
	{"5.17", 450, 450},
	{"6.5", 451, 600},
};
#else /* one numbering from 424 on */
static const struct range calls[] = {
	{"5.1", 424, 427},
	{"5.2", 428, 433},
	{"5.3", 434, 435},
	{"5.9", 436, 436},
	{"5.6", 437, 438},
	{"5.8", 439, 439},
	{"5.10", 440, 440},
	{"5.11", 441, 441},
	{"5.12", 442, 442},
	{"5.14", 443, 443},
	{"5.13", 444, 446},
	{"5.14", 447, 447},
	{"5.15", 448, 448},
	{"5.16", 449, 449},
	{"5.17", 450, 450},
	{"6.5", 451, 600},
};
#endif

/* What a call is asked for; FILE_FD and MEMORY stand for a file of a page and for a page. */
enum {
	FILE_FD = -1001,
	MEMORY = -1002,
	DIRECTORY = -1003,
	ROOM = -1004,
	TIMER_FD = -1005,
	RING_FD = -1006
};

struct flag {
	const char *name;
	const char *call_since, *since;
	int error;
	long words[7];
};

static const struct flag flags[] = {
	{"socket", "1.0", "1.0", 0, {SYS_socket, AF_UNIX, SOCK_STREAM}},
	{"SOCK_CLOEXEC", "1.0", "2.6.27", EINVAL,
		{SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC}},
	{"SOCK_NONBLOCK", "1.0", "2.6.27", EINVAL,
		{SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK}},
	{"socketpair", "1.0", "1.0", 0, {SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, ROOM}},
	{"socketpair SOCK_CLOEXEC", "1.0", "2.6.27", EINVAL,
		{SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ROOM}},
	{"F_DUPFD", "1.0", "1.0", 0, {SYS_fcntl, FILE_FD, F_DUPFD, 5}},
	{"F_DUPFD_CLOEXEC", "1.0", "2.6.24", EINVAL, {SYS_fcntl, FILE_FD, F_DUPFD_CLOEXEC, 5}},
	{"F_GETOWN_EX", "1.0", "2.6.32", EINVAL, {SYS_fcntl, FILE_FD, F_GETOWN_EX, ROOM}},
	{"F_GETPIPE_SZ", "1.0", "2.6.35", EINVAL, {SYS_fcntl, FILE_FD, F_GETPIPE_SZ}},
	{"F_OFD_GETLK", "1.0", "3.15", EINVAL, {SYS_fcntl, FILE_FD, F_OFD_GETLK, ROOM}},
	{"F_GET_SEALS", "1.0", "3.17", EINVAL, {SYS_fcntl, FILE_FD, F_GET_SEALS}},
	{"pipe2", "2.6.27", "2.6.27", 0, {SYS_pipe2, ROOM, O_CLOEXEC | O_NONBLOCK}},
	{"pipe2 O_DIRECT", "2.6.27", "3.4", EINVAL, {SYS_pipe2, ROOM, O_DIRECT}},
	{"eventfd2", "2.6.27", "2.6.27", 0, {SYS_eventfd2, 0, O_CLOEXEC | O_NONBLOCK}},
	{"EFD_SEMAPHORE", "2.6.27", "2.6.30", EINVAL, {SYS_eventfd2, 0, 1}},
	{"timerfd_create", "2.6.25", "2.6.25", 0, {SYS_timerfd_create, 1, 0}},
	{"TFD_CLOEXEC", "2.6.25", "2.6.27", EINVAL, {SYS_timerfd_create, 1, O_CLOEXEC}},
	{"TFD_NONBLOCK", "2.6.25", "2.6.27", EINVAL, {SYS_timerfd_create, 1, O_NONBLOCK}},
	{"timerfd of CLOCK_BOOTTIME", "2.6.25", "3.15", EINVAL, {SYS_timerfd_create, 7, 0}},
	{"timerfd_settime", "2.6.25", "2.6.25", 0, {SYS_timerfd_settime, TIMER_FD, 1, ROOM}},
	{"TFD_TIMER_CANCEL_ON_SET", "2.6.25", "3.0", EINVAL,
		{SYS_timerfd_settime, TIMER_FD, 3, ROOM}},
	{"openat", "1.0", "1.0", 0, {SYS_openat, AT_FDCWD, DIRECTORY, O_RDONLY | O_CLOEXEC}},
	{"O_TMPFILE", "1.0", "3.11", EISDIR,
		{SYS_openat, AT_FDCWD, DIRECTORY, O_TMPFILE | O_RDWR, 0600}},
	{"SEEK_CUR", "1.0", "1.0", 0, {SYS_lseek, FILE_FD, 0, SEEK_CUR}},
	{"SEEK_DATA", "1.0", "3.1", EINVAL, {SYS_lseek, FILE_FD, 0, SEEK_DATA}},
	{"SEEK_HOLE", "1.0", "3.1", EINVAL, {SYS_lseek, FILE_FD, 0, SEEK_HOLE}},
	{"fallocate", "2.6.23", "2.6.23", 0, {SYS_fallocate, FILE_FD, 0, 0, 4096}},
	{"FALLOC_FL_PUNCH_HOLE", "2.6.23", "2.6.38", EOPNOTSUPP,
		{SYS_fallocate, FILE_FD, 3, 0, 4096}},
	{"FALLOC_FL_ZERO_RANGE", "2.6.23", "3.15", EOPNOTSUPP,
		{SYS_fallocate, FILE_FD, 16, 0, 4096}},
	{"RUSAGE_SELF", "1.0", "1.0", 0, {SYS_getrusage, 0, ROOM}},
	{"RUSAGE_THREAD", "1.0", "2.6.26", EINVAL, {SYS_getrusage, 1, ROOM}},
	{"MADV_DONTNEED", "1.0", "1.0", 0, {SYS_madvise, MEMORY, 4096, 4}},
	{"MADV_HUGEPAGE", "1.0", "2.6.38", EINVAL, {SYS_madvise, MEMORY, 4096, 14}},
	{"MADV_DONTDUMP", "1.0", "3.4", EINVAL, {SYS_madvise, MEMORY, 4096, 16}},
	{"MADV_FREE", "1.0", "4.5", EINVAL, {SYS_madvise, MEMORY, 4096, 8}},
	{"MADV_WIPEONFORK", "1.0", "4.14", EINVAL, {SYS_madvise, MEMORY, 4096, 18}},
	{"MADV_PAGEOUT", "1.0", "5.4", EINVAL, {SYS_madvise, MEMORY, 4096, 21}},
	{"MADV_POPULATE_READ", "1.0", "5.14", EINVAL, {SYS_madvise, MEMORY, 4096, 22}},
	{"PR_GET_DUMPABLE", "1.0", "1.0", 0, {SYS_prctl, 3}},
	{"PR_GET_TIMERSLACK", "1.0", "2.6.28", EINVAL, {SYS_prctl, 30}},
	{"PR_GET_NO_NEW_PRIVS", "1.0", "3.5", EINVAL, {SYS_prctl, 39}},
	{"PR_SET_CHILD_SUBREAPER", "1.0", "3.4", EINVAL, {SYS_prctl, 36, 0}},
	{"memfd_create", "3.17", "3.17", 0, {SYS_memfd_create, DIRECTORY, 3}},
	{"MFD_EXEC", "3.17", "6.3", EINVAL, {SYS_memfd_create, DIRECTORY, 16}},
	{"renameat2", "3.15", "3.15", 0, {SYS_renameat2, -1, MEMORY, -1, MEMORY, 0}},
	{"RENAME_WHITEOUT", "3.15", "3.18", EINVAL, {SYS_renameat2, -1, MEMORY, -1, MEMORY, 4}},
	{"getrandom", "3.17", "3.17", 0, {SYS_getrandom, ROOM, 8, 1}},
	{"GRND_INSECURE", "3.17", "5.6", EINVAL, {SYS_getrandom, ROOM, 8, 4}},
	{"MEMBARRIER_CMD_QUERY", "4.3", "4.3", 0, {SYS_membarrier, 0, 0}},
	{"MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED", "4.3", "4.14", EINVAL,
		{SYS_membarrier, 16, 0}},
	{"preadv2", "4.6", "4.6", 0, {SYS_preadv2, FILE_FD, ROOM, 0, 0, 0, 0}},
	{"RWF_NOWAIT", "4.6", "4.14", EOPNOTSUPP, {SYS_preadv2, FILE_FD, ROOM, 0, 0, 0, 8}},
	{"pwritev2 RWF_SYNC", "4.6", "4.7", EOPNOTSUPP, {SYS_pwritev2, FILE_FD, ROOM, 0, 0, 0, 4}},
	{"pwritev2 RWF_APPEND", "4.6", "4.16", EOPNOTSUPP,
		{SYS_pwritev2, FILE_FD, ROOM, 0, 0, 0, 16}},
	{"P_PID", "1.0", "1.0", 0, {SYS_waitid, 1, 0x7ffffff, 0, 4}},
	{"P_PIDFD", "1.0", "5.4", EINVAL, {SYS_waitid, 3, FILE_FD, 0, 4}},
	{"pidfd_open", "5.3", "5.3", 0, {SYS_pidfd_open, 1, 0}},
	{"PIDFD_NONBLOCK", "5.3", "5.10", EINVAL, {SYS_pidfd_open, 1, O_NONBLOCK}},
	{"PR_GET_SECCOMP", "1.0", "2.6.23", EINVAL, {SYS_prctl, 21}},
	{"PR_GET_SECUREBITS", "1.0", "2.6.26", EINVAL, {SYS_prctl, 27}},
	{"PR_MCE_KILL_GET", "1.0", "2.6.32", EINVAL, {SYS_prctl, 34}},
	{"PR_GET_TID_ADDRESS", "1.0", "3.5", EINVAL, {SYS_prctl, 40, ROOM}},
	{"PR_GET_THP_DISABLE", "1.0", "3.15", EINVAL, {SYS_prctl, 42}},
	{"PR_GET_SPECULATION_CTRL", "1.0", "4.17", EINVAL, {SYS_prctl, 52}},
	{"PR_GET_IO_FLUSHER", "1.0", "5.6", EINVAL, {SYS_prctl, 58}},
	{"PR_GET_MDWE", "1.0", "6.3", EINVAL, {SYS_prctl, 66}},
	{"unshare", "1.0", "1.0", 0, {SYS_unshare, 0x400}},
	{"CLONE_NEWUTS", "1.0", "2.6.19", EINVAL, {SYS_unshare, 0x04000000}},
	{"CLONE_NEWIPC", "1.0", "2.6.19", EINVAL, {SYS_unshare, 0x08000000}},
	{"CLONE_NEWNET", "1.0", "2.6.24", EINVAL, {SYS_unshare, 0x40000000}},
	{"CLONE_NEWPID", "1.0", "3.8", EINVAL, {SYS_unshare, 0x20000000}},
	{"PTRACE_GETREGSET", "1.0", "2.6.34", EIO, {SYS_ptrace, 0x4204, 0x7ffffff}},
	{"timer of CLOCK_MONOTONIC", "1.0", "1.0", 0, {SYS_timer_create, 1, 0, ROOM}},
	{"timer of CLOCK_BOOTTIME", "1.0", "2.6.39", EINVAL, {SYS_timer_create, 7, 0, ROOM}},
	{"timer of CLOCK_TAI", "1.0", "3.10", EINVAL, {SYS_timer_create, 11, 0, ROOM}},
	{"sleep by CLOCK_BOOTTIME", "1.0", "2.6.39", EINVAL, {SYS_clock_nanosleep, 7, 0, ROOM}},
	{"PERF_FLAG_FD_CLOEXEC", "2.6.31", "3.14", EINVAL,
		{SYS_perf_event_open, ROOM, 0, -1, -1, 8}},
	{"mmap", "1.0", "1.0", 0, {SYS_mmap, 0, 4096, 1, 1, FILE_FD}},
	{"MAP_SHARED_VALIDATE", "1.0", "4.15", EINVAL, {SYS_mmap, 0, 4096, 1, 3, FILE_FD}},
	{"MAP_DROPPABLE", "1.0", "6.11", EINVAL, {SYS_mmap, 0, 4096, 3, 8 | 32, -1}},
	{"seccomp", "3.17", "3.17", 0, {SYS_seccomp, 1, 1, 0}},
	{"SECCOMP_FILTER_FLAG_LOG", "3.17", "4.14", EINVAL, {SYS_seccomp, 1, 2, 0}},
	{"SECCOMP_FILTER_FLAG_SPEC_ALLOW", "3.17", "4.17", EINVAL, {SYS_seccomp, 1, 4, 0}},
	{"SECCOMP_FILTER_FLAG_NEW_LISTENER", "3.17", "5.0", EINVAL, {SYS_seccomp, 1, 8, 0}},
	{"SECCOMP_GET_ACTION_AVAIL", "3.17", "4.14", EINVAL, {SYS_seccomp, 2, 0, ROOM}},
	{"userfaultfd", "4.3", "4.3", 0, {SYS_userfaultfd, 0}},
	{"UFFD_USER_MODE_ONLY", "4.3", "5.11", EINVAL, {SYS_userfaultfd, 1}},
	{"PIDFD_THREAD", "5.3", "6.9", EINVAL, {SYS_pidfd_open, 1, 0200}},
	{"io_uring_enter", "5.1", "5.1", 0, {SYS_io_uring_enter, RING_FD, 0, 0, 0}},
	{"IORING_ENTER_EXT_ARG", "5.1", "5.11", EINVAL, {SYS_io_uring_enter, RING_FD, 0, 0, 8}},
	{"IORING_UNREGISTER_EVENTFD", "5.1", "5.2", EINVAL, {SYS_io_uring_register, RING_FD, 5}},
	{"IORING_REGISTER_PROBE", "5.1", "5.6", EINVAL,
		{SYS_io_uring_register, RING_FD, 8, ROOM, 1}},
	{"FUTEX_WAKE", "1.0", "1.0", 0, {SYS_futex, ROOM, 1, 1}},
	{"FUTEX_LOCK_PI2", "1.0", "5.14", ENOSYS, {SYS_futex, MEMORY, 13 | 128, 0}},
};

static int file, timer, ring;
static void *page;
static _Alignas(4096) char room[4096];

static long translate(long word)
{
	switch (word) {
	case FILE_FD:
		return file;
	case TIMER_FD:
		return timer;
	case RING_FD:
		return ring;
	case MEMORY:
		return (long)page;
	case DIRECTORY:
		return (long)(intptr_t) "/dev/shm";
	case ROOM:
		return (long)(intptr_t)room;
	default:
		return word;
	}
}

static int error_of(const long words[7])
{
	long w[7];

	for (int i = 0; i < 7; i++)
		w[i] = translate(words[i]);
	memset(room, 0, sizeof(room));
	errno = 0;
	return syscall(w[0], w[1], w[2], w[3], w[4], w[5], w[6]) == -1 ? errno : 0;
}

static int order(const char *a, const char *b)
{
	for (;;) {
		long x = strtol(a, (char **)&a, 10), y = strtol(b, (char **)&b, 10);

		if (x != y)
			return x < y ? -1 : 1;
		if (!*a && !*b)
			return 0;
		a += *a == '.';
		b += *b == '.';
	}
}

/* The next line of the unfiltered kernel's. */
static int recorded(void)
{
	int error = -1;

	if (scanf("%d", &error) != 1)
		abort();
	return error;
}

static int failures;

static void judge(const char *version, const char *name, int error, int expected)
{
	if (error == expected)
		return;
	printf("%s under %s: %s, not %s\n", name, version, strerror(error), strerror(expected));
	failures++;
}

static void ask_calls(const char *version)
{
	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		for (int number = calls[i].first; number <= calls[i].last; number++) {
			char name[32];
			/* nothing there, and no flags */
			int error = error_of((long[7]){number, -1});
			if (!version) {
				printf("%d\n", error);
				continue;
			}
			int native = recorded();
			snprintf(name, sizeof(name), "call %d", number);
			judge(version, name, error,
				order(version, calls[i].since) < 0 ? ENOSYS : native);
		}
	}
}

static void ask_flags(const char *version)
{
	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		const struct flag *flag = &flags[i];
		int error = error_of(flag->words);

		if (!version) {
			printf("%d\n", error);
			continue;
		}
		int native = recorded();
		int expected = order(version, flag->call_since) < 0 ? ENOSYS
			       : order(version, flag->since) < 0    ? flag->error
								    : native;
		judge(version, flag->name, error, expected);
	}
}

int main(int argc, char **argv)
{
	const char *version = argc > 1 ? argv[1] : NULL;
	FILE *made = tmpfile();

	if (!made)
		return 2;
	setvbuf(stdin, NULL, _IOFBF, MB);
	file = fileno(made);
	timer = (int)syscall(SYS_timerfd_create, 1, 0);
	ring = (int)syscall(SYS_io_uring_setup, 1, room);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ask_flags(version);
	ask_calls(version);
	return failures != 0;
}
