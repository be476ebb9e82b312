/* Steps on eventfds with EFD_MASK, asserted. Where the shim is not there, the files of maskfs stand
 * in for them (see tests/maskfs). */
#ifndef MASKKIT_H
#define MASKKIT_H

#include <efdshim/eventfd.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { MASK_BYTES = sizeof(struct efd_mask) };

/* True where maskfs stands in. */
bool mask_by_kernel(void);

/* Flags as for eventfd(), without EFD_MASK. */
int mask_open(int flags);
void mask_close(int fd);
/* The same without a word, for a child: -errno on failure. */
int mask_try_open(int flags);

/* Data that tells the events it was written with, and when (any number): `mask_whole` is true where
 * the two belong together. */
uint64_t mask_data(uint32_t events, uint64_t when);
bool mask_whole(const struct efd_mask *mask);

/* write and read of exactly one pair: what they return, or -errno. errno must be left alone where
 * they succeed, else -4095. */
long mask_try_write(int fd, uint32_t events, uint64_t data);
long mask_try_read(int fd, struct efd_mask *mask);

/* These assert. The data is mask_data() of the events. */
void mask_set(int fd, uint32_t events);
void mask_put(int fd, uint32_t events, uint64_t data);
struct efd_mask mask_get(int fd);
void mask_expect(int fd, uint32_t events, uint64_t data);

/* One fd now: revents, the sets of maskmodel.h, the only event of a set (0: none) and its data. */
uint32_t mask_poll(int fd, uint32_t interest);
unsigned mask_select(int fd, unsigned sets);
uint32_t mask_event(int set, uint64_t *data);
int mask_new_set(void);
void mask_ctl(int set, int op, int fd, uint32_t events, uint64_t data);
/* A set with one watch. */
int mask_watch(int fd, uint32_t events, uint64_t data);

/* A generator for walks: the same numbers for the same seed. */
uint64_t mask_random(uint64_t *seed);
unsigned mask_below(uint64_t *seed, unsigned limit);

#endif
