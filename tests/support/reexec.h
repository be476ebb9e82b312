/* The test binary as another program: it is executed once more and runs one role instead of the
 * tests. A role may not assert; CHECK of askboth.h says what is wrong and ends it. */
#ifndef REEXEC_H
#define REEXEC_H

#include <sys/types.h>

enum { ROLE_ARGS = 12 };

struct role {
	const char *name;
	void (*run)(const int *arg);
};

/* ROLE(name) { ... arg[0] ... }: the arguments of the role, as numbers. They end with -1. */
#define ROLE(id)                                                                                   \
	static void role_##id(const int *arg);                                                     \
	static const struct role id##_entry = {#id, role_##id};                                    \
	__attribute__((section("reexec_roles"),                                                    \
		used)) static const struct role *const id##_pointer = &id##_entry;                 \
	static void role_##id(const int *arg)

/* The binary's path, and an argument vector for it: "NAME NUMBER...". It is the caller's to free.
 */
const char *role_path(void);
char **role_argv(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same as a command for a shell. */
const char *role_command(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* fork and exec. end_child() of askboth.h waits and asserts; in_role() is both. */
pid_t start_role(const char *format, ...) __attribute__((format(printf, 1, 2)));
void in_role(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* For a child: becomes the role, or ends. */
void become(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
