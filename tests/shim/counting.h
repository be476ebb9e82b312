/* What libcounting.so has counted. */
#ifndef COUNTING_H
#define COUNTING_H

enum counted_kind {
	COUNTED_READ,
	COUNTED_WRITE,
	COUNTED_CLOSE,
	COUNTED_POLL,
	COUNTED_EPOLL_WAIT,
	COUNTED_KINDS,
};

unsigned long counting_calls(enum counted_kind kind);

#endif
