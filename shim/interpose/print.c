/* dprintf and its kin, whose libc writes past the PLT. */
#include <stdarg.h>
#include <unistd.h>

#include "interpose/interpose.h"

enum { SPACE = 256 }; /* of what is written to an eventfd only 8 bytes count */

static int print_to_eventfd(int fd, const char *format, va_list args)
{
	char space[SPACE] = "";
	/* cppcheck-suppress ctunullpointer ; the format is the caller's, as libc's is */
	int n = vsnprintf(space, sizeof(space), format, args);

	if (n <= 0)
		return n;
	return write(fd, space, (size_t)n) < 0 ? -1 : n;
}

int vdprintf(int fd, const char *format, va_list args)
{
	struct fdref ref;

	if (object_is(&fd, &ref))
		return print_to_eventfd(fd, format, args);
	return real()->vdprintf(fd, format, args);
}

int dprintf(int fd, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vdprintf(fd, format, args);
	va_end(args);
	return n;
}

int __vdprintf_chk(int fd, int flag, const char *format, va_list args)
{
	struct fdref ref;

	if (object_is(&fd, &ref))
		return print_to_eventfd(fd, format, args);
	return real()->__vdprintf_chk(fd, flag, format, args);
}

int __dprintf_chk(int fd, int flag, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = __vdprintf_chk(fd, flag, format, args);
	va_end(args);
	return n;
}
