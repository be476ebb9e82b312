/* What io_submit refuses, and how many it submits before. */
#include "aio.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096 };

static io_context_t context;
static struct request requests[4];
static struct iocb *blocks[4];
static int efd;

static void begin(void)
{
	for (unsigned i = 0; i < 4; i++) {
		request_read(&requests[i], i, efd);
		blocks[i] = &requests[i].block;
	}
}

/* Both ways of calling; what was submitted is taken, and counted. */
static void say(const char *what, io_context_t with, long n, struct iocb **of)
{
	struct timespec limit = {.tv_sec = LIMIT_MS / 1000};
	struct io_event events[8];
	int ret = io_submit(with, n, of);
	uint64_t submitted = ret > 0 ? (uint64_t)ret : 0;
	long by_number;

	printf("%s: %d", what, ret);
	errno = 0;
	by_number = syscall(SYS_io_submit, with, n, of);
	printf(" %ld %d", by_number, errno);
	submitted += by_number > 0 ? (uint64_t)by_number : 0;
	printf(" %d", io_getevents(context, (long)submitted, 8, events, &limit));
	printf(" %llu", (unsigned long long)count_up_to(efd, submitted));
	for (int i = 0; i < 4; i++)
		printf(" %d", requests[i].block.u.c.resfd == (unsigned)efd);
	printf("\n");
}

static void bad_resfds(void)
{
	int ends[2], epfd = epoll_create1(0), gone;

	if (pipe(ends))
		return;
	gone = dup(0);
	close(gone);
	begin();
	requests[0].block.u.c.resfd = (unsigned)-1;
	say("resfd -1", context, 1, blocks);
	requests[0].block.u.c.resfd = (unsigned)gone;
	say("resfd not open", context, 1, blocks);
	requests[0].block.u.c.resfd = 1 << 20;
	say("resfd beyond all", context, 1, blocks);
	requests[0].block.u.c.resfd = (unsigned)ends[0];
	say("resfd a pipe", context, 1, blocks);
	requests[0].block.u.c.resfd = (unsigned)epfd;
	say("resfd an epoll set", context, 1, blocks);
	requests[0].block.u.c.resfd = (unsigned)file_fd;
	say("resfd a file", context, 1, blocks);
	begin();
	requests[2].block.u.c.resfd = (unsigned)ends[0];
	say("the third resfd a pipe", context, 4, blocks);
	begin();
	requests[1].block.aio_fildes = -1;
	say("the second file not open", context, 4, blocks);
	close(ends[0]);
	close(ends[1]);
	close(epfd);
}

static void bad_contexts(void)
{
	begin();
	say("no context", 0, 4, blocks);
	say("no such context", (io_context_t)(uintptr_t)0x1234000, 4, blocks);
	say("no blocks", context, 0, blocks);
	say("fewer than none", context, -1, blocks);
	say("none of no context", 0, 0, blocks);
}

static void bad_blocks(void)
{
	begin();
	say("no array", context, 1, NULL);
	blocks[0] = NULL;
	say("no block", context, 1, blocks);
	begin();
	blocks[2] = (struct iocb *)16;
	say("the third block nowhere", context, 4, blocks);
	begin();
	requests[1].block.aio_lio_opcode = 77;
	say("no such operation", context, 4, blocks);
	begin();
	requests[0].block.u.c.flags |= 1u << 20;
	say("unknown flags", context, 1, blocks);
	begin();
	requests[0].block.u.c.buf = NULL;
	say("no buffer", context, 1, blocks);
}

/* Blocks and their array at the end of what is mapped; a block that cannot be stored to. */
static void edges(void)
{
	char *pages =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iocb **last = (struct iocb **)(void *)(pages + PAGE) - 2;
	struct iocb *block = (struct iocb *)(void *)(pages + PAGE) - 1;

	mprotect(pages + PAGE, PAGE, PROT_NONE);
	begin();
	*block = requests[0].block;
	last[0] = &requests[0].block;
	last[1] = &requests[1].block;
	memmove(block - 1, block, sizeof(*block)); /* the array lies in the last block's place */
	say("array up to the end", context, 2, last);
	say("array beyond the end", context, 4, last);
	*block = requests[0].block;
	blocks[0] = block;
	say("block up to the end", context, 2, blocks);
	blocks[0] = (struct iocb *)(void *)((char *)block + 8);
	say("block beyond the end", context, 2, blocks);
	memmove((char *)block - 3, &requests[0].block, sizeof(*block));
	blocks[0] = (struct iocb *)(void *)((char *)block - 3);
	say("block anywhere", context, 2, blocks);
	*block = requests[0].block;
	mprotect(pages, PAGE, PROT_READ);
	blocks[0] = block;
	say("block read-only", context, 2, blocks);
	blocks[0] = &requests[0].block;
	blocks[1] = block;
	say("the second block read-only", context, 2, blocks);
	munmap(pages, 2 * PAGE);
}

/* The kernel has no room for more. */
static void too_many(void)
{
	struct io_event events[ROOM * 16];
	io_context_t small = 0;
	int n = 0, ret;

	begin();
	if (io_setup(1, &small))
		return;
	while ((ret = io_submit(small, 1, blocks)) == 1)
		n++;
	printf("too many: %d, %d\n", ret, n == io_getevents(small, n, ROOM * 16, events, NULL));
	printf("counted: %d\n", count_up_to(efd, (uint64_t)n) == (uint64_t)n);
	io_destroy(small);
}

void try_errors(void)
{
	context = context_new();
	efd = eventfd(0, EFD_NONBLOCK);
	bad_resfds();
	bad_contexts();
	bad_blocks();
	edges();
	too_many();
	close(efd);
	begin();
	printf("closed eventfd: %d\n", io_submit(context, 1, blocks));
	io_destroy(context);
}
