/* efdshim, the launcher: one verb per file. */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
};

static const struct verb verbs[] = {
	{"run", cli_run, "run a command with its eventfds in user space"},
	{"ls", cli_ls, "list the living eventfds of this user"},
	{"gc", cli_gc, "free what dead processes left"},
	{"doctor", cli_doctor, "tell what the kernel serves here, and what the library"},
};

enum { VERB_COUNT = sizeof(verbs) / sizeof(verbs[0]) };

void cli_complain(const char *format, ...)
{
	char line[3 * PATH_MAX];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	fprintf(stderr, "efdshim: %s\n", line);
}

static void print_help(void)
{
	printf("Usage: efdshim VERB [options]\n\n");
	for (int i = 0; i < VERB_COUNT; i++)
		printf("  %-10s  %s\n", verbs[i].name, verbs[i].help);
	printf("\n  --help      this text; 'efdshim VERB --help' tells more\n"
	       "  --version   the version\n");
}

static int verb(int argc, char **argv)
{
	for (int i = 0; i < VERB_COUNT; i++) {
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	}
	cli_complain("unknown verb %s (see 'efdshim --help')", argv[1]);
	return CLI_USAGE;
}

/* Output that did not arrive is not success. */
static int finish(int code)
{
	if (!fflush(stdout) && !ferror(stdout))
		return code;
	cli_complain("standard output: %s", strerror(errno));
	return code == CLI_OK ? CLI_FAILED : code;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		cli_complain("which verb? (see 'efdshim --help')");
		return CLI_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_help();
		return finish(CLI_OK);
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("efdshim " CLI_VERSION "\n");
		return finish(CLI_OK);
	}
	return finish(verb(argc, argv));
}
