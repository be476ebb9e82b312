/* efdshim run: put the shim in front of a command and become that command. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct option {
	const char *name;
	const char *argument;
	const char *variable;
	const char *value;
	const char *help;
};

static const struct option options[] = {
	{"--stats", NULL, "EFDSHIM_STATS", "1", "print a summary on stderr when a process exits"},
	{"--debug", NULL, "EFDSHIM_DEBUG", "1",
		"say on stderr where the kernel had to serve instead"},
	{"--only-missing", NULL, "EFDSHIM_MODE", "missing", "emulate only what the kernel refuses"},
	{"--mirror", NULL, "EFDSHIM_MIRROR", "always",
		"always show the state to the kernel as well"},
	{"--vpoll", NULL, "EFDSHIM_MASK", "vpoll", "bit 1 of eventfd's flags is EFD_VPOLL"},
	{"--dir", "DIR", "EFDSHIM_DIR", NULL, "keep the shared state in DIR (mode 0700, yours)"},
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
		printf("  %-16s  %-24s  %s\n", shown, options[i].variable, options[i].help);
	}
	printf("\nEach option sets the environment variable beside it.\n\n"
	       "Exit codes: COMMAND's own, or\n"
	       "    2  wrong usage\n"
	       "  125  refused: no library found, or COMMAND is static, gains privileges,\n"
	       "       or is for another architecture\n"
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

/* The command may change its directory, and its children run elsewhere. */
static int set_directory(const char *variable, const char *directory)
{
	char here[PATH_MAX], full[2 * PATH_MAX];
	if (directory[0] == '/')
		return setenv(variable, directory, 1);
	if (!getcwd(here, sizeof(here)))
		return -1;
	int n = snprintf(full, sizeof(full), "%s/%s", here, directory);
	if (n < 0 || n >= (int)sizeof(full)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return setenv(variable, full, 1);
}

static int apply(const struct option *option, const char *argument)
{
	int failed = option->argument ? set_directory(option->variable, argument)
				      : setenv(option->variable, option->value, 1);
	if (failed) {
		cli_complain("%s: %s", option->variable, strerror(errno));
		return CLI_REFUSED;
	}
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
		if (option->argument && (!argument || !*argument))
			return usage_error("a directory must follow ", option->name);
		int failed = apply(option, argument);
		if (failed)
			return failed;
	}
	if (at >= argc)
		return usage_error("which command?", "");
	*command = at;
	return CLI_OK;
}

int cli_run(int argc, char **argv)
{
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		print_help();
		return CLI_OK;
	}
	char library[PATH_MAX], program[PATH_MAX];
	struct elf_file elf;
	int command = 0;
	int failed = parse(argc, argv, &command);
	if (!failed)
		failed = program_find(argv[command], program);
	if (!failed)
		failed = library_find(library, &elf);
	if (!failed)
		failed = program_judge(program, library, &elf);
	if (!failed)
		failed = library_preload(library);
	if (failed)
		return failed;
	execvp(program, argv + command);
	cli_complain("%s: %s", program, strerror(errno));
	return errno == ENOENT ? CLI_NOT_FOUND : CLI_NOT_EXECUTABLE;
}
