/* What an object takes of the kernel's memory and of tmpfs. Usage:
 * footprint eventfd COUNT DIRECTORY: of whoever serves; the directory is the shim's
 * footprint fifo COUNT DIRECTORY [BYTES]: bare FIFOs of that pipe size
 * It takes the difference of the system's own figures: as root, and while nothing else runs. */
#include "prog.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CACHES = 512, NAME = 64 };

struct cache {
	char name[NAME];
	unsigned long objects, size;
};

struct figures {
	long slab, files; /* KiB */
	struct cache caches[CACHES];
	int count;
};

static int *fds;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void read_meminfo(struct figures *f)
{
	char line[128];
	FILE *file = fopen("/proc/meminfo", "r");

	require(file, "/proc/meminfo");
	while (fgets(line, sizeof(line), file))
		sscanf(line, "Slab: %ld", &f->slab);
	fclose(file);
}

/* Only root may read it. */
static void read_caches(struct figures *f)
{
	char line[512];
	FILE *file = fopen("/proc/slabinfo", "r");

	while (file && f->count < CACHES && fgets(line, sizeof(line), file)) {
		struct cache *c = &f->caches[f->count];

		if (sscanf(line, "%63s %lu %*u %lu", c->name, &c->objects, &c->size) == 3)
			f->count++;
	}
	if (file)
		fclose(file);
}

/* What the files of the directory hold: the segment. */
static void read_files(struct figures *f, const char *directory)
{
	DIR *list = opendir(directory);

	require(list, "the directory");
	for (const struct dirent *e; (e = readdir(list));) {
		struct stat st;

		if (!fstatat(dirfd(list), e->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
			S_ISREG(st.st_mode))
			f->files += st.st_blocks / 2;
	}
	closedir(list);
}

static struct figures take_figures(const char *directory)
{
	struct figures f = {0};

	read_files(&f, directory);
	read_meminfo(&f);
	read_caches(&f);
	return f;
}

static unsigned long objects_before(const struct figures *f, const char *name)
{
	for (int i = 0; i < f->count; i++) {
		if (!strcmp(f->caches[i].name, name))
			return f->caches[i].objects;
	}
	return 0;
}

static double per(long before, long after, int count)
{
	return (double)(after - before) * 1024 / count;
}

/* The caches of which every object took part of one, or more. */
static void print_difference(const struct figures *a, const struct figures *b, int count)
{
	double files = per(a->files, b->files, count), sum = files;

	for (int i = 0; i < b->count; i++) {
		const struct cache *c = &b->caches[i];
		long more = (long)(c->objects - objects_before(a, c->name));

		if (more < count / 10)
			continue;
		printf("    %-24s %4lu bytes, %.2f each\n", c->name, c->size, (double)more / count);
		sum += (double)more * (double)c->size / count;
	}
	printf("segment %.0f, with these caches %.0f bytes each; all slabs of the system grew by "
	       "%.0f\n",
		files, sum, per(a->slab, b->slab, count));
}

static void make_eventfds(int count)
{
	for (int i = 0; i < count; i++) {
		fds[i] = eventfd(0, EFD_NONBLOCK);
		require(fds[i] >= 0, "eventfd");
	}
	prog_require_served(fds[0]);
	prog_require_served(fds[count - 1]);
}

static void make_fifos(int count, const char *directory)
{
	char path[512];

	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%d", directory, i);
		require(!mkfifo(path, 0600), "mkfifo");
		fds[i] = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		require(fds[i] >= 0, "open");
	}
}

static void remove_fifos(int count, const char *directory)
{
	char path[512];

	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%d", directory, i);
		unlink(path);
	}
}

static void resize(int count, int bytes)
{
	double begun = now();

	for (int i = 0; i < count; i++)
		require(fcntl(fds[i], F_SETPIPE_SZ, bytes) >= bytes, "F_SETPIPE_SZ");
	printf("F_SETPIPE_SZ: %.2f us each\n", (now() - begun) * 1e6 / count);
}

static void prepare(int count)
{
	struct rlimit limit;

	require(!getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	require(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
	fds = calloc((size_t)count, sizeof(*fds));
	require(fds, "memory");
	memset(fds, 0, (size_t)count * sizeof(*fds));
	/* The table of fds is not the objects'. */
	require(fcntl(0, F_DUPFD, count + 16) >= 0, "the limit of fds is too low");
}

int main(int argc, char **argv)
{
	int count = argc > 2 ? atoi(argv[2]) : 0;
	bool fifos = argc > 3 && !strcmp(argv[1], "fifo");

	if (count <= 0 || argc < 4)
		prog_fail("usage: footprint eventfd|fifo COUNT DIRECTORY [BYTES]");
	prepare(count);
	struct figures before = take_figures(argv[3]);
	double begun = now();
	if (fifos)
		make_fifos(count, argv[3]);
	else
		make_eventfds(count);
	printf("made: %.2f us each\n", (now() - begun) * 1e6 / count);
	if (fifos && argc > 4)
		resize(count, atoi(argv[4]));
	struct figures after = take_figures(argv[3]);
	print_difference(&before, &after, count);
	if (fifos)
		remove_fifos(count, argv[3]);
	return 0;
}
