/* efdshim doctor: what a program gets from the running kernel, and what from the library. */
#include "cli.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
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
	       "and for what the library itself needs: yes, no, or NO where it cannot work\n"
	       "without. Under 'efdshim run --as-kernel VERSION -- ' it tells the same of that\n"
	       "kernel. Exit code 1 where something is impossible or a need is NO.\n\n"
	       "  --json  the same for programs\n");
}

/* The bytes of the character of UTF-8 that is there, 0 where none is. */
static size_t utf8_length(const unsigned char *text)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = text[0] < 0x80   ? 1
		   : text[0] < 0xc0 ? 0
		   : text[0] < 0xe0 ? 2
		   : text[0] < 0xf0 ? 3
				    : 4;
	uint32_t code = text[0] & (0xffu >> n);

	for (size_t i = 1; i < n; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if (n > 1 && (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)))
		return 0;
	return n;
}

/* JSON is UTF-8; a path need not be. */
static void print_quoted(const char *text)
{
	putchar('"');
	while (*text) {
		unsigned char byte = (unsigned char)*text;
		size_t n = utf8_length((const unsigned char *)text);

		if (byte == '"' || byte == '\\')
			putchar('\\');
		if (byte < ' ')
			printf("\\u%04x", (unsigned)byte);
		else if (n)
			printf("%.*s", (int)n, text);
		else
			printf("\\ufffd");
		text += n ? n : 1;
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

/* The library stands in although the kernel has it. */
static bool chosen_for(enum family family)
{
	switch (family) {
	case FAMILY_OBJECT:
		return works && !config.only_missing;
	case FAMILY_TIMER:
		return works && config.emulate_timers;
	case FAMILY_SIGNAL:
		return works && config.signalfd;
	default:
		return false;
	}
}

static enum state judge(const struct feature *feature, char why[WHY_SIZE])
{
	bool native = feature->native && feature->native();
	bool of_ours = feature->family != FAMILY_CALL;
	bool chosen = chosen_for(feature->family);

	if (native && !chosen) {
		snprintf(why, WHY_SIZE, "the kernel has it (Linux %s)", feature->since);
		return NATIVE;
	}
	const char *cause = !feature->since ? "no kernel has it"
			    : !native	    ? NULL
			    : feature->family == FAMILY_OBJECT
				    ? "faster so, though the kernel has it"
				    : "as asked, though the kernel has it";
	char lacking[64];
	snprintf(lacking, sizeof(lacking), "the kernel lacks it (Linux %s)",
		feature->since ? feature->since : "");
	if (!cause)
		cause = lacking;
	const char *way = chosen ? NULL : feature_by_flagless(feature);
	if (!way && (works || !of_ours))
		way = feature->older;
	if (way) {
		snprintf(why, WHY_SIZE, "%s: %s", cause, way);
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
