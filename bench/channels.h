/* What a token is passed through: a pipe, a socketpair, an eventfd, a mask. */
#ifndef EFDSHIM_BENCH_CHANNELS_H
#define EFDSHIM_BENCH_CHANNELS_H

#include <stdbool.h>

struct channel {
	int in;	 /* polled and read */
	int out; /* written: the same fd, but for pipes and socketpairs */
};

struct channel_kind {
	const char *name;
	int fds;	    /* that a channel takes */
	bool reading_waits; /* a blocking read sleeps until something is there */
	bool merges; /* one take takes all that was given; every give is an edge, taken or not */
	void (*make)(struct channel *channel, bool blocking);
	void (*give)(const struct channel *channel);
	bool (*take)(const struct channel *channel);  /* false: nothing is there */
	void (*close)(const struct channel *channel); /* NULL: close of its fds does */
};

extern const struct channel_kind channel_pipe, channel_socketpair, channel_eventfd, channel_mask,
	channel_vpoll;

/* The kind of that name, or NULL. */
const struct channel_kind *channel_kind_named(const char *name);

/* Where something must be there. */
void channel_take(const struct channel_kind *kind, const struct channel *channel);

void channel_close(const struct channel_kind *kind, const struct channel *channel);

/* As many fds as the hard limit allows. Some are kept for the rest of the program. */
void channels_raise_limit(void);
int channels_at_most(const struct channel_kind *kind);

#endif
