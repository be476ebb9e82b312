/* storm --kills N --seed S [--seconds MAX] */
#include "storm.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"usage: storm [options]\n"
	"  --kills N      how many members to kill (default 300)\n"
	"  --seed S       of what is random (default 1)\n"
	"  --seconds MAX  it is a fault to take longer\n"
	"EFDSHIM names the efdshim command, which under the shim must find no object at the end.\n";

static const struct option options[] = {
	{"kills", required_argument, NULL, 'k'},
	{"seed", required_argument, NULL, 's'},
	{"seconds", required_argument, NULL, 't'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (!*text || *end) {
		fprintf(stderr, "storm: not a number: %s\n%s", text, usage);
		exit(2);
	}
	return n;
}

int main(int argc, char **argv)
{
	struct plan plan = {.kills = 300, .seed = 1};
	int option;

	if (argc == 5 && !strcmp(argv[1], "--member"))
		member_live(book_map((int)number(argv[3])), (unsigned)number(argv[2]) % MEMBERS,
			(enum birth)number(argv[4]));
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'k':
			plan.kills = number(optarg);
			break;
		case 's':
			plan.seed = number(optarg);
			break;
		case 't':
			plan.seconds = (int64_t)number(optarg);
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	return storm_run(&plan);
}
