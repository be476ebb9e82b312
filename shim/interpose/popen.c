/* popen and pclose. libc's popen makes its pipe by pipe2 (2.6.27), where nobody can help it. */
#include <paths.h>
#include <spawn.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "interpose/interpose.h"

#include "core/handover.h"
#include "sys/older.h"

enum { MOST = 256 };

/* Streams that were opened here. A place is taken by its pid, and given back by it. The fd is kept
 * as other threads may close the stream at any time; 0 is none, it is one too high. */
static struct opened {
	_Atomic pid_t pid;
	_Atomic int fd;
	FILE *_Atomic stream;
} all[MOST];

static const pid_t reserved = -1;
static _Atomic bool any;

static struct opened *take_place(void)
{
	for (int i = 0; i < MOST; i++) {
		pid_t nobody = 0;

		if (atomic_compare_exchange_strong(&all[i].pid, &nobody, reserved))
			return &all[i];
	}
	return NULL;
}

static void give_place(struct opened *place)
{
	atomic_store(&place->fd, 0);
	atomic_store(&place->stream, NULL);
	atomic_store(&place->pid, 0);
}

/* The child has none of the streams that were opened before, as POSIX wants it. */
static int add_actions(posix_spawn_file_actions_t *actions, int end, int target)
{
	int err = 0;

	for (int i = 0; i < MOST && !err; i++) {
		int fd = atomic_load(&all[i].fd) - 1;

		if (fd >= 0 && fd != target)
			err = posix_spawn_file_actions_addclose(actions, fd);
	}
	return err ? err : posix_spawn_file_actions_adddup2(actions, end, target);
}

static int start_shell(pid_t *pid, const char *command, int end, int target)
{
	char *const words[] = {"sh", "-c", (char *)(uintptr_t)command, NULL};
	posix_spawn_file_actions_t actions;
	int err = posix_spawn_file_actions_init(&actions);

	if (err)
		return err;
	err = add_actions(&actions, end, target);
	if (!err)
		err = real()->posix_spawn(pid, _PATH_BSHELL, &actions, NULL, words, environ);
	posix_spawn_file_actions_destroy(&actions);
	return err;
}

static struct opened *place_of(const FILE *stream)
{
	for (int i = 0; i < MOST; i++) {
		if (atomic_load(&all[i].stream) == stream)
			return &all[i];
	}
	return NULL;
}

/* A stream that was closed by fclose has left its place behind. */
static void note(struct opened *place, FILE *stream, int fd, pid_t pid)
{
	struct opened *stale = place_of(stream);

	if (stale)
		give_place(stale);
	atomic_store(&place->pid, pid);
	atomic_store(&place->fd, fd + 1);
	atomic_store(&place->stream, stream);
	atomic_store(&any, true);
}

/* The shell at one end of the pipe, and a stream at the other. */
static FILE *open_between(
	struct opened *place, const int ends[2], const char *command, const char *mode)
{
	int ours = strchr(mode, 'r') ? 0 : 1;
	FILE *stream = real()->fdopen(ends[ours], ours ? "w" : "r");
	pid_t pid = 0;
	int err;

	if (!stream) {
		real()->close(ends[ours]);
		return NULL;
	}
	err = start_shell(&pid, command, ends[!ours], ours ? STDIN_FILENO : STDOUT_FILENO);
	if (err) {
		real()->fclose(stream);
		errno = err;
		return NULL;
	}
	if (!strchr(mode, 'e'))
		real()->fcntl(ends[ours], F_SETFD, 0);
	note(place, stream, ends[ours], pid);
	return stream;
}

static SHIM_LONG_WAY FILE *older_popen(const char *command, const char *mode, int saved)
{
	struct opened *place = take_place();
	int ends[2], err;
	FILE *stream;

	err = place ? older_pipe2(ends, O_CLOEXEC) : -EMFILE;
	if (err) {
		if (place)
			give_place(place);
		errno = -err;
		return NULL;
	}
	stream = open_between(place, ends, command, mode);
	if (stream)
		errno = saved;
	else
		give_place(place);
	err = errno;
	real()->close(ends[strchr(mode, 'r') ? 1 : 0]);
	errno = err;
	return stream;
}

FILE *popen(const char *command, const char *mode)
{
	int saved = errno;
	FILE *stream;

	handover_inherited();
	stream = real()->popen(command, mode);
	if (!stream && errno == ENOSYS)
		stream = older_popen(command, mode, saved);
	handover_stayed();
	if (stream)
		object_new_file(real()->fileno(stream));
	return stream;
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -1;
	}
	return status;
}

int pclose(FILE *stream)
{
	struct opened *place = stream && atomic_load(&any) ? place_of(stream) : NULL;
	pid_t pid;

	if (!place)
		return real()->pclose(stream);
	pid = atomic_load(&place->pid);
	give_place(place);
	real()->fclose(stream);
	return wait_for(pid);
}

SYMBOLS_POPEN(SHIM_NO_ALIAS, SHIM_ALIAS)
