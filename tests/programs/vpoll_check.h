/* What the parts of vpoll_check share. */
#ifndef VPOLL_CHECK_H
#define VPOLL_CHECK_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <vpoll.h>

/* The flag and the commands of the kernel patch "eventfd new tag EFD_VPOLL" (v3, 2019), and the
 * events an fd of it can hold. */
#define EFD_VPOLL (1 << 1)
#define VPOLL_COMMAND(op, events) ((uint64_t)(op) << 32 | (events))
#define ALL_EVENTS 0x0fffffffu

/* What select(2) makes of the events. */
#define SELECT_READ (EPOLLIN | EPOLLRDNORM | EPOLLRDBAND | EPOLLHUP | EPOLLERR)
#define SELECT_WRITE (EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND | EPOLLERR)
#define SELECT_EXCEPT EPOLLPRI

/* Bits of what selected() takes and returns. */
enum { SEES_READ = 1, SEES_WRITE = 2, SEES_EXCEPT = 4 };

enum { BITS = 10 };
extern const uint32_t bits[BITS]; /* those of the library's manual and the patch */

static inline uint32_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (uint32_t)(*seed >> 16);
}

/* Prints 'ok' or 'not ok' and the name. */
void check(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* An fd of the library that holds the events. */
int make_fd(uint32_t events);

/* The fd's events as a read of 8 bytes tells them; all ones where the read fails. */
uint64_t pending(int fd);

/* What the calls answer at once: poll's revents; the sets of select, of those that were asked. */
uint32_t polled(int fd, uint32_t interest);
int selected(int fd, int sets);
int select_model(uint32_t state, int sets);

/* vpoll_walk.c: random changes, each answer against a model of the patch. */
void walk(uint64_t seed);

/* vpoll_wait.c: whoever sleeps is woken by what he waits for. */
void wait_cases(void);

/* vpoll_script.c: prints what a fixed row of changes shows, for a comparison. */
int transcript(void);

#endif
