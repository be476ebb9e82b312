/* Streams and directories: libc opens and closes their fds by itself. */
#include "interpose/interpose.h"

#include "core/adopt.h"
#include "core/behind.h"
#include "core/procfd.h"
#include "interpose/stream.h"

/* The number of a stream that libc made; errno is left alone. */
static int number_of(FILE *stream)
{
	int saved = errno;
	int fd = stream ? real()->fileno(stream) : -1;

	errno = saved;
	return fd;
}

static FILE *new_stream(FILE *stream)
{
	object_new_file(number_of(stream));
	return stream;
}

static FILE *opened(FILE *stream, const char *path)
{
	int err;

	if (!stream || !path)
		return new_stream(stream);
	err = procfd_opened(number_of(new_stream(stream)), path, O_RDONLY);
	if (!err)
		return stream;
	real()->fclose(stream);
	errno = err;
	return NULL;
}

FILE *fopen(const char *path, const char *mode)
{
	return opened(real()->fopen(path, mode), path);
}

FILE *freopen(const char *path, const char *mode, FILE *stream)
{
	struct behind_close old;
	int fd;

	if (stream_is(stream, &fd))
		return stream_reopen(stream, path, mode);
	behind_closing(&old, number_of(stream));
	stream = real()->freopen(path, mode, stream);
	behind_closed(&old);
	return opened(stream, path);
}

FILE *fdopen(int fd, const char *mode)
{
	struct fdref ref;

	if (object_is(&fd, &ref))
		return stream_open(fd, mode);
	return real()->fdopen(fd, mode);
}

int fclose(FILE *stream)
{
	struct behind_close old;
	int fd, ret;

	if (stream_is(stream, &fd))
		return real()->fclose(stream);
	behind_closing(&old, number_of(stream));
	ret = real()->fclose(stream);
	behind_closed(&old);
	return ret;
}

int fileno(FILE *stream)
{
	int fd;

	if (stream_is(stream, &fd))
		return fd;
	fd = real()->fileno(stream);
	behind_maybe_made(fd); /* libc may have opened it where nobody saw it */
	return fd;
}

FILE *tmpfile(void)
{
	return new_stream(real()->tmpfile());
}

DIR *opendir(const char *path)
{
	DIR *dir = real()->opendir(path);

	if (dir)
		object_new_file(dirfd(dir));
	return dir;
}

DIR *fdopendir(int fd)
{
	struct fdref ref;

	object_is(&fd, &ref);
	return real()->fdopendir(fd);
}

static int number_of_dir(DIR *dir)
{
	return dir ? dirfd(dir) : -1;
}

int closedir(DIR *dir)
{
	struct behind_close old;
	int ret;

	behind_closing(&old, number_of_dir(dir));
	ret = real()->closedir(dir);
	behind_closed(&old);
	return ret;
}

SYMBOLS_STDIO(SHIM_NO_ALIAS, SHIM_ALIAS)
