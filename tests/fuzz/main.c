/* fuzz-diff: does the shim answer random sequences of calls as the kernel does? */
#define _GNU_SOURCE
#include "fuzz.h"

#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { DEFAULT_OPS = 200000, LONGEST = 20000 };

static const char usage[] =
	"usage: fuzz-diff [options]\n"
	"  --seed S         the sequences to run (default: $FUZZ_SEED, else random)\n"
	"  --ops N          how many operations (default: $FUZZ_OPS, else 200000)\n"
	"  --length L       longest sequence (default 200)\n"
	"  --shim FILE      library to compare with the kernel (default build/libefdshim.so;\n"
	"                   '' compares the kernel with itself)\n"
	"  --modelled P     so many sequences of 100 are for the model, with masks (default 40)\n"
	"  --loops P        so many of 100 others are loops on watched eventfds (default 40)\n"
	"  --allow A        what may be inexact: some of absent,nested (the default),\n"
	"                   efault,again; '' for nothing\n"
	"  --crowded        with 64 more eventfds beside: those after them have small FIFOs\n"
	"  --only K         run sequence K of the seed alone\n"
	"  --differences M  go on until so many differences were found (default 1)\n"
	"  --stats          say which operations ran and how they ended\n"
	"  --selftest       show that wrong executors are found out\n";

static const struct option options[] = {
	{"seed", required_argument, NULL, 's'},
	{"ops", required_argument, NULL, 'n'},
	{"length", required_argument, NULL, 'l'},
	{"shim", required_argument, NULL, 'p'},
	{"modelled", required_argument, NULL, 'm'},
	{"loops", required_argument, NULL, 'o'},
	{"allow", required_argument, NULL, 'a'},
	{"crowded", no_argument, NULL, 'w'},
	{"only", required_argument, NULL, 'k'},
	{"differences", required_argument, NULL, 'd'},
	{"stats", no_argument, NULL, 'c'},
	{"selftest", no_argument, NULL, 't'},
	{"executor", required_argument, NULL, 'x'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static _Noreturn void bad_use(const char *why)
{
	fprintf(stderr, "fuzz: %s\n%s", why, usage);
	exit(2);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);
	if (!*text || *end)
		bad_use("not a number");
	return n;
}

static unsigned allowances(char *list)
{
	static char *const names[] = {"absent", "nested", "efault", "again", NULL};
	unsigned allowed = 0;
	for (char *value; *list;) {
		int which = getsubopt(&list, names, &value);
		if (which < 0)
			bad_use("unknown allowance");
		allowed |= 1u << which;
	}
	return allowed;
}

static uint64_t random_seed(void)
{
	uint32_t seed = 1;
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		fprintf(stderr, "fuzz: no random seed, taking 1\n");
	return seed;
}

static const char *full_path(const char *shim)
{
	static char path[PATH_MAX];
	if (!*shim)
		return shim;
	if (!realpath(shim, path)) {
		perror(shim);
		exit(2);
	}
	return path;
}

static void take_option(struct campaign *c, int option)
{
	switch (option) {
	case 's':
		c->seed = number(optarg);
		break;
	case 'n':
		c->wanted = number(optarg);
		break;
	case 'l':
		c->length = (unsigned)number(optarg);
		if (c->length < 1 || c->length > LONGEST)
			bad_use("length out of range");
		break;
	case 'p':
		c->pair.side[1].preload = optarg;
		break;
	case 'a':
		c->allowed = strdup(optarg);
		c->pair.side[0].allow = allowances(optarg);
		break;
	case 'w':
		c->pair.crowd.crowd = true;
		break;
	case 'm':
		c->mix.modelled = (unsigned)number(optarg);
		break;
	case 'o':
		c->mix.loops = (unsigned)number(optarg);
		break;
	case 'k':
		c->one_sequence = true;
		c->sequence = number(optarg);
		break;
	case 'd':
		c->most_differences = (unsigned)number(optarg);
		break;
	case 'c':
		c->stats = true;
		break;
	case 't':
		exit(selftest());
	case 'x':
		exit(executor_main((int)number(optarg)));
	case 'h':
		fputs(usage, stdout);
		exit(0);
	default:
		bad_use("unknown option");
	}
}

int main(int argc, char **argv)
{
	struct campaign c;
	const char *seed = getenv("FUZZ_SEED"), *ops = getenv("FUZZ_OPS");
	campaign_init(&c, "build/libefdshim.so");
	c.seed = seed && *seed ? number(seed) : random_seed();
	c.wanted = ops && *ops ? number(ops) : DEFAULT_OPS;
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
		take_option(&c, option);
	c.pair.side[1].preload = full_path(c.pair.side[1].preload);
	campaign_run(&c);
	if (c.stats)
		stats_show();
	printf("fuzz: %llu operations, %u differences (seed %llu)\n", (unsigned long long)c.done,
		c.differences, (unsigned long long)c.seed);
	campaign_end(&c);
	return c.differences ? 1 : 0;
}
