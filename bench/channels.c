#include "channels.h"

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "die.h"
#include "efdshim/eventfd.h"

enum { FDS_KEPT = 100 };

static void pipe_make(struct channel *channel, bool blocking)
{
	int ends[2];

	if (pipe2(ends, blocking ? 0 : O_NONBLOCK))
		die(EXIT_CANNOT, "pipe2");
	*channel = (struct channel){.in = ends[0], .out = ends[1]};
}

static void socketpair_make(struct channel *channel, bool blocking)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | (blocking ? 0 : SOCK_NONBLOCK), 0, ends))
		die(EXIT_CANNOT, "socketpair");
	*channel = (struct channel){.in = ends[0], .out = ends[1]};
}

static void byte_give(const struct channel *channel)
{
	if (write(channel->out, "e", 1) != 1)
		die(EXIT_WRONG, "write of a byte");
}

static bool byte_take(const struct channel *channel)
{
	char byte;

	return read(channel->in, &byte, 1) == 1;
}

static void eventfd_make(struct channel *channel, bool blocking)
{
	int fd = eventfd(0, blocking ? 0 : EFD_NONBLOCK);

	if (fd < 0)
		die(EXIT_CANNOT, "eventfd");
	*channel = (struct channel){.in = fd, .out = fd};
}

static void eventfd_give(const struct channel *channel)
{
	uint64_t one = 1;

	if (write(channel->out, &one, sizeof(one)) != sizeof(one))
		die(EXIT_WRONG, "write to an eventfd");
}

static bool eventfd_take(const struct channel *channel)
{
	uint64_t count;

	return read(channel->in, &count, sizeof(count)) == sizeof(count);
}

static void mask_make(struct channel *channel, bool blocking)
{
	int fd = eventfd(0, EFD_MASK | (blocking ? 0 : EFD_NONBLOCK));

	if (fd < 0)
		die(EXIT_CANNOT, "eventfd with EFD_MASK, which needs libefdshim.so in LD_PRELOAD");
	*channel = (struct channel){.in = fd, .out = fd};
}

static void mask_set(int fd, uint32_t events)
{
	struct efd_mask mask = {.events = events, .data = 0};

	if (write(fd, &mask, sizeof(mask)) != sizeof(mask))
		die(EXIT_WRONG, "write of a mask");
}

static void mask_give(const struct channel *channel)
{
	mask_set(channel->out, POLLIN);
}

static bool mask_take(const struct channel *channel)
{
	mask_set(channel->in, 0);
	return true;
}

const struct channel_kind channel_pipe = {
	.name = "pipe",
	.fds = 2,
	.reading_waits = true,
	.make = pipe_make,
	.give = byte_give,
	.take = byte_take,
};

const struct channel_kind channel_socketpair = {
	.name = "socketpair",
	.fds = 2,
	.reading_waits = true,
	.make = socketpair_make,
	.give = byte_give,
	.take = byte_take,
};

const struct channel_kind channel_eventfd = {
	.name = "eventfd",
	.fds = 1,
	.reading_waits = true,
	.merges = true,
	.make = eventfd_make,
	.give = eventfd_give,
	.take = eventfd_take,
};

const struct channel_kind channel_mask = {
	.name = "mask",
	.fds = 1,
	.merges = true,
	.make = mask_make,
	.give = mask_give,
	.take = mask_take,
};

const struct channel_kind *channel_kind_named(const char *name)
{
	static const struct channel_kind *const kinds[] = {&channel_pipe, &channel_socketpair,
		&channel_eventfd, &channel_mask, &channel_vpoll};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (!strcmp(kinds[i]->name, name))
			return kinds[i];
	}
	return NULL;
}

void channel_take(const struct channel_kind *kind, const struct channel *channel)
{
	if (!kind->take(channel))
		die(EXIT_WRONG, "there is nothing to read");
}

void channel_close(const struct channel_kind *kind, const struct channel *channel)
{
	if (kind->close) {
		kind->close(channel);
		return;
	}
	close(channel->in);
	if (channel->out != channel->in)
		close(channel->out);
}

void channels_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int channels_at_most(const struct channel_kind *kind)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_max <= FDS_KEPT)
		return 0;
	return ((limit.rlim_max < 1 << 20 ? (int)limit.rlim_max : 1 << 20) - FDS_KEPT) / kind->fds;
}
