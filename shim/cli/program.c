/* Which file a command is, and whether a preloaded library would reach it. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { MAX_INTERPRETERS = 4, SCRIPT_LINE = 256 };

static int complain_about(const char *path, int error)
{
	cli_complain("%s: %s", path, strerror(error));
	return error == ENOENT || error == ENOTDIR ? CLI_NOT_FOUND : CLI_NOT_EXECUTABLE;
}

/* 0, or the errno that exec would give before it looks into the file. */
static int why_not_executable(const char *path)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return errno;
	if (!S_ISREG(st.st_mode))
		return EACCES;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

static bool join(char path[PATH_MAX], const char *directory, size_t length, const char *name)
{
	int n = snprintf(path, PATH_MAX, "%.*s/%s", (int)length, directory, name);
	return n > 0 && n < PATH_MAX;
}

static int search_path(const char *name, char path[PATH_MAX])
{
	const char *directories = getenv("PATH");
	if (!directories)
		directories = "/bin:/usr/bin";
	int error = ENOENT;
	for (const char *at = directories;; at++) {
		size_t length = strcspn(at, ":");
		bool fits = length ? join(path, at, length, name) : join(path, ".", 1, name);
		if (fits) {
			int reason = why_not_executable(path);
			if (!reason)
				return CLI_OK;
			if (reason == EACCES)
				error = EACCES;
		}
		at += length;
		if (!*at)
			break;
	}
	if (error == ENOENT)
		cli_complain("%s: not found", name);
	else
		cli_complain("%s: found, but not executable", name);
	return error == ENOENT ? CLI_NOT_FOUND : CLI_NOT_EXECUTABLE;
}

int program_find(const char *name, char path[PATH_MAX])
{
	if (!strchr(name, '/') && *name)
		return search_path(name, path);
	if (strlen(name) >= PATH_MAX)
		return complain_about(name, ENAMETOOLONG);
	snprintf(path, PATH_MAX, "%s", name);
	int error = why_not_executable(path);
	return error ? complain_about(name, error) : CLI_OK;
}

/* True where exec would change ids or capabilities: ld.so then ignores LD_PRELOAD. */
static bool gains_privileges(const char *path)
{
	struct stat st;
	struct statvfs fs;
	if (stat(path, &st) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return false;
	if (statvfs(path, &fs) == 0 && (fs.f_flag & ST_NOSUID))
		return false;
	if ((st.st_mode & S_ISUID) && st.st_uid != getuid())
		return true;
	if ((st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP) && st.st_gid != getgid())
		return true;
	return getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0;
}

static int judge_privileges(const char *path)
{
	if (!gains_privileges(path))
		return CLI_OK;
	cli_complain(
		"%s changes its user, group or capabilities: LD_PRELOAD would be ignored", path);
	return CLI_REFUSED;
}

static int judge_elf(const char *path, const struct elf_file *elf, const char *library,
	const struct elf_file *wanted)
{
	char its[64], ours[64];
	if (elf->machine && !elf_same_machine(elf, wanted)) {
		cli_complain("%s is for %s, but %s is for %s", path,
			elf_machine_name(elf, its, sizeof(its)), library,
			elf_machine_name(wanted, ours, sizeof(ours)));
		return CLI_REFUSED;
	}
	if (elf->damaged) {
		cli_complain("%s: damaged ELF file", path);
		return CLI_NOT_EXECUTABLE;
	}
	if (!elf->has_interpreter) {
		cli_complain("%s is statically linked: no library can be preloaded", path);
		return CLI_REFUSED;
	}
	return judge_privileges(path);
}

/* The kernel's reading of a "#!" line: the first word, which must end within the line. */
static bool script_interpreter(int fd, char interpreter[SCRIPT_LINE])
{
	char line[SCRIPT_LINE + 1];
	ssize_t got = pread(fd, line, SCRIPT_LINE, 0);
	if (got < 3 || line[0] != '#' || line[1] != '!')
		return false;
	line[got] = 0;
	char *word = line + 2 + strspn(line + 2, " \t");
	size_t length = strcspn(word, " \t\n");
	if (!length || (got == SCRIPT_LINE && !word[length]))
		return false;
	memcpy(interpreter, word, length);
	interpreter[length] = 0;
	return true;
}

struct judgement {
	bool is_elf;
	struct elf_file elf;
	bool is_script;
	char interpreter[SCRIPT_LINE];
};

/* False where the file cannot be read: it may still be executed. */
static bool look_into(const char *path, struct judgement *seen)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	seen->is_elf = elf_read(fd, &seen->elf);
	seen->is_script = !seen->is_elf && script_interpreter(fd, seen->interpreter);
	close(fd);
	return true;
}

int program_judge(const char *path, const char *library, const struct elf_file *wanted)
{
	char file[PATH_MAX];
	snprintf(file, sizeof(file), "%s", path);
	for (int depth = 0; depth <= MAX_INTERPRETERS; depth++) {
		struct judgement seen = {0};
		if (!look_into(file, &seen))
			return judge_privileges(file);
		if (seen.is_elf)
			return judge_elf(file, &seen.elf, library, wanted);
		/* Any other format is for the shell, as with execvp, or for binfmt_misc. */
		if (!seen.is_script)
			return CLI_OK;
		int error = why_not_executable(seen.interpreter);
		if (error) {
			cli_complain(
				"%s: interpreter %s: %s", file, seen.interpreter, strerror(error));
			return error == ENOENT ? CLI_NOT_FOUND : CLI_NOT_EXECUTABLE;
		}
		snprintf(file, sizeof(file), "%s", seen.interpreter);
	}
	cli_complain("%s: too many levels of script interpreters", path);
	return CLI_NOT_EXECUTABLE;
}
