/* efdshim doctor: what a program gets from the running kernel, and what from the library. */
#include "cli.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "core/config.h"
#include "features.h"
#include "needs.h"

static bool as_json;
static bool works; /* all that is vital is there */

static void print_help(void)
{
	printf("Usage: efdshim doctor [--json]\n\n"
	       "Asks the running kernel for each feature that efdshim may have to stand in for:\n\n"
	       "  native      the kernel serves it\n"
	       "  emulated    the library does, and why\n"
	       "  impossible  nobody can, and why\n\n"
	       "and for what the library itself needs. Under 'efdshim run --as-kernel VERSION -- "
	       "'\n"
	       "it tells the same of that kernel. Exit code 1 where something is impossible or\n"
	       "a vital need is not met.\n\n"
	       "  --json  the same for programs\n");
}

static void print_quoted(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		if ((unsigned char)*text < ' ')
			printf("\\u%04x", (unsigned)(unsigned char)*text);
		else
			putchar(*text);
	}
	putchar('"');
}

static void print_member(const char *before, const char *name, const char *value)
{
	printf("%s\"%s\": ", before, name);
	print_quoted(value);
}

static void print_row(
	bool first, const char *name, const char *since, const char *state, const char *why)
{
	if (!as_json) {
		printf("%-28s  %-10s  %s\n", name, state, why);
		return;
	}
	print_member(first ? "\n\t\t{" : ",\n\t\t{", "name", name);
	if (since)
		print_member(", ", "since", since);
	print_member(", ", "state", state);
	print_member(", ", "why", why);
	putchar('}');
}

enum state { NATIVE, EMULATED, IMPOSSIBLE };

static enum state judge(const struct feature *feature, char why[WHY_SIZE])
{
	bool native = feature->native && feature->native();
	bool of_ours = feature->family != FAMILY_CALL;
	bool chosen = feature->family == FAMILY_OBJECT && !config.only_missing && works;

	if (native && !chosen) {
		snprintf(why, WHY_SIZE, "the kernel has it (Linux %s)", feature->since);
		return NATIVE;
	}
	const char *cause = !feature->since ? "no kernel has it"
			    : native	    ? "faster so, though the kernel has it"
					    : NULL;
	char lacking[64];
	snprintf(lacking, sizeof(lacking), "the kernel lacks it (Linux %s)",
		feature->since ? feature->since : "");
	if (!cause)
		cause = lacking;
	if (feature->older && (works || !of_ours)) {
		snprintf(why, WHY_SIZE, "%s: %s", cause, feature->older);
		return EMULATED;
	}
	snprintf(why, WHY_SIZE, "%s, and %s", cause,
		of_ours ? "the library cannot work here" : "the library needs it");
	return IMPOSSIBLE;
}

static bool print_needs(void)
{
	char why[WHY_SIZE];

	works = true;
	for (unsigned i = 0; i < need_count; i++) {
		bool met = needs[i].met(why);

		works = works && (met || !needs[i].vital);
		print_row(!i, needs[i].name, NULL, met ? "yes" : needs[i].vital ? "NO" : "no", why);
	}
	return works;
}

static bool print_features(void)
{
	static const char *const names[] = {"native", "emulated", "impossible"};
	char why[WHY_SIZE];
	bool all = true;

	for (unsigned i = 0; i < feature_count; i++) {
		enum state state = judge(&features[i], why);

		all = all && state != IMPOSSIBLE;
		print_row(!i, features[i].name, features[i].since ? features[i].since : "never",
			names[state], why);
	}
	return all;
}

static bool options(int argc, char **argv, int *code)
{
	*code = CLI_OK;
	for (int at = 1; at < argc; at++) {
		if (strcmp(argv[at], "--json") == 0) {
			as_json = true;
			continue;
		}
		if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0) {
			print_help();
			return false;
		}
		cli_complain("unknown option %s (see 'efdshim doctor --help')", argv[at]);
		*code = CLI_USAGE;
		return false;
	}
	return true;
}

int cli_doctor(int argc, char **argv)
{
	struct utsname names = {.release = "?"};
	int code;

	if (!options(argc, argv, &code))
		return code;
	config_load();
	uname(&names);
	if (as_json) {
		print_member("{\n\t", "release", names.release);
		print_member(",\n\t", "machine", names.machine);
		print_member(",\n\t", "mode", config.only_missing ? "missing" : "all");
		printf(",\n\t\"needs\": [");
	} else {
		printf("Linux %s (as uname says), %s\n\nWhat the library needs:\n", names.release,
			names.machine);
	}
	bool met = print_needs();
	printf(as_json ? "\n\t],\n\t\"features\": [" : "\nWhat programs ask for:\n");
	bool all = print_features();
	if (as_json)
		printf("\n\t]\n}\n");
	return met && all ? CLI_OK : CLI_FAILED;
}
