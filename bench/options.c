#include "options.h"

#include <getopt.h>
#include <limits.h>

#include "die.h"

enum {
	OPT_POLL = 256,
	OPT_SELECT,
	OPT_EPOLL,
	OPT_ET,
	OPT_THREADS,
	OPT_PROCESSES,
	OPT_ONE_CORE,
	OPT_TWO_CORES,
	OPT_SOCKETPAIR,
	OPT_MASK,
	OPT_VPOLL,
	OPT_JSON,
};

static const struct option common_options[] = {
	{"channels", required_argument, NULL, 'n'},
	{"active", required_argument, NULL, 'a'},
	{"writes", required_argument, NULL, 'w'},
	{"runs", required_argument, NULL, 'r'},
	{"help", no_argument, NULL, 'h'},
	{"poll", no_argument, NULL, OPT_POLL},
	{"select", no_argument, NULL, OPT_SELECT},
	{"epoll", no_argument, NULL, OPT_EPOLL},
	{"et", no_argument, NULL, OPT_ET},
	{"threads", no_argument, NULL, OPT_THREADS},
	{"processes", no_argument, NULL, OPT_PROCESSES},
	{"one-core", no_argument, NULL, OPT_ONE_CORE},
	{"two-cores", no_argument, NULL, OPT_TWO_CORES},
	{"json", no_argument, NULL, OPT_JSON},
};

static const struct option pipe_options[] = {{"socketpair", no_argument, NULL, OPT_SOCKETPAIR}};
static const struct option eventfd_options[] = {
	{"mask", no_argument, NULL, OPT_MASK}, {"vpoll", no_argument, NULL, OPT_VPOLL}};

enum {
	COMMON = sizeof(common_options) / sizeof(*common_options),
	PIPE = sizeof(pipe_options) / sizeof(*pipe_options),
	EVENTFD = sizeof(eventfd_options) / sizeof(*eventfd_options),
};

static void help(const char *program, bool pipes)
{
	printf("Usage: %s [OPTION...]\n"
	       "Passes tokens round a ring of %s in one loop that never blocks, and prints the\n"
	       "microseconds per event of each run.\n\n"
	       "  -n N          channels, or 'max' (100)\n"
	       "  -a N          of them active at once (1)\n"
	       "  -w N          chained writes: each event writes to the channel a + 1 further on\n"
	       "                while writes are left (as many as channels)\n"
	       "  -r N          runs (16)\n"
	       "  --poll, --select, --epoll   how to wait (--epoll)\n"
	       "  --et          EPOLLET; eventfds are not read then\n"
	       "  --threads, --processes   ping-pong over two channels instead of the ring, by\n"
	       "                blocking reads, or by --poll, --select or --epoll\n"
	       "  --one-core, --two-cores  where those two run (where the kernel puts them)\n",
		program, pipes ? "pipes" : "eventfds");
	if (pipes)
		printf("  --socketpair  unix socketpairs instead of pipes\n");
	else
		printf("  --mask        masks (EFD_MASK) instead of counters: needs libefdshim.so\n"
		       "  --vpoll       fds of libvpoll\n");
	printf("  --json        one JSON object instead of lines\n");
}

static _Noreturn void refuse(const char *why)
{
	errno = 0;
	fprintf(stderr, "%s (try --help)\n", why);
	exit(EXIT_USAGE);
}

static long number(const char *text, long least, long most)
{
	char *end;

	errno = 0;
	long n = strtol(text, &end, 10);

	if (errno || end == text || *end || n < least || n > most)
		refuse("that number cannot be");
	return n;
}

static void set_number(struct options *options, int option, const char *text)
{
	if (option == 'n' && !strcmp(text, "max"))
		options->channels = INT_MAX;
	else if (option == 'n')
		options->channels = (int)number(text, 2, INT_MAX - 1);
	else if (option == 'a')
		options->active = (int)number(text, 1, INT_MAX);
	else if (option == 'w')
		options->writes = number(text, 0, LONG_MAX);
	else
		options->runs = (int)number(text, 1, 100000);
}

static void set_way(struct options *options, int option)
{
	if (option == OPT_POLL)
		options->loop = &loop_poll;
	else if (option == OPT_SELECT)
		options->loop = &loop_select;
	else if (option == OPT_EPOLL)
		options->loop = &loop_epoll;
	else if (option == OPT_THREADS)
		options->mate = MATE_THREAD;
	else if (option == OPT_PROCESSES)
		options->mate = MATE_PROCESS;
	else if (option == OPT_ONE_CORE)
		options->cores = CORES_ONE;
	else if (option == OPT_TWO_CORES)
		options->cores = CORES_TWO;
}

static void set(struct options *options, int option)
{
	if (option == OPT_SOCKETPAIR)
		options->kind = &channel_socketpair;
	else if (option == OPT_MASK)
		options->kind = &channel_mask;
	else if (option == OPT_VPOLL)
		options->kind = &channel_vpoll;
	else if (option == OPT_ET)
		options->edges = true;
	else if (option == OPT_JSON)
		options->json = true;
	else
		set_way(options, option);
}

/* What follows from the rest, and what cannot be. */
static void complete(struct options *options)
{
	int most = channels_at_most(options->kind);

	if (!options->loop && options->mate == MATE_NONE)
		options->loop = &loop_epoll;
	if (options->channels == INT_MAX)
		options->channels = most;
	if (options->mate != MATE_NONE)
		options->channels = 2;
	if (options->writes < 0)
		options->writes = options->channels;
	if (options->active > options->channels)
		refuse("more active channels than there are");
	if (options->edges && options->loop != &loop_epoll)
		refuse("--et goes with epoll only");
	if (!options->loop && !options->kind->reading_waits)
		refuse("no read of these waits: --poll, --select or --epoll must be there");
	if (options->mate == MATE_NONE && options->cores == CORES_TWO)
		refuse("one thread has one core");
	if (options->channels > most)
		die(EXIT_CANNOT, "the limit of fds (ulimit -Hn) is too low for so many channels");
}

struct options options_of(int argc, char **argv, const struct channel_kind *kind)
{
	struct options options = {
		.kind = kind, .channels = 100, .active = 1, .runs = 16, .writes = -1};
	bool pipes = kind == &channel_pipe;
	struct option known[COMMON + PIPE + EVENTFD + 1] = {{0}};
	int option;

	memcpy(known, common_options, sizeof(common_options));
	memcpy(known + COMMON, pipes ? pipe_options : eventfd_options,
		pipes ? sizeof(pipe_options) : sizeof(eventfd_options));
	while ((option = getopt_long(argc, argv, "n:a:w:r:h", known, NULL)) != -1) {
		if (option == '?')
			exit(EXIT_USAGE);
		if (option == 'h') {
			help(argv[0], pipes);
			exit(0);
		}
		if (option < OPT_POLL)
			set_number(&options, option, optarg);
		else
			set(&options, option);
	}
	if (optind < argc)
		refuse("there is a word too many");
	errno = 0;
	complete(&options);
	return options;
}
