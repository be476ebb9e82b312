/* New images: what they inherit must do without this one. */
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "interpose/interpose.h"

#include "core/handover.h"

/* Back from an exec that failed, or from making a child. */
static int stayed(int ret)
{
	handover_stayed();
	return ret;
}

int execve(const char *path, char *const argv[], char *const environment[])
{
	handover_new_image();
	return stayed(real()->execve(path, argv, environment));
}

int execv(const char *path, char *const argv[])
{
	handover_new_image();
	return stayed(real()->execv(path, argv));
}

int execvp(const char *file, char *const argv[])
{
	handover_new_image();
	return stayed(real()->execvp(file, argv));
}

int execvpe(const char *file, char *const argv[], char *const environment[])
{
	handover_new_image();
	return stayed(real()->execvpe(file, argv, environment));
}

int fexecve(int fd, char *const argv[], char *const environment[])
{
	handover_new_image();
	return stayed(real()->fexecve(fd, argv, environment));
}

int execveat(int dir, const char *path, char *const argv[], char *const environment[], int flags)
{
	handover_new_image();
	return stayed(real()->execveat(dir, path, argv, environment, flags));
}

/* How many arguments a list has, with the NULL that ends it. */
static size_t length_of(va_list list)
{
	size_t n = 2;

	while (va_arg(list, char *))
		n++;
	return n;
}

static void fill(char **argv, const char *first, size_t n, va_list list)
{
	argv[0] = (char *)(uintptr_t)first;
	for (size_t i = 1; i < n; i++)
		argv[i] = va_arg(list, char *);
}

int execl(const char *path, const char *arg, ...)
{
	va_list list, again;

	va_start(list, arg);
	va_copy(again, list);
	size_t n = length_of(again);
	va_end(again);
	char *argv[n];
	fill(argv, arg, n, list);
	va_end(list);
	return execv(path, argv);
}

int execlp(const char *file, const char *arg, ...)
{
	va_list list, again;

	va_start(list, arg);
	va_copy(again, list);
	size_t n = length_of(again);
	va_end(again);
	char *argv[n];
	fill(argv, arg, n, list);
	va_end(list);
	return execvp(file, argv);
}

int execle(const char *path, const char *arg, ...)
{
	va_list list, again;

	va_start(list, arg);
	va_copy(again, list);
	size_t n = length_of(again);
	va_end(again);
	char *argv[n];
	fill(argv, arg, n, list);
	char *const *environment = va_arg(list, char *const *);
	va_end(list);
	return execve(path, argv, environment);
}

static void hand_to_child(const posix_spawn_file_actions_t *actions)
{
	if (actions)
		handover_all();
	else
		handover_inherited();
}

/* On an older kernel the child tries calls in vain, and errno is the parent's. */
static int spawned(int saved, int err)
{
	if (!err)
		errno = saved;
	return stayed(err);
}

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attributes, char *const argv[], char *const environment[])
{
	int saved = errno;

	hand_to_child(actions);
	return spawned(
		saved, real()->posix_spawn(pid, path, actions, attributes, argv, environment));
}

int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attributes, char *const argv[], char *const environment[])
{
	int saved = errno;

	hand_to_child(actions);
	return spawned(
		saved, real()->posix_spawnp(pid, file, actions, attributes, argv, environment));
}

int system(const char *command)
{
	if (command)
		handover_inherited();
	return stayed(real()->system(command));
}

SYMBOLS_EXEC(SHIM_NO_ALIAS, SHIM_ALIAS)
