#include "state.h"

#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/config.h"
#include "core/object.h"

static char chosen[PATH_MAX];

static bool exists(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0;
}

static bool is_private(const char *path)
{
	struct stat st;
	return !lstat(path, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
	       (st.st_mode & 05777) == 0700;
}

static bool choose(
	const char *base, const char *name, bool with_user, bool (*fits)(const char *path))
{
	char user[32] = "";
	if (with_user)
		snprintf(user, sizeof(user), "%u", (unsigned)geteuid());
	int n = snprintf(chosen, sizeof(chosen), "%s%s%s", base, name, user);
	return n > 0 && n < (int)sizeof(chosen) && fits(chosen);
}

static bool find_default(bool (*fits)(const char *path))
{
	return choose("/dev/shm", "/efdshim-", true, fits) ||
	       (config.runtime && choose(config.runtime, "/efdshim", false, fits)) ||
	       choose("/tmp", "/efdshim-", true, fits);
}

/* The directory that a program would use now, if it is there: programs pass over what is not
 * theirs. Where nothing is, what is in the way will be complained of. */
static bool find(void)
{
	if (config.dir)
		return choose(config.dir, "", false, exists);
	return find_default(is_private) || find_default(exists);
}

const char *state_find(void)
{
	if (config.dir == chosen)
		return chosen;
	if (!find())
		return NULL;
	config.dir = chosen;
	return chosen;
}

bool state_open(int *code)
{
	char slots[PATH_MAX + 8];
	*code = CLI_OK;
	if (!state_find())
		return false;
	snprintf(slots, sizeof(slots), "%s/slots", chosen);
	if (exists(chosen) && access(chosen, X_OK) == 0 && !exists(slots)) {
		struct stat st;
		if (!lstat(chosen, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
			(st.st_mode & 07777) == 0700)
			return false; /* a store without objects yet */
	}
	int err = object_prepare();
	if (!err)
		return true;
	cli_complain("%s: %s", chosen,
		err == EACCES ? "not a private directory of this user" : strerror(err));
	*code = CLI_FAILED;
	return false;
}

static bool set_directory(const char *directory, int *code)
{
	static char full[PATH_MAX];
	char here[PATH_MAX] = "";
	if (directory[0] != '/' && !getcwd(here, sizeof(here)))
		here[0] = 0;
	int n = snprintf(full, sizeof(full), "%s%s%s", here, here[0] ? "/" : "", directory);
	config.dir = full;
	if (n > 0 && n < (int)sizeof(full))
		return true;
	cli_complain("the directory's name is too long");
	*code = CLI_USAGE;
	return false;
}

static void print_help(const char *verb)
{
	bool lists = strcmp(verb, "ls") == 0;
	printf("Usage: efdshim %s [--dir DIR]\n\n", verb);
	printf(lists ? "Prints a line for each living object of this user: its number, kind, "
		       "count,\n"
		       "flags, watched classes, and the processes that have it open. No line: no\n"
		       "object.\n"
		     : "Frees what dead processes left, and says how many objects that were.\n");
	printf("\n  --dir DIR  the state in DIR (also EFDSHIM_DIR)\n");
}

/* The directory that a word and the next one name; NULL where they name none, and *used tells how
 * many words these were. */
static const char *directory_in(const char *word, const char *next, int *used)
{
	*used = 1;
	if (strncmp(word, "--dir=", 6) == 0)
		return word[6] ? word + 6 : NULL;
	if (strcmp(word, "--dir") != 0 || !next || !*next)
		return NULL;
	*used = 2;
	return next;
}

bool state_options(const char *verb, int argc, char **argv, int *code)
{
	*code = CLI_OK;
	config_load();
	for (int at = 1, used; at < argc && argv[at]; at += used) {
		const char *word = argv[at];
		const char *directory = directory_in(word, argv[at + 1], &used);
		if (!strcmp(word, "--help") || !strcmp(word, "-h")) {
			print_help(verb);
			return false;
		}
		if (!directory) {
			cli_complain("%s%s (see 'efdshim %s --help')",
				strncmp(word, "--dir", 5) ? "unknown option "
							  : "a directory must follow ",
				word, verb);
			*code = CLI_USAGE;
			return false;
		}
		if (!set_directory(directory, code))
			return false;
	}
	return true;
}
