#include "core/poolfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/store.h"
#include "core/text.h"
#include "sys/older.h"
#include "sys/passing.h"
#include "sys/raw.h"

enum { LAYOUT_VERSION = 2, DISK_BLOCK = 512 };

/* No half of an address looks like a tag. */
#define TAG_MASK 0xc0000000u
#define TAG_BITS 0x40000000u

static const char magic[8] = "efdshim";

/* A file bigger than RLIMIT_FSIZE would cost a signal. */
static bool file_size_allowed(off_t size)
{
	struct rlimit limit;

	if (older_limit(RLIMIT_FSIZE, NULL, &limit))
		return true;
	return limit.rlim_cur == RLIM_INFINITY || (off_t)limit.rlim_cur >= size;
}

static int append_zeros(int fd, off_t size)
{
	static const char zeros[4096];
	struct stat st;
	long ret;

	for (;;) {
		if (raw_syscall3(SYS_fstat, fd, (long)&st, 0))
			return EIO;
		if (st.st_size >= size)
			return 0;
		ret = raw_write(fd, zeros, sizeof(zeros));
		if (ret < 0)
			return (int)-ret;
	}
}

/* Where a file system, or a kernel before 2.6.23, cannot reserve: zeros are appended, so that
 * nothing that others write meanwhile is overwritten. With O_APPEND a pwrite would append, too. */
static int append_up_to(int fd, off_t size)
{
	int err;

	raw_fcntl(fd, F_SETFL, O_APPEND);
	err = append_zeros(fd, size);
	raw_fcntl(fd, F_SETFL, 0);
	return err;
}

int poolfile_reserve(int fd, off_t from, off_t to)
{
	long ret;

	if (!file_size_allowed(to))
		return EFBIG;
	do {
		ret = raw_syscall6(SYS_fallocate, fd, 0, from, to - from, 0, 0);
	} while (ret == -EINTR);
	return ret == -EOPNOTSUPP || ret == -ENOSYS ? append_up_to(fd, to) : (int)-ret;
}

static uint32_t random_word(void)
{
	struct timespec now;
	uint32_t word;

	if (raw_syscall3(SYS_getrandom, (long)&word, sizeof(word), 1 /* GRND_NONBLOCK */) ==
		sizeof(word))
		return word;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint32_t)now.tv_nsec * 2654435761u ^ (uint32_t)raw_getpid();
}

/* Writes a whole head under a name of this process's own, then links it into place: nobody sees
 * half a file. */
static int make_file(const struct pool *pool)
{
	struct pool_head head = {
		.version = LAYOUT_VERSION,
		.item_size = pool->item_size,
		.items = pool->items,
		.tag = (random_word() & ~TAG_MASK) | TAG_BITS,
		.used = 1,
	};
	static _Atomic uint32_t tried; /* by this process */
	char space[64];
	struct text name = text_in(space, sizeof(space));
	int fd, err;

	memcpy(head.magic, magic, sizeof(magic));
	text_string(&name, pool->name);
	text_string(&name, ".new.");
	text_number(&name, (uint64_t)raw_getpid(), 10);
	text_string(&name, ".");
	text_number(&name, atomic_fetch_add(&tried, 1), 10);
	store_unlink(space);
	fd = store_open_file(space, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return -fd;
	raw_syscall3(SYS_fchmod, fd, 0600, 0); /* whatever the umask */
	err = poolfile_reserve(fd, 0, HEAD_BYTES);
	if (!err &&
		raw_syscall6(SYS_pwrite64, fd, (long)&head, sizeof(head), 0, 0, 0) != sizeof(head))
		err = ENOSPC;
	passing_close(fd);
	if (!err)
		err = store_link(space, pool->name);
	store_unlink(space);
	return err == EEXIST ? 0 : err;
}

off_t poolfile_offset(const struct pool *pool, uint32_t index)
{
	off_t marks = ((off_t)pool->items / 8 + MARKS_PAGE - 1) & ~(off_t)(MARKS_PAGE - 1);

	return HEAD_BYTES + marks + (off_t)index * pool->item_size;
}

bool poolfile_read(int fd, struct pool_head *head)
{
	return raw_syscall6(SYS_pread64, fd, (long)head, sizeof(*head), 0, 0, 0) == sizeof(*head) &&
	       !memcmp(head->magic, magic, sizeof(magic)) && head->version == LAYOUT_VERSION &&
	       (head->tag & TAG_MASK) == TAG_BITS;
}

/* Everything up to the end of so many items, the bits of the others left out. */
static off_t bytes_of(const struct pool *pool, uint32_t items)
{
	off_t marks = poolfile_offset(pool, 0) - HEAD_BYTES;

	return poolfile_offset(pool, items) - marks + items / 8;
}

uint32_t poolfile_backed(const struct pool *pool, int fd, uint32_t ready)
{
	struct stat st;
	off_t room;

	if (raw_syscall3(SYS_fstat, fd, (long)&st, 0))
		return 0;
	room = (st.st_size - poolfile_offset(pool, 0)) / pool->item_size;
	if (room <= 0)
		return 0;
	if (ready > pool->items)
		ready = pool->items;
	if (ready > room)
		ready = (uint32_t)room;
	/* it has a hole, which a full file system could not fill */
	if (st.st_blocks * DISK_BLOCK < bytes_of(pool, ready) &&
		raw_syscall6(SYS_fallocate, fd, 0, 0, poolfile_offset(pool, ready), 0, 0) ==
			-ENOSPC)
		return 0;
	return ready;
}

static bool head_fits(const struct pool *pool, int fd)
{
	struct pool_head head;
	struct stat st;

	/* the head before the size: the file may be growing */
	if (!poolfile_read(fd, &head) || raw_syscall3(SYS_fstat, fd, (long)&st, 0))
		return false;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 07777) != 0600)
		return false;
	return head.item_size == pool->item_size && head.items == pool->items &&
	       head.ready <= pool->items &&
	       (!head.ready || st.st_size >= poolfile_offset(pool, head.ready));
}

/* A file of another version, or a torn one, is set aside. */
static void set_aside(const struct pool *pool)
{
	char space[64];
	struct text name = text_in(space, sizeof(space));

	text_string(&name, pool->name);
	text_string(&name, ".old");
	store_unlink(space);
	if (!store_link(pool->name, space))
		store_unlink(pool->name);
}

int poolfile_open(const struct pool *pool)
{
	int err;

	for (int tries = 0; tries < 3; tries++) {
		int fd = store_open_file(pool->name, O_RDWR, 0);

		if (fd >= 0 && head_fits(pool, fd))
			return fd;
		if (fd >= 0) {
			passing_close(fd);
			set_aside(pool);
		} else if (fd != -ENOENT) {
			return fd;
		}
		err = make_file(pool);
		if (err)
			return -err;
	}
	return -EAGAIN;
}
