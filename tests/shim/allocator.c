/* An allocator that calls what the shim interposes: whoever allocates in those calls, comes back
 * here. Memory is never given back. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARENA = 1 << 26, ALIGNMENT = 16, HEAD = 16 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char *arena;
static size_t used;
static int bell = -1; /* rung at every allocation, once it is there */
static _Thread_local int busy;

/* What a debugging allocator may do at each call. */
static void call_around(void)
{
	uint64_t one = 1;
	struct stat st;
	char byte;
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	read(fd, &byte, 1);
	fstat(fd, &st);
	write(-1, &byte, 1);
	close(fd);
	munmap(page, 4096);
	if (bell < 0)
		bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	write(bell, &one, sizeof(one));
	read(bell, &one, sizeof(one));
}

static void open_arena(void)
{
	void *map = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	arena = map == MAP_FAILED ? NULL : map;
}

static void *allocate(size_t n, size_t alignment)
{
	int saved = errno;
	char *at = NULL;
	size_t start;

	if (!busy) {
		busy = 1;
		call_around();
		busy = 0;
	}
	pthread_mutex_lock(&mutex);
	if (!arena)
		open_arena();
	start = (used + HEAD + alignment - 1) & ~(alignment - 1);
	if (arena && n < ARENA && start + n <= ARENA) {
		at = arena + start;
		memcpy(at - sizeof(n), &n, sizeof(n));
		used = start + n;
	}
	pthread_mutex_unlock(&mutex);
	errno = at ? saved : ENOMEM;
	return at;
}

void *malloc(size_t n)
{
	return allocate(n, ALIGNMENT);
}

void *calloc(size_t count, size_t n)
{
	return allocate(count * n, ALIGNMENT); /* mapped memory is zero */
}

void *realloc(void *old, size_t n)
{
	char *at = allocate(n, ALIGNMENT);
	size_t size;

	if (!at || !old)
		return at;
	memcpy(&size, (char *)old - sizeof(size), sizeof(size));
	return memcpy(at, old, size < n ? size : n);
}

void free(void *old)
{
	(void)old;
}

void *memalign(size_t alignment, size_t n)
{
	return allocate(n, alignment < ALIGNMENT ? ALIGNMENT : alignment);
}

void *aligned_alloc(size_t alignment, size_t n)
{
	return memalign(alignment, n);
}

int posix_memalign(void **at, size_t alignment, size_t n)
{
	*at = memalign(alignment, n);
	return *at ? 0 : ENOMEM;
}
