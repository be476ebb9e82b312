/* A program on libaio whose completions are told by eventfds: says what it sees, which must be the
 * same on the kernel's eventfds and on others. */
#include "aio.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int file_fd;

void file_make(void)
{
	unsigned char data[BLOCK];
	char name[] = "/tmp/aio-XXXXXX";

	file_fd = mkstemp(name);
	unlink(name);
	for (int i = 0; i < BLOCKS; i++) {
		memset(data, i, sizeof(data));
		if (write(file_fd, data, sizeof(data)) != sizeof(data))
			exit(2);
	}
}

io_context_t context_new(void)
{
	io_context_t context = 0;

	if (io_setup(ROOM, &context)) {
		printf("no context\n");
		exit(2);
	}
	return context;
}

void request_read(struct request *request, unsigned number, int efd)
{
	request->number = number % BLOCKS;
	memset(request->data, ~request->number, BLOCK);
	io_prep_pread(
		&request->block, file_fd, request->data, BLOCK, (long long)request->number * BLOCK);
	if (efd >= 0)
		io_set_eventfd(&request->block, efd);
}

bool request_right(const struct request *request)
{
	for (int i = 0; i < BLOCK; i++) {
		if (request->data[i] != request->number)
			return false;
	}
	return true;
}

void submit_requests(io_context_t context, struct request *requests, int n)
{
	struct iocb *blocks[ROOM];
	int ret;

	for (int i = 0; i < n; i++)
		blocks[i] = &requests[i].block;
	ret = io_submit(context, n, blocks);
	if (ret != n) {
		printf("submitted %d of %d\n", ret, n);
		exit(2);
	}
}

int take_completions(io_context_t context, int n)
{
	struct timespec limit = {.tv_sec = LIMIT_MS / 1000};
	struct io_event events[ROOM];
	int got = io_getevents(context, n, n, events, &limit);
	int right = 0;

	for (int i = 0; i < got; i++)
		right += events[i].res == BLOCK && request_right((struct request *)events[i].obj);
	return right;
}

bool wait_readable(int fd)
{
	struct pollfd entry = {.fd = fd, .events = POLLIN};

	return poll(&entry, 1, LIMIT_MS) == 1 && entry.revents == POLLIN;
}

uint64_t count_up_to(int fd, uint64_t wanted)
{
	uint64_t sum = 0, value;

	while (sum < wanted && wait_readable(fd) &&
		read(fd, &value, sizeof(value)) == sizeof(value))
		sum += value;
	return sum;
}

int kernel_eventfd(void)
{
	long ret;

#if defined(__x86_64__)
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(SYS_eventfd2), "D"(0), "S"(0)
			 : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = SYS_eventfd2;
	register long x0 __asm__("x0") = 0;
	register long x1 __asm__("x1") = 0;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1) : "memory");
	ret = x0;
#endif
	return (int)ret;
}

static int threads_now(void)
{
	DIR *dir = opendir("/proc/self/task");
	int n = 0;

	for (struct dirent *entry; (entry = readdir(dir));)
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

int wait_threads(int wanted)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	int now = threads_now();

	for (int i = 0; now != wanted && i < LIMIT_MS; i++) {
		nanosleep(&pause, NULL);
		now = threads_now();
	}
	return now;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	file_make();
	if (argc > 1) {
		(!strcmp(argv[1], "limit") ? try_limit : try_alone)();
		return 0;
	}
	try_waits();
	try_kinds();
	try_life();
	try_errors();
	try_crowds();
	return 0;
}
