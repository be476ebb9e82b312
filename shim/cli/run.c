/* efdshim run: put the shim in front of a command and become that command. */
#include "cli.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels.h"

struct option {
	const char *name;
	const char *argument;
	const char *variable;
	const char *value;
	const char *help;
	int (*apply)(const struct option *option, const char *argument);
};

/* The kernel that the command is to see, or 0. */
static uint32_t pretended;
static bool bare;

static int set_kernel(const struct option *option, const char *argument);
static int set_bare(const struct option *option, const char *argument);
static int set_directory(const struct option *option, const char *argument);
static int set_variable(const struct option *option, const char *argument);

static const struct option options[] = {
	{"--stats", NULL, "EFDSHIM_STATS", "1", "print a summary on stderr when a process exits",
		set_variable},
	{"--debug", NULL, "EFDSHIM_DEBUG", "1",
		"say on stderr where the kernel had to serve instead", set_variable},
	{"--only-missing", NULL, "EFDSHIM_MODE", "missing", "emulate only what the kernel refuses",
		set_variable},
	{"--mirror", NULL, "EFDSHIM_MIRROR", "always",
		"always show the state to the kernel as well", set_variable},
	{"--vpoll", NULL, "EFDSHIM_MASK", "vpoll", "bit 1 of eventfd's flags is EFD_VPOLL",
		set_variable},
	{"--dir", "DIR", "EFDSHIM_DIR", NULL, "keep the shared state in DIR (mode 0700, yours)",
		set_directory},
	{"--as-kernel", "VERSION", NULL, NULL, "answer as that kernel would, see below",
		set_kernel},
	{"--bare", NULL, NULL, NULL, "without the library: how would it fare there alone?",
		set_bare},
};

enum { OPTION_COUNT = sizeof(options) / sizeof(options[0]) };

static void print_help(void)
{
	printf("Usage: efdshim run [options] [--] COMMAND [ARGUMENTS...]\n\n"
	       "Runs COMMAND with its eventfds in user space.\n\n");
	for (int i = 0; i < OPTION_COUNT; i++) {
		char shown[64];
		snprintf(shown, sizeof(shown), "%s %s", options[i].name,
			options[i].argument ? options[i].argument : "");
		printf("  %-20s  %-15s  %s\n", shown,
			options[i].variable ? options[i].variable : "", options[i].help);
	}
	printf("\nEach option sets the environment variable beside it.\n\n"
	       "With --as-kernel system calls and flags that Linux VERSION did not know fail as\n"
	       "they did there, for COMMAND and all that it starts: would it run there, with\n"
	       "efdshim? Known: %s.\n"
	       "The release that uname gives stays.\n\n",
		kernel_versions());
	printf("Exit codes: COMMAND's own, or\n"
	       "    2  wrong usage\n"
	       "  125  refused: no library found, or COMMAND is static, gains privileges,\n"
	       "       or is for another architecture; no such kernel is known, or no seccomp\n"
	       "  126  COMMAND cannot be executed\n"
	       "  127  COMMAND not found\n");
}

static int usage_error(const char *what, const char *word)
{
	cli_complain("%s%s (see 'efdshim run --help')", what, word);
	return CLI_USAGE;
}

static const struct option *find_option(const char *word, const char **attached)
{
	for (int i = 0; i < OPTION_COUNT; i++) {
		size_t length = strlen(options[i].name);
		if (strncmp(word, options[i].name, length) != 0)
			continue;
		if (!word[length])
			return &options[i];
		if (word[length] == '=' && options[i].argument) {
			*attached = word + length + 1;
			return &options[i];
		}
	}
	return NULL;
}

static int set(const char *variable, const char *value)
{
	if (setenv(variable, value, 1) == 0)
		return CLI_OK;
	cli_complain("%s: %s", variable, strerror(errno));
	return CLI_REFUSED;
}

static int set_variable(const struct option *option, const char *argument)
{
	(void)argument;
	return set(option->variable, option->value);
}

/* The command may change its directory, and its children run elsewhere. */
static int set_directory(const struct option *option, const char *argument)
{
	char here[PATH_MAX], full[2 * PATH_MAX];
	int n;

	if (!*argument)
		return usage_error("a directory must follow ", option->name);
	if (argument[0] == '/')
		return set(option->variable, argument);
	if (!getcwd(here, sizeof(here))) {
		cli_complain("%s: %s", option->variable, strerror(errno));
		return CLI_REFUSED;
	}
	n = snprintf(full, sizeof(full), "%s/%s", here, argument);
	if (n < 0 || n >= (int)sizeof(full)) {
		cli_complain("%s: %s", option->variable, strerror(ENAMETOOLONG));
		return CLI_REFUSED;
	}
	return set(option->variable, full);
}

static int set_kernel(const struct option *option, const char *argument)
{
	if (!*argument)
		return usage_error("a version must follow ", option->name);
	pretended = kernel_named(argument);
	if (pretended)
		return CLI_OK;
	cli_complain("no kernel %s is known (but %s)", argument, kernel_versions());
	return CLI_REFUSED;
}

static int set_bare(const struct option *option, const char *argument)
{
	(void)option, (void)argument;
	bare = true;
	return CLI_OK;
}

/* Sets *command to the index of the command's first word. */
static int parse(int argc, char **argv, int *command)
{
	int at = 1;
	for (; at < argc && argv[at][0] == '-'; at++) {
		if (strcmp(argv[at], "--") == 0) {
			at++;
			break;
		}
		const char *argument = NULL;
		const struct option *option = find_option(argv[at], &argument);
		if (!option)
			return usage_error("unknown option ", argv[at]);
		if (option->argument && !argument && ++at < argc)
			argument = argv[at];
		int failed = option->apply(option, argument ? argument : "");
		if (failed)
			return failed;
	}
	if (at >= argc)
		return usage_error("which command?", "");
	*command = at;
	return CLI_OK;
}

/* The last step before exec: the launcher itself needs what the filter takes away. */
static int pretend(void)
{
	int error = pretended ? kernel_pretend(pretended, 0) : 0;

	if (!error)
		return CLI_OK;
	cli_complain("--as-kernel needs seccomp filters, which are not to be had here: %s",
		strerror(error));
	return CLI_REFUSED;
}

static int prepare_library(const char *program)
{
	char library[PATH_MAX];
	struct elf_file elf;
	int failed = library_find(library, &elf);

	if (!failed)
		failed = program_judge(program, library, &elf);
	return failed ? failed : library_preload(library);
}

int cli_run(int argc, char **argv)
{
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		print_help();
		return CLI_OK;
	}
	char program[PATH_MAX];
	int command = 0;
	int failed = parse(argc, argv, &command);
	if (!failed)
		failed = program_find(argv[command], program);
	if (!failed)
		failed = bare ? library_leave_out() : prepare_library(program);
	if (!failed)
		failed = pretend();
	if (failed)
		return failed;
	execvp(program, argv + command);
	cli_complain("%s: %s", program, strerror(errno));
	return errno == ENOENT ? CLI_NOT_FOUND : CLI_NOT_EXECUTABLE;
}
