#define _GNU_SOURCE
#include "reexec.h"
#include "askboth.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROLE_SECONDS = 15 };

static const char mark[] = "--role";

extern const struct role *const __start_reexec_roles[] __attribute__((weak));
extern const struct role *const __stop_reexec_roles[] __attribute__((weak));

static void run_role(int argc, char **argv)
{
	int arg[ROLE_ARGS + 1];
	int count = 0;
	while (count < ROLE_ARGS && count + 3 < argc) {
		arg[count] = atoi(argv[count + 3]);
		count++;
	}
	arg[count] = -1;
	alarm(ROLE_SECONDS);
	for (const struct role *const *r = __start_reexec_roles; r < __stop_reexec_roles; r++) {
		if (!strcmp((*r)->name, argv[2])) {
			(*r)->run(arg);
			_exit(0);
		}
	}
	dprintf(2, "there is no role %s\n", argv[2]);
	_exit(254);
}

/* Criterion's own, with the roles in front. */
int main(int argc, char **argv)
{
	int result = 0;

	if (argc > 2 && !strcmp(argv[1], mark))
		run_role(argc, argv);
	struct criterion_test_set *tests = criterion_initialize();
	if (criterion_handle_args(argc, argv, true))
		result = !criterion_run_all_tests(tests);
	criterion_finalize(tests);
	return result;
}

const char *role_path(void)
{
	static char path[4096];
	if (!path[0] && readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		return "/proc/self/exe";
	return path;
}

/* Criterion's worker is told by this variable what it is; a role is not one. */
static void print_words(char *words, size_t size, const char *format, va_list args)
{
	unsetenv("BXFI_MAP");
	vsnprintf(words, size, format, args);
}

static char **split(const char *format, va_list args)
{
	static char words[1024];
	static char *argv[ROLE_ARGS + 4];
	char *rest;
	int count = 0;

	print_words(words, sizeof(words), format, args);
	argv[count++] = (char *)role_path();
	argv[count++] = (char *)mark;
	for (char *w = strtok_r(words, " ", &rest); w && count < ROLE_ARGS + 3;
		w = strtok_r(NULL, " ", &rest))
		argv[count++] = w;
	argv[count] = NULL;
	return argv;
}

char **role_argv(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char **argv = split(format, args);
	va_end(args);
	return argv;
}

const char *role_command(const char *format, ...)
{
	static char command[8192];
	char words[1024];
	va_list args;
	va_start(args, format);
	print_words(words, sizeof(words), format, args);
	va_end(args);
	snprintf(command, sizeof(command), "'%s' %s %s", role_path(), mark, words);
	return command;
}

static void exec_or_end(void *argv)
{
	execv(role_path(), argv);
	CHECK(!"execv");
}

pid_t start_role(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char **argv = split(format, args);
	va_end(args);
	return start_child(exec_or_end, argv);
}

void in_role(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char **argv = split(format, args);
	va_end(args);
	in_child(exec_or_end, argv);
}

void become(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	exec_or_end(split(format, args));
	_exit(1);
}
