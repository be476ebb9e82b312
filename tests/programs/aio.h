/* What the parts of the program on libaio share: a context, a file that is read, and what is said.
 */
#ifndef AIO_H
#define AIO_H

#include <libaio.h>
#include <stdbool.h>
#include <stdint.h>

enum { BLOCK = 512, BLOCKS = 256, ROOM = 512, LIMIT_MS = 20000 };

/* One program, one file: block i is full of bytes i. */
extern int file_fd;
void file_make(void);

/* A context with room for ROOM. */
io_context_t context_new(void);

/* One request, ready to be submitted. */
struct request {
	struct iocb block;
	unsigned char data[BLOCK];
	unsigned number; /* of the block that is read */
};
void request_read(struct request *request, unsigned number, int efd);
bool request_right(const struct request *request);

/* Submits `n` requests, in one call; dies where it cannot. */
void submit_requests(io_context_t context, struct request *requests, int n);

/* Takes the completions of `n` requests: how many of them were right. */
int take_completions(io_context_t context, int n);

/* Waits until poll says that fd is readable; reads it; the sum up to `wanted`. */
bool wait_readable(int fd);
uint64_t count_up_to(int fd, uint64_t wanted);

/* An eventfd of the kernel, made by a bare system call instruction. */
int kernel_eventfd(void);

/* Waits until the process has so many threads: how many it has in the end. */
int wait_threads(int wanted);

/* The parts. */
void try_waits(void);
void try_kinds(void);
void try_life(void);
void try_errors(void);
void try_crowds(void);
void try_limit(void);
void try_alone(void);

#endif
