/* Where libefdshim.so is, and the LD_PRELOAD that names it. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY_NAME "libefdshim.so"

static bool own_directory(char directory[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", directory, PATH_MAX - 1);
	if (n <= 0)
		return false;
	directory[n] = 0;
	char *slash = strrchr(directory, '/');
	if (!slash)
		return false;
	*slash = 0;
	return true;
}

static bool is_there(const char *directory, const char *below, char path[PATH_MAX])
{
	char name[PATH_MAX];
	int n = snprintf(name, sizeof(name), "%s/%s" LIBRARY_NAME, directory, below);
	return n > 0 && n < PATH_MAX && realpath(name, path);
}

static bool find_file(char path[PATH_MAX])
{
	char directory[PATH_MAX];
	if (own_directory(directory) &&
		(is_there(directory, "", path) || is_there(directory, "../lib/", path)))
		return true;
	const char *chosen = getenv("EFDSHIM_LIB");
	return chosen && *chosen && realpath(chosen, path);
}

int library_find(char path[PATH_MAX], struct elf_file *elf)
{
	if (!find_file(path)) {
		cli_complain("cannot find " LIBRARY_NAME
			     " beside the launcher, in ../lib or as $EFDSHIM_LIB");
		return CLI_REFUSED;
	}
	if (strpbrk(path, " :")) {
		cli_complain("%s: LD_PRELOAD cannot name a path with a space or a colon", path);
		return CLI_REFUSED;
	}
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		cli_complain("%s: %s", path, strerror(errno));
		return CLI_REFUSED;
	}
	bool usable = elf_read(fd, elf) && elf->machine;
	close(fd);
	if (!usable) {
		cli_complain("%s: not a shared library", path);
		return CLI_REFUSED;
	}
	return CLI_OK;
}

static bool names_the_shim(const char *entry, size_t length)
{
	static const char name[] = LIBRARY_NAME;
	size_t n = sizeof(name) - 1;
	if (length < n || memcmp(entry + length - n, name, n) != 0)
		return false;
	return length == n || entry[length - n - 1] == '/';
}

/* What LD_PRELOAD names but the shim, `first` before it. */
static int set_preload(const char *first, const char *old)
{
	size_t room = strlen(first) + strlen(old) + 2;
	char *value = malloc(room);
	if (!value) {
		cli_complain("%s", strerror(errno));
		return CLI_REFUSED;
	}
	size_t used = (size_t)snprintf(value, room, "%s", first);
	for (const char *entry = old; *entry;) {
		size_t length = strcspn(entry, " :");
		if (length && !names_the_shim(entry, length))
			used += (size_t)snprintf(value + used, room - used, "%s%.*s",
				used ? ":" : "", (int)length, entry);
		entry += length;
		entry += strspn(entry, " :");
	}
	int failed = used ? setenv("LD_PRELOAD", value, 1) : unsetenv("LD_PRELOAD");
	free(value);
	if (failed)
		cli_complain("LD_PRELOAD: %s", strerror(errno));
	return failed ? CLI_REFUSED : CLI_OK;
}

int library_preload(const char *library)
{
	const char *old = getenv("LD_PRELOAD");
	return set_preload(library, old ? old : "");
}

int library_leave_out(void)
{
	const char *old = getenv("LD_PRELOAD");
	return old ? set_preload("", old) : CLI_OK;
}
