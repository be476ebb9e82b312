#include "interpose/stream.h"

#include <stdatomic.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

#include "interpose/interpose.h"

#include "core/text.h"

/* What tells a stream that its cookie could not write. */
#ifdef __GLIBC__
enum { WRITE_FAILED = 0 };
#else
enum { WRITE_FAILED = -1 };
#endif

enum { STREAMS_MAX = 256, NAME_BYTES = 32, FILE_MODE = 0666, WORD = sizeof(uint64_t) };

struct stream {
	_Atomic int used; /* set by whoever takes the entry; cleared when the stream is closed */
	FILE *_Atomic stream; /* NULL while the entry is being filled */
	int fd;		      /* the rest is the stream's, under its lock */
	int access;	      /* O_RDONLY, O_WRONLY or O_RDWR */
	char word[WORD];      /* read, and asked for byte by byte */
	size_t left;	      /* how much of its end is still to be given */
};

static struct stream streams[STREAMS_MAX];

/* How many entries are in use; 0 spares ordinary streams the search. */
static _Atomic int streams_open;

static struct stream *take(void)
{
	for (int i = 0; i < STREAMS_MAX; i++) {
		int unused = 0;

		if (atomic_compare_exchange_strong(&streams[i].used, &unused, 1)) {
			atomic_fetch_add(&streams_open, 1);
			return &streams[i];
		}
	}
	return NULL;
}

static void give(struct stream *entry)
{
	atomic_store(&entry->stream, NULL);
	atomic_fetch_sub(&streams_open, 1);
	atomic_store(&entry->used, 0);
}

static struct stream *find(FILE *stream)
{
	if (!stream || !atomic_load(&streams_open))
		return NULL;
	for (int i = 0; i < STREAMS_MAX; i++) {
		if (atomic_load(&streams[i].stream) == stream)
			return &streams[i];
	}
	return NULL;
}

bool stream_is(FILE *stream, int *fd)
{
	struct stream *entry = find(stream);

	if (entry)
		*fd = entry->fd;
	return entry;
}

/* An unbuffered cookie stream reads byte by byte what libc's own would read in one piece. */
static ssize_t read_bytes(struct stream *entry, char *buf, size_t n)
{
	if (!entry->left) {
		ssize_t got = read(entry->fd, entry->word, WORD);

		if (got <= 0)
			return got;
		entry->left = (size_t)got;
	}
	if (n > entry->left)
		n = entry->left;
	memcpy(buf, entry->word + WORD - entry->left, n);
	entry->left -= n;
	return (ssize_t)n;
}

static ssize_t cookie_read(void *cookie, char *buf, size_t n)
{
	struct stream *entry = cookie;

	if (entry->access == O_WRONLY) {
		errno = EBADF;
		return -1;
	}
	if (entry->left || (n < WORD && fdtable_kind(entry->fd) == FD_OBJECT))
		return read_bytes(entry, buf, n);
	return read(entry->fd, buf, n);
}

/* As libc's own streams do, goes on after a short write. What was written is returned even where
 * not all was. */
static ssize_t cookie_write(void *cookie, const char *buf, size_t n)
{
	struct stream *entry = cookie;
	size_t done = 0;

	if (entry->access == O_RDONLY) {
		errno = EBADF;
		return WRITE_FAILED;
	}
	while (done < n) {
		ssize_t written = write(entry->fd, buf + done, n - done);

		if (written < 0)
			return done ? (ssize_t)done : WRITE_FAILED;
		done += (size_t)written;
	}
	return (ssize_t)done;
}

static int cookie_seek(void *cookie, off_t *at, int whence)
{
	struct stream *entry = cookie;
	off_t now = lseek(entry->fd, *at, whence);

	if (now < 0)
		return -1;
	*at = now;
	return 0;
}

static int cookie_close(void *cookie)
{
	struct stream *entry = cookie;
	int fd = entry->fd;

	give(entry);
	return close(fd);
}

/* The open flags a mode stands for; -1 where it is none. */
static int flags_of(const char *mode)
{
	int flags = strchr(mode, '+') ? O_RDWR : *mode == 'r' ? O_RDONLY : O_WRONLY;

	switch (*mode) {
	case 'r':
		break;
	case 'w':
		flags |= O_CREAT | O_TRUNC;
		break;
	case 'a':
		flags |= O_CREAT | O_APPEND;
		break;
	default:
		return -1;
	}
	if (strchr(mode, 'x'))
		flags |= O_EXCL;
	return strchr(mode, 'e') ? flags | O_CLOEXEC : flags;
}

/* The stream itself can read and write: what its mode allows is for the cookie to say, as a freopen
 * may change it. */
static FILE *make_stream(struct stream *entry)
{
	const cookie_io_functions_t functions = {
		.read = cookie_read,
		.write = cookie_write,
		.seek = cookie_seek,
		.close = cookie_close,
	};
	FILE *stream = fopencookie(entry, "r+", functions);

	if (stream)
		atomic_store(&entry->stream, stream);
	return stream;
}

static FILE *fail(int err)
{
	errno = err;
	return NULL;
}

FILE *stream_open(int fd, const char *mode)
{
	int flags = flags_of(mode);
	struct stream *entry;
	FILE *stream;

	if (flags < 0)
		return fail(EINVAL);
	entry = take();
	if (!entry)
		return fail(ENOMEM);
	entry->fd = fd;
	entry->access = flags & O_ACCMODE;
	entry->left = 0;
	stream = make_stream(entry);
	if (!stream)
		give(entry);
	else if (flags & O_APPEND)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_APPEND);
	return stream;
}

/* What a stream is reopened on: a path, or its own file anew. */
static int open_again(const struct stream *entry, const char *path, int flags)
{
	char space[NAME_BYTES];
	struct text link = text_in(space, sizeof(space));

	if (path)
		return open(path, flags, FILE_MODE);
	text_string(&link, "/proc/self/fd/");
	text_number(&link, (uint64_t)entry->fd, 10);
	return open(space, flags, FILE_MODE);
}

FILE *stream_reopen(FILE *stream, const char *path, const char *mode)
{
	struct stream *entry = find(stream);
	int flags = flags_of(mode);
	int fd, err;

	fflush(stream);
	__fpurge(stream);
	clearerr(stream);
	errno = EINVAL;
	fd = flags < 0 ? -1 : open_again(entry, path, flags);
	err = errno;
	if (fd < 0 || dup3(fd, entry->fd, flags & O_CLOEXEC) < 0)
		close(entry->fd);
	if (fd < 0)
		return fail(err);
	close(fd);
	entry->access = flags & O_ACCMODE;
	entry->left = 0;
	return stream;
}
