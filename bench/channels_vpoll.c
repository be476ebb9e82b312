/* An fd of libvpoll, where that is installed. It emulates what no kernel has, on a socketpair; with
 * EFDSHIM_MASK=vpoll the shim has it. */
#include "channels.h"

#include <dlfcn.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "die.h"

enum { ADD_EVENTS = 1, DELETE_EVENTS = 2 }; /* vpoll.h: VPOLL_CTL_... */

static int (*create)(uint32_t events, int flags);
static int (*control)(int fd, int op, uint32_t events);
static int (*destroy)(int fd);

static void load(void)
{
	void *library = dlopen("libvpoll.so.0", RTLD_NOW);

	errno = 0;
	if (!library)
		die(EXIT_CANNOT, "libvpoll.so.0 is not installed");
	*(void **)&create = dlsym(library, "vpoll_create");
	*(void **)&control = dlsym(library, "vpoll_ctl");
	*(void **)&destroy = dlsym(library, "vpoll_close");
	if (!create || !control || !destroy)
		die(EXIT_CANNOT, "libvpoll.so.0 is another library");
}

/* EPOLLOUT from the start is what an emulated fd costs least with. */
static void vpoll_make(struct channel *channel, bool blocking)
{
	(void)blocking;
	if (!create)
		load();
	channel->in = channel->out = create(EPOLLOUT, 0);
	if (channel->in < 0)
		die(EXIT_CANNOT, "vpoll_create");
}

static void vpoll_give(const struct channel *channel)
{
	if (control(channel->out, ADD_EVENTS, EPOLLIN))
		die(EXIT_WRONG, "vpoll_ctl");
}

static bool vpoll_take(const struct channel *channel)
{
	if (control(channel->in, DELETE_EVENTS, EPOLLIN))
		die(EXIT_WRONG, "vpoll_ctl");
	return true;
}

static void vpoll_close(const struct channel *channel)
{
	destroy(channel->in);
}

const struct channel_kind channel_vpoll = {
	.name = "vpoll",
	.fds = 2,
	.make = vpoll_make,
	.give = vpoll_give,
	.take = vpoll_take,
	.close = vpoll_close,
};
