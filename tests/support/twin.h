/* The same call on two eventfds that started equal: one made and driven by raw system call
 * instructions, one by libc. Return value, errno and the memory stored to must agree. */
#ifndef TWIN_H
#define TWIN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { TWIN_WATCH_MAX = 16384 };

struct twin {
	int kernel;
	int libc;
	void *mem;
	size_t len;
};

struct twin twin_open(unsigned initval, int flags);

/* Memory the calls store to: it is put back between the two calls and compared after them. */
void twin_watch(struct twin *t, void *mem, size_t len);

/* Each returns what both calls returned, or -errno. errno must be untouched where they succeed. */
long twin_read(struct twin *t, void *buf, size_t len);
long twin_write(struct twin *t, const void *buf, size_t len);
long twin_readv(struct twin *t, const struct iovec *iov, int count);
long twin_writev(struct twin *t, const struct iovec *iov, int count);
long twin_setfl(struct twin *t, int flags);

/* Add to the counter. */
void twin_add(struct twin *t, uint64_t value);

/* Read both until they are empty: every value must agree. Returns the sum. */
uint64_t twin_drain(struct twin *t);

/* Drains and closes both. */
void twin_close(struct twin *t);

#endif
