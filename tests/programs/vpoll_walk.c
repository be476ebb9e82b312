/* Random changes of a vpoll fd; after each the answers of read, poll, select and epoll against a
 * model of the kernel patch. The model of an epoll set is the kernel's: a change whose new state
 * has something of a watch's interest puts the watch on the set's list; a wait takes each off the
 * list, reports what it has to report by then, and puts level-triggered ones back. */
#include "vpoll_check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { STEPS = 4000, WATCHES = 9, SETS = 2, POLL_KNOWS = 0x27ff };
#define RARE_EVENTS (EPOLLMSG | 0x10000u | 0x8000000u)

struct watch_model {
	int fd; /* a number of its own for the one object */
	int epfd;
	uint32_t interest; /* 0: it was reported once, and waits to be armed again */
	uint32_t mode;	   /* 0, EPOLLET, EPOLLONESHOT or both */
	uint64_t data;
	bool listed;
	bool registered;
};

struct world {
	uint64_t seed;
	uint32_t state;
	int fd;
	int epfds[SETS];
	struct watch_model watches[WATCHES];
	char why[200]; /* the first answer that was none of the model's */
};

static void differs(struct world *world, const char *what, uint64_t got, uint64_t wanted)
{
	if (!world->why[0])
		snprintf(world->why, sizeof(world->why), "%s: %llx (want %llx), events %x", what,
			(unsigned long long)got, (unsigned long long)wanted, world->state);
}

static void compare(struct world *world, const char *what, uint64_t got, uint64_t wanted)
{
	if (got != wanted)
		differs(world, what, got, wanted);
}

/* Few bits more often than many; now and then one that only epoll knows. */
static uint32_t random_events(struct world *world)
{
	uint32_t events = 0, n = random_next(&world->seed) % 5;

	for (uint32_t i = 0; i < n; i++)
		events |= bits[random_next(&world->seed) % BITS];
	if (random_next(&world->seed) % 16 == 0)
		events |= random_next(&world->seed) & RARE_EVENTS;
	if (random_next(&world->seed) % 16 == 0)
		events |= 0x3df & random_next(&world->seed);
	return events;
}

static bool reports(const struct watch_model *watch, uint32_t state)
{
	return watch->interest & state;
}

static void model_written(struct world *world)
{
	for (int i = 0; i < WATCHES; i++) {
		struct watch_model *watch = &world->watches[i];

		if (watch->registered && reports(watch, world->state))
			watch->listed = true;
	}
}

/* By the library or by a write; refused ones are told by their sign. */
static void change(struct world *world)
{
	uint32_t op = 1 + random_next(&world->seed) % 3, events = random_events(world);
	uint64_t word = VPOLL_COMMAND(op, events);
	bool refused = random_next(&world->seed) % 16 == 0;
	int fd = world->watches[random_next(&world->seed) % WATCHES].fd;
	long got;

	if (refused) {
		word |= random_next(&world->seed) % 2 ? UINT64_C(1) << 34 : EPOLLONESHOT;
		got = write(fd, &word, sizeof(word));
		compare(world, "a bad write", got < 0 ? (uint64_t)errno : 0, EINVAL);
		return;
	}
	if (random_next(&world->seed) % 2)
		got = vpoll_ctl(fd, (int)op, events);
	else
		got = write(fd, &word, sizeof(word)) - (long)sizeof(word);
	compare(world, "a change", (uint64_t)got, 0);
	if (op == VPOLL_CTL_ADDEVENTS)
		world->state |= events;
	else if (op == VPOLL_CTL_DELEVENTS)
		world->state &= ~events;
	else
		world->state = events;
	model_written(world);
}

static void ask_poll(struct world *world)
{
	uint32_t interest = random_events(world) & POLL_KNOWS;
	uint32_t wanted = world->state & (interest | EPOLLERR | EPOLLHUP) & POLL_KNOWS;

	compare(world, "poll", polled(world->fd, interest), wanted);
}

static void ask_select(struct world *world)
{
	int sets = random_next(&world->seed) % 8;

	compare(world, "select", (uint64_t)selected(world->fd, sets),
		(uint64_t)select_model(world->state, sets));
}

/* Registers, changes or takes away one watch. */
static void rewatch(struct world *world)
{
	static const uint32_t modes[] = {0, EPOLLET, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT};
	struct watch_model *watch = &world->watches[random_next(&world->seed) % WATCHES];
	uint32_t interest = random_events(world), mode = modes[random_next(&world->seed) % 5];
	uint64_t data = (uint64_t)random_next(&world->seed) << 32 | random_next(&world->seed);
	struct epoll_event event = {.events = interest | mode, .data.u64 = data};
	int op = watch->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (watch->registered && random_next(&world->seed) % 4 == 0)
		op = EPOLL_CTL_DEL;
	compare(world, "epoll_ctl", (uint64_t)epoll_ctl(watch->epfd, op, watch->fd, &event), 0);
	if (op != EPOLL_CTL_MOD)
		watch->listed = false;
	watch->registered = op != EPOLL_CTL_DEL;
	watch->interest = interest | EPOLLERR | EPOLLHUP;
	watch->mode = mode;
	watch->data = data;
	if (watch->registered && reports(watch, world->state))
		watch->listed = true;
}

/* What a wait reports of a watch; 0 for nothing. */
static uint32_t model_wait(struct world *world, struct watch_model *watch)
{
	uint32_t events;

	if (!watch->registered || !watch->listed)
		return 0;
	events = world->state & watch->interest;
	watch->listed = events && !watch->mode;
	if (events && (watch->mode & EPOLLONESHOT))
		watch->interest = 0;
	return events;
}

static uint32_t take(struct epoll_event *events, int n, uint64_t data)
{
	for (int i = 0; i < n; i++) {
		uint32_t got = events[i].events;

		if (events[i].data.u64 != data || !got)
			continue;
		events[i].events = 0;
		return got;
	}
	return 0;
}

static void ask_epoll(struct world *world, int epfd)
{
	struct epoll_event events[WATCHES + 1];
	int n = epoll_wait(epfd, events, WATCHES + 1, 0), found = 0;
	char what[32];

	for (int i = 0; i < WATCHES; i++) {
		struct watch_model *watch = &world->watches[i];
		uint32_t mode = watch->mode;

		if (watch->epfd != epfd)
			continue;
		uint32_t wanted = model_wait(world, watch);
		uint32_t got = take(events, n, watch->data);
		snprintf(what, sizeof(what), "epoll, mode %x", mode);
		compare(world, what, got, wanted);
		found += !!wanted;
	}
	compare(world, "epoll, in all", (uint64_t)n, (uint64_t)found);
}

static void begin(struct world *world)
{
	world->fd = make_fd(0);
	for (int i = 0; i < SETS; i++)
		world->epfds[i] = epoll_create1(0);
	for (int i = 0; i < WATCHES; i++)
		world->watches[i] =
			(struct watch_model){.fd = dup(world->fd), .epfd = world->epfds[i % SETS]};
}

static void end(struct world *world)
{
	for (int i = 0; i < WATCHES; i++)
		vpoll_close(world->watches[i].fd);
	for (int i = 0; i < SETS; i++)
		close(world->epfds[i]);
	vpoll_close(world->fd);
}

/* Of the sets only some are asked, so that events gather and vanish unseen. */
static void step(struct world *world)
{
	uint32_t dice = random_next(&world->seed) % 8;

	if (dice == 0)
		rewatch(world);
	else
		change(world);
	compare(world, "read", pending(world->fd), world->state);
	ask_poll(world);
	ask_select(world);
	for (int i = 0; i < SETS; i++) {
		if (random_next(&world->seed) % 3)
			ask_epoll(world, world->epfds[i]);
	}
}

void walk(uint64_t seed)
{
	struct world world = {.seed = seed * UINT64_C(0x9e3779b97f4a7c15)};
	int steps = 0;

	begin(&world);
	while (steps < STEPS && !world.why[0]) {
		step(&world);
		steps++;
	}
	check(!world.why[0], "walk %llu: %d steps %s", (unsigned long long)seed, steps, world.why);
	end(&world);
}
