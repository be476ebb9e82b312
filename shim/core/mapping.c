#include "core/mapping.h"

#include <fcntl.h>
#include <stdint.h>

#include "sys/passing.h"
#include "sys/raw.h"

enum { CHUNK = 1024 };

/* A file that is read byte by byte. */
struct source {
	int fd;
	long have, at;
	char bytes[CHUNK];
};

static int next_byte(struct source *source)
{
	if (source->at == source->have) {
		source->have = raw_read(source->fd, source->bytes, CHUNK);
		source->at = 0;
		if (source->have <= 0) {
			source->have = 0;
			return -1;
		}
	}
	return (unsigned char)source->bytes[source->at++];
}

/* Reads a hexadecimal number and the byte after it; -1 at the end. */
static int read_number(struct source *source, uintptr_t *number)
{
	int byte = next_byte(source);

	for (*number = 0;; byte = next_byte(source)) {
		if (byte >= '0' && byte <= '9')
			*number = *number << 4 | (uintptr_t)(byte - '0');
		else if (byte >= 'a' && byte <= 'f')
			*number = *number << 4 | (uintptr_t)(byte - 'a' + 10);
		else
			return byte;
	}
}

/* From "start-end rwxs ...". */
static bool find(struct source *source, uintptr_t address)
{
	uintptr_t start, end;
	int byte = 0;

	while (read_number(source, &start) == '-' && read_number(source, &end) == ' ') {
		for (int i = 0; i < 4; i++)
			byte = next_byte(source);
		if (start <= address && address < end)
			return byte == 's';
		while (byte >= 0 && byte != '\n')
			byte = next_byte(source);
	}
	return false;
}

bool mapping_is_shared(const void *address)
{
	struct source source = {
		.fd = passing_openat(AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0),
	};
	bool shared;

	if (source.fd < 0)
		return false;
	shared = find(&source, (uintptr_t)address);
	passing_close(source.fd);
	return shared;
}
