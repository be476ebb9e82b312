#include "core/setinfo.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "core/text.h"
#include "sys/passing.h"
#include "sys/raw.h"

enum { PATH_BYTES = 48, CHUNK = 1024 };

/* The number in base 16 after `name` in a line; false where there is none. */
static bool field(const char *line, const char *name, uint64_t *value)
{
	const char *at = strstr(line, name);
	bool any = false;

	if (!at)
		return false;
	for (at += strlen(name); *at == ' '; at++)
		;
	for (*value = 0;; at++, any = true) {
		if (*at >= '0' && *at <= '9')
			*value = *value << 4 | (uint64_t)(*at - '0');
		else if (*at >= 'a' && *at <= 'f')
			*value = *value << 4 | (uint64_t)(*at - 'a' + 10);
		else
			return any;
	}
}

/* Before 5.1 there is no ino.
 * tfd:        5 events:       19 data: 123456789abcdef0  pos:0 ino:407 sdev:1a */
static bool is_line_of(char *line, int fd, uint64_t inode)
{
	const char *at = line + strlen("tfd:");
	uint64_t found;

	if (strncmp(line, "tfd:", strlen("tfd:")) != 0)
		return false;
	while (*at == ' ')
		at++;
	return text_parse_int(&at) == fd && (!field(line, " ino:", &found) || found == inode);
}

static bool parse(const char *line, struct epoll_event *event)
{
	uint64_t events, data;

	if (!field(line, " events:", &events) || !field(line, " data:", &data))
		return false;
	*event = (struct epoll_event){.events = (uint32_t)events, .data.u64 = data};
	return true;
}

/* Looks at the whole lines of a chunk; how many bytes they are. */
static size_t look(char *chunk, int fd, uint64_t inode, struct epoll_event *event, bool *found)
{
	char *line = chunk;

	for (char *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = 0;
		if (is_line_of(line, fd, inode))
			*found = parse(line, event) || *found;
	}
	return (size_t)(line - chunk);
}

bool setinfo_find(int epfd, int fd, uint64_t inode, struct epoll_event *event)
{
	char path[PATH_BYTES], chunk[CHUNK + 1];
	struct text text = text_in(path, sizeof(path));
	bool found = false;
	size_t kept = 0;
	long got = 1;
	int info;

	text_string(&text, "/proc/self/fdinfo/");
	text_number(&text, (uint64_t)epfd, 10);
	info = passing_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	while (info >= 0 && got > 0 && !found) {
		size_t used;

		got = raw_read(info, chunk + kept, CHUNK - kept);
		kept += got > 0 ? (size_t)got : 0;
		chunk[kept] = 0;
		used = look(chunk, fd, inode, event, &found);
		kept -= used;
		memmove(chunk, chunk + used, kept);
	}
	if (info >= 0)
		passing_close(info);
	return found;
}
