/* What the unit suites share: a store of their own, children, rounds. */
#ifndef UNIT_H
#define UNIT_H

#include <criterion/criterion.h>
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/config.h"
#include "core/object.h"
#include "core/store.h"
#include "testkit.h"

/* The store's directory, private to each test; removed when the test is over. */
static char unit_dir[128];

static inline int unit_remove_one(
	const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	return remove(path);
}

static inline void unit_remove(const char *path)
{
	nftw(path, unit_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void unit_setup(void)
{
	const char *base = getenv("EFDSHIM_DIR");

	snprintf(unit_dir, sizeof(unit_dir), "%s/unit.XXXXXX", base && base[0] ? base : "/dev/shm");
	cr_assert(mkdtemp(unit_dir));
	config.dir = unit_dir;
	tk_setup();
}

static inline void unit_teardown(void)
{
	umount2(unit_dir, MNT_DETACH); /* where a test has put a file system there */
	unit_remove(unit_dir);
	tk_teardown();
}

/* What everything on files needs. */
static inline void unit_open_store(void)
{
	cr_assert_eq(fdtable_init(), 0);
	cr_assert_eq(store_open(), 0);
}

/* A path below the store's directory. The space is used again by the next call but one. */
static inline const char *unit_path(const char *name)
{
	static char space[2][256];
	static int turn;

	turn = !turn;
	snprintf(space[turn], sizeof(space[turn]), "%s/%s", unit_dir, name);
	return space[turn];
}

/* A new fake fd. */
static inline struct fdref unit_object_of(enum slot_kind kind, uint64_t initial, int flags)
{
	struct fdref ref = {0};
	struct outcome made = object_create(kind, initial, flags);
	int fd = (int)made.value;

	cr_assert_eq(made.err, 0, "object_create: %d", made.err);
	cr_assert(object_is(&fd, &ref));
	return ref;
}

static inline struct fdref unit_object(uint64_t count, int flags)
{
	return unit_object_of(KIND_COUNTER, count, flags);
}

static inline struct fdref unit_ref(int fd)
{
	struct fdref ref = {0};

	cr_assert(object_is(&fd, &ref), "%d is no object", fd);
	return ref;
}

static inline void unit_close(struct fdref ref)
{
	struct outcome closed = object_close(&ref);

	cr_assert_eq(closed.err, 0);
	cr_assert_eq(closed.value, 0);
}

/* What poll(2) says of an fd right now. */
static inline short unit_poll(int fd, short events)
{
	struct pollfd asked = {.fd = fd, .events = events};

	return poll(&asked, 1, 0) == 1 ? asked.revents : 0;
}

/* Memory that forked children share. */
static inline void *unit_shared(size_t bytes)
{
	void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(map, MAP_FAILED);
	return map;
}

/* A child must not assert: it returns 0, or what it is to exit with. */
static inline pid_t unit_fork(int (*body)(void *), void *arg)
{
	pid_t pid = fork();

	cr_assert(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves nobody behind */
	object_forked();
	_exit(body(arg));
}

/* The child's exit status, or -signal. */
static inline int unit_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		cr_assert_eq(errno, EINTR);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* A pipe by which one process lets another go on. */
struct unit_gate {
	int fds[2];
};

static inline struct unit_gate unit_gate(void)
{
	struct unit_gate gate;

	cr_assert_eq(pipe(gate.fds), 0);
	return gate;
}

static inline void unit_open_gate(const struct unit_gate *gate)
{
	if (write(gate->fds[1], "", 1) != 1)
		abort();
}

static inline void unit_pass_gate(const struct unit_gate *gate)
{
	char byte;

	if (read(gate->fds[0], &byte, 1) != 1)
		abort();
}

static inline void unit_close_gate(const struct unit_gate *gate)
{
	close(gate->fds[0]);
	close(gate->fds[1]);
}

/* Many rounds where the machine is quick, fewer under valgrind: never more than some seconds. */
struct unit_rounds {
	int left;
	int64_t end;
};

static inline struct unit_rounds unit_rounds(int most)
{
	return (struct unit_rounds){.left = most, .end = tk_now_ms() + 5000};
}

static inline bool unit_another_round(struct unit_rounds *rounds)
{
	return rounds->left-- > 0 && tk_now_ms() < rounds->end;
}

#endif
