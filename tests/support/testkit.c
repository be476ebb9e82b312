#define _GNU_SOURCE
#include "testkit.h"

#include <sys/prctl.h>
#include <stddef.h>
#include <linux/seccomp.h>
#include <linux/filter.h>
#include <errno.h>
#include <criterion/criterion.h>
#include <dirent.h>
#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { TRACKED_FDS = 512, WAIT_LIMIT_MS = 10000 };

static bool open_at_setup[TRACKED_FDS];

bool tk_under_shim(void)
{
	Dl_info info;
	void *sym = dlsym(RTLD_DEFAULT, "efdshim_version");
	return sym && dladdr(sym, &info);
}

static void list_open(bool open[TRACKED_FDS])
{
	memset(open, 0, TRACKED_FDS * sizeof(*open));
	DIR *dir = opendir("/proc/self/fd");
	cr_assert(dir);
	for (struct dirent *e; (e = readdir(dir));) {
		int fd = atoi(e->d_name);
		if (e->d_name[0] != '.' && fd != dirfd(dir) && fd < TRACKED_FDS)
			open[fd] = true;
	}
	closedir(dir);
}

int tk_lowest_free(void)
{
	int fd = dup(STDIN_FILENO);
	close(fd);
	return fd;
}

void tk_setup(void)
{
	list_open(open_at_setup);
}

/* Criterion prints a failed assertion of a fixture, but lets the test pass: only a crash counts. */
void tk_teardown(void)
{
	bool now[TRACKED_FDS];
	bool same = true;

	list_open(now);
	for (int fd = 0; fd < TRACKED_FDS; fd++) {
		if (now[fd] == open_at_setup[fd])
			continue;
		fprintf(stderr, "fd %d is %s\n", fd, now[fd] ? "leaked" : "gone");
		same = false;
	}
	if (!same)
		abort();
}

int tk_memory_file(int flags)
{
	char path[] = "/dev/shm/testkit-XXXXXX";
	int fd = mkostemp(path, flags);

	if (fd >= 0)
		unlink(path);
	return fd;
}

static char task_state(const char *path)
{
	char line[512];
	FILE *f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? 'X' : 0;
	size_t n = fread(line, 1, sizeof(line) - 1, f);
	fclose(f);
	line[n] = 0;
	char *paren = strrchr(line, ')');
	return paren && paren[1] ? paren[2] : 0;
}

static void wait_asleep(const char *path)
{
	int64_t end = tk_now_ms() + WAIT_LIMIT_MS;
	for (int seen = 0; seen < 3;) {
		char state = task_state(path);
		cr_assert(tk_now_ms() < end, "%s never slept", path);
		seen = state == 'S' || state == 'X' ? seen + 1 : 0;
		sched_yield();
	}
}

void tk_wait_asleep(pid_t tid)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	wait_asleep(path);
}

void tk_wait_process_asleep(pid_t pid)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	wait_asleep(path);
}

int64_t tk_now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

#if defined(__x86_64__)
static long raw_instruction(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
static long raw_instruction(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#else
#error "no raw system call for this architecture"
#endif

/* A mark in the upper half of an int: the sixth argument, or the first where the sixth is no int.
 */
long tk_raw_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	const unsigned long mark = (unsigned long)TK_UNFILTERED << 32, low = UINT32_MAX;

	switch (nr) {
	case SYS_mmap:
	case SYS_recvfrom:
	case SYS_sendto:
		return raw_instruction(nr, a, b, c, d, e, f);
	case SYS_epoll_pwait:
	case SYS_pselect6:
#ifdef SYS_epoll_pwait2
	case SYS_epoll_pwait2:
#endif
		return raw_instruction(nr, (long)(mark | ((unsigned long)a & low)), b, c, d, e, f);
	default:
		return raw_instruction(nr, a, b, c, d, e, (long)(mark | ((unsigned long)f & low)));
	}
}

bool tk_lacks(long nr)
{
	return raw_instruction(nr, -1, 0, 0, 0, 0, 0) == -ENOSYS;
}

/* Both are of a bad fd: they differ where the profile answers instead of the kernel. */
int tk_refuses(const long nr_and_args[7])
{
	const long *a = nr_and_args + 1;
	long here = raw_instruction(nr_and_args[0], -1, a[1], a[2], a[3], a[4], a[5]);
	long there = tk_raw_syscall(nr_and_args[0], -1, a[1], a[2], a[3], a[4], a[5]);

	return here == there ? 0 : (int)-here;
}

void tk_deny(long one, long two)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)one, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)two, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = 5, .filter = filter};

	if (tk_raw_syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0) ||
		tk_raw_syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER,
			(long)(intptr_t)&program, 0, 0, 0))
		_exit(77);
}
